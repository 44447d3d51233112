/* Chat Completions servers as they are met: what they omit, what they break, and what we do about it;
 * and the retry policy of providers.md 8.5. */
#include "tests/rig/model_rig.h"

#define CONFIG                                                                                     \
    "{models:{providers:{local:{baseUrl:\"http://127.0.0.1:%d/v1/\",apiKey:\"sk-secret\"}}}}"
#define SSE            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define PLAIN          "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
#define CHUNK(text)    "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define FINISH(reason) "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n\n"
#define CALL(index, id, name, arguments)                                                           \
    "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":" #index ",\"id\":\"" id           \
    "\",\"type\":\"function\",\"function\":{\"name\":\"" name "\",\"arguments\":\"" arguments      \
    "\"}}]}}]}\n\n"
#define DONE "data: [DONE]\n\n"
#define GOOD SSE CHUNK("fine") FINISH("stop") DONE
#define STATUS(status, headers, body)                                                              \
    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n" headers "\r\n" body

static struct model_rig *rig_start(const char *const *scripts)
{
    struct model_rig *rig = model_rig_new(CONFIG, scripts);

    model_rig_start(rig, "local/m");
    return rig;
}

static const struct story {
    const char *what, *script;
    int result;
    enum model_error_kind kind;
    const char *text, *stop_reason, *fault;
} stories[] = {
    {"as documented", SSE CHUNK("a") CHUNK("b") FINISH("stop") DONE, 0, 0, "ab", "stop", NULL},
    {"no [DONE]", SSE CHUNK("a") FINISH("stop"), 0, 0, "a", "stop", NULL},
    {"no finish_reason", SSE CHUNK("a") DONE, 0, 0, "a", "stop", NULL},
    {"no blank line at the end", SSE CHUNK("a") "data: [DONE]", 0, 0, "a", "stop", NULL},
    {"does not close after the end", SSE CHUNK("a") FINISH("stop") DONE "|@wait", 0, 0, "a", "stop",
     NULL},
    {"no terminal event and does not close", SSE CHUNK("a") FINISH("stop") "|@wait", 0, 0, "a",
     "stop", NULL},
    {"broken after the end", SSE CHUNK("a") FINISH("stop") "|@reset", 0, 0, "a", "stop", NULL},
    {"plain text as type", PLAIN CHUNK("a") FINISH("stop") DONE, 0, 0, "a", "stop", NULL},
    {"comments first", PLAIN ": OPENROUTER PROCESSING\n\n" CHUNK("a") FINISH("stop"), 0, 0, "a",
     "stop", NULL},
    {"a document instead of a stream",
     STATUS("200 OK", "",
            "{\"choices\":[{\"message\":{\"content\":\"whole\"},\"finish_reason\":\"stop\"}],"
            "\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":1}}"),
     0, 0, "whole", "stop", NULL},
    {"character cut by the network",
     SSE "data: {\"choices\":[{\"delta\":{\"content\":\"caf\xc3|\xa9 "
         "\xf0\x9f|\x98|\x80\"}}]}\n\n" FINISH("stop"),
     0, 0, "caf\xc3\xa9 \xf0\x9f\x98\x80", "stop", NULL},
    {"event cut by the network",
     SSE "da|ta: {\"choices\":[{\"del|ta\":{\"content\":\"a\"}}]}\n|\n" DONE, 0, 0, "a", "stop",
     NULL},
    {"reasoning is not the answer",
     SSE "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n" CHUNK("a")
         FINISH("stop"),
     0, 0, "a", "stop", NULL},
    {"content in parts",
     SSE
     "data: "
     "{\"choices\":[{\"delta\":{\"content\":[{\"type\":\"text\",\"text\":\"p\"}]}}]}\n\n" FINISH(
         "stop"),
     0, 0, "p", "stop", NULL},
    {"too long an answer", SSE CHUNK("a") FINISH("length") DONE, 0, 0, "a", "length", NULL},
    {"tool calls that never came", SSE FINISH("tool_calls") DONE, 0, 0, "", "stop", NULL},
    {"half a tool call", SSE CALL(0, "a", "f", "{\\\"x\\\":") FINISH("tool_calls") DONE,
     -ERR_INVALID, MODEL_ERROR_UNKNOWN, "", "", "nothing was run"},
    {"a tool call at the length limit", SSE CALL(0, "a", "f", "{}") FINISH("length") DONE,
     -ERR_INVALID, MODEL_ERROR_UNKNOWN, "", "", "length limit"},
    {"filtered", SSE CHUNK("a") FINISH("content_filter") DONE, -ERR_DENIED, MODEL_ERROR_REFUSAL,
     "a", "", "content filter"},
    {"a web page", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n\n<!doctype html>",
     -ERR_INVALID, MODEL_ERROR_UNKNOWN, "", "", "baseUrl"},
    {"an endless line", SSE "data: |@fill x20000000", -ERR_TOO_LARGE, MODEL_ERROR_UNKNOWN, "", "",
     "16 MiB"},
    {"endless blanks", PLAIN "|@fill  100000|@wait", -ERR_INVALID, MODEL_ERROR_UNKNOWN, "", "",
     "blanks"},
    {"endless blank lines", SSE "|@fill \n1100000|@wait", -ERR_INVALID, MODEL_ERROR_UNKNOWN, "", "",
     "blank lines"},
    {"an event that is not JSON", SSE CHUNK("a") "data: {oops\n\n|@wait", -ERR_INVALID,
     MODEL_ERROR_UNKNOWN, "a", "", "not JSON"},
    {"half a character in JSON",
     SSE "data: {\"choices\":[{\"delta\":{\"content\":\"\\ud83d\"}}]}\n\n", -ERR_INVALID,
     MODEL_ERROR_UNKNOWN, "", "", "not JSON"},
    {"an error in the stream",
     SSE CHUNK("a") "data: {\"error\":{\"message\":\"boom\",\"code\":500}}\n\n", -ERR_IO,
     MODEL_ERROR_UNKNOWN, "a", "", "boom"},
    {"cut in the middle", SSE CHUNK("a") "data: {\"cho", -ERR_CLOSED, MODEL_ERROR_UNKNOWN, "a", "",
     "complete"},
    {"cut between events", SSE CHUNK("a"), -ERR_CLOSED, MODEL_ERROR_UNKNOWN, "a", "", "complete"},
    {"no choice at all", SSE DONE, -ERR_INVALID, MODEL_ERROR_UNKNOWN, "", "", "holds nothing"},
    {"not the key",
     STATUS("401 x", "", "{\"error\":{\"message\":\"Incorrect API key: sk-secret\"}}"), -ERR_AUTH,
     MODEL_ERROR_AUTH, "", "", "models.providers.local.apiKey (HTTP 401)"},
    {"no permission", STATUS("403 x", "", "{}"), -ERR_DENIED, MODEL_ERROR_AUTH, "", "", "HTTP 403"},
    {"no money", STATUS("402 x", "", "{\"error\":\"pay\"}"), -ERR_DENIED, MODEL_ERROR_AUTH, "", "",
     "pay"},
    {"no quota",
     STATUS("429 x", "Retry-After: 1\r\n",
            "{\"error\":{\"message\":\"You exceeded your "
            "quota\",\"code\":\"insufficient_quota\"}}"),
     -ERR_DENIED, MODEL_ERROR_RATE_LIMIT, "", "", "credit"},
    {"too long a conversation",
     STATUS("400 x", "", "{\"error\":{\"message\":\"This model's maximum context length is 8\"}}"),
     -ERR_TOO_LARGE, MODEL_ERROR_CONTEXT, "", "", "new session"},
    {"no such model", STATUS("404 x", "", "not json"), -ERR_NOT_FOUND, MODEL_ERROR_UNKNOWN, "", "",
     "HTTP 404"},
    {"elsewhere", STATUS("301 x", "Location: https://x/\r\n", ""), -ERR_INVALID,
     MODEL_ERROR_UNKNOWN, "", "", "redirects"},
};

T(every_story_has_its_end)
{
    for (size_t i = 0; i < COUNT(stories); i++) {
        const struct story *story = &stories[i];
        const char *const scripts[] = {story->script, NULL};
        struct model_rig *rig = rig_start(scripts);

        model_rig_end(rig, 1000);
        if (rig->result != story->result)
            t_fail(__FILE__, __LINE__, "%s: %s", story->what, rig->fault.text);
        t_eq(rig->out.error_kind, story->kind);
        t_str(rig->text.data != NULL ? rig->text.data : "", story->text);
        t_str(rig->stop_reason, story->stop_reason);
        if (story->fault != NULL)
            t_has(rig->fault.text, story->fault);
        t_ok(strstr(rig->fault.text, "sk-secret") == NULL);
        t_eq(rig->server->requests, 1);
        model_rig_free(rig);
    }
}

T(request_and_usage)
{
    static const char *const scripts[] = {
        SSE CHUNK("a") FINISH("stop") "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":30,"
                                      "\"completion_tokens\":7,\"prompt_tokens_details\":{"
                                      "\"cached_tokens\":20}}}\n\n" DONE,
        GOOD,
        NULL,
    };
    struct model_rig *rig = rig_start(scripts);
    const char *body;

    model_rig_end(rig, 100);
    t_eq(rig->out.usage.input, 10);
    t_eq(rig->out.usage.output, 7);
    t_eq(rig->out.usage.cache_read, 20);
    t_has(rig->server->request.data, "POST /v1/chat/completions HTTP/1.1\r\n");
    t_has(rig->server->request.data, "authorization: Bearer sk-secret\r\n");
    body = strstr(rig->server->request.data, "\r\n\r\n") + 4;
    t_json(body, "{'model':'m','stream':true,'stream_options':{'include_usage':true},"
                 "'messages':[{'role':'system','content':'Be brief.'},"
                 "{'role':'user','content':'say something nice'}]}");

    model_rig_start(rig, "local/m"); /* a server that tells no usage */
    model_rig_end(rig, 100);
    t_eq(rig->result, 0);
    t_eq(rig->out.usage.input, -1);
    t_eq(rig->out.usage.output, -1);
    model_rig_free(rig);
}

T(rate_limit_then_good)
{
    static const char *const scripts[] = {STATUS("429 x", "Retry-After: 2\r\n", "{}"), GOOD, NULL};
    struct model_rig *rig = rig_start(scripts);

    model_rig_end(rig, 500);
    t_eq(rig->result, 0);
    t_str(rig->text.data, "fine");
    t_eq(rig->server->requests, 2);
    model_rig_free(rig);
}

/* The server's word is a minimum, also above our own cap of 30 s. */
T(retry_after_is_a_minimum)
{
    static const char *const scripts[] = {STATUS("429 x", "Retry-After: 45\r\n", "{}"), GOOD, NULL};
    struct model_rig *rig = rig_start(scripts);

    model_rig_requests(rig, 1);
    model_rig_settle(rig);
    loop_advance(rig->gw.loop, 44000);
    model_rig_settle(rig);
    t_eq(rig->server->requests, 1);
    loop_advance(rig->gw.loop, 1100);
    model_rig_end(rig, 100);
    t_eq(rig->server->requests, 2);
    t_eq(rig->result, 0);
    model_rig_free(rig);
}

T(a_wait_beyond_the_turn_ends_at_once)
{
    static const char *const scripts[] = {STATUS("429 x", "Retry-After: 3600\r\n", "{}"), NULL};
    struct model_rig *rig = rig_start(scripts);
    int64_t began = loop_now(rig->gw.loop);

    model_rig_end(rig, 1000);
    t_eq(rig->result, -ERR_BUSY);
    t_eq(rig->out.error_kind, MODEL_ERROR_RATE_LIMIT);
    t_ok(loop_now(rig->gw.loop) - began < 10000);
    model_rig_free(rig);
}

T(ten_attempts_at_a_rate_limit)
{
    static const char *const scripts[] = {STATUS("429 x", "", "{}"), NULL};
    struct model_rig *rig = rig_start(scripts);

    model_rig_end(rig, 5000);
    t_eq(rig->result, -ERR_BUSY);
    t_eq(rig->out.error_kind, MODEL_ERROR_RATE_LIMIT);
    t_eq(rig->server->requests, 10);
    model_rig_free(rig);
}

T(other_trouble_is_retried_in_a_window)
{
    static const char *const rows[] = {STATUS("500 x", "", "{}"), STATUS("503 x", "", "{}"),
                                       "@reset", SSE};

    for (size_t i = 0; i < COUNT(rows); i++) {
        const char *const scripts[] = {rows[i], NULL};
        struct model_rig *rig = rig_start(scripts);
        int64_t began = loop_now(rig->gw.loop);

        model_rig_end(rig, 2000);
        t_ok(rig->result < 0);
        t_ok(rig->server->requests >= 5 && rig->server->requests <= 9);
        t_ok(loop_now(rig->gw.loop) - began < 135000);
        model_rig_free(rig);
    }
}

T(cut_before_the_first_word_is_retried)
{
    static const char *const scripts[] = {SSE "|@reset", SSE ": hello\n\n", GOOD, NULL};
    struct model_rig *rig = rig_start(scripts);

    model_rig_end(rig, 1000);
    t_eq(rig->result, 0);
    t_str(rig->text.data, "fine");
    t_eq(rig->server->requests, 3);
    model_rig_free(rig);
}

T(cancel_while_waiting_to_retry)
{
    static const char *const scripts[] = {STATUS("429 x", "Retry-After: 30\r\n", "{}"), GOOD, NULL};
    struct model_rig *rig = rig_start(scripts);

    model_rig_requests(rig, 1);
    model_rig_settle(rig);
    model_cancel(rig->run);
    model_rig_end(rig, 1);
    t_eq(rig->result, -ERR_CANCELLED);
    loop_advance(rig->gw.loop, 100000);
    t_eq(rig->server->requests, 1);
    model_rig_free(rig);
}

/* A model that thinks for minutes is waited for; one that is silent beyond its limit is not. */
T(silence)
{
    static const char *const scripts[] = {SSE CHUNK("a") "|@wait|" FINISH("stop") DONE,
                                          SSE CHUNK("a") "|@wait", NULL};
    struct model_rig *rig = rig_start(scripts);

    while (rig->deltas == 0)
        model_rig_settle(rig);
    loop_advance(rig->gw.loop, 240000);
    t_eq(rig->ends, 0);
    script_go(rig->server);
    model_rig_end(rig, 100);
    t_eq(rig->result, 0);

    model_rig_start(rig, "local/m");
    while (rig->deltas == 0)
        model_rig_settle(rig);
    loop_advance(rig->gw.loop, 301000);
    model_rig_end(rig, 100);
    t_eq(rig->result, -ERR_TIMEOUT);
    t_eq(rig->out.error_kind, MODEL_ERROR_TIMEOUT);
    model_rig_free(rig);
}

T(a_server_that_is_not_there)
{
    struct model_rig *rig =
        model_rig_new("{models:{providers:{local:{baseUrl:\"http://127.0.0.1:1/v1\"}}}}", NULL);

    model_rig_start_messages(rig, "local/m", "[]", 20000);
    model_rig_end(rig, 1000);
    t_eq(rig->result, -ERR_CONNECT);
    t_has(rig->fault.text, "local: cannot connect to http://127.0.0.1:1");
    model_rig_free(rig);
}

T(tool_calls_and_thinking)
{
    static const char *const scripts[] = {
        SSE "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"hm\"}}]}\n\n" CHUNK("so: ")
            CALL(0, "c1", "f", "") CALL(1, "c2", "g", "{}") CALL(0, "", "", "{\\\"x\\\"|:")
                CALL(0, "", "", "1}") FINISH("tool_calls") DONE,
        GOOD, NULL};
    struct model_rig *rig = rig_start(scripts);
    CLEAN(mem_free) char *content = NULL;

    model_rig_end(rig, 100);
    t_eq(rig->result, 0);
    t_str(rig->stop_reason, "toolUse");
    t_str(rig->thought.data, "hm");
    t_str(rig->answered_by, "local/m");
    content = json_print(rig->content, false);
    t_json(content, "[{'type':'thinking','thinking':'hm'},{'type':'text','text':'so: '},"
                    "{'type':'toolCall','id':'c1','name':'f','arguments':{'x':1}},"
                    "{'type':'toolCall','id':'c2','name':'g','arguments':{}}]");
    model_rig_free(rig);
}

/* A secret in a configured header is one too. */
T(configured_headers)
{
    static const char *const scripts[] = {
        STATUS("401 x", "", "{\"error\":{\"message\":\"no access for azure-secret-1\"}}"), NULL};
    struct model_rig *rig = model_rig_new(
        "{models:{providers:{local:{baseUrl:\"http://127.0.0.1:%d/v1\",headers:{\"api-key\":"
        "\"azure-secret-1\"}}}}}",
        scripts);

    model_rig_start(rig, "local/m");
    model_rig_end(rig, 100);
    t_has(rig->server->request.data, "api-key: azure-secret-1\r\n");
    t_ok(strstr(rig->server->request.data, "authorization:") == NULL);
    t_eq(rig->result, -ERR_AUTH);
    t_ok(strstr(rig->fault.text, "azure-secret-1") == NULL);
    model_rig_free(rig);
}
