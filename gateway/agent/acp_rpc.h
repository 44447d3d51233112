/* JSON-RPC 2.0 over lines, both sides asking: each direction has its own ids, told apart by the presence of
 * "method". providers.md section 9. Pure but for its timers: the owner writes and reads the lines. Loop thread
 * only. */
#pragma once

#include "base/io/loop.h"
#include "base/json.h"

#define RPC_PENDING_MAX 16          /* our requests without an answer; one more is -ERR_FULL */
#define RPC_LINE_MAX    (32u << 20) /* of what we write */

/* Wire codes. */
enum {
    RPC_METHOD_NOT_FOUND = -32601,
    RPC_INVALID_PARAMS = -32602,
    RPC_INTERNAL = -32603,
    RPC_AUTH_REQUIRED = -32000,
};

struct rpc_call;

/* Once, from rpc_line, a timer or rpc_close. result 0: answer is the result; -ERR_IO: answer is the error
 * object the other side sent; else negative and answer NULL (-ERR_TIMEOUT, or why it was closed). */
typedef void rpc_done_fn(void *arg, int result, const struct json *answer);

/* method and params are borrowed; id is its JSON text, to be handed to rpc_reply. */
struct rpc_owner {
    int (*write)(void *arg, const char *line, size_t length); /* with its line end */
    void (*request)(void *arg, const char *id, const char *method, const struct json *params);
    void (*notification)(void *arg, const char *method, const struct json *params);
    void (*garbage)(void *arg, const char *why); /* a line that is no message */
    void *arg;
};

/* Embedded by its owner. */
struct rpc {
    struct loop *loop;
    struct rpc_owner owner;
    struct rpc_call *calls;
    size_t pending;
    int64_t next_id;
};

void rpc_init(struct rpc *rpc, struct loop *loop, const struct rpc_owner *owner);
/* Every pending request ends with result. The owner may be freed inside the last one's fn: nothing is
 * touched afterwards. */
void rpc_close(struct rpc *rpc, int result);
/* One line of the other side. The owner may close and free inside. */
void rpc_line(struct rpc *rpc, const char *text, size_t length);

/* params: JSON text. deadline_ms 0: none. 0, or negative and fn is not called. */
int rpc_request(struct rpc *rpc, const char *method, const char *params, int64_t deadline_ms,
                rpc_done_fn *fn, void *arg);
int rpc_notify(struct rpc *rpc, const char *method, const char *params);
int rpc_reply(struct rpc *rpc, const char *id, const char *result); /* JSON text */
int rpc_reply_error(struct rpc *rpc, const char *id, int code, const char *message);
