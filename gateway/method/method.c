/* The method table: groups joined from methods.def, sorted by name, found by hash; and the one road a
 * request takes: find, role, scope, control-plane limit, decode, run. protocol.md 1.5, 3.2, 3.3. */
#include "gateway/method/method.h"

#include "base/mem.h"
#include "gateway/conn/conn.h"
#include "gateway/conn/limit.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/internal.h"

#include <stdlib.h>
#include <string.h>

#define METHODS(group) extern const struct method methods_##group[];
#include "gateway/method/methods.def"
#undef METHODS

static const struct method *const groups[] = {
#define METHODS(group) methods_##group,
#include "gateway/method/methods.def"
#undef METHODS
};

#define BUCKETS            512 /* power of two, well above the number of methods */
#define UNKNOWN_NAME_SHOWN 100

struct methods {
    const struct method *buckets[BUCKETS]; /* open addressing */
    const struct method **sorted;
    size_t count;
};

const struct field no_params_fields[] = {F_END};

/* A few letters tell the names apart well enough; the table is far from full. */
static size_t name_hash(const char *name, size_t length)
{
    const uint8_t *c = (const uint8_t *)name;
    uint32_t hash = (uint32_t)length;

    if (length > 0)
        hash = hash * 31 + c[0] + c[length / 3] * 7u + c[length / 2] * 31u +
               c[length * 2 / 3] * 131u + c[length - 1] * 521u;
    return (hash * 2654435761u >> 16) % BUCKETS;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const struct method *const *)a)->name,
                  (*(const struct method *const *)b)->name);
}

static void methods_add(struct methods *methods, const struct method *row)
{
    size_t slot = name_hash(row->name, strlen(row->name));

    while (methods->buckets[slot])
        slot = (slot + 1) % BUCKETS;
    methods->buckets[slot] = row;
    methods->sorted = mem_grow(methods->sorted, methods->count + 1, sizeof(*methods->sorted));
    methods->sorted[methods->count++] = row;
}

struct methods *methods_new(void)
{
    struct methods *methods = NEW(struct methods);

    for (size_t g = 0; g < COUNT(groups); g++)
        for (const struct method *row = groups[g]; row->name; row++)
            methods_add(methods, row);
    require(methods->count < BUCKETS / 2);
    qsort(methods->sorted, methods->count, sizeof(*methods->sorted), by_name);
    return methods;
}

struct methods *methods_free(struct methods *methods)
{
    if (!methods)
        return NULL;
    mem_free(methods->sorted);
    return mem_free(methods);
}

const struct method *method_find(const struct methods *methods, const char *name, size_t length)
{
    for (size_t slot = name_hash(name, length); methods->buckets[slot];
         slot = (slot + 1) % BUCKETS) {
        const struct method *row = methods->buckets[slot];
        if (row->name[0] == name[0] && strncmp(row->name, name, length) == 0 &&
            row->name[length] == '\0')
            return row;
    }
    return NULL;
}

const struct method *method_at(const struct methods *methods, size_t index)
{
    return index < methods->count ? methods->sorted[index] : NULL;
}

size_t method_count(const struct methods *methods)
{
    return methods->count;
}

void methods_write_names(const struct methods *methods, struct json_writer *w)
{
    jw_array(w);
    for (size_t i = 0; i < methods->count; i++)
        if (!(methods->sorted[i]->flags & METHOD_HIDDEN))
            jw_str(w, methods->sorted[i]->name);
    jw_array_end(w);
}

static void write_scopes(scope_set set, const char *key, struct json_writer *w)
{
    jw_key(w, key);
    scope_write(set, w);
}

void methods_write_schema(const struct methods *methods, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "$schema", "https://json-schema.org/draft/2020-12/schema");
    jw_kstr(w, "title", "Culvert gateway methods");
    jw_kobject(w, "methods");
    for (size_t i = 0; i < methods->count; i++) {
        const struct method *row = methods->sorted[i];
        struct shape params = {.kind = FIELD_OBJECT, .fields = row->params};

        jw_kobject(w, row->name);
        jw_karray(w, "roles");
        if (row->role & ROLE_OPERATOR)
            jw_str(w, "operator");
        if (row->role & ROLE_NODE)
            jw_str(w, "node");
        jw_array_end(w);
        write_scopes(row->v3, "scopesV3", w);
        write_scopes(row->v4, "scopes", w);
        jw_key(w, "params");
        field_schema(&params, w);
        jw_key(w, "reply");
        field_schema(&row->reply, w);
        jw_object_end(w);
    }
    jw_object_end(w);
    jw_object_end(w);
}

/* ---- the road of a request ---- */

static int refuse_unknown(struct call *call, const struct frame *frame)
{
    size_t shown =
        frame->name.length < UNKNOWN_NAME_SHOWN ? frame->name.length : UNKNOWN_NAME_SHOWN;

    return call_fail(call, WIRE_INVALID_REQUEST, "unknown method: %.*s", (int)shown,
                     frame->name.at);
}

static int refuse_role(struct call *call, struct conn *conn)
{
    conn->unauthorised_calls++;
    return call_fail(call, WIRE_INVALID_REQUEST, "unauthorized role: %s",
                     conn->role == ROLE_NODE ? "node" : "operator");
}

/* protocol.md 1.5 "v4 control-plane write limit". */
static int refuse_too_often(struct call *call, const struct method *row, int64_t retry_after_ms)
{
    CLEAN(mem_free)
    char *details = mem_format("{\"method\":\"%s\",\"limit\":\"30 per 60s\"}", row->name);
    CLEAN(mem_free)
    char *message = mem_format("too many %s calls; at most 30 per 60 s, try again in %lld s",
                               row->name, (long long)(retry_after_ms + 999) / 1000);

    return call_fail_with(call, &(struct call_error){.code = WIRE_UNAVAILABLE,
                                                     .message = message,
                                                     .details = details,
                                                     .retryable = true,
                                                     .retry_after_ms = retry_after_ms});
}

static int run(struct call *call, struct conn *conn, const struct method *row,
               const struct frame *frame)
{
    LATER struct fault fault;

    fault_clear(&fault);
    if (!(row->role & (unsigned)conn->role))
        return refuse_role(call, conn);
    if (!call_require(call, conn->version >= 4 ? row->v4 : row->v3))
        return 0;
    if (row->flags & METHOD_CONTROL) {
        int64_t retry_after_ms = limit_control(conn->gw, conn, row->name);
        if (retry_after_ms > 0)
            return refuse_too_often(call, row, retry_after_ms);
    }
    const void *params = call_decode(call, row, &frame->body, &fault);
    if (!params)
        return call_fail(call, WIRE_INVALID_REQUEST, "invalid %s params: %s", row->name,
                         fault.text);
    return row->run(call, params);
}

void method_dispatch(struct conn *conn, const struct frame *frame)
{
    const struct method *row = method_find(conn->gw->methods, frame->name.at, frame->name.length);
    struct call *call = call_new(conn, row, frame);

    if (!call)
        return;
    if (!row)
        refuse_unknown(call, frame);
    else
        run(call, conn, row, frame);
}
