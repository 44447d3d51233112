/* The answer to a plain request: whole with http_reply, or in parts with http_begin, http_write, http_end.
 *
 * Output waits in the exchange (the head and parts as bytes, a whole body by reference) and leaves from
 * the writable callback, a batch at a time. An answer that stands still is given up: the connection goes
 * and the owner hears gone(). A stream that waits for its owner may stand still as long as it likes. */
#include "base/io/ws_http_internal.h"

#include "base/mem.h"

#include <libwebsockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define REPLY_HEAD_MAX 4096
#define STREAMS_MAX    (128u << 20) /* bytes queued in the streams of the process */
#define PART_MAX       (16u << 20)  /* of one http_write */
#define LINGER_MS      2000         /* for a peer that still sends what nobody wants */

static size_t streams_total; /* loop thread only */

const char *ws_http_status_text(int status)
{
    static const struct {
        int status;
        const char *text;
    } texts[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {408, "Request Timeout"},
        {406, "Not Acceptable"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {413, "Content Too Large"},
        {412, "Precondition Failed"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {422, "Unprocessable Content"},
        {426, "Upgrade Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
    };

    for (size_t i = 0; i < COUNT(texts); i++)
        if (texts[i].status == status)
            return texts[i].text;
    return "Status";
}

/* ---- queueing ---- */

size_t http_queued(const struct http_exchange *x)
{
    return (x->out.length - x->out_sent) + (x->reply ? x->reply->length - x->reply_sent : 0);
}

static void out_add(struct http_exchange *x, const void *data, size_t length)
{
    buf_add(&x->out, data, length);
    if (!x->out.bad)
        streams_total += length;
}

void ws_http_out_done(struct http_exchange *x)
{
    streams_total -= x->out.length - x->out_sent;
    buf_done(&x->out);
    x->out_sent = 0;
    x->reply = bytes_unref(x->reply);
}

/* Only the writable callback writes. */
static void have_output(struct http_exchange *x)
{
    if (!x->moving) {
        ws_half_must_move(x->half);
        ws_http_listen(x);
    }
    x->moving = true;
    lws_callback_on_writable(x->half->wsi);
}

static void on_cut(void *arg)
{
    ws_half_free(arg); /* gone() comes from inside where the owner has not ended it */
}

static void cut_later(struct http_exchange *x)
{
    x->cut = x->moving = true;
    timer_start(x->half->server->loop, &x->half->deadline, 0, 0, on_cut, x->half);
}

/* length: of the body; negative: it comes in parts. */
static void begin(struct http_exchange *x, int status, const char *content_type,
                  const char *headers, int64_t length)
{
    bool bodiless = status == 204 || status == 304;
    struct buf head;

    x->status = status;
    x->chunked = length < 0 && !x->old_client && !bodiless;
    x->close_after |= x->unread;
    buf_init(&head, REPLY_HEAD_MAX);
    buf_addf(&head, "HTTP/1.1 %d %s\r\n", status, ws_http_status_text(status));
    if (content_type && *content_type)
        buf_addf(&head, "content-type: %s\r\n", content_type);
    if (x->chunked)
        buf_add_str(&head, "transfer-encoding: chunked\r\n");
    else if (length >= 0 && !bodiless)
        buf_addf(&head, "content-length: %lld\r\n", (long long)length);
    if (x->close_after)
        buf_add_str(&head, "connection: close\r\n");
    if (headers)
        buf_add_str(&head, headers);
    buf_add_str(&head, "\r\n");
    if (fails(!head.bad)) { /* headers beyond the limit are our own fault */
        buf_clear(&head);
        buf_add_str(&head, "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n");
        x->head_only = true;
    }
    buf_init(&x->out, x->half->server->config.stream_max + PART_MAX + REPLY_HEAD_MAX);
    out_add(x, head.data, head.length);
    buf_done(&head);
    have_output(x);
}

/* ---- for the owner ---- */

void http_reply(struct http_exchange *x, int status, const char *content_type, const char *headers,
                struct bytes *body)
{
    size_t length = body ? body->length : 0;

    x->ended = true;
    if (!x->half) {
        ws_http_exchange_free(x);
        return;
    }
    begin(x, status, content_type, headers, (int64_t)length);
    if (!x->head_only && status != 204 && status != 304 && length)
        x->reply = bytes_ref(body);
}

void ws_http_reply_text(struct http_exchange *x, int status)
{
    const char *text = ws_http_status_text(status);
    CLEAN(bytes_unref) struct bytes *body = bytes_new(text, strlen(text));

    http_reply(x, status, "text/plain; charset=utf-8", NULL, body);
}

void http_begin(struct http_exchange *x, int status, const char *content_type, const char *headers)
{
    if (x->half && !fails(!x->status))
        begin(x, status, content_type, headers, -1);
}

int http_write(struct http_exchange *x, const void *data, size_t length)
{
    if (!x->half || x->cut)
        return -ERR_CLOSED;
    if (fails(x->status && !x->ended) || length > PART_MAX)
        return -ERR_TOO_LARGE;
    if (x->head_only || length == 0)
        return 0;
    if (http_queued(x) >= x->half->server->config.stream_max) {
        x->full = true;
        return -ERR_FULL;
    }
    if (streams_total + length > STREAMS_MAX) {
        cut_later(x); /* whoever would pass the ceiling of the process goes */
        return -ERR_CLOSED;
    }
    if (x->chunked) {
        char size[24];
        int n = snprintf(size, sizeof(size), "%zx\r\n", length);
        out_add(x, size, (size_t)n);
    }
    out_add(x, data, length);
    if (x->chunked)
        out_add(x, "\r\n", 2);
    have_output(x);
    return 0;
}

void http_end(struct http_exchange *x)
{
    x->ended = true;
    if (!x->half) {
        ws_http_exchange_free(x);
        return;
    }
    if (fails(x->status)) {
        ws_http_reply_text(x, 500);
        return;
    }
    if (x->chunked && !x->head_only)
        out_add(x, "0\r\n\r\n", 5);
    x->close_after |= x->old_client;
    have_output(x);
}

void http_cut(struct http_exchange *x)
{
    x->ended = true;
    if (x->half)
        cut_later(x);
    else
        ws_http_exchange_free(x);
}

/* ---- writing ---- */

static int finish(struct ws_half *half, struct http_exchange *x)
{
    bool close_after = x->close_after, unread = x->unread;

    half->exchange = NULL;
    ws_http_exchange_free(x);
    if (unread) {
        /* A close now would reset the connection and could take the answer with it. */
        half->lingers = true;
        shutdown(half->peer.fd, SHUT_WR);
        ws_half_reads(half, LINGER_MS);
        return 0;
    }
    if (close_after || lws_http_transaction_completed(half->wsi))
        return -1;
    ws_half_waits(half);
    return 0;
}

static size_t take(uint8_t *to, size_t room, const char *from, size_t length, size_t *sent)
{
    size_t part = length - *sent < room ? length - *sent : room;

    if (part)
        memcpy(to, from + *sent, part);
    *sent += part;
    return part;
}

static size_t fill_batch(struct http_exchange *x, uint8_t *to, size_t room)
{
    size_t filled = take(to, room, x->out.data, x->out.length, &x->out_sent);

    streams_total -= filled;
    if (x->out_sent == x->out.length)
        buf_clear(&x->out), x->out_sent = 0;
    if (x->reply)
        filled +=
            take(to + filled, room - filled, x->reply->data, x->reply->length, &x->reply_sent);
    return filled;
}

/* Everything given has left: the stream waits for its owner, not for its client. */
static void is_idle(struct http_exchange *x)
{
    x->moving = false;
    x->looked_at = 0;
    timer_stop(x->half->server->loop, &x->half->deadline);
}

static void tell_drained(struct http_exchange *x)
{
    if (!x->full || x->ended || http_queued(x) > x->half->server->config.stream_max / 2)
        return;
    x->full = false;
    if (x->events && x->events->drained)
        x->events->drained(x->arg);
}

int ws_http_writable(struct ws_half *half)
{
    struct http_exchange *x = half->exchange;

    if (!x || !x->status)
        return 0;
    if (x->cut)
        return -1;
    size_t waiting = http_queued(x), room = waiting < WS_BATCH_MAX ? waiting : WS_BATCH_MAX;
    if (waiting == 0) {
        if (x->ended)
            return finish(half, x);
        is_idle(x);
        return 0;
    }

    CLEAN(mem_free) uint8_t *batch = mem_array(LWS_PRE + room, 1);
    size_t filled = fill_batch(x, batch + LWS_PRE, room);
    bool last = x->ended && http_queued(x) == 0;
    if (lws_write(half->wsi, batch + LWS_PRE, filled,
                  last ? LWS_WRITE_HTTP_FINAL : LWS_WRITE_HTTP) < (int)filled)
        return -1;
    if (last && !x->unread)
        return finish(half, x);
    ws_half_must_move(half);
    lws_callback_on_writable(half->wsi);
    tell_drained(x);
    return 0;
}
