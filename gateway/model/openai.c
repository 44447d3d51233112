/* Chat Completions, streaming: OpenAI and every server that speaks it. providers.md 8.2.
 *
 * Path: openai_init makes address, headers and body once; openai_start begins an attempt; openai_on_data
 * takes the answer as events (openai_on_event) or, from servers that ignore stream:true, as one JSON
 * document; openai_on_done judges how it ended. Compatible servers omit [DONE], usage or the content
 * type: a finish_reason or [DONE] makes an answer whole, a stream without either was cut.
 *
 * Owns: the request's texts, one transfer, the parser. */
#include "gateway/model/openai_parts.h"

#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/model/sse.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX  36
#define ANSWER_MAX   (64u << 20) /* bytes of a whole stream; the text in it has MODEL_TEXT_MAX */
#define JSON_MAX     (16u << 20) /* of an answer in one document */
#define BLANKS_MAX   65536       /* before the answer begins */
#define SSE_IDLE_MAX (1u << 20)  /* comments and blank lines without an event */
#define LINGER_MS    5000        /* after finish_reason: for usage and [DONE] */

enum openai_mode { OPENAI_SNIFF, OPENAI_EVENTS, OPENAI_DOCUMENT };

struct openai {
    struct http_call call;
    struct model_run *run;
    char *provider, *url, *key;
    char *headers[HEADERS_MAX + 1]; /* hold the key: wiped */
    size_t header_count;
    struct buf body;
    int64_t idle_ms;
    /* of the attempt: */
    enum openai_mode mode;
    struct sse sse;
    struct buf document;
    size_t blanks;
    struct timer linger;
    struct model_outcome outcome;
    bool answered; /* a choice was seen */
    bool done;     /* [DONE] was seen */
};

static int openai_on_data(struct http_call *call, const char *data, size_t length);
static int openai_on_event(void *arg, const char *name, const char *data, size_t length);
static void openai_on_done(struct op *op, int result);

/* ---- configuration ---- */

static int openai_check(const struct model_provider *p, struct fault *reterr_fault)
{
    if (p->base_url == NULL || *p->base_url == '\0')
        return fault_set(reterr_fault, -ERR_INVALID,
                         "models.providers.%.80s.baseUrl is missing: the address that ends before "
                         "/chat/completions, for example http://127.0.0.1:8000/v1",
                         p->id);
    if (strncasecmp(p->base_url, "http://", 7) != 0 && strncasecmp(p->base_url, "https://", 8) != 0)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "models.providers.%.80s.baseUrl must begin with http:// or https://",
                         p->id);
    if (p->key == NULL && strstr(p->base_url, "//api.openai.com") != NULL)
        return fault_set(
            reterr_fault, -ERR_AUTH,
            "no key for %.80s: set models.providers.%.80s.apiKey (or OPENAI_API_KEY where "
            "the gateway runs)",
            p->id, p->id);
    return 0;
}

static void openai_add_header(struct openai *o, char *header)
{
    if (o->header_count < HEADERS_MAX)
        o->headers[o->header_count++] = header;
    else
        mem_wipe_free(header, strlen(header));
}

static void openai_set_headers(struct openai *o, const struct model_provider *p)
{
    openai_add_header(o, mem_string("content-type: application/json"));
    openai_add_header(o, mem_string("accept: text/event-stream"));
    if (p->key != NULL)
        openai_add_header(o, mem_format("authorization: Bearer %s", p->key));
    json_each (header, p->headers)
        if (json_kind(header) == JSON_STRING)
            openai_add_header(o, mem_format("%s: %s", json_key(header), json_string(header, "")));
}

static int openai_init(struct model_run *run, const struct model_provider *p,
                       const struct model_request *request, struct fault *reterr_fault)
{
    struct openai *o = model_run_state(run);
    size_t length = strlen(p->base_url);

    o->run = run;
    o->provider = mem_string(p->id);
    o->key = mem_string(p->key);
    o->idle_ms = p->idle_ms;
    while (length > 0 && p->base_url[length - 1] == '/')
        length--;
    o->url = mem_format("%.*s/chat/completions", (int)length, p->base_url);
    openai_set_headers(o, p);
    buf_init(&o->body, OPENAI_BODY_MAX);
    buf_init(&o->document, JSON_MAX);
    sse_init(&o->sse, openai_on_event, o);
    return openai_write_request(&o->body, p, request, reterr_fault);
}

static void openai_close(struct model_run *run)
{
    struct openai *o = model_run_state(run);

    op_drop(&o->call.op);
    timer_stop(model_run_gateway(run)->loop, &o->linger);
}

static void openai_fini(struct model_run *run)
{
    struct openai *o = model_run_state(run);

    if (o->run != NULL)
        openai_close(run);
    for (size_t i = 0; i < o->header_count; i++)
        mem_wipe_free(o->headers[i], strlen(o->headers[i]));
    if (o->key != NULL)
        mem_wipe_free(o->key, strlen(o->key));
    mem_free(o->provider);
    mem_free(o->url);
    buf_done(&o->body);
    buf_done(&o->call.body);
    buf_done(&o->document);
    sse_done(&o->sse);
}

/* ---- an attempt ---- */

static void openai_start(struct model_run *run)
{
    struct openai *o = model_run_state(run);
    struct gateway *gw = model_run_gateway(run);
    struct http_spec spec = {
        .method = "POST",
        .url = o->url,
        .headers = (const char *const *)o->headers,
        .body = o->body.data,
        .body_length = o->body.length,
        .idle_ms = o->idle_ms,
        .body_max = ANSWER_MAX,
    };

    o->mode = OPENAI_SNIFF;
    o->blanks = 0;
    o->answered = o->done = false;
    o->outcome = model_outcome_none();
    buf_clear(&o->document);
    sse_done(&o->sse);
    sse_init(&o->sse, openai_on_event, o);
    o->call.on_data = openai_on_data;
    op_init(&o->call.op, gw->loop, openai_on_done, /* deadline_ms= */ 0); /* model.c has one */
    http_start(gw->http, &o->call, &spec);
}

/* Notes why the attempt failed; the negative result ends the transfer. */
static int openai_fail(struct openai *o, int error, enum model_error_kind kind,
                       enum model_retry retry, const char *text)
{
    o->outcome.error_kind = kind;
    o->outcome.retry = retry;
    return fault_set(&o->outcome.fault, error, "%.80s: %s", o->provider, text);
}

static int openai_invalid(struct openai *o, const char *text)
{
    return openai_fail(o, -ERR_INVALID, MODEL_ERROR_UNKNOWN, MODEL_RETRY_NEVER, text);
}

/* ---- what comes in ---- */

static size_t blanks_at(const char *data, size_t length)
{
    size_t n = 0;

    while (n < length && (data[n] == ' ' || data[n] == '\t' || data[n] == '\r' || data[n] == '\n'))
        n++;
    return n;
}

/* The first byte that is not blank says what kind of answer this is. */
static int openai_sniff(struct openai *o, const char *data, size_t length)
{
    size_t blank = blanks_at(data, length);

    if (strncasecmp(o->call.content_type, "text/event-stream", 17) == 0) {
        o->mode = OPENAI_EVENTS;
        return 0;
    }
    o->blanks += blank;
    if (o->blanks > BLANKS_MAX)
        return openai_invalid(o, "it sends nothing but blanks");
    if (blank == length)
        return 0;
    if (data[blank] == '<')
        return openai_invalid(o,
                              "a web page came instead of an answer; check the provider's baseUrl");
    o->mode = data[blank] == '{' ? OPENAI_DOCUMENT : OPENAI_EVENTS;
    return 0;
}

static int openai_on_data(struct http_call *call, const char *data, size_t length)
{
    struct openai *o = CONTAINER(call, struct openai, call);
    int r = 0;

    if (call->status != 200)
        return 0; /* openai_on_done tells */
    if (o->mode == OPENAI_SNIFF)
        r = openai_sniff(o, data, length);
    if (r < 0 || o->mode == OPENAI_SNIFF)
        return r;
    if (o->mode == OPENAI_DOCUMENT) {
        buf_add(&o->document, data, length);
        return o->document.bad ? openai_fail(o, -ERR_TOO_LARGE, MODEL_ERROR_UNKNOWN,
                                             MODEL_RETRY_NEVER, "the answer is too long")
                               : 0;
    }
    r = sse_feed(&o->sse, data, length);
    if (r == -ERR_TOO_LARGE && o->outcome.fault.code == 0)
        return openai_fail(o, r, MODEL_ERROR_UNKNOWN, MODEL_RETRY_NEVER,
                           "one line of its answer is longer than 16 MiB");
    if (r == 0 && o->sse.idle > SSE_IDLE_MAX)
        return openai_invalid(o, "it sends nothing but blank lines and comments");
    return r;
}

static int openai_too_long(struct openai *o, int r)
{
    if (r == -ERR_TOO_LARGE && o->outcome.fault.code == 0)
        openai_fail(o, r, MODEL_ERROR_UNKNOWN, MODEL_RETRY_NEVER, "the answer is too long");
    return r;
}

static int openai_say(struct openai *o, const struct json *content)
{
    const char *text = json_string(content, NULL);
    int r = 0;

    if (text != NULL)
        r = model_run_text(o->run, text, strlen(text));
    json_each (part, json_kind(content) == JSON_ARRAY ? content : NULL) {
        if (r == 0)
            r = openai_say(o, json_get(part, "text"));
    }
    return openai_too_long(o, r);
}

/* Not in the API; what the servers that show it call it. */
static int openai_think(struct openai *o, const struct json *part)
{
    const char *text = json_string(json_get(part, "reasoning_content"), NULL);

    if (text == NULL)
        text = json_string(json_get(part, "reasoning"), NULL);
    return text != NULL ? openai_too_long(o, model_run_thinking(o->run, text, strlen(text))) : 0;
}

/* A call or a piece of one; some servers send the arguments as an object, which is all of them. */
static int openai_call(struct openai *o, const struct json *call, const struct json *function)
{
    const struct json *arguments = json_get(function, "arguments");
    bool whole = json_kind(arguments) == JSON_OBJECT;
    CLEAN(mem_free) char *printed = whole ? json_print(arguments, /* pretty= */ false) : NULL;
    const char *text = whole ? printed : json_string(arguments, "");

    return openai_too_long(
        o, content_call(model_run_content(o->run),
                        &(struct content_piece){
                            .index = json_integer(json_get(call, "index"), CONTENT_NO_INDEX),
                            .id = json_string(json_get(call, "id"), NULL),
                            .name = json_string(json_get(function, "name"), NULL),
                            .text = text,
                            .length = strlen(text),
                            .whole = whole,
                        }));
}

static int openai_calls(struct openai *o, const struct json *part)
{
    const struct json *old = json_get(part, "function_call");
    int r = json_kind(old) == JSON_OBJECT ? openai_call(o, NULL, old) : 0;

    json_each (call, json_get(part, "tool_calls"))
        if (r == 0)
            r = openai_call(o, call, json_get(call, "function"));
    return r;
}

static const struct {
    const char *told, *ours;
} openai_reasons[] = {
    {"stop", "stop"},
    {"length", "length"},
};

static int openai_on_reason(struct openai *o, const char *reason)
{
    if (strcmp(reason, "content_filter") == 0)
        return openai_fail(o, -ERR_DENIED, MODEL_ERROR_REFUSAL, MODEL_RETRY_NEVER,
                           "the provider's content filter stopped the answer");
    o->outcome.stop_reason = "stop";
    for (size_t i = 0; i < COUNT(openai_reasons); i++)
        if (strcmp(openai_reasons[i].told, reason) == 0)
            o->outcome.stop_reason = openai_reasons[i].ours;
    return 0;
}

static void openai_on_linger(void *arg)
{
    struct openai *o = arg;

    op_drop(&o->call.op);
    model_run_end(o->run, &o->outcome);
}

/* A chunk of a stream (delta) or a whole answer (message): the same members otherwise. */
static int openai_take(struct openai *o, const struct json *chunk, const char *member)
{
    const struct json *choice = json_at(json_get(chunk, "choices"), 0);
    const struct json *part = json_get(choice, member);
    const char *reason = json_string(json_get(choice, "finish_reason"), NULL);
    int r;

    if (json_kind(json_get(chunk, "error")) != JSON_NULL) {
        openai_read_error(o->provider, /* status= */ 0, chunk, o->key, &o->outcome);
        return o->outcome.fault.code;
    }
    openai_read_usage(json_get(chunk, "usage"), &o->outcome.usage);
    o->answered |= choice != NULL;
    r = openai_think(o, part);
    if (r == 0)
        r = openai_say(o, json_get(part, "content"));
    if (r == 0)
        r = openai_say(o, json_get(part, "refusal"));
    if (r == 0)
        r = openai_calls(o, part);
    if (r == 0 && reason != NULL)
        r = openai_on_reason(o, reason);
    return r;
}

static int openai_on_event(void *arg, const char *name, const char *data, size_t length)
{
    struct openai *o = arg;
    CLEAN(json_free) struct json *chunk = NULL;
    struct fault fault = {0};
    int r;

    (void)name;
    if (strcmp(data, "[DONE]") == 0) {
        o->done = true;
        return -ERR_CLOSED;
    }
    chunk = json_parse(data, length, &fault);
    if (chunk == NULL) {
        fault_prefix(&fault, "an event is not JSON");
        return openai_invalid(o, fault.text);
    }
    r = openai_take(o, chunk, "delta");
    if (r == 0 && o->outcome.stop_reason != NULL && !timer_running(&o->linger) &&
        op_running(&o->call.op))
        timer_start(model_run_gateway(o->run)->loop, &o->linger, LINGER_MS, /* every_ms= */ 0,
                    openai_on_linger, o);
    return r;
}

/* ---- the end of an attempt ---- */

static int openai_take_document(struct openai *o)
{
    CLEAN(json_free) struct json *answer = NULL;
    struct fault fault = {0};

    answer = json_parse(o->document.data, o->document.length, &fault);
    if (answer == NULL) {
        fault_prefix(&fault, "the answer is not JSON");
        return openai_invalid(o, fault.text);
    }
    return openai_take(o, answer, "message");
}

static void openai_on_refused(struct openai *o)
{
    CLEAN(json_free) struct json *body = NULL;

    if (o->call.body.length > 0)
        body = json_parse(o->call.body.data, o->call.body.length, NULL);
    openai_read_error(o->provider, o->call.status, body, o->key, &o->outcome);
    o->outcome.retry_after_ms = o->call.retry_after_ms;
}

static void openai_on_broken(struct openai *o, int result)
{
    bool transient = result == -ERR_CONNECT || result == -ERR_CLOSED || result == -ERR_TIMEOUT ||
                     result == -ERR_IO || result == -ERR_BUSY;

    openai_fail(o, result, result == -ERR_TIMEOUT ? MODEL_ERROR_TIMEOUT : MODEL_ERROR_UNKNOWN,
                transient ? MODEL_RETRY_TRANSIENT : MODEL_RETRY_NEVER, o->call.op.fault.text);
}

/* The stream is over: was the answer whole? */
static void openai_judge(struct openai *o, int result)
{
    int r = 0;

    if (result == 0 && o->call.status != 200) {
        openai_on_refused(o);
        return;
    }
    if (result == 0 && o->mode == OPENAI_EVENTS)
        r = sse_finish(&o->sse); /* may tell a last event */
    else if (result == 0 && o->mode == OPENAI_DOCUMENT)
        r = openai_take_document(o);
    if (r == -ERR_CANCELLED || o->outcome.fault.code < 0)
        return;
    if (o->done && o->outcome.stop_reason == NULL && o->answered)
        o->outcome.stop_reason = "stop";
    if (o->outcome.stop_reason != NULL)
        return;
    if (result < 0 && !o->done)
        openai_on_broken(o, result);
    else if (o->done || o->mode == OPENAI_DOCUMENT)
        openai_invalid(o, "the answer holds no choice");
    else
        openai_fail(o, -ERR_CLOSED, MODEL_ERROR_UNKNOWN, MODEL_RETRY_TRANSIENT,
                    "the stream ended before the answer was complete");
}

static void openai_on_done(struct op *op, int result)
{
    struct openai *o = CONTAINER(op, struct openai, call.op);

    timer_stop(model_run_gateway(o->run)->loop, &o->linger);
    openai_judge(o, result);
    model_run_end(o->run, &o->outcome);
}

const struct model_ops model_openai = {
    .name = "openai",
    .api = "openai-completions",
    .size = sizeof(struct openai),
    .check = openai_check,
    .init = openai_init,
    .start = openai_start,
    .close = openai_close,
    .fini = openai_fini,
};
