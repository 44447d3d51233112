/* Plain HTTP on the same port. Lives here: request heads (also of upgrades), the decision on an upgrade,
 * and exchanges: one request, its body when whole, one reply.
 *
 * An exchange belongs to its owner from the http callback until http_reply; the connection may go
 * first, then the reply goes nowhere. */
#include "base/io/ws_internal.h"

#include "base/mem.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEADER_NAME_MAX  64
#define HEADER_VALUE_MAX 8192
#define REPLY_HEAD_MAX   4096

struct http_exchange {
    struct ws_half *half; /* NULL: the connection is gone */
    struct ws_head head;
    struct buf body;
    size_t body_length; /* announced */
    bool handed, head_only, close_after;
    int status; /* 0: no reply yet */
    struct buf reply_head;
    struct bytes *reply;
    size_t sent;
};

struct ws_header_copy {
    struct ws_header_copy *next;
    char *name, *value;
};

/* ---- request heads ---- */

static const char *const method_names[] = {"GET",   "POST",   "OPTIONS", "PUT",
                                           "PATCH", "DELETE", "CONNECT", "HEAD"};

static const char *head_method(struct lws *wsi, int *ret_path_length, char **ret_path)
{
    int method = lws_http_get_uri_and_method(wsi, ret_path, ret_path_length);
    return method >= 0 && method < (int)COUNT(method_names) ? method_names[method] : "";
}

/* lws has split the query at & and decoded it; this puts it together again. */
static char *head_query(struct lws *wsi)
{
    static const char plain[] = "-_.~=/:,;@!$'()*?";
    struct buf out;
    char part[1024];

    buf_init(&out, HEADER_VALUE_MAX);
    for (int i = 0;; i++) {
        int n = lws_hdr_copy_fragment(wsi, part, sizeof(part), WSI_TOKEN_HTTP_URI_ARGS, i);
        if (n < 0)
            break;
        if (i > 0)
            buf_add_char(&out, '&');
        for (int k = 0; k < n; k++) {
            uint8_t c = (uint8_t)part[k];
            bool keep = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                        (c >= 'A' && c <= 'Z') || (c && strchr(plain, c));
            if (keep)
                buf_add_char(&out, (char)c);
            else
                buf_addf(&out, "%%%02X", c);
        }
    }
    char *text = buf_take(&out);
    return text ? text : mem_string("");
}

void ws_head_init(struct ws_head *head, struct lws *wsi, const struct ws_peer *peer)
{
    char *path = NULL;
    int length = 0;

    memset(head, 0, sizeof(*head));
    head->wsi = wsi;
    head->request.method = head_method(wsi, &length, &path);
    head->path = mem_slice(path ? path : "", path ? (size_t)length : 0);
    head->query = head_query(wsi);
    head->request.peer = peer;
    head->request.path = head->path;
    head->request.query = head->query;
    head->request.head = head;
}

void ws_head_done(struct ws_head *head)
{
    while (head->copies) {
        struct ws_header_copy *copy = head->copies;
        head->copies = copy->next;
        mem_free(copy->name);
        mem_free(copy->value);
        mem_free(copy);
    }
    head->path = mem_free(head->path);
    head->query = mem_free(head->query);
    head->wsi = NULL;
}

static int known_token(const char *name_colon)
{
    const unsigned char *known;

    for (int token = 0; (known = lws_token_to_string((enum lws_token_indexes)token)); token++)
        if (strcmp((const char *)known, name_colon) == 0)
            return token;
    return -1;
}

/* A header lws has a place for: its lines trimmed and joined. */
static char *known_value(struct lws *wsi, enum lws_token_indexes token)
{
    struct buf out;
    CLEAN(mem_free) char *line = mem_array(HEADER_VALUE_MAX + 1, 1);
    int i = 0;

    buf_init(&out, HEADER_VALUE_MAX);
    for (; lws_hdr_copy_fragment(wsi, line, HEADER_VALUE_MAX, token, i) >= 0; i++) {
        const char *text = line + strspn(line, " \t");
        if (i > 0)
            buf_add_str(&out, ", ");
        buf_add_str(&out, text);
    }
    return i > 0 ? buf_take(&out) : NULL;
}

/* Any other header. lws 4.1 can only tell its first line. */
static char *custom_value(struct lws *wsi, const char *colon, int name_length)
{
    int length = lws_hdr_custom_length(wsi, colon, name_length);
    if (length < 0 || length > HEADER_VALUE_MAX)
        return NULL;
    char *value = mem_array((size_t)length + 1, 1);
    if (lws_hdr_custom_copy(wsi, value, length + 1, colon, name_length) < 0)
        return mem_free(value);
    return value;
}

/* The header's value, owned by the caller; NULL when absent. */
static char *head_value(struct lws *wsi, const char *name)
{
    char colon[HEADER_NAME_MAX + 2];
    int name_length = snprintf(colon, sizeof(colon), "%s:", name);
    if (name_length <= 1 || name_length >= (int)sizeof(colon))
        return NULL;

    int token = known_token(colon);
    return token >= 0 ? known_value(wsi, (enum lws_token_indexes)token)
                      : custom_value(wsi, colon, name_length);
}

const char *ws_header(const struct ws_request *request, const char *name)
{
    struct ws_head *head = (struct ws_head *)(uintptr_t)request->head;

    for (struct ws_header_copy *c = head->copies; c; c = c->next)
        if (strcmp(c->name, name) == 0)
            return c->value;
    char *value = head->wsi ? head_value(head->wsi, name) : NULL;
    if (!value)
        return NULL;
    struct ws_header_copy *copy = NEW(struct ws_header_copy);
    copy->name = mem_string(name);
    copy->value = value;
    copy->next = head->copies;
    head->copies = copy;
    return value;
}

/* ---- replies ---- */

static const char *status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {415, "Unsupported Media Type"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {500, "Internal Server Error"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };

    for (size_t i = 0; i < COUNT(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Status";
}

/* Refuses an upgrade in one write; the connection is closed after it. */
static int refuse(struct lws *wsi, int status, const char *headers, const char *why)
{
    char text[LWS_PRE + 512];
    int n = snprintf(text + LWS_PRE, sizeof(text) - LWS_PRE,
                     "HTTP/1.1 %d %s\r\ncontent-type: text/plain; charset=utf-8\r\n"
                     "content-length: %zu\r\nconnection: close\r\n%s\r\n%s\n",
                     status, status_text(status), strlen(why) + 1, headers, why);
    lws_write(wsi, (unsigned char *)text + LWS_PRE, (size_t)n, LWS_WRITE_HTTP_FINAL);
    return -1;
}

int ws_http_confirm_upgrade(struct ws_half *half, const char *protocol)
{
    struct lws *wsi = half->wsi;
    const struct ws_server_config *config = &half->server->config;
    struct ws_head head;

    ws_half_has_head(half);
    if (strcasecmp(protocol, "websocket") != 0)
        return refuse(wsi, 400, "", "only upgrades to websocket are done here");
    ws_head_init(&head, wsi, &half->peer);
    const char *version = ws_header(&head.request, "sec-websocket-version");
    const char *key = ws_header(&head.request, "sec-websocket-key");
    int r;
    if (strcmp(head.request.method, "GET") != 0 || !key || strlen(key) > 64 ||
        !ws_header(&head.request, "host"))
        r = refuse(wsi, 400, "", "this is not a WebSocket handshake");
    else if (!version || strcmp(version, "13") != 0)
        r = refuse(wsi, 426, "sec-websocket-version: 13\r\n",
                   "WebSocket version 13 is spoken here");
    else if (ws_header(&head.request, "sec-websocket-protocol"))
        r = refuse(wsi, 400, "", "no subprotocol is spoken here");
    else {
        int status = config->upgrade ? config->upgrade(config->arg, &head.request) : 0;
        r = status ? refuse(wsi, status, "", status_text(status)) : 0;
    }
    ws_head_done(&head);
    return r;
}

/* ---- exchanges ---- */

static void exchange_free(struct http_exchange *x)
{
    ws_head_done(&x->head);
    buf_done(&x->body);
    buf_done(&x->reply_head);
    bytes_unref(x->reply);
    mem_free(x);
}

const struct ws_request *http_request(const struct http_exchange *x)
{
    return &x->head.request;
}

const char *http_body(const struct http_exchange *x, size_t *ret_length)
{
    *ret_length = x->body.length;
    return x->body.length ? x->body.data : "";
}

static void set_reply(struct http_exchange *x, int status, const char *content_type,
                      const char *headers, struct bytes *body)
{
    size_t length = body ? body->length : 0;

    x->status = status;
    x->reply = body && length ? bytes_ref(body) : NULL;
    buf_init(&x->reply_head, REPLY_HEAD_MAX);
    buf_addf(&x->reply_head, "HTTP/1.1 %d %s\r\n", status, status_text(status));
    if (content_type && *content_type)
        buf_addf(&x->reply_head, "content-type: %s\r\n", content_type);
    if (status != 204 && status != 304)
        buf_addf(&x->reply_head, "content-length: %zu\r\n", length);
    if (x->close_after)
        buf_add_str(&x->reply_head, "connection: close\r\n");
    if (headers)
        buf_add_str(&x->reply_head, headers);
    buf_add_str(&x->reply_head, "\r\n");
    if (x->reply_head.bad) { /* headers beyond the limit are our own fault */
        buf_clear(&x->reply_head);
        buf_add_str(&x->reply_head,
                    "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
        x->reply = bytes_unref(x->reply);
    }
    if (x->head_only)
        x->reply = bytes_unref(x->reply);
    ws_half_must_move(x->half);
    lws_callback_on_writable(x->half->wsi);
}

static void reply_text(struct http_exchange *x, int status)
{
    CLEAN(bytes_unref)
    struct bytes *body = bytes_new(status_text(status), strlen(status_text(status)));
    set_reply(x, status, "text/plain; charset=utf-8", NULL, body);
}

void http_reply(struct http_exchange *x, int status, const char *content_type, const char *headers,
                struct bytes *body)
{
    if (!x->half) {
        exchange_free(x);
        return;
    }
    set_reply(x, status, content_type, headers, body);
}

void ws_http_orphan(struct http_exchange *x)
{
    x->half = NULL;
    x->head.wsi = NULL;
    if (x->status || !x->handed)
        exchange_free(x);
}

/* The owner took too long: the peer gets a 500, the owner's reply will go nowhere. */
static void on_no_reply(void *arg)
{
    struct ws_half *half = arg;
    struct http_exchange *late = TAKE(half->exchange);
    struct http_exchange *x = NEW(struct http_exchange);

    x->half = half;
    x->close_after = true;
    half->exchange = x;
    ws_http_orphan(late);
    reply_text(x, 500);
}

static void hand_over(struct ws_half *half, struct http_exchange *x)
{
    const struct ws_server_config *config = &half->server->config;

    x->handed = true;
    if (!config->http) {
        reply_text(x, 404);
        return;
    }
    timer_start(half->server->loop, &half->deadline, config->reply_timeout_ms, 0, on_no_reply,
                half);
    config->http(config->arg, x);
}

int ws_http_begin(struct ws_half *half)
{
    ws_half_has_head(half);
    if (half->exchange)
        return -1;

    struct http_exchange *x = NEW(struct http_exchange);
    x->half = half;
    half->exchange = x;
    ws_head_init(&x->head, half->wsi, &half->peer);
    const struct ws_request *request = &x->head.request;
    const char *length = ws_header(request, "content-length");
    bool body_method = request->method[0] == 'P';
    x->head_only = strcmp(request->method, "HEAD") == 0;
    lws_set_timeout(half->wsi, NO_PENDING_TIMEOUT, 0);

    x->body_length = length ? strtoul(length, NULL, 10) : 0;
    x->close_after = ws_header(request, "transfer-encoding") || (body_method && !length) ||
                     x->body_length > half->server->config.http_body_max;
    if (x->close_after) {
        x->handed = true;
        reply_text(x, x->body_length ? 413 : 411);
    } else if (x->body_length == 0) {
        hand_over(half, x);
    } else {
        buf_init(&x->body, half->server->config.http_body_max);
        ws_half_waits(half); /* like a head: one of a bounded crowd, and not for long */
    }
    return 0;
}

int ws_http_body(struct ws_half *half, const void *data, size_t length)
{
    if (half->exchange && !half->exchange->handed)
        buf_add(&half->exchange->body, data, length);
    return 0;
}

int ws_http_whole(struct ws_half *half)
{
    struct http_exchange *x = half->exchange;

    if (!x || x->handed)
        return 0;
    ws_half_has_head(half);
    if (x->body.bad)
        return -1;
    hand_over(half, x);
    return 0;
}

static int finish(struct ws_half *half, struct http_exchange *x)
{
    bool close_after = x->close_after;

    half->exchange = NULL;
    exchange_free(x);
    if (close_after || lws_http_transaction_completed(half->wsi))
        return -1;
    ws_half_waits(half);
    return 0;
}

int ws_http_writable(struct ws_half *half)
{
    struct http_exchange *x = half->exchange;

    if (!x || !x->status)
        return 0;
    size_t room = WS_BATCH_MAX, filled = x->reply_head.length;
    CLEAN(mem_free) uint8_t *batch = mem_array(LWS_PRE + room, 1);
    uint8_t *to = batch + LWS_PRE;
    if (filled)
        memcpy(to, x->reply_head.data, filled);
    buf_done(&x->reply_head);

    size_t left = x->reply ? x->reply->length - x->sent : 0;
    size_t part = left < room - filled ? left : room - filled;
    if (part)
        memcpy(to + filled, x->reply->data + x->sent, part);
    x->sent += part;
    bool last = part == left;
    if (lws_write(half->wsi, to, filled + part, last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) <
        (int)(filled + part))
        return -1;
    if (last)
        return finish(half, x);
    ws_half_must_move(half);
    lws_callback_on_writable(half->wsi);
    return 0;
}
