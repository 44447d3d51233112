/* POST /tools/invoke over real sockets: its shapes, and what it does not offer. protocol.md 8.6. */
#include "tests/wire/gateway/http/kit.h"

#include "gateway/tools/ops.h"

#define INVOKE "POST /tools/invoke"
#define JSON   "Content-Type: application/json\r\n"

static void ask(struct gateway *gw, const char *body, int status, const char *expected)
{
    struct kit_answer a = kit_call(gw, INVOKE, BEARER JSON, body);

    t_eq(a.status, status);
    t_json(a.body, expected);
    kit_done(&a);
}

T(good_calls)
{
    struct gateway *gw = kit_gateway("{}");

    ask(gw, "{\"tool\":\"sessions_list\"}", 200,
        "{'ok':true,'result':{'content':[{'type':'text','text':'*'}],'details':{'count':0,'"
        "sessions':[],"
        "'hasMore':false}}}");
    ask(gw, "{\"name\":\"session_status\",\"tool\":\"nope\",\"args\":{}}", 200, "{'ok':true}");
    ask(gw, "{\"tool\":\"session_status\",\"sessionKey\":\"other\",\"agentId\":\"main\"}", 200,
        "{'ok':true,'result':{'details':{'sessionKey':'agent:main:other'}}}");
    ask(gw, "{\"tool\":\"ls\",\"action\":\"json\",\"args\":{},\"idempotencyKey\":\"k\"}", 200,
        "{'ok':true}");
    ask(gw, "{\"tool\":\"ls\",\"dryRun\":true}", 200, "{'ok':true,'result':{'dryRun':true}}");
    gateway_free(gw);
}

T(what_is_not_there)
{
    struct gateway *gw = kit_gateway("{}");

    ask(gw, "{\"tool\":\"nope\"}", 404,
        "{'ok':false,'error':{'type':'not_found','message':'Tool not available: nope'}}");
    gateway_free(gw);
}

T(what_is_not_offered_by_default)
{
    struct gateway *gw = kit_gateway("{tools:{exec:{mode:\"full\"}}}");
    static const char *const names[] = {
        "exec",           "bash",  "shell",    "EXEC",      "write",   "edit",
        "sessions_send",  "spawn", "fs_write", "fs_delete", "fs_move", "apply_patch",
        "sessions_spawn", "cron",  "gateway",  "nodes"};

    for (size_t i = 0; i < COUNT(names); i++) {
        CLEAN(mem_free)
        char *body = mem_format(
            "{\"tool\":\"%s\",\"args\":{\"command\":\"id\",\"path\":\"x\",\"content\":\"x\"}}",
            names[i]);

        ask(gw, body, 404, "{'ok':false,'error':{'type':'not_found'}}");
    }
    gateway_free(gw);
    gw = kit_gateway("{tools:{exec:{mode:\"full\"}},gateway:{tools:{allow:[\"exec\",\"fs_write\"],"
                     "deny:[\"ls\"]}}}");
    ask(gw, "{\"tool\":\"exec\",\"args\":{\"command\":\"echo over http\"}}", 200,
        "{'ok':true,'result':{'content':[{'type':'text','text':'over http\\n'}]}}");
    ask(gw, "{\"tool\":\"write\",\"args\":{\"path\":\"a\",\"content\":\"x\"}}", 200, "{'ok':true}");
    ask(gw, "{\"tool\":\"ls\"}", 404, "{'ok':false}");
    gateway_free(gw);
    /* Being offered over HTTP lifts nothing else. */
    gw = kit_gateway("{tools:{deny:[\"group:runtime\"],exec:{mode:\"full\"}},gateway:{tools:{allow:"
                     "[\"exec\"]}}}");
    ask(gw, "{\"tool\":\"exec\",\"args\":{\"command\":\"id\"}}", 404, "{'ok':false}");
    gateway_free(gw);
}

T(bad_requests)
{
    struct gateway *gw = kit_gateway("{}");

    ask(gw, "{}", 400,
        "{'error':{'message':'tools.invoke requires body.tool','type':'invalid_request_error'}}");
    ask(gw, "[]", 400, "{'error':{'type':'invalid_request_error'}}");
    ask(gw, "x", 400, "{'error':{'message':'*','type':'invalid_request_error'}}");
    ask(gw, "{\"tool\":5}", 400, "{'error':{'type':'invalid_request_error'}}");
    ask(gw, "{\"tool\":\"ls\",\"args\":3}", 400, "{'error':{'type':'invalid_request_error'}}");
    ask(gw, "{\"tool\":\"ls\",\"agentId\":\"nobody\"}", 400,
        "{'error':{'message':'Unknown agent id \\\"nobody\\\"'}}");
    ask(gw, "{\"tool\":\"ls\",\"agentId\":\"main\",\"sessionKey\":\"agent:other:main\"}", 400,
        "{'error':{'message':'agent \\\"main\\\" does not match session key agent "
        "\\\"other\\\"'}}");
    ask(gw, "{\"tool\":\"read\"}", 400, "{'ok':false,'error':{'type':'tool_error','message':'*'}}");
    ask(gw, "{\"tool\":\"read\",\"args\":{\"path\":\"../../culvert.json\"}}", 400,
        "{'ok':false,'error':{'type':'tool_error','message':'*'}}");
    ask(gw, "{\"tool\":\"read\",\"dryRun\":true}", 400, "{'error':{'type':'tool_error'}}");
    gateway_free(gw);
}

T(who_may)
{
    struct gateway *gw = kit_gateway("{}");

    kit_expect(gw, INVOKE, JSON, "{\"tool\":\"ls\"}", 401, "application/json",
               "{\"error\":{\"message\":\"Unauthorized\",\"type\":\"unauthorized\"}}");
    kit_expect(gw, "GET /tools/invoke", BEARER, NULL, 405, "", "");
    gateway_free(gw);
}

T(a_client_that_leaves_stops_the_tool)
{
    struct gateway *gw =
        kit_gateway("{tools:{exec:{mode:\"full\"}},gateway:{tools:{allow:[\"exec\"]}}}");
    CLEAN(mem_free) char *mark = mem_format("%s/workspace/running", gw->state_dir);
    int fd = kit_ask(gw, INVOKE, BEARER JSON,
                     "{\"tool\":\"exec\",\"args\":{\"command\":\"touch running; sleep 60\"}}");

    kit_until(gw, access(mark, F_OK) == 0);
    t_eq(tools_running(gw), 1);
    close(fd);
    kit_until(gw, tools_running(gw) == 0);
    gateway_free(gw); /* waits for no sleep */
}
