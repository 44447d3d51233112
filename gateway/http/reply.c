/* What a handler says: whole answers and streams. Each end frees the call. */
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/http/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HEADERS_MAX 3072
#define ERROR_MAX   65536

static const char safe_headers[] =
    "x-content-type-options: nosniff\r\nreferrer-policy: no-referrer\r\n";

/* The defaults, then the handler's. */
static char *all_headers(const char *headers)
{
    bool cached = headers && strcasestr(headers, "cache-control:");
    struct buf b;

    buf_init(&b, HEADERS_MAX);
    buf_add_str(&b, safe_headers);
    if (!cached)
        buf_add_str(&b, "cache-control: no-store\r\n");
    if (headers)
        buf_add_str(&b, headers);
    char *text = buf_take(&b);
    return fails(text != NULL) ? mem_string(safe_headers) : text;
}

void web_reply(struct web_call *call, int status, const char *content_type, const char *headers,
               struct bytes *body)
{
    CLEAN(mem_free) char *all = all_headers(headers);
    struct http_exchange *x = TAKE(call->exchange);

    web_call_free(call);
    http_reply(x, status, content_type, all, body);
}

void web_text(struct web_call *call, int status, const char *text)
{
    CLEAN(mem_free) char *line = mem_format("%s\n", text);
    CLEAN(bytes_unref) struct bytes *body = bytes_new(line, strlen(line));

    web_reply(call, status, "text/plain; charset=utf-8", NULL, body);
}

void web_json(struct web_call *call, int status, const struct buf *json)
{
    CLEAN(bytes_unref) struct bytes *body = bytes_from_buf(json);

    if (fails(body != NULL)) {
        web_error(call, 500, "api_error", "the answer is larger than this gateway sends");
        return;
    }
    web_reply(call, status, "application/json; charset=utf-8", NULL, body);
}

void web_error(struct web_call *call, int status, const char *type, const char *format, ...)
{
    struct json_writer w;
    struct buf b, text;
    va_list args;

    buf_init(&text, ERROR_MAX);
    va_start(args, format);
    buf_vaddf(&text, format, args);
    va_end(args);
    CLEAN(mem_free) char *message = buf_take(&text);
    const char *said = message ? message : "the error is too long to be told";
    if (!(call->route && call->route->flags & ROUTE_API)) {
        web_text(call, status, said);
        return;
    }
    buf_init(&b, ERROR_MAX * 2);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kobject(&w, "error");
    jw_kstr(&w, "message", said);
    jw_kstr(&w, "type", type);
    jw_object_end(&w);
    jw_object_end(&w);
    web_json(call, status, &b);
    buf_done(&b);
}

/* ---- in parts ---- */

void web_begin(struct web_call *call, int status, const char *content_type, const char *headers)
{
    CLEAN(mem_free) char *all = all_headers(headers);

    http_begin(call->exchange, status, content_type, all);
}

int web_write(struct web_call *call, const void *data, size_t length)
{
    return http_write(call->exchange, data, length);
}

void web_end(struct web_call *call)
{
    struct http_exchange *x = TAKE(call->exchange);

    web_call_free(call);
    http_end(x);
}

void web_cut(struct web_call *call)
{
    struct http_exchange *x = TAKE(call->exchange);

    web_call_free(call);
    http_cut(x);
}

/* ---- what came ---- */

const char *web_body(const struct web_call *call, size_t *ret_length)
{
    return http_body(call->exchange, ret_length);
}

const char *web_header(const struct web_call *call, const char *name)
{
    return ws_header(call->request, name);
}

const char *web_own_header(const struct web_call *call, const char *name)
{
    static const char *const families[] = {"openclaw", "moltbot", "clawdbot"};
    char full[64];

    for (size_t i = 0; i < COUNT(families); i++) {
        snprintf(full, sizeof(full), "x-%s-%s", families[i], name);
        const char *value = web_header(call, full);
        if (value && *value)
            return value;
    }
    return NULL;
}

struct json *web_json_body(struct web_call *call)
{
    struct fault fault = {0};
    size_t length;
    const char *text = web_body(call, &length);
    struct json *body = json_parse(text, length, &fault);

    if (!body)
        web_error(call, 400, "invalid_request_error", "the body is not usable JSON: %s",
                  length ? fault.text : "it is empty");
    else if (json_kind(body) != JSON_OBJECT) {
        body = json_free(body);
        web_error(call, 400, "invalid_request_error", "the body must be a JSON object");
    }
    return body;
}

bool web_is_gone(const struct web_call *call)
{
    return call->is_gone;
}

void web_patience(struct web_call *call, int64_t ms)
{
    http_patience(call->exchange, ms);
}
