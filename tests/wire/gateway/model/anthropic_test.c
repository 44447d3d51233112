/* What is Anthropic's alone: its headers, refusals, full windows, blocks nobody knows, counts that are sums. */
#include "tests/rig/model_rig.h"

#define CONFIG(more)                                                                               \
    "{models:{providers:{local:{api:\"anthropic-messages\",baseUrl:\"http://127.0.0.1:%d\"" more   \
    "}}}}"
#define SSE                  "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define EVENT(type, members) "event: " type "\ndata: {\"type\":\"" type "\"" members "}\n\n"
#define START(index, block)                                                                        \
    EVENT("content_block_start", ",\"index\":" #index ",\"content_block\":{" block "}")
#define DELTA(index, delta)                                                                        \
    EVENT("content_block_delta", ",\"index\":" #index ",\"delta\":{" delta "}")
#define TEXT(index, text) DELTA(index, "\"type\":\"text_delta\",\"text\":\"" text "\"")
#define STOP(reason)                                                                               \
    EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" reason "\"},\"usage\":{\"output_"      \
                           "tokens\":9}")                                                          \
    EVENT("message_stop", "")

static struct model_rig *rig_run(const char *config, const char *script)
{
    const char *const scripts[] = {script, NULL};
    struct model_rig *rig = model_rig_new(config, scripts);

    model_rig_start(rig, "local/m");
    model_rig_end(rig, 100);
    return rig;
}

T(headers_by_the_kind_of_key)
{
    static const struct {
        const char *config, *has, *has_not;
    } rows[] = {
        {CONFIG(",apiKey:\"sk-ant-api-1\""), "\r\nx-api-key: sk-ant-api-1\r\n", "authorization:"},
        {CONFIG(",apiKey:\"sk-ant-oat-1\""), "\r\nauthorization: Bearer sk-ant-oat-1\r\n",
         "x-api-key"},
        {CONFIG(",apiKey:\"k\",authHeader:true"), "\r\nauthorization: Bearer k\r\n", "x-api-key"},
        {CONFIG(""), "\r\nanthropic-version: 2023-06-01\r\n", "x-api-key"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct model_rig *rig = rig_run(rows[i].config, SSE TEXT(0, "a") STOP("end_turn"));

        t_eq(rig->result, 0);
        t_has(rig->server->request.data, rows[i].has);
        t_ok(strstr(rig->server->request.data, rows[i].has_not) == NULL);
        model_rig_free(rig);
    }
}

static const struct story {
    const char *script;
    int result;
    enum model_error_kind kind;
    const char *stop_reason, *text, *fault;
} stories[] = {
    {SSE TEXT(0, "a") STOP("stop_sequence"), 0, 0, "stop", "a", NULL},
    {SSE TEXT(0, "a") STOP("pause_turn"), 0, 0, "length", "a", NULL},
    {SSE TEXT(0, "a") STOP("something_new"), 0, 0, "stop", "a", NULL},
    {SSE TEXT(0, "a") EVENT("message_stop", ""), 0, 0, "stop", "a", NULL},
    {SSE TEXT(0, "a") STOP("model_context_window_exceeded"), 0, 0, "length", "a", NULL},
    {SSE STOP("model_context_window_exceeded"), -ERR_TOO_LARGE, MODEL_ERROR_CONTEXT, "", "",
     "context window"},
    {SSE STOP("refusal"), -ERR_DENIED, MODEL_ERROR_REFUSAL, "", "", "refused"},
    {"HTTP/1.1 400 x\r\n\r\n{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\","
     "\"message\":\"prompt is too long: 210000 tokens\"}}",
     -ERR_TOO_LARGE, MODEL_ERROR_CONTEXT, "", "", "210000"},
    {"HTTP/1.1 402 x\r\n\r\n{\"type\":\"error\",\"error\":{\"type\":\"billing_error\",\"message\":"
     "\"x\"}}",
     -ERR_DENIED, MODEL_ERROR_AUTH, "", "", "credit"},
    {"HTTP/1.1 200 OK\r\n\r\n{\"type\":\"message\",\"content\":[{\"type\":\"text\",\"text\":"
     "\"whole\"}],\"stop_reason\":\"end_turn\",\"usage\":{\"input_tokens\":1}}",
     0, 0, "stop", "whole", NULL},
};

T(every_story_has_its_end)
{
    for (size_t i = 0; i < COUNT(stories); i++) {
        struct model_rig *rig = rig_run(CONFIG(",apiKey:\"sk-ant-test\""), stories[i].script);

        t_eq(rig->result, stories[i].result);
        t_eq(rig->out.error_kind, stories[i].kind);
        t_str(rig->stop_reason, stories[i].stop_reason);
        t_str(rig->text.data != NULL ? rig->text.data : "", stories[i].text);
        if (stories[i].fault != NULL)
            t_has(rig->fault.text, stories[i].fault);
        t_eq(rig->server->requests, 1);
        model_rig_free(rig);
    }
}

/* Server tools and whatever comes next are skipped whole, their arguments are no call of ours; hidden
 * thinking is kept; counts are sums so far. */
T(blocks_and_counts)
{
    struct model_rig *rig =
        rig_run(CONFIG(",apiKey:\"k\""),
                SSE EVENT("message_start",
                          ",\"message\":{\"usage\":{\"input_tokens\":3,\"output_tokens\":1,"
                          "\"cache_read_input_tokens\":4,\"cache_creation_input_tokens\":"
                          "5}}") START(0, "\"type\":\"redacted_thinking\",\"data\":\"sealed\"")
                    START(1, "\"type\":\"server_tool_use\",\"id\":\"s\",\"name\":\"search\"")
                        DELTA(1, "\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"q\\\":\"")
                            EVENT("content_block_stop", ",\"index\":1")
                                START(2, "\"type\":\"text\",\"text\":\"\"") TEXT(2, "a")
                                    DELTA(2, "\"type\":\"citations_delta\",\"citation\":{}")
                                        EVENT("brand_new", "") STOP("end_turn"));
    CLEAN(mem_free) char *content = json_print(rig->content, false);

    t_eq(rig->result, 0);
    t_str(rig->stop_reason, "stop");
    t_json(content,
           "[{'type':'thinking','thinking':'','thinkingSignature':'sealed','redacted':true},"
           "{'type':'text','text':'a'}]");
    t_eq(json_count(rig->content), 2);
    t_eq(rig->out.usage.input, 3);
    t_eq(rig->out.usage.output, 9);
    t_eq(rig->out.usage.cache_read, 4);
    t_eq(rig->out.usage.cache_write, 5);
    model_rig_free(rig);
}
