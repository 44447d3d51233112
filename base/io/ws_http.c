/* Plain HTTP on the same port: a request, its body, and who owns it when.
 *
 * The path: ws_http_begin when the head is there, ws_http_body, ws_http_whole, then the answer
 * (ws_http_reply.c). An exchange belongs to its owner from the first callback until http_reply or http_end;
 * the connection may go first, then what is replied goes nowhere. A body is taken in only after the
 * owner agreed to its size, and with all others' together under a ceiling. */
#include "base/io/ws_http_internal.h"

#include "base/mem.h"

#include <libwebsockets.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#define BODIES_MAX      (128u << 20) /* announced by all requests whose bodies are coming in */
#define BODY_SLOWEST    65536u       /* bytes per second, below which a body is given up */
#define BODY_PATIENCE_S 30
#define LOOK_MS         200
#define SPIN_TURNS      4000 /* of the loop between two looks: more than work makes */

static size_t bodies_total; /* loop thread only */

static void body_done(struct http_exchange *x)
{
    if (!x->reading)
        return;
    x->reading = false;
    bodies_total -= x->body_length;
}

void ws_http_exchange_free(struct http_exchange *x)
{
    body_done(x);
    ws_head_done(&x->head);
    buf_done(&x->body);
    ws_http_out_done(x);
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

size_t http_body_announced(const struct http_exchange *x)
{
    return x->body_length;
}

void http_watch(struct http_exchange *x, const struct http_events *events, void *arg)
{
    x->events = events;
    x->arg = arg;
}

void *http_watcher(const struct http_exchange *x)
{
    return x->arg;
}

void http_patience(struct http_exchange *x, int64_t ms)
{
    x->patience_ms = ms;
    if (!x->half || !x->owned || x->status || x->reading)
        return;
    ws_http_await(x);
}

/* ---- who has it ---- */

void ws_http_orphan(struct http_exchange *x)
{
    bool owned = x->owned && !x->ended;

    body_done(x);
    x->half = NULL;
    x->head.wsi = NULL;
    if (!owned)
        ws_http_exchange_free(x);
    else if (x->events && x->events->gone)
        x->events->gone(x->arg);
}

/* lws reads nothing while a request is being answered, so a client that leaves meanwhile is seen by asking
 * the kernel now and then. One that has only closed its half counts as gone, as with other servers. */
static bool has_left(const struct ws_half *half)
{
    struct pollfd ask = {.fd = half->peer.fd, .events = POLLRDHUP};

    return half->exchange && !half->exchange->ended && poll(&ask, 1, 0) > 0 &&
           (ask.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* While lws is told not to read it does not write either, so it is told so only when there is nothing to
 * write. */
static void set_deaf(struct http_exchange *x, bool deaf)
{
    if (x->deaf == deaf || !x->half->wsi)
        return;
    x->deaf = deaf;
    lws_rx_flow_control(x->half->wsi, !deaf);
}

void ws_http_listen(struct http_exchange *x)
{
    set_deaf(x, false);
}

/* Bytes that lws must leave alone until the answer is out wake the loop without end. Where nothing is to be
 * written it can be told not to look; a client that talks, and takes nothing of its answer, goes. */
static bool talks_too_much(const struct ws_half *half)
{
    struct http_exchange *x = half->exchange;
    struct pollfd ask = {.fd = half->peer.fd, .events = POLLIN};

    if (!x || x->unread || x->reading || poll(&ask, 1, 0) <= 0)
        return false;
    if (!x->moving) {
        bool helped_not = x->deaf && half->server->spins;
        set_deaf(x, true);
        return helped_not;
    }
    size_t before = x->looked_at;
    x->looked_at = http_queued(x) + 1;
    return before == x->looked_at;
}

static void on_look(void *arg)
{
    struct ws_server *server = arg;
    uint64_t turns = loop_turns(server->loop);
    bool again = false;

    server->spins = turns - server->turns > SPIN_TURNS;
    server->turns = turns;

    for (struct ws_half *half = server->halves, *next; half; half = next) {
        next = half->next;
        again |= half->exchange != NULL;
        if (has_left(half) || talks_too_much(half))
            half->left = true;
    }
    /* What hears gone() may end other exchanges, and with them halves: from the top each time. */
    for (struct ws_half *half = server->halves; half;) {
        if (!half->left) {
            half = half->next;
            continue;
        }
        ws_half_free(half);
        half = server->halves;
    }
    if (again)
        timer_start(server->loop, &server->look, LOOK_MS, 0, on_look, server);
}

void ws_http_look(struct ws_server *server)
{
    if (timer_running(&server->look))
        return;
    server->turns = loop_turns(server->loop);
    timer_start(server->loop, &server->look, LOOK_MS, 0, on_look, server);
}

/* The door answers instead of the owner, whose own answer will go nowhere. */
static void answer_instead(struct ws_half *half, int status)
{
    struct http_exchange *late = TAKE(half->exchange);
    struct http_exchange *x = NEW(struct http_exchange);

    x->half = half;
    x->close_after = true;
    x->unread = late->unread;
    x->head_only = late->head_only;
    half->exchange = x;
    ws_http_reply_text(x, status);
    ws_http_orphan(late);
}

/* The owner took too long. */
static void on_no_reply(void *arg)
{
    answer_instead(arg, 503);
}

void ws_http_await(struct http_exchange *x)
{
    struct ws_half *half = x->half;

    ws_http_look(half->server);
    if (x->patience_ms)
        timer_start(half->server->loop, &half->deadline, x->patience_ms, 0, on_no_reply, half);
    else
        timer_stop(half->server->loop, &half->deadline);
}

static void hand_over(struct http_exchange *x)
{
    const struct ws_server_config *config = &x->half->server->config;

    if (!config->http) {
        answer_instead(x->half, 404);
        return;
    }
    x->owned = true;
    ws_http_await(x);
    config->http(config->arg, x);
}

/* ---- a request comes in ---- */

/* What lws makes of a length that is no number, or of two, is its secret: such a request is not answered
 * by anyone who might read it differently. -1: refused. */
static int64_t announced_length(const struct ws_request *request)
{
    const char *text = ws_header(request, "content-length");
    int64_t length = 0;

    if (!text)
        return 0;
    if (!*text || strlen(text) > 15)
        return -1;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return -1;
        length = length * 10 + (*text - '0');
    }
    return length;
}

static bool takes_body(const char *method)
{
    return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
           strcmp(method, "PATCH") == 0;
}

/* 0, or why this request is not for us. */
static int refused_with(struct http_exchange *x)
{
    const struct ws_request *request = &x->head.request;
    int64_t length = announced_length(request);
    bool body_method = takes_body(request->method);

    x->unread = true;
    if (length < 0 || !request->method[0] || (!x->old_client && !ws_header(request, "host")))
        return 400;
    if (ws_header(request, "transfer-encoding") ||
        (body_method && !ws_header(request, "content-length")))
        return 411;
    if (!body_method && length > 0)
        return 400; /* lws would take the body for the next request */
    x->unread = length > 0;
    x->body_length = (size_t)length;
    return 0;
}

/* An agreed size is no crowd to be dropped from; what nobody agreed to waits like a head. */
static void await_body(struct http_exchange *x)
{
    struct ws_half *half = x->half;

    x->reading = true;
    x->unread = false;
    bodies_total += x->body_length;
    if (x->body_length <= half->server->config.http_body_max)
        ws_half_waits(half);
    else
        ws_half_reads(half, (BODY_PATIENCE_S + (int64_t)(x->body_length / BODY_SLOWEST)) * 1000);
    const char *expects = ws_header(&x->head.request, "expect");
    if (expects && strcasecmp(expects, "100-continue") == 0) {
        char text[LWS_PRE + 32];
        int n = snprintf(text + LWS_PRE, sizeof(text) - LWS_PRE, "HTTP/1.1 100 Continue\r\n\r\n");
        lws_write(half->wsi, (unsigned char *)text + LWS_PRE, (size_t)n, LWS_WRITE_HTTP);
    }
}

static struct http_exchange *exchange_new(struct ws_half *half)
{
    struct http_exchange *x = NEW(struct http_exchange);
    char version[16] = "";

    x->half = half;
    x->patience_ms = half->server->config.reply_timeout_ms;
    half->exchange = x;
    ws_head_init(&x->head, half->wsi, &half->peer);
    lws_hdr_copy(half->wsi, version, sizeof(version), WSI_TOKEN_HTTP);
    x->head_only = strcmp(x->head.request.method, "HEAD") == 0;
    x->old_client = strcmp(version, "HTTP/1.0") == 0;
    x->close_after = x->old_client;
    return x;
}

int ws_http_begin(struct ws_half *half)
{
    const struct ws_server_config *config = &half->server->config;

    ws_half_has_head(half);
    if (half->exchange || half->lingers)
        return -1;

    struct http_exchange *x = exchange_new(half);
    size_t body_max = config->http_body_max;
    lws_set_timeout(half->wsi, NO_PENDING_TIMEOUT, 0);

    int refused = refused_with(x);
    if (refused) {
        answer_instead(half, refused);
        return 0;
    }
    if (config->http_head) {
        x->owned = true;
        if (!config->http_head(config->arg, x, &body_max)) {
            if (!x->status)
                ws_http_await(x);
            return 0;
        }
    }
    if (x->body_length == 0)
        hand_over(x);
    else if (x->body_length > body_max)
        answer_instead(half, 413);
    else if (bodies_total + x->body_length > BODIES_MAX)
        answer_instead(half, 503);
    else {
        buf_init(&x->body, body_max);
        await_body(x);
    }
    return 0;
}

int ws_http_body(struct ws_half *half, const void *data, size_t length)
{
    if (half->exchange && half->exchange->reading)
        buf_add(&half->exchange->body, data, length);
    return 0;
}

int ws_http_whole(struct ws_half *half)
{
    struct http_exchange *x = half->exchange;

    if (!x || !x->reading)
        return 0;
    ws_half_has_head(half);
    body_done(x);
    if (x->body.bad)
        return -1;
    hand_over(x);
    return 0;
}
