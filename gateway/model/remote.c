/* The skeleton of back ends behind HTTP.
 *
 * Path: remote_init makes address, headers and body once; remote_start begins an attempt; remote_on_data
 * takes the answer as events or lines (remote_on_event, remote_on_line: each is parsed and given to the
 * back end) or, from servers that do not stream, as one JSON document; remote_on_done judges how it
 * ended. Compatible servers omit terminal events, usage or the content type: an answer is whole when the
 * back end set a stop reason, a stream without one was cut.
 *
 * Owns: the request's texts, one transfer, the parsers. */
#include "gateway/model/remote.h"

#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/model/trouble.h"

#include <string.h>
#include <strings.h>

#define ANSWER_MAX   (64u << 20) /* bytes of a whole stream; the text in it has MODEL_TEXT_MAX */
#define JSON_MAX     (16u << 20) /* of an answer in one document */
#define BLANKS_MAX   65536       /* before the answer begins */
#define IDLE_MAX     (1u << 20)  /* comments and blank lines without an event */
#define SECRET_LEAST 12          /* bytes of a header's value that is kept out of sentences */
#define LINGER_MS    5000        /* after the answer was whole: for usage and the server's end */

static int remote_on_data(struct http_call *call, const char *data, size_t length);
static void remote_on_header(struct http_call *call, const char *line, size_t length);
static int remote_on_event(void *arg, const char *name, const char *data, size_t length);
static int remote_on_line(void *arg, const char *line, size_t length);
static void remote_on_done(struct op *op, int result);

/* ---- configuration ---- */

int remote_check(const struct model_provider *p, struct fault *reterr_fault)
{
    const struct vendor *vendor;

    if (p->base_url == NULL || *p->base_url == '\0')
        return fault_set(reterr_fault, -ERR_INVALID,
                         "models.providers.%.80s.baseUrl is missing: the address of the server, "
                         "before \"%s\"",
                         p->id, p->ops->remote->path);
    if (strncasecmp(p->base_url, "http://", 7) != 0 && strncasecmp(p->base_url, "https://", 8) != 0)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "models.providers.%.80s.baseUrl must begin with http:// or https://",
                         p->id);
    if (p->key == NULL && (vendor = vendor_at(p->base_url)) != NULL)
        return fault_set(reterr_fault, -ERR_AUTH,
                         "no key for %.80s: set models.providers.%.80s.apiKey (or %s where the "
                         "gateway runs)",
                         p->id, p->id, vendor->variable);
    return 0;
}

/* ---- life ---- */

void remote_header(struct remote *s, char *header)
{
    if (s->header_count < REMOTE_HEADERS_MAX)
        s->headers[s->header_count++] = header;
    else
        mem_wipe_free(header, strlen(header));
}

static void remote_set_headers(struct remote *s, const struct model_provider *p)
{
    remote_header(s, mem_string("content-type: application/json"));
    remote_header(s, mem_string(s->ops->framing == REMOTE_EVENTS ? "accept: text/event-stream"
                                                                 : "accept: application/x-ndjson"));
    if (s->ops->headers != NULL)
        s->ops->headers(s, p);
    else if (p->key != NULL)
        remote_header(s, mem_format("authorization: Bearer %s", p->key));
    json_each (header, p->headers) {
        if (json_kind(header) != JSON_STRING || s->header_count == REMOTE_HEADERS_MAX)
            continue;
        remote_header(s, mem_format("%s: %s", json_key(header), json_string(header, "")));
        /* Short ones are settings ("2024-10-21"), which a sentence may name. */
        if (strlen(json_string(header, "")) >= SECRET_LEAST)
            s->secrets[s->secret_count++] =
                s->headers[s->header_count - 1] + strlen(json_key(header)) + 2;
    }
}

/* baseUrl may or may not end with the version the path begins with; Ollama's own API has none. */
static char *remote_url(const char *base, const char *path)
{
    size_t length = strlen(base);

    while (length > 0 && base[length - 1] == '/')
        length--;
    if (length < 3 || memcmp(base + length - 3, "/v1", 3) != 0)
        return mem_format("%.*s%s", (int)length, base, path);
    if (strncmp(path, "/v1/", 4) == 0)
        path += 3;
    else if (strncmp(path, "/api/", 5) == 0)
        length -= 3;
    return mem_format("%.*s%s", (int)length, base, path);
}

static void remote_parsers_init(struct remote *s)
{
    sse_init(&s->sse, remote_on_event, s);
    line_reader_init(&s->lines, remote_on_line, s);
    buf_init(&s->document, JSON_MAX);
}

static void remote_parsers_done(struct remote *s)
{
    sse_done(&s->sse);
    line_reader_done(&s->lines);
    buf_done(&s->document);
}

int remote_init(struct model_run *run, const struct model_provider *p,
                const struct model_request *request, struct fault *reterr_fault)
{
    struct remote *s = model_run_state(run);

    s->run = run;
    s->ops = p->ops->remote;
    s->provider = mem_string(p->id);
    s->key = mem_string(p->key);
    s->idle_ms = p->idle_ms;
    s->url = remote_url(p->base_url, s->ops->path);
    if (s->key != NULL)
        s->secrets[s->secret_count++] = s->key;
    remote_set_headers(s, p);
    remote_parsers_init(s);
    buf_init(&s->body, REMOTE_BODY_MAX);
    s->ops->write(&s->body, p, request);
    if (s->body.bad)
        return fault_set(reterr_fault, -ERR_TOO_LARGE,
                         "the conversation is too large to be sent to the model: start a new "
                         "session or compact this one");
    return 0;
}

void remote_close(struct model_run *run)
{
    struct remote *s = model_run_state(run);

    op_drop(&s->call.op);
    timer_stop(model_run_gateway(run)->loop, &s->linger);
}

void remote_fini(struct model_run *run)
{
    struct remote *s = model_run_state(run);

    if (s->run == NULL)
        return;
    remote_close(run);
    if (s->ops->fini != NULL)
        s->ops->fini(s);
    for (size_t i = 0; i < s->header_count; i++)
        mem_wipe_free(s->headers[i], strlen(s->headers[i]));
    if (s->key != NULL)
        mem_wipe_free(s->key, strlen(s->key));
    mem_free(s->provider);
    mem_free(s->url);
    buf_done(&s->body);
    buf_done(&s->call.body);
    remote_parsers_done(s);
}

/* ---- an attempt ---- */

void remote_start(struct model_run *run)
{
    struct remote *s = model_run_state(run);
    struct gateway *gw = model_run_gateway(run);
    struct http_spec spec = {
        .method = "POST",
        .url = s->url,
        .headers = (const char *const *)s->headers,
        .body = s->body.data,
        .body_length = s->body.length,
        .idle_ms = s->idle_ms,
        .body_max = ANSWER_MAX,
    };

    s->mode = REMOTE_MODE_SNIFF;
    s->blanks = 0;
    s->answered = s->over = s->ending = false;
    s->pacing = (struct pacing){0};
    s->outcome = model_outcome_none();
    remote_parsers_done(s);
    remote_parsers_init(s);
    if (s->ops->begin != NULL)
        s->ops->begin(s);
    s->call.on_data = remote_on_data;
    s->call.on_header = remote_on_header;
    op_init(&s->call.op, gw->loop, remote_on_done, /* deadline_ms= */ 0); /* run.c has one */
    http_start(gw->http, &s->call, &spec);
}

int remote_fail(struct remote *s, int error, enum model_error_kind kind, enum model_retry retry,
                const char *text)
{
    s->outcome.error_kind = kind;
    s->outcome.retry = retry;
    return fault_set(&s->outcome.fault, error, "%.80s: %s", s->provider, text);
}

static int remote_invalid(struct remote *s, const char *text)
{
    return remote_fail(s, -ERR_INVALID, MODEL_ERROR_UNKNOWN, MODEL_RETRY_NEVER, text);
}

int remote_error(struct remote *s, const struct json *error)
{
    trouble_read(s->provider, /* status= */ 0, error, s->secrets, &s->outcome);
    return s->outcome.fault.code;
}

int remote_over(struct remote *s)
{
    s->over = true;
    return -ERR_CLOSED;
}

/* ---- for back ends: the answer grows ---- */

static int remote_grown(struct remote *s, int r)
{
    if (r == -ERR_TOO_LARGE && s->outcome.fault.code == 0)
        remote_fail(s, r, MODEL_ERROR_UNKNOWN, MODEL_RETRY_NEVER, "the answer is too long");
    return r;
}

int remote_text(struct remote *s, const char *text)
{
    return text != NULL ? remote_grown(s, model_run_text(s->run, text, strlen(text))) : 0;
}

int remote_thinking(struct remote *s, const char *text)
{
    return text != NULL ? remote_grown(s, model_run_thinking(s->run, text, strlen(text))) : 0;
}

int remote_signature(struct remote *s, const char *text, bool hidden)
{
    if (text == NULL || *text == '\0')
        return 0;
    return remote_grown(s,
                        content_signature(model_run_content(s->run), text, strlen(text), hidden));
}

int remote_call(struct remote *s, const struct content_piece *piece)
{
    return remote_grown(s, content_call(model_run_content(s->run), piece));
}

int remote_call_json(struct remote *s, struct content_piece piece, const struct json *arguments)
{
    CLEAN(mem_free) char *printed = NULL;

    piece.whole = json_kind(arguments) == JSON_OBJECT;
    if (piece.whole)
        printed = json_print(arguments, /* pretty= */ false);
    piece.text = piece.whole ? printed : json_string(arguments, "");
    piece.length = strlen(piece.text);
    return remote_call(s, &piece);
}

/* ---- what comes in ---- */

static void remote_on_header(struct http_call *call, const char *line, size_t length)
{
    struct remote *s = CONTAINER(call, struct remote, call);

    pacing_header(&s->pacing, line, length, loop_wall(model_run_gateway(s->run)->loop));
}

static size_t blanks_at(const char *data, size_t length)
{
    size_t n = 0;

    while (n < length && (data[n] == ' ' || data[n] == '\t' || data[n] == '\r' || data[n] == '\n'))
        n++;
    return n;
}

/* The first byte that is not blank says what kind of answer this is; the content type is often wrong. */
static int remote_sniff(struct remote *s, const char *data, size_t length)
{
    size_t blank = blanks_at(data, length);

    if (s->ops->framing == REMOTE_EVENTS &&
        strncasecmp(s->call.content_type, "text/event-stream", 17) == 0) {
        s->mode = REMOTE_MODE_EVENTS;
        return 0;
    }
    s->blanks += blank;
    if (s->blanks > BLANKS_MAX)
        return remote_invalid(s, "it sends nothing but blanks");
    if (blank == length)
        return 0;
    if (data[blank] == '<')
        return remote_invalid(s,
                              "a web page came instead of an answer; check the provider's baseUrl");
    if (s->ops->framing == REMOTE_LINES)
        s->mode = REMOTE_MODE_LINES;
    else
        s->mode = data[blank] == '{' ? REMOTE_MODE_DOCUMENT : REMOTE_MODE_EVENTS;
    return 0;
}

static int remote_on_document(struct remote *s, const char *data, size_t length)
{
    buf_add(&s->document, data, length);
    return s->document.bad ? remote_fail(s, -ERR_TOO_LARGE, MODEL_ERROR_UNKNOWN, MODEL_RETRY_NEVER,
                                         "the answer is too long")
                           : 0;
}

static int remote_feed(struct remote *s, const char *data, size_t length)
{
    if (s->mode == REMOTE_MODE_DOCUMENT)
        return remote_on_document(s, data, length);
    return s->mode == REMOTE_MODE_EVENTS ? sse_feed(&s->sse, data, length)
                                         : line_reader_feed(&s->lines, data, length);
}

static int remote_on_data(struct http_call *call, const char *data, size_t length)
{
    struct remote *s = CONTAINER(call, struct remote, call);
    int r = 0;

    if (call->status != 200)
        return 0; /* remote_on_done tells */
    if (s->mode == REMOTE_MODE_SNIFF)
        r = remote_sniff(s, data, length);
    if (r < 0 || s->mode == REMOTE_MODE_SNIFF)
        return r;
    r = remote_feed(s, data, length);
    if (r == -ERR_TOO_LARGE && s->outcome.fault.code == 0)
        return remote_fail(s, r, MODEL_ERROR_UNKNOWN, MODEL_RETRY_NEVER,
                           "one line of its answer is longer than 16 MiB");
    if (r == 0 && s->sse.idle + s->blanks > IDLE_MAX)
        return remote_invalid(s, "it sends nothing but blank lines and comments");
    return r;
}

static void remote_on_linger(void *arg)
{
    struct remote *s = arg;

    op_drop(&s->call.op);
    model_run_end(s->run, &s->outcome);
}

static int remote_parsed(struct remote *s, const char *name, const char *data, size_t length)
{
    CLEAN(json_free) struct json *event = NULL;
    struct fault fault = {0};
    int r;

    event = json_parse(data, length, &fault);
    if (event == NULL && s->ending)
        return -ERR_CLOSED; /* the rest of it never came: remote_judge tells */
    if (event == NULL) {
        fault_prefix(&fault, "an event is not JSON");
        return remote_invalid(s, fault.text);
    }
    r = s->ops->event(s, name, event);
    if (r == 0 && s->outcome.stop_reason != NULL && !timer_running(&s->linger) &&
        op_running(&s->call.op))
        timer_start(model_run_gateway(s->run)->loop, &s->linger, LINGER_MS, /* every_ms= */ 0,
                    remote_on_linger, s);
    return r;
}

static int remote_on_event(void *arg, const char *name, const char *data, size_t length)
{
    struct remote *s = arg;

    return strcmp(data, "[DONE]") == 0 ? remote_over(s) : remote_parsed(s, name, data, length);
}

static int remote_on_line(void *arg, const char *line, size_t length)
{
    struct remote *s = arg;

    if (blanks_at(line, length) == length) {
        s->blanks += length + 1;
        return 0;
    }
    s->blanks = 0;
    return remote_parsed(s, "", line, length);
}

/* ---- the end of an attempt ---- */

static int remote_take_document(struct remote *s)
{
    CLEAN(json_free) struct json *answer = NULL;
    struct fault fault = {0};

    answer = json_parse(s->document.data, s->document.length, &fault);
    if (answer != NULL)
        return s->ops->document(s, answer);
    fault_prefix(&fault, "the answer is not JSON");
    return remote_invalid(s, fault.text);
}

static void remote_on_refused(struct remote *s)
{
    struct model_outcome *out = &s->outcome;
    CLEAN(json_free) struct json *body = NULL;

    if (s->call.body.length > 0)
        body = json_parse(s->call.body.data, s->call.body.length, NULL);
    trouble_read(s->provider, s->call.status, body, s->secrets, out);
    if (s->call.retry_after_ms >= 0)
        out->retry_after_ms = s->call.retry_after_ms;
    else if (out->retry_after_ms < 0)
        out->retry_after_ms = pacing_wait(&s->pacing);
    if (s->pacing.should_retry < 0)
        out->retry = MODEL_RETRY_NEVER;
    else if (s->pacing.should_retry > 0 && out->error_kind == MODEL_ERROR_UNKNOWN)
        out->retry = MODEL_RETRY_TRANSIENT;
}

static void remote_on_broken(struct remote *s, int result)
{
    bool transient = result == -ERR_CONNECT || result == -ERR_CLOSED || result == -ERR_TIMEOUT ||
                     result == -ERR_IO || result == -ERR_BUSY;

    remote_fail(s, result, result == -ERR_TIMEOUT ? MODEL_ERROR_TIMEOUT : MODEL_ERROR_UNKNOWN,
                transient ? MODEL_RETRY_TRANSIENT : MODEL_RETRY_NEVER, s->call.op.fault.text);
}

/* What still stands in the parser when the stream is over. */
static int remote_finish(struct remote *s)
{
    switch (s->mode) {
    case REMOTE_MODE_EVENTS: return sse_finish(&s->sse);
    case REMOTE_MODE_LINES: return line_reader_finish(&s->lines);
    case REMOTE_MODE_DOCUMENT: return remote_take_document(s);
    case REMOTE_MODE_SNIFF:
    default: return 0;
    }
}

/* The stream is over: was the answer whole? */
static void remote_judge(struct remote *s, int result)
{
    int r = 0;

    if (result == 0 && s->call.status != 200) {
        remote_on_refused(s);
        return;
    }
    s->ending = true;
    if (result == 0)
        r = remote_finish(s);
    if (r == -ERR_CANCELLED || s->outcome.fault.code < 0)
        return;
    if (s->over && s->outcome.stop_reason == NULL && s->answered)
        s->outcome.stop_reason = "stop";
    if (s->outcome.stop_reason != NULL)
        return;
    if (result < 0 && !s->over)
        remote_on_broken(s, result);
    else if (s->over || s->mode == REMOTE_MODE_DOCUMENT)
        remote_invalid(s, "the answer holds nothing");
    else
        remote_fail(s, -ERR_CLOSED, MODEL_ERROR_UNKNOWN, MODEL_RETRY_TRANSIENT,
                    "the stream ended before the answer was complete");
}

static void remote_on_done(struct op *op, int result)
{
    struct remote *s = CONTAINER(op, struct remote, call.op);

    timer_stop(model_run_gateway(s->run)->loop, &s->linger);
    remote_judge(s, result);
    model_run_end(s->run, &s->outcome);
}
