/* POST /tools/invoke: one tool by an operator's program. Its own list of what is not offered applies
 * (tool_policy with http), so a credential for HTTP is no shell. When the client leaves, the tool is stopped.
 * protocol.md 8.6. */
#include "gateway/gateway.h"
#include "gateway/http/route.h"
#include "gateway/tools/invoke.h"

#include <string.h>

#define REPLY_MAX (16u << 20) /* a picture and its text */

/* {ok:false, error:{type, message}} */
static void invoke_fail(struct web_call *call, int status, const char *type, const char *message)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, REPLY_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kbool(&w, "ok", false);
    jw_kobject(&w, "error");
    jw_kstr(&w, "type", type);
    jw_kstr(&w, "message", message);
    jw_object_end(&w);
    jw_object_end(&w);
    web_json(call, status, &b);
    buf_done(&b);
}

static void invoke_reply(struct web_call *call, const struct tool_result *out, bool dry)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, REPLY_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kbool(&w, "ok", true);
    jw_kobject(&w, "result");
    if (dry)
        jw_kbool(&w, "dryRun", true);
    else
        jw_ktree(&w, "content", out->content);
    if (!dry)
        jw_ktree(&w, "details", out->details);
    jw_object_end(&w);
    jw_object_end(&w);
    web_json(call, 200, &b);
    buf_done(&b);
}

static void invoke_on_end(void *arg, int result, const struct tool_result *out)
{
    struct web_call *call = arg;
    const char *text = json_string(json_get(json_first(out->content), "text"), "");

    call->state = NULL;
    call->gone = NULL;
    if (result == -ERR_BUSY)
        invoke_fail(call, 503, "unavailable", text);
    else if (out->is_error)
        invoke_fail(call, 400, "tool_error", text);
    else
        invoke_reply(call, out, /* dry= */ false);
}

static void invoke_gone(struct web_call *call)
{
    tool_drop(call->state);
    call->state = NULL;
    web_end(call);
}

static void invoke_start(struct web_call *call, const struct json *body,
                         const struct invoke *invoke)
{
    static const struct tool_events events = {.end = invoke_on_end};
    struct fault fault = {0};

    if (json_boolean(json_get(body, "dryRun"), false)) {
        if (tool_check(call->gw, &invoke->request, &fault) < 0)
            invoke_fail(call, 400, "tool_error", fault.text);
        else
            invoke_reply(call, NULL, /* dry= */ true);
        return;
    }
    web_patience(call, 0); /* the tool has its own deadline */
    call->state = tool_start(call->gw, &invoke->request, &events, call);
    call->gone = invoke_gone;
}

void route_tools_invoke(struct web_call *call)
{
    struct json *body = web_json_body(call);
    struct fault fault = {0};
    struct invoke invoke;
    int r;

    if (!body)
        return;
    r = invoke_read(call->gw, body, &invoke, &fault);
    if (r == 0)
        invoke_start(call, body, &invoke);
    else
        invoke_fail(call, r == -ERR_NOT_FOUND ? 404 : 400,
                    r == -ERR_NOT_FOUND ? "not_found" : "invalid_request_error", fault.text);
    invoke_done(&invoke);
    json_free(body);
}
