/* A call: made by dispatch, answered once by its handler, now or later. It holds its connection by id, so
 * an answer that comes too late finds nobody and is dropped. A few calls are kept for the next requests
 * with their buffers: the common request allocates nothing. */
#include "gateway/method/call.h"

#include "base/log.h"
#include "base/mem.h"
#include "gateway/conn/conn.h"
#include "gateway/gateway.h"
#include "gateway/method/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define CALL_MAGIC         0x63616c6cu
#define CALL_ID_INLINE     80
#define CALL_PARAMS_INLINE 256
#define CALL_SPARE_MAX     32    /* kept for reuse */
#define CALL_SPARE_BUFFER  16384 /* a larger output buffer is not kept */

struct call {
    uint32_t magic;
    struct gateway *gw;
    conn_id conn;
    int version;
    scope_set scopes;
    const struct method *row;
    char *id; /* raw JSON of the frame's id; id_inline unless it is long */
    char id_inline[CALL_ID_INLINE];
    struct json *tree; /* what params borrow from */
    void *params;      /* params_inline unless the struct is large */
    _Alignas(16) char params_inline[CALL_PARAMS_INLINE];
    struct buf out;
    struct json_writer w;
    size_t payload_at; /* where the payload begins in out */
    size_t weight;     /* bytes of the request */
    void (*gone)(void *arg);
    void *gone_arg;
    struct call *next; /* spare list, or the connection's open calls */
    struct call **back;
};

struct calls {
    struct call *spare;
    unsigned spare_count;
    struct call *open; /* all that wait for an answer */
    size_t bytes;      /* of their requests */
};

static const char *const wire_names[] = {
    [WIRE_NOT_LINKED] = "NOT_LINKED",       [WIRE_NOT_PAIRED] = "NOT_PAIRED",
    [WIRE_AGENT_TIMEOUT] = "AGENT_TIMEOUT", [WIRE_INVALID_REQUEST] = "INVALID_REQUEST",
    [WIRE_UNAVAILABLE] = "UNAVAILABLE",     [WIRE_FORBIDDEN] = "FORBIDDEN",
};

const char *wire_error_name(enum wire_error code)
{
    return wire_names[code];
}

/* ---- life ---- */

struct calls *calls_new(void)
{
    return NEW(struct calls);
}

struct calls *calls_free(struct calls *calls)
{
    if (!calls)
        return NULL;
    require(!calls->open);
    while (calls->spare) {
        struct call *call = calls->spare;
        calls->spare = call->next;
        buf_done(&call->out);
        mem_free(call);
    }
    return mem_free(calls);
}

static struct call *call_take(struct calls *calls)
{
    struct call *call = calls->spare;

    if (call) {
        calls->spare = call->next;
        calls->spare_count--;
    } else {
        call = NEW(struct call);
        buf_init(&call->out, CONN_OUTPUT_MAX);
    }
    call->magic = CALL_MAGIC;
    call->next = calls->open;
    call->back = &calls->open;
    if (call->next)
        call->next->back = &call->next;
    calls->open = call;
    return call;
}

static void call_release(struct call *call)
{
    struct calls *calls = call->gw->calls;
    struct conn *conn = conn_find(call->gw, call->conn);

    if (conn) {
        conn->open_calls--;
        conn->open_bytes -= call->weight;
    }
    calls->bytes -= call->weight;
    *call->back = call->next;
    if (call->next)
        call->next->back = call->back;

    if (call->id != call->id_inline)
        mem_free(call->id);
    if (call->params != call->params_inline)
        mem_free(call->params);
    call->tree = json_free(call->tree);
    call->id = NULL;
    call->params = NULL;
    call->gone = NULL;
    call->magic = 0;
    if (calls->spare_count < CALL_SPARE_MAX && call->out.room <= CALL_SPARE_BUFFER) {
        buf_clear(&call->out);
        call->next = calls->spare;
        calls->spare = call;
        calls->spare_count++;
        return;
    }
    buf_done(&call->out);
    mem_free(call);
}

static void call_ended(struct call *call)
{
    void (*gone)(void *) = call->gone;
    void *arg = call->gone_arg;

    call->gone = NULL;
    if (gone)
        gone(arg);
    call_release(call);
}

struct call *call_new(struct conn *conn, const struct method *row, const struct frame *frame)
{
    struct call *call = call_take(conn->gw->calls);

    call->gw = conn->gw;
    call->conn = conn->id;
    call->version = conn->version;
    call->scopes = conn->scopes;
    call->row = row;
    call->id =
        frame->id.length < CALL_ID_INLINE ? call->id_inline : mem_array(frame->id.length + 1, 1);
    memcpy(call->id, frame->id.at, frame->id.length);
    call->id[frame->id.length] = '\0';

    call->weight = frame->body.length;
    conn->open_bytes += call->weight;
    conn->gw->calls->bytes += call->weight;
    if (++conn->open_calls > CALLS_PER_CONN_MAX || conn->open_bytes > CALLS_BYTES_PER_CONN_MAX ||
        conn->gw->calls->bytes > CALLS_BYTES_MAX) {
        call_fail_with(call,
                       &(struct call_error){.code = WIRE_UNAVAILABLE,
                                            .message = "too many open requests on this connection",
                                            .retryable = true,
                                            .retry_after_ms = 1000});
        return NULL;
    }
    return call;
}

const void *call_decode(struct call *call, const struct method *row, const struct json_slice *body,
                        struct fault *reterr_fault)
{
    call->params =
        row->params_size <= CALL_PARAMS_INLINE ? call->params_inline : mem_new(row->params_size);
    if (body->at && !(call->tree = json_parse(body->at, body->length, reterr_fault)))
        return NULL;
    if (field_decode(row->params, call->tree, call->params, row->params_size, reterr_fault) < 0)
        return NULL;
    return call->params;
}

void calls_conn_gone(struct gateway *gw, conn_id id)
{
    for (struct call *call = gw->calls->open; call; call = call->next) {
        if (call->conn.v != id.v || !call->gone)
            continue;
        void (*gone)(void *) = call->gone;
        call->gone = NULL;
        gone(call->gone_arg);
    }
}

/* ---- a call that waits for an idempotency key's outcome ---- */

#define RECALL_MS 30000

struct recall {
    struct op op;
    struct call *call;
};

static void call_on_recalled(struct op *op, int result)
{
    struct recall *recall = CONTAINER(op, struct recall, op);
    struct call *call = recall->call;
    struct fault fault = op->fault;

    mem_free(recall);
    if (result < 0)
        call_fail_fault(call, &fault);
    else
        call->row->run(call, call->params);
}

bool call_recall(struct call *call, const char *key)
{
    struct recall *recall;
    const char *outcome;

    if (store_idempotency_find(call->gw->store, key, &outcome) != STORE_ON_DISK)
        return false;
    recall = NEW(struct recall);
    recall->call = call;
    op_init(&recall->op, call->gw->loop, call_on_recalled, RECALL_MS);
    store_idempotency_fetch(call->gw->store, &recall->op, key);
    return true;
}

/* ---- what a handler asks ---- */

struct gateway *call_gateway(const struct call *call)
{
    return call->gw;
}

struct conn *call_conn(const struct call *call)
{
    return conn_find(call->gw, call->conn);
}

int call_version(const struct call *call)
{
    return call->version;
}

scope_set call_scopes(const struct call *call)
{
    return call->scopes;
}

void call_on_gone(struct call *call, void (*fn)(void *arg), void *arg)
{
    call->gone = fn;
    call->gone_arg = arg;
}

/* ---- answers ---- */

#ifdef CULVERT_CHECK_REPLIES
/* Test builds: a reply outside its row's schema is a bug found here, not in a client. */
static void check_payload(const struct call *call, const char *payload, size_t length)
{
    struct fault fault = {0};
    CLEAN(json_free) struct json *tree = json_parse(payload, length, &fault);

    if (tree && field_check(&call->row->reply, tree, &fault) == 0)
        return;
    log_error("%s replied outside its schema: %s", call->row->name, fault.text);
    bool reply_fits_its_schema = false;
    require(reply_fits_its_schema);
}
#else
static void check_payload(const struct call *call, const char *payload, size_t length)
{
    (void)call, (void)payload, (void)length;
}
#endif

struct json_writer *call_reply(struct call *call)
{
    CHECK(call, CALL_MAGIC);
    buf_clear(&call->out);
    buf_add(&call->out, "{\"type\":\"res\",\"id\":", 19);
    buf_add_str(&call->out, call->id);
    buf_add(&call->out, ",\"ok\":true,\"payload\":", 21);
    call->payload_at = call->out.length;
    jw_init(&call->w, &call->out);
    return &call->w;
}

static void call_put(struct call *call)
{
    struct conn *conn = conn_find(call->gw, call->conn);

    if (!conn)
        return;
    if (call->out.bad) {
        log_error("%s: the reply is larger than a connection may carry", call->row->name);
        conn_close(conn, 1009, "reply too large");
        return;
    }
    conn_send(conn, call->out.data, call->out.length, NULL);
}

int call_send_first(struct call *call)
{
    CHECK(call, CALL_MAGIC);
    if (!call->out.bad)
        check_payload(call, call->out.data + call->payload_at, call->out.length - call->payload_at);
    buf_add_char(&call->out, '}');
    call_put(call);
    return 0;
}

int call_send(struct call *call)
{
    call_send_first(call);
    call_ended(call);
    return 0;
}

int call_reply_text(struct call *call, const char *json, size_t length)
{
    jw_raw(call_reply(call), json, length);
    return call_send(call);
}

/* The payload and the brace that closes the frame, so that it can be the tail of any answer. */
struct bytes *call_payload(const char *json, size_t length)
{
    struct buf b;

    buf_init(&b, CONN_OUTPUT_MAX);
    buf_add(&b, json, length);
    buf_add_char(&b, '}');
    struct bytes *payload = bytes_from_buf(&b);
    buf_done(&b);
    return payload;
}

int call_reply_shared(struct call *call, struct bytes *payload)
{
    struct conn *conn = conn_find(call->gw, call->conn);

    call_reply(call);
    check_payload(call, payload->data, payload->length - 1);
    if (conn)
        conn_send(conn, call->out.data, call->out.length, payload);
    call_ended(call);
    return 0;
}

int call_fail_with(struct call *call, const struct call_error *error)
{
    struct json_writer *w = &call->w;

    CHECK(call, CALL_MAGIC);
    buf_clear(&call->out);
    jw_init(w, &call->out);
    jw_object(w);
    jw_kstr(w, "type", "res");
    jw_kraw(w, "id", call->id);
    jw_kbool(w, "ok", false);
    jw_kraw(w, "payload", error->payload);
    jw_kobject(w, "error");
    jw_kstr(w, "code", wire_names[error->code]);
    jw_kstr(w, "message", error->message);
    jw_kraw(w, "details", error->details);
    if (error->retryable)
        jw_kbool(w, "retryable", true);
    if (error->retryable && error->retry_after_ms >= 0)
        jw_kint(w, "retryAfterMs", error->retry_after_ms);
    jw_object_end(w);
    jw_object_end(w);
    call_put(call);
    call_ended(call);
    return 0;
}

int call_fail(struct call *call, enum wire_error code, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return call_fail_with(call, &(struct call_error){.code = code, .message = text});
}

/* What a caller can mend is INVALID_REQUEST; what may pass by itself is UNAVAILABLE and retryable. */
int call_fail_fault(struct call *call, const struct fault *fault)
{
    bool theirs = fault->code == -ERR_INVALID || fault->code == -ERR_UNSUPPORTED ||
                  fault->code == -ERR_NOT_FOUND || fault->code == -ERR_EXISTS ||
                  fault->code == -ERR_CONFLICT || fault->code == -ERR_DENIED ||
                  fault->code == -ERR_TOO_LARGE;
    bool passing =
        fault->code == -ERR_BUSY || fault->code == -ERR_FULL || fault->code == -ERR_TIMEOUT;

    return call_fail_with(
        call, &(struct call_error){.code = theirs ? WIRE_INVALID_REQUEST : WIRE_UNAVAILABLE,
                                   .message = fault->text[0] ? fault->text : err_text(fault->code),
                                   .retryable = passing,
                                   .retry_after_ms = passing ? 1000 : -1});
}

/* protocol.md 0.7: v3 INVALID_REQUEST, v4 FORBIDDEN with details. */
bool call_require(struct call *call, scope_set needed)
{
    if (scope_allows(call->scopes, needed, call->version))
        return true;

    scope_set missing = needed & ~scope_effective(call->scopes, call->version);
    const char *name = scope_name(missing & (~missing + 1));
    CLEAN(mem_free) char *required = scope_text(needed);
    CLEAN(mem_free) char *message = mem_format("missing scope: %s", name);
    CLEAN(mem_free)
    char *details =
        mem_format("{\"code\":\"MISSING_SCOPE\",\"missingScope\":\"%s\",\"requiredScopes\":%s}",
                   name, required);

    call_fail_with(call, &(struct call_error){.code = call->version >= 4 ? WIRE_FORBIDDEN
                                                                         : WIRE_INVALID_REQUEST,
                                              .message = message,
                                              .details = call->version >= 4 ? details : NULL});
    return false;
}
