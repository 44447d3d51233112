/* Methods: one row each, schema beside handler; the table finds, authorises, decodes, checks replies in
 * test builds and prints JSON Schema. protocol.md section 4. */
#pragma once

#include "base/field.h"
#include "base/frame.h"
#include "gateway/conn/scope.h"

struct call;
struct conn;
struct gateway;

/* params is the decoded struct (borrowed, lives as long as the call). The handler ends the call exactly
 * once, now or later, by call_send or call_fail*; the return value is that function's. */
typedef int method_run_fn(struct call *call, const void *params);

enum {
    METHOD_HIDDEN = 1, /* callable, not in features.methods */
    METHOD_CONTROL =
        2, /* control-plane write: 30 per 60 s per method and device; protocol.md 1.5 */
};

struct method {
    const char *name;
    unsigned role;    /* ROLE_OPERATOR, ROLE_NODE or both */
    scope_set v3, v4; /* scope needed; 0: any authorised connection */
    const struct field *params;
    size_t params_size;
    struct shape reply; /* of an ok payload */
    method_run_fn *run;
    unsigned flags;
};

/* M(name, role, v3 scope, v4 scope, params struct (rows: <struct>_fields), reply rows, handler) */
#define M_F(name_, role_, v3_, v4_, params_, reply_, run_, flags_)                                 \
    {                                                                                              \
        .name = (name_), .role = ROLE_##role_, .v3 = SCOPE_##v3_, .v4 = SCOPE_##v4_,               \
        .params = params_##_fields, .params_size = sizeof(struct params_),                         \
        .reply = {.kind = FIELD_OBJECT, .fields = (reply_)}, .run = (run_), .flags = (flags_)      \
    }
#define M(name_, role_, v3_, v4_, params_, reply_, run_)                                           \
    M_F(name_, role_, v3_, v4_, params_, reply_, run_, 0)
/* The same with any reply shape. */
#define M_SHAPE(name_, role_, v3_, v4_, params_, shape_, run_)                                     \
    {                                                                                              \
        .name = (name_), .role = ROLE_##role_, .v3 = SCOPE_##v3_, .v4 = SCOPE_##v4_,               \
        .params = params_##_fields, .params_size = sizeof(struct params_), .reply = shape_,        \
        .run = (run_)                                                                              \
    }

/* For methods that take nothing. */
struct no_params {
    char nothing;
};
extern const struct field no_params_fields[];

struct methods *methods_new(void) MUSTCHECK;
struct methods *methods_free(struct methods *methods);
const struct method *method_find(const struct methods *methods, const char *name, size_t length);
/* Every row, in name order; for hello, schema, tests. */
const struct method *method_at(const struct methods *methods, size_t index);
size_t method_count(const struct methods *methods);
void methods_write_names(const struct methods *methods,
                         struct json_writer *w); /* features.methods */
void methods_write_schema(const struct methods *methods, struct json_writer *w);

/* A request frame of an open connection: find, role, scope, decode, run. The text is borrowed. */
void method_dispatch(struct conn *conn, const struct frame *frame);
