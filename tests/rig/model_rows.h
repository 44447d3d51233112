/* The model back ends for the contract suites: one row per row of models.def, the same story told in each
 * server's own words; a row without a server leaves out what only a server can do to it. */
#pragma once

#include "tests/rig/model_rig.h"

#define KEY "sk-secret-0123456789"
#define PROVIDER(more)                                                                             \
    "{models:{providers:{local:{baseUrl:\"http://127.0.0.1:%d\",apiKey:\"" KEY "\"" more           \
    ",models:[{id:\"m\",reasoning:true,input:[\"text\",\"image\"]}]}}}}"
#define NO_PLACE(api) "{models:{providers:{local:{apiKey:\"k\"" api "}}}}"
#define BAD_PLACES(api)                                                                            \
    "{models:{providers:{local:{baseUrl:\"ftp://127.0.0.1/\"" api "}}}}",                          \
        "{models:{providers:{local:{baseUrl:\"http://127.0.0.1:9/v1\",apiKey:\"a b\"" api "}}}}"

struct row {
    const char *name;       /* as in models.def */
    const char *model;      /* what to ask for */
    const char *config;     /* usable */
    const char *bad[4];     /* configurations that must be refused, each with a fault */
    const char *said;       /* part of the good answer */
    const char *type;       /* the server's content type; NULL: no server, and nothing below */
    const char *request;    /* the request's first line */
    const char *key_header; /* the line that carries the key */
    /* Pieces of an answer; text holds one %s. */
    const char *begin, *text, *end, *end_limit;
    const char *thought;      /* "hm" */
    const char *call_begin;   /* of f, or all of it up to the arguments' first brace */
    const char *call_rest;    /* {"x":1} and what closes the call */
    const char *call_cut;     /* in the middle of the arguments */
    const char *end_calls;    /* the end of an answer that calls */
    const char *error;        /* in the middle, repeats the key */
    const char *endless_line; /* how one begins */
    const char *refusal;      /* body of a 401 */
    const char *signature;    /* of thinking, where there is one */
};

#define SSE                  "text/event-stream"
#define CHAT(json)           "data: {\"choices\":[" json "]}\n\n"
#define EVENT(type, members) "event: " type "\ndata: {\"type\":\"" type "\"" members "}\n\n"

static const struct row rows[] = {
    {
        .name = "echo",
        .model = "echo/echo",
        .config = "{}",
        .said = "say something nice",
    },
    {
        .name = "openai",
        .model = "local/m",
        .config = PROVIDER(""),
        .bad = {NO_PLACE(""), BAD_PLACES("")},
        .said = "one two",
        .type = SSE,
        .request = "POST /chat/completions HTTP/1.1\r\n",
        .key_header = "\r\nauthorization: Bearer " KEY "\r\n",
        .begin = CHAT("{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}"),
        .text = CHAT("{\"delta\":{\"content\":\"%s\"}}"),
        .end =
            CHAT("{\"delta\":{},\"finish_reason\":\"stop\"}") "data: "
                                                              "{\"choices\":[],\"usage\":{\"prompt_"
                                                              "tokens\":7,\"completion_tokens\":2,"
                                                              "\"prompt_tokens_details\":{\"cached_"
                                                              "tokens\":2}}}\n\ndata: [DONE]\n\n",
        .end_limit = CHAT("{\"delta\":{},\"finish_reason\":\"length\"}") "data: [DONE]\n\n",
        .thought = CHAT("{\"delta\":{\"reasoning_content\":\"hm\"}}"),
        .call_begin = CHAT("{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"c1\",\"function\":{"
                           "\"name\":\"f\",\"arguments\":\"\"}}]}}"),
        .call_rest = CHAT("{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{"
                          "\\\"x\\\"\"}}]}}")
            CHAT("{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\":1}\"}}]}"
                 "}"),
        .call_cut = CHAT("{\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{"
                         "\\\"x\\\"\"}}]}}"),
        .end_calls = CHAT("{\"delta\":{},\"finish_reason\":\"tool_calls\"}") "data: [DONE]\n\n",
        .error = "data: {\"error\":{\"message\":\"boom " KEY "\",\"code\":500}}\n\n",
        .endless_line = "data: ",
        .refusal = "{\"error\":{\"message\":\"Incorrect API key provided: " KEY
                   "\",\"code\":\"invalid_api_key\"}}",
    },
    {
        .name = "responses",
        .model = "local/m",
        .config = PROVIDER(",api:\"openai-responses\""),
        .bad = {NO_PLACE(",api:\"openai-responses\""), BAD_PLACES(",api:\"openai-responses\"")},
        .said = "one two",
        .type = SSE,
        .request = "POST /responses HTTP/1.1\r\n",
        .key_header = "\r\nauthorization: Bearer " KEY "\r\n",
        .begin = EVENT("response.created", ",\"response\":{\"status\":\"in_progress\"}"),
        .text = EVENT("response.output_text.delta", ",\"output_index\":1,\"delta\":\"%s\""),
        .end = EVENT("response.completed",
                     ",\"response\":{\"status\":\"completed\",\"output\":[],\"usage\":{\"input_"
                     "tokens\":7,\"output_tokens\":2,\"input_tokens_details\":{\"cached_tokens\":2}"
                     "}}"),
        .end_limit = EVENT("response.incomplete",
                           ",\"response\":{\"status\":\"incomplete\",\"incomplete_details\":{"
                           "\"reason\":\"max_output_tokens\"}}"),
        .thought =
            EVENT("response.reasoning_summary_text.delta", ",\"output_index\":0,\"delta\":\"hm\"")
                EVENT("response.output_item.done",
                      ",\"output_index\":0,\"item\":{\"type\":\"reasoning\",\"id\":\"rs_1\","
                      "\"summary\":[],\"encrypted_content\":\"xyz\"}"),
        .call_begin = EVENT("response.output_item.added",
                            ",\"output_index\":2,\"item\":{\"type\":\"function_call\",\"call_id\":"
                            "\"c1\",\"name\":\"f\",\"arguments\":\"\"}"),
        .call_rest = EVENT("response.function_call_arguments.delta",
                           ",\"output_index\":2,\"delta\":\"{\\\"x\\\":1}\"")
            EVENT("response.function_call_arguments.done",
                  ",\"output_index\":2,\"arguments\":\"{\\\"x\\\":1}\"")
                EVENT("response.output_item.done",
                      ",\"output_index\":2,\"item\":{\"type\":\"function_call\",\"call_id\":\"c1\","
                      "\"name\":\"f\",\"arguments\":\"{\\\"x\\\":1}\"}"),
        .call_cut = EVENT("response.function_call_arguments.delta",
                          ",\"output_index\":2,\"delta\":\"{\\\"x\\\"\""),
        .end_calls = EVENT("response.completed", ",\"response\":{\"status\":\"completed\"}"),
        .error = EVENT("error", ",\"code\":\"server_error\",\"message\":\"boom " KEY "\""),
        .endless_line = "data: ",
        .refusal = "{\"error\":{\"message\":\"Incorrect API key provided: " KEY
                   "\",\"code\":\"invalid_api_key\"}}",
        .signature = "{\"type\":\"reasoning\",\"id\":\"rs_1\",\"summary\":[],"
                     "\"encrypted_content\":\"xyz\"}",
    },
    {
        .name = "anthropic",
        .model = "local/m",
        .config = PROVIDER(",api:\"anthropic-messages\""),
        .bad = {NO_PLACE(",api:\"anthropic-messages\""), BAD_PLACES(",api:\"anthropic-messages\"")},
        .said = "one two",
        .type = SSE,
        .request = "POST /v1/messages HTTP/1.1\r\n",
        .key_header = "\r\nx-api-key: " KEY "\r\n",
        .begin =
            EVENT("message_start",
                  ",\"message\":{\"usage\":{\"input_tokens\":5,\"output_tokens\":1,\"cache_"
                  "read_input_tokens\":2,\"cache_creation_input_tokens\":3}}") EVENT("ping", ""),
        .text = EVENT("content_block_delta",
                      ",\"index\":1,\"delta\":{\"type\":\"text_delta\",\"text\":\"%s\"}"),
        .end = EVENT("content_block_stop", ",\"index\":1")
            EVENT("message_delta",
                  ",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":2}")
                EVENT("message_stop", ""),
        .end_limit = EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"max_tokens\"}")
            EVENT("message_stop", ""),
        .thought = EVENT("content_block_start",
                         ",\"index\":0,\"content_block\":{\"type\":\"thinking\",\"thinking\":\"\"}")
            EVENT("content_block_delta",
                  ",\"index\":0,\"delta\":{\"type\":\"thinking_delta\",\"thinking\":\"hm\"}")
                EVENT("content_block_delta",
                      ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"abc="
                      "\"}") EVENT("content_block_stop", ",\"index\":0"),
        .call_begin = EVENT("content_block_start",
                            ",\"index\":2,\"content_block\":{\"type\":\"tool_use\",\"id\":\"c1\","
                            "\"name\":\"f\",\"input\":{}}"),
        .call_rest = EVENT("content_block_delta",
                           ",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"
                           "\"{\\\"x\\\"\"}")
            EVENT("content_block_delta",
                  ",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\":1}\"}")
                EVENT("content_block_stop", ",\"index\":2"),
        .call_cut = EVENT("content_block_delta",
                          ",\"index\":2,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":"
                          "\"{\\\"x\\\"\"}"),
        .end_calls = EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"tool_use\"}")
            EVENT("message_stop", ""),
        .error = EVENT("error", ",\"error\":{\"type\":\"api_error\",\"message\":\"boom " KEY "\"}"),
        .endless_line = "data: ",
        .refusal = "{\"type\":\"error\",\"error\":{\"type\":\"authentication_error\",\"message\":"
                   "\"invalid x-api-key " KEY "\"}}",
        .signature = "abc=",
    },
    {
        .name = "ollama",
        .model = "local/m",
        .config = PROVIDER(",api:\"ollama\""),
        .bad = {BAD_PLACES(",api:\"ollama\"")},
        .said = "one two",
        .type = "application/x-ndjson",
        .request = "POST /api/chat HTTP/1.1\r\n",
        .key_header = "\r\nauthorization: Bearer " KEY "\r\n",
        .begin = "{\"model\":\"m\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":"
                 "false}\n",
        .text = "{\"message\":{\"role\":\"assistant\",\"content\":\"%s\"},\"done\":false}\n",
        .end = "{\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_"
               "reason\":\"stop\",\"prompt_eval_count\":5,\"eval_count\":2}\n",
        .end_limit = "{\"message\":{},\"done\":true,\"done_reason\":\"length\"}\n",
        .thought = "{\"message\":{\"content\":\"\",\"thinking\":\"hm\"},\"done\":false}\n",
        .call_begin = "{\"message\":{\"content\":\"\",\"tool_calls\":[{\"function\":{\"name\":"
                      "\"f\",\"arguments\":{\"x\"",
        .call_rest = ":1}}}]},\"done\":false}\n",
        .call_cut = ":",
        .end_calls = "{\"message\":{},\"done\":true,\"done_reason\":\"stop\"}\n",
        .error = "{\"error\":\"boom " KEY "\"}\n",
        .endless_line = "{",
        .refusal = "{\"error\":\"unauthorized: " KEY "\"}",
    },
};

#define MODEL(name) #name,
static const char *const models[] = {
#include "gateway/model/models.def"
};
#undef MODEL

#define each_row(row)    for (const struct row *row = rows; row < rows + COUNT(rows); row++)
#define each_server(row) each_row(row) if (row->type != NULL)

/* ---- scripts ---- */

/* A text of one answer, alive until the next call but seven. */
static inline char *keep(char *text)
{
    static char *kept[8];
    static size_t next;
    char **slot = &kept[next++ % COUNT(kept)];

    mem_free(*slot);
    return *slot = text;
}

static const char *text_of(const struct row *row, const char *text)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    return keep(mem_format(row->text, text));
#pragma GCC diagnostic pop
}

/* Head and the first piece; then body. */
static inline char *answer_of(const struct row *row, const char *body)
{
    return mem_format("HTTP/1.1 200 OK\r\nContent-Type: %s\r\n\r\n%s%s", row->type, row->begin,
                      body);
}

static inline char *good_of(const struct row *row)
{
    CLEAN(mem_free)
    char *body = mem_format("%s%s%s", text_of(row, "one "), text_of(row, "two"), row->end);

    return answer_of(row, body);
}

/* A rig whose server plays script, then, asked again, second (both taken; second may be NULL). */
static inline struct model_rig *rig_of(const struct row *row, char *script, char *second)
{
    static const char *scripts[3];
    static char *mine[2];

    mem_free(mine[0]);
    mem_free(mine[1]);
    scripts[0] = mine[0] = script;
    scripts[1] = mine[1] = second;
    return model_rig_new(row->config, script != NULL ? scripts : NULL);
}

static inline struct model_rig *good_rig(const struct row *row)
{
    return rig_of(row, row->type != NULL ? good_of(row) : NULL, NULL);
}

static inline struct model_rig *body_rig(const struct row *row, const char *body)
{
    return rig_of(row, answer_of(row, body), NULL);
}

static inline void run(struct model_rig *rig, const struct row *row)
{
    model_rig_start(rig, row->model);
    model_rig_end(rig, 500);
}

static inline void content_is(struct model_rig *rig, const char *expected)
{
    CLEAN(mem_free) char *content = json_print(rig->content, false);

    t_json(content, expected);
}
