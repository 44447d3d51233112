/* The line peer. A line is parsed once; with "method" it asks or tells, without it answers one of ours. What
 * answers nothing of ours (unknown, or answered already) is ignored.
 *
 * Owns: the pending requests and their deadlines. */
#include "gateway/agent/acp_rpc.h"

#define LOG_SUBSYSTEM "acp"
#include "base/log.h"
#include "base/mem.h"

#include <string.h>

#define ID_MAX 256 /* bytes of the other side's id as text */

struct rpc_call {
    struct rpc_call *next;
    struct rpc *rpc;
    int64_t id;
    struct timer deadline;
    rpc_done_fn *fn;
    void *arg;
};

void rpc_init(struct rpc *rpc, struct loop *loop, const struct rpc_owner *owner)
{
    *rpc = (struct rpc){.loop = loop, .owner = *owner, .next_id = 1};
}

/* ---- writing ---- */

static void message_begin(struct json_writer *w, struct buf *b)
{
    buf_init(b, RPC_LINE_MAX);
    jw_init(w, b);
    jw_object(w);
    jw_kstr(w, "jsonrpc", "2.0");
}

static int message_send(struct rpc *rpc, struct json_writer *w, struct buf *b)
{
    int r = -ERR_TOO_LARGE;

    jw_object_end(w);
    buf_add_char(b, '\n');
    if (!b->bad)
        r = rpc->owner.write(rpc->owner.arg, b->data, b->length);
    buf_done(b);
    return r;
}

int rpc_notify(struct rpc *rpc, const char *method, const char *params)
{
    struct json_writer w;
    struct buf b;

    message_begin(&w, &b);
    jw_kstr(&w, "method", method);
    jw_kraw(&w, "params", params);
    return message_send(rpc, &w, &b);
}

int rpc_reply(struct rpc *rpc, const char *id, const char *result)
{
    struct json_writer w;
    struct buf b;

    message_begin(&w, &b);
    jw_kraw(&w, "id", id);
    jw_kraw(&w, "result", result);
    return message_send(rpc, &w, &b);
}

int rpc_reply_error(struct rpc *rpc, const char *id, int code, const char *message)
{
    struct json_writer w;
    struct buf b;

    message_begin(&w, &b);
    jw_kraw(&w, "id", id);
    jw_kobject(&w, "error");
    jw_kint(&w, "code", code);
    jw_kstr(&w, "message", message);
    jw_object_end(&w);
    return message_send(rpc, &w, &b);
}

/* ---- our requests ---- */

static void call_take(struct rpc_call *call)
{
    struct rpc_call **slot = &call->rpc->calls;

    while (*slot != call)
        slot = &(*slot)->next;
    *slot = call->next;
    call->rpc->pending--;
    timer_stop(call->rpc->loop, &call->deadline);
}

static void call_end(struct rpc_call *call, int result, const struct json *answer)
{
    rpc_done_fn *fn = call->fn;
    void *arg = call->arg;

    call_take(call);
    mem_free(call);
    fn(arg, result, answer);
}

static void call_on_deadline(void *arg)
{
    call_end(arg, -ERR_TIMEOUT, NULL);
}

int rpc_request(struct rpc *rpc, const char *method, const char *params, int64_t deadline_ms,
                rpc_done_fn *fn, void *arg)
{
    struct rpc_call *call;
    struct json_writer w;
    struct buf b;
    int r;

    if (rpc->pending == RPC_PENDING_MAX)
        return -ERR_FULL;
    message_begin(&w, &b);
    jw_kint(&w, "id", rpc->next_id);
    jw_kstr(&w, "method", method);
    jw_kraw(&w, "params", params);
    r = message_send(rpc, &w, &b);
    if (r < 0)
        return r;
    call = NEW(struct rpc_call);
    *call = (struct rpc_call){
        .next = rpc->calls, .rpc = rpc, .id = rpc->next_id++, .fn = fn, .arg = arg};
    rpc->calls = call;
    rpc->pending++;
    if (deadline_ms > 0)
        timer_start(rpc->loop, &call->deadline, deadline_ms, 0, call_on_deadline, call);
    return 0;
}

void rpc_close(struct rpc *rpc, int result)
{
    struct rpc_call *calls = TAKE(rpc->calls);

    for (struct rpc_call *c = calls; c; c = c->next)
        timer_stop(rpc->loop, &c->deadline);
    rpc->pending = 0;
    while (calls) {
        struct rpc_call *call = calls;
        rpc_done_fn *fn = call->fn;
        void *arg = call->arg;

        calls = call->next;
        mem_free(call);
        fn(arg, result, NULL);
    }
}

/* ---- reading ---- */

static void rpc_on_answer(struct rpc *rpc, const struct json *message)
{
    const struct json *id = json_get(message, "id"), *error = json_get(message, "error");

    for (struct rpc_call *call = rpc->calls; call && json_is_integer(id); call = call->next) {
        if (call->id != json_integer(id, 0))
            continue;
        if (error)
            call_end(call, -ERR_IO, error);
        else
            call_end(call, 0, json_get(message, "result"));
        return;
    }
    log_debug("an answer to nothing that was asked is ignored");
}

static void rpc_on_message(struct rpc *rpc, const struct json *message)
{
    const char *method = json_string(json_get(message, "method"), NULL);
    const struct json *id = json_get(message, "id"), *params = json_get(message, "params");

    if (!method) {
        rpc_on_answer(rpc, message);
        return;
    }
    if (!id) {
        rpc->owner.notification(rpc->owner.arg, method, params);
        return;
    }
    CLEAN(mem_free) char *text = json_print(id, false);
    if (strlen(text) > ID_MAX)
        rpc->owner.garbage(rpc->owner.arg, "its id is too long");
    else
        rpc->owner.request(rpc->owner.arg, text, method, params);
}

void rpc_line(struct rpc *rpc, const char *text, size_t length)
{
    CLEAN(json_free) struct json *message = NULL;
    struct fault fault;

    fault_clear(&fault);
    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    if (length == 0)
        return;
    message = json_parse(text, length, &fault);
    if (!message || json_kind(message) != JSON_OBJECT)
        rpc->owner.garbage(rpc->owner.arg, message ? "it is no JSON object" : fault.text);
    else
        rpc_on_message(rpc, message);
}
