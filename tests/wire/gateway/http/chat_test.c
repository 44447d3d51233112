/* POST /v1/chat/completions over real sockets, the model behind it a script. */
#include "tests/wire/gateway/http/model.h"

#define CHAT "POST /v1/chat/completions"
#define HI   "{\"model\":\"openclaw\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}"
#define HI_STREAM                                                                                  \
    "{\"model\":\"openclaw\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}" \
    "]}"

T(the_embedded_model_answers)
{
    struct gateway *gw = kit_gateway("{gateway:{" APIS_ON "}}");
    struct kit_answer a = kit_call(gw, CHAT, BEARER, HI);

    t_eq(a.status, 200);
    t_json(a.body,
           "{'id':'*','object':'chat.completion','created':'*','model':'openclaw','choices':"
           "[{'index':0,'message':{'role':'assistant','content':'*'},'finish_reason':'stop'}],"
           "'usage':{'prompt_tokens':'*','completion_tokens':'*','total_tokens':'*'}}");
    t_has(a.body, "\"id\":\"chatcmpl_");
    kit_done(&a);
    gateway_free(gw);
}

T(the_whole_answer)
{
    static const char *const scripts[] = {
        SSE_HEAD SSE_TEXT("Hel") SSE_TEXT("lo") SSE_END("stop") SSE_USAGE SSE_DONE, NULL};
    struct model_kit kit = model_kit(scripts);
    struct kit_answer a = kit_call(kit.gw, CHAT, BEARER, HI);

    t_eq(a.status, 200);
    t_json(a.body,
           "{'object':'chat.completion','choices':[{'index':0,'message':{'role':'assistant',"
           "'content':'Hello'},'finish_reason':'stop'}],'usage':{'prompt_tokens':11,"
           "'completion_tokens':7,'total_tokens':18,'prompt_tokens_details':{'cached_tokens':4}}}");
    kit_done(&a);
    model_kit_free(&kit);
}

T(the_stream)
{
    static const char *const scripts[] = {
        SSE_HEAD SSE_TEXT("Hel") "|@wait|" SSE_TEXT("lo") SSE_END("stop") SSE_USAGE SSE_DONE, NULL};
    struct model_kit kit = model_kit(scripts);
    int fd = kit_ask(kit.gw, CHAT, BEARER,
                     "{\"model\":\"openclaw/"
                     "default\",\"stream\":true,\"stream_options\":{\"include_usage\":true},"
                     "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]}");
    struct buf in;

    buf_init(&in, 1 << 20);
    kit_await(kit.gw, fd, &in, "\"delta\":{\"content\":\"Hel\"}"); /* before the model has ended */
    t_has(in.data, "content-type: text/event-stream");
    t_has(in.data, "\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null");
    script_go(kit.server);
    kit_await(kit.gw, fd, &in, "data: [DONE]\n\n");
    t_has(in.data, "\"delta\":{\"content\":\"lo\"}");
    t_has(in.data, "\"delta\":{},\"finish_reason\":\"stop\"");
    t_has(in.data, "\"choices\":[],\"usage\":{\"prompt_tokens\":11,");
    buf_done(&in);
    close(fd);
    model_kit_free(&kit);
}

/* What goes to the model: the earlier messages, the system parts, an image. */
T(a_conversation_becomes_a_prompt)
{
    static const char *const scripts[] = {SSE_HEAD SSE_TEXT("ok") SSE_END("stop") SSE_DONE, NULL};
    struct model_kit kit = model_kit(scripts);

    kit_expect(
        kit.gw, CHAT, BEARER,
        "{\"messages\":[{\"role\":\"system\",\"content\":\"Be terse.\"},"
        "{\"role\":\"developer\",\"content\":[{\"type\":\"text\",\"text\":\"Speak Latin.\"}]},"
        "{\"role\":\"user\",\"content\":\"one\"},{\"role\":\"assistant\",\"content\":\"uno\"},"
        "{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"two\"},{\"type\":\"image_"
        "url\","
        "\"image_url\":{\"url\":\"data:image/"
        "png;base64,iVBORw0KGgo=\"}}]}],\"user\":null,\"stop\":null,"
        "\"temperature\":0.5,\"stream\":false,\"max_tokens\":99}",
        200, NULL, "\"content\":\"ok\"");
    const char *asked = kit.server->request.data;
    t_has(asked, "Be terse.\\n\\nSpeak Latin.");
    t_has(asked, "User: one\\nAssistant: uno\\n");
    t_has(asked, "User: two");
    t_has(asked, "data:image/png;base64,iVBORw0KGgo=");
    t_has(asked, ":99");
    model_kit_free(&kit);
}

#define TOOLS                                                                                      \
    "\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"description\":\"d\","  \
    "\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"}}}}}]"

T(a_tool_of_the_client_goes_there_and_back)
{
    static const char *const scripts[] = {
        SSE_HEAD SSE_TEXT("Let me see.")
            SSE_CALL("call_1", "weather", "{\\\"city\\\":\\\"Bern\\\"}") SSE_END("tool_calls")
                SSE_DONE,
        SSE_HEAD SSE_TEXT("72F") SSE_END("stop") SSE_DONE,
        SSE_HEAD SSE_CALL("call_2", "weather", "{\\\"city\\\":\\\"Bern\\\"}") SSE_END("tool_calls")
            SSE_DONE,
        NULL};
    struct model_kit kit = model_kit(scripts);
    struct kit_answer a =
        kit_call(kit.gw, CHAT, BEARER,
                 "{\"messages\":[{\"role\":\"user\",\"content\":\"weather?\"}]," TOOLS "}");

    t_eq(a.status, 200);
    t_json(a.body,
           "{'choices':[{'message':{'role':'assistant','content':'Let me see.','tool_calls':[{'id':"
           "'call_1','type':'function','function':{'name':'weather'}}]},'finish_reason':'tool_"
           "calls'}]}");
    t_has(a.body, "\"arguments\":\"{\\\"city\\\":\\\"Bern\\\"}\"");
    kit_done(&a);
    t_has(kit.server->request.data, "\"name\":\"weather\"");

    kit_expect(kit.gw, CHAT, BEARER,
               "{\"messages\":[{\"role\":\"user\",\"content\":\"weather?\"},{\"role\":"
               "\"assistant\",\"content\":null,"
               "\"tool_calls\":[{\"id\":\"call_1\",\"type\":\"function\",\"function\":{\"name\":"
               "\"weather\","
               "\"arguments\":\"{}\"}}]},{\"role\":\"tool\",\"tool_call_id\":\"call_1\","
               "\"content\":\"72F\"}]," TOOLS "}",
               200, NULL, "\"content\":\"72F\"");
    t_has(kit.server->request.data, "Assistant: tool_call id=call_1 name=weather arguments={}");
    t_has(kit.server->request.data, "Tool:call_1: 72F");

    a = kit_call(
        kit.gw, CHAT, BEARER,
        "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"weather?\"}]," TOOLS "}");
    t_has(a.body, "\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_2\",\"type\":\"function\","
                  "\"function\":"
                  "{\"name\":\"weather\",\"arguments\":\"\"}}]}");
    t_has(a.body, "\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{"
                  "\\\"city\\\":\\\"Bern\\\"}\"}}]}");
    t_has(a.body, "\"finish_reason\":\"tool_calls\"");
    kit_done(&a);
    model_kit_free(&kit);
}

T(a_required_tool_that_is_not_called_is_an_error)
{
    static const char *const scripts[] = {SSE_HEAD SSE_TEXT("no") SSE_END("stop") SSE_DONE, NULL};
    struct model_kit kit = model_kit(scripts);

    kit_expect(
        kit.gw, CHAT, BEARER,
        "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tool_choice\":\"required\"," TOOLS
        "}",
        502, NULL, "\"type\":\"api_error\"");
    struct kit_answer a = kit_call(kit.gw, CHAT, BEARER,
                                   "{\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":"
                                   "\"x\"}],\"tool_choice\":{\"type\":\"function\","
                                   "\"function\":{\"name\":\"weather\"}}," TOOLS "}");
    t_has(a.body, "data: {\"error\":{\"message\":\"tool_choice asks");
    t_has(a.body, "data: [DONE]");
    t_ok(!strstr(a.body, "\"content\":\"no\"")); /* held until the call is there */
    kit_done(&a);
    model_kit_free(&kit);
}

/* ---- bad input ---- */

static const struct {
    const char *body, *said;
} refused[] = {
    {"", "not usable JSON"},
    {"{", "not usable JSON"},
    {"[]", "must be a JSON object"},
    {"{\"messages\":[],\"messages\":[]}", "not usable JSON"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"\\ud800\"}]}", "not usable JSON"},
    {"{}", "required property 'messages'"},
    {"{\"messages\":{}}", "/messages"},
    {"{\"messages\":[]}", "no user message"},
    {"{\"messages\":[{\"role\":\"system\",\"content\":\"x\"}]}", "no user message"},
    {"{\"messages\":[7]}", "messages[0] must be an object"},
    {"{\"messages\":[{\"role\":\"king\",\"content\":\"x\"}]}", "messages[0].role"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":7}]}", "messages[0].content"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"input_audio\"}]}]}",
     "parts are text"},
    {"{\"messages\":[{\"role\":\"tool\",\"content\":\"x\"}]}", "tool_call_id"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{"
     "\"url\":\"http://127.0.0.1/\"}}]}]}",
     "data: URLs only"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":[{\"type\":\"image_url\",\"image_url\":{"
     "\"url\":\"data:image/png;base64,aGk=\"}}]}]}",
     "only PNG"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"temperature\":3}", "/temperature"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"n\":2}", "/n"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":0}", "/max_tokens"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"stop\":[1]}", "stop"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":{}}",
     "tools must be an array"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{\"type\":\"mcp\"}]}",
     "only function tools"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tools\":[{\"type\":\"function\","
     "\"function\":{\"name\":\"a b\"}}]}",
     "needs a name"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tool_choice\":\"required\"}",
     "tools is empty"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"tool_choice\":{\"type\":"
     "\"custom\"}}",
     "tool_choice must be"},
    {"{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"response_format\":{\"type\":"
     "\"xml\"}}",
     "json_schema"},
    {"{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
     "GET /v1/models"},
    {"{\"model\":\"openclaw/nobody\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
     "Unknown agent 'nobody'."},
    {"{\"model\":\"openclaw/../main\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}",
     "Unknown agent"},
};

T(bodies_that_are_refused)
{
    struct gateway *gw = kit_gateway("{gateway:{" APIS_ON "}}");

    for (size_t i = 0; i < COUNT(refused); i++) {
        struct kit_answer a = kit_call(gw, CHAT, BEARER, refused[i].body);
        if (a.status != 400 || !strstr(a.body, refused[i].said) ||
            !strstr(a.body, "\"type\":\"invalid_request_error\""))
            t_fail(__FILE__, __LINE__, "%s\n%d %s", refused[i].body, a.status, a.body);
        kit_done(&a);
    }
    struct buf deep;
    buf_init(&deep, 1 << 20);
    buf_add_str(&deep, "{\"messages\":");
    for (int i = 0; i < 5000; i++)
        buf_add_char(&deep, '[');
    kit_expect(gw, CHAT, BEARER, deep.data, 400, NULL, "not usable JSON");
    buf_done(&deep);
    t_eq(turn_count(gw), 0);
    kit_expect(gw, "GET /v1/chat/completions", BEARER, NULL, 405, "allow: POST\r\n", NULL);
    kit_expect(gw, CHAT, NULL, HI, 401, NULL, "\"Unauthorized\"");
    kit_expect(gw, CHAT, BEARER "Origin: https://evil.example\r\n", HI, 403, NULL, NULL);
    kit_expect(gw, CHAT, BEARER "X-OpenClaw-Session-Key: agent:main:subagent:x\r\n", HI, 400, NULL,
               "session");
    kit_expect(gw, CHAT, BEARER "X-OpenClaw-Session-Key: cron:job\r\n", HI, 400, NULL, "session");
    kit_expect(gw, CHAT, BEARER "X-OpenClaw-Model: nope/nope\r\n", HI, 400, NULL, NULL);
    kit_expect(gw, CHAT, BEARER "Idempotency-Key: \r\n", HI, 400, NULL, "Idempotency-Key");
    gateway_free(gw);
}

T(bodies_have_a_ceiling_and_strangers_a_lower_one)
{
    struct gateway *gw = kit_gateway("{gateway:{" APIS_ON "}}");

    kit_expect(gw, CHAT, BEARER "Content-Length: 20971521\r\n", NULL, 413, "connection: close",
               "\"type\":\"invalid_request_error\"");
    kit_expect(gw, CHAT, "Content-Length: 20971520\r\n", NULL, 401, "connection: close", NULL);
    /* 8 MiB pass, read in the pool */
    struct buf big;
    buf_init(&big, 16 << 20);
    buf_add_str(&big, "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"},{\"role\":"
                      "\"assistant\",\"content\":\"");
    for (int i = 0; i < 1 << 20; i++)
        buf_add(&big, "abcdefgh", 8);
    buf_add_str(&big, "\"},{\"role\":\"king\"}]}");
    kit_expect(gw, CHAT, BEARER, big.data, 400, NULL, "messages[2].role");
    buf_done(&big);
    gateway_free(gw);
}

/* ---- failures of the model ---- */

T(failures_in_the_shape_of_the_api)
{
    static const char *const scripts[] = {
        "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\ncontent-length: 39\r\n\r\n"
        "{\"error\":{\"message\":\"bad key, go away\"}}|@close",
        SSE_HEAD SSE_TEXT("half") "|@reset", SSE_HEAD SSE_TEXT("half") "|@reset", NULL};
    struct model_kit kit = model_kit(scripts);

    kit_expect(kit.gw, CHAT, BEARER, HI, 502, "x-should-retry: false",
               "{\"error\":{\"message\":\"");
    struct kit_answer a = kit_call(kit.gw, CHAT, BEARER, HI_STREAM);
    t_eq(a.status, 200);
    t_has(a.body, "\"delta\":{\"content\":\"half\"}");
    t_has(a.body, "data: {\"error\":{\"message\":\"");
    t_has(a.body, "\"type\":\"api_error\"}}\n\ndata: [DONE]\n\n");
    t_ok(!strstr(a.body, "\"finish_reason\":\"stop\""));
    kit_done(&a);
    model_kit_free(&kit);
}

/* ---- sessions ---- */

T(sessions_agents_and_models)
{
    static const char *const scripts[] = {SSE_HEAD SSE_TEXT("ok") SSE_END("stop") SSE_DONE, NULL};
    struct model_kit kit = model_kit(scripts);
    struct gateway *gw = kit.gw;

    kit_expect(gw, CHAT, BEARER,
               "{\"user\":\"Ann\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}", 200, NULL,
               NULL);
    t_ok(session_find(gw, "agent:main:openai-user:ann") != NULL);
    kit_expect(gw, CHAT, BEARER "X-OpenClaw-Session-Key: thread-7\r\n", HI, 200, NULL, NULL);
    t_ok(session_find(gw, "agent:main:thread-7") != NULL);
    kit_expect(gw, CHAT, BEARER "X-Moltbot-Agent-Id: research\r\nX-Moltbot-Session-Key: t\r\n", HI,
               200, NULL, NULL);
    t_ok(session_find(gw, "agent:research:t") != NULL);
    kit_expect(gw, CHAT, BEARER "X-OpenClaw-Session-Key: agent:research:u\r\n", HI, 200, NULL,
               NULL);
    t_ok(session_find(gw, "agent:research:u") != NULL);
    kit_expect(gw, CHAT,
               BEARER "X-OpenClaw-Agent-Id: main\r\nX-OpenClaw-Session-Key: agent:research:u\r\n",
               HI, 400, NULL, NULL);
    kit_expect(gw, CHAT, BEARER,
               "{\"model\":\"moltbot:research\",\"user\":\"b\",\"messages\":[{\"role\":\"user\","
               "\"content\":\"x\"}]}",
               200, NULL, "\"model\":\"moltbot:research\"");
    t_ok(session_find(gw, "agent:research:openai-user:b") != NULL);
    size_t before = session_count(gw);
    kit_expect(gw, CHAT, BEARER, HI, 200, NULL, NULL);
    kit_expect(gw, CHAT, BEARER, HI, 200, NULL, NULL);
    t_eq(session_count(gw), before + 2);
    kit_expect(gw, CHAT, BEARER "X-OpenClaw-Model: x/other\r\n", HI, 200, NULL, NULL);
    t_has(kit.server->request.data, "\"model\":\"other\"");
    kit_expect(gw, CHAT, BEARER, HI, 200, NULL, NULL);
    t_has(kit.server->request.data, "\"model\":\"m\"");
    model_kit_free(&kit);
}

T(a_repeated_key_runs_once)
{
    static const char *const scripts[] = {
        SSE_HEAD SSE_TEXT("first") "|@wait|" SSE_END("stop") SSE_USAGE SSE_DONE,
        SSE_HEAD SSE_CALL("call_1", "weather", "{}") SSE_END("tool_calls") SSE_DONE,
        SSE_HEAD SSE_TEXT("third") SSE_END("stop") SSE_DONE, NULL};
    struct model_kit kit = model_kit(scripts);
    int fd = kit_ask(kit.gw, CHAT, BEARER "Idempotency-Key: k1\r\n", HI);

    kit_until(kit.gw, kit.server->requests == 1);
    kit_expect(kit.gw, CHAT, BEARER "Idempotency-Key: k1\r\n", HI, 409, "x-should-retry: true",
               "conflict_error");
    script_go(kit.server);
    struct kit_answer first = kit_answer(kit.gw, fd, false);
    t_eq(first.status, 200);
    struct kit_answer again = kit_call(kit.gw, CHAT, BEARER "Idempotency-Key: k1\r\n", HI);
    t_eq(again.status, 200);
    t_has(again.body, "\"content\":\"first\"");
    t_has(again.body, "\"total_tokens\":18");
    kit_done(&again);
    kit_done(&first);
    t_eq(kit.server->requests, 1);
    again = kit_call(kit.gw, CHAT, BEARER "Idempotency-Key: k1\r\n", HI_STREAM);
    t_has(again.body, "\"delta\":{\"content\":\"first\"}");
    kit_done(&again);
    static const char tools[] = "{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]," TOOLS "}";
    for (int i = 0; i < 2; i++)
        kit_expect(kit.gw, CHAT, BEARER "Idempotency-Key: k2\r\n", tools, 200, NULL,
                   "\"id\":\"call_1\"");
    t_eq(kit.server->requests, 2);
    model_kit_free(&kit);
}

/* ---- clients that leave, many of them, slow ones ---- */

T(a_client_that_leaves_stops_its_run)
{
    static const char *const scripts[] = {SSE_HEAD SSE_TEXT("half") "|@wait", NULL};
    struct model_kit kit = model_kit(scripts);
    struct buf in;

    buf_init(&in, 1 << 20);
    int fd = kit_ask(kit.gw, CHAT, BEARER, HI_STREAM);
    kit_await(kit.gw, fd, &in, "half");
    t_eq(turn_count(kit.gw), 1);
    close(fd);
    kit_until(kit.gw, turn_count(kit.gw) == 0 && kit.server->gone == 1);

    fd = kit_ask(kit.gw, CHAT, BEARER, HI); /* also one that waits for the whole */
    kit_until(kit.gw, kit.server->requests == 2);
    close(fd);
    kit_until(kit.gw, turn_count(kit.gw) == 0 && kit.server->gone == 2);
    buf_done(&in);
    model_kit_free(&kit);
}

T(many_streams_at_once)
{
    static const char *const scripts[] = {
        SSE_HEAD SSE_TEXT("one ") "|@wait|" SSE_TEXT("two") SSE_END("stop") SSE_DONE, NULL};
    struct model_kit kit = model_kit(scripts);
    int fds[50];
    struct buf in[50];

    for (size_t i = 0; i < COUNT(fds); i++) {
        buf_init(&in[i], 1 << 20);
        fds[i] = kit_ask(kit.gw, CHAT, BEARER, HI_STREAM);
    }
    for (size_t i = 0; i < COUNT(fds); i++)
        kit_await(kit.gw, fds[i], &in[i], "one ");
    script_go(kit.server);
    for (size_t i = 0; i < COUNT(fds); i++) {
        kit_await(kit.gw, fds[i], &in[i], "data: [DONE]");
        t_has(in[i].data, "\"content\":\"two\"");
        buf_done(&in[i]);
        close(fds[i]);
    }
    kit_until(kit.gw, turn_count(kit.gw) == 0);
    model_kit_free(&kit);
}

/* A client that reads late gets every word, though not in as many pieces. */
T(a_slow_client_gets_everything)
{
    static const char *const scripts[] = {
        SSE_HEAD "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"|@fill "
                 "x700000|\"}}]}\n\n" SSE_TEXT("end") SSE_END("stop") SSE_DONE,
        NULL};
    struct model_kit kit = model_kit(scripts);
    int fd = kit_ask(kit.gw, CHAT, BEARER, HI_STREAM), small = 65536;

    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    int64_t began = kit_ms();
    kit_until(kit.gw, kit_ms() - began > 500);
    struct kit_answer a = kit_answer(kit.gw, fd, false);
    size_t xs = 0;
    for (const char *c = a.body; *c; c++)
        xs += *c == 'x';
    t_ok(xs >= 700000);
    t_has(a.body, "data: [DONE]");
    kit_done(&a);
    model_kit_free(&kit);
}

T(stopping_the_gateway_ends_open_calls)
{
    static const char *const scripts[] = {SSE_HEAD SSE_TEXT("half") "|@wait", NULL};
    struct model_kit kit = model_kit(scripts);
    struct buf in;

    buf_init(&in, 1 << 20);
    int streaming = kit_ask(kit.gw, CHAT, BEARER, HI_STREAM),
        waiting = kit_ask(kit.gw, CHAT, BEARER, HI);
    kit_await(kit.gw, streaming, &in, "half");
    kit_until(kit.gw, kit.server->requests == 2);
    model_kit_free(&kit);
    close(streaming);
    close(waiting);
    buf_done(&in);
}
