/* Every connection's life, whatever carries it. Lives here: the public calls that hold for server,
 * client and pair alike, messages put together from their parts, and the one way a connection ends.
 *
 * The path: ws_send queues, the carrier (ws_lws.c, ws_pair.c) takes the queue at the end of the turn;
 * what comes in passes ws_input; ws_close queues a close frame and waits; everything ends in ws_end,
 * whose closed() runs from a deferred call, after which the ws is gone. */
#include "base/io/ws_internal.h"

#include "base/mem.h"

#include <string.h>

#define OUTPUT_DEFAULT  (16u << 20)
#define MESSAGE_DEFAULT (25u << 20)

/* Loops on several threads share these ceilings. */
static size_t output_total, input_total;

size_t ws_output_total(void)
{
    return __atomic_load_n(&output_total, __ATOMIC_RELAXED);
}

size_t ws_input_total(void)
{
    return __atomic_load_n(&input_total, __ATOMIC_RELAXED);
}

size_t ws_received(const struct ws *ws)
{
    return ws->in.length;
}

size_t ws_queued(const struct ws *ws)
{
    return ws->out.queued + ws->held;
}

/* before: ws_queued before a change. */
void ws_count_output(struct ws *ws, size_t before)
{
    __atomic_fetch_add(&output_total, ws_queued(ws) - before, __ATOMIC_RELAXED);
}

struct ws *ws_new(struct loop *loop, size_t output_max, size_t message_max)
{
    struct ws *ws = NEW(struct ws);

    ws->magic = WS_MAGIC;
    ws->loop = loop;
    ws->state = WS_OPEN;
    ws->output_max = output_max ? output_max : OUTPUT_DEFAULT;
    ws->message_max = message_max ? message_max : MESSAGE_DEFAULT;
    ws->last_read = loop_now(loop);
    ws->peer = (struct ws_peer){.transport = WS_PAIR, .uid = UINT32_MAX, .fd = -1};
    return ws;
}

void ws_set_events(struct ws *ws, const struct ws_events *events, void *arg)
{
    ws->events = events;
    ws->arg = arg;
}

void ws_set_message_max(struct ws *ws, size_t bytes)
{
    ws->message_max = bytes;
    ws->in.max = bytes; /* also of a message that has begun */
}

const struct ws_peer *ws_peer(const struct ws *ws)
{
    return &ws->peer;
}

int64_t ws_last_read(const struct ws *ws)
{
    return ws->last_read;
}

/* ---- out ---- */

static void flush_later(struct ws *ws)
{
    if (ws->door)
        ws_lws_flush_later(ws);
    else
        ws_pair_flush(ws);
}

static void push(struct ws *ws, enum ws_opcode opcode, const void *head, size_t head_length,
                 struct bytes *tail)
{
    size_t before = ws_queued(ws);

    ws_out_push(&ws->out, opcode, head, head_length, tail);
    ws_count_output(ws, before);
    flush_later(ws);
}

int ws_send(struct ws *ws, const void *head, size_t head_length, struct bytes *tail)
{
    if (ws->state != WS_OPEN)
        return -ERR_CLOSED;
    size_t length = head_length + (tail ? tail->length : 0);
    if (length > UINT32_MAX / 4 || ws_queued(ws) + length > ws->output_max)
        return -ERR_FULL;

    int r = ws->door ? ws_lws_send_now(ws, head, head_length, tail) : 0;
    if (r == 0)
        push(ws, WS_TEXT, head, head_length, tail);
    return r < 0 ? r : 0;
}

void ws_gather(struct ws *ws)
{
    if (ws->door && ws->state == WS_OPEN)
        ws_lws_flush_later(ws);
}

void ws_ping(struct ws *ws)
{
    if (ws->state == WS_OPEN) /* not empty: lws keeps empty pongs to itself */
        push(ws, WS_PING, "?", 1, NULL);
}

/* The longest prefix of at most max bytes that ends between two characters. */
size_t ws_cut_utf8(const char *text, size_t length, size_t max)
{
    if (length <= max)
        return length;
    while (max > 0 && ((uint8_t)text[max] & 0xc0) == 0x80)
        max--;
    return max;
}

static void on_close_wait(void *arg)
{
    struct ws *ws = arg;
    ws_end(ws, ws->close_code, NULL);
}

static void remember_close(struct ws *ws, uint16_t code, const char *reason, size_t length)
{
    ws->close_code = code;
    mem_free(ws->close_reason);
    ws->close_reason = length ? mem_slice(reason, length) : NULL;
}

static void drop_input(struct ws *ws)
{
    __atomic_fetch_sub(&input_total, ws->in.length, __ATOMIC_RELAXED);
    buf_done(&ws->in);
}

void ws_close(struct ws *ws, uint16_t code, const char *reason)
{
    if (ws->state == WS_CONNECTING) {
        ws_connect_drop(ws);
        return;
    }
    if (ws->state != WS_OPEN)
        return;

    char frame[2 + WS_CLOSE_REASON_MAX];
    size_t length = reason ? ws_cut_utf8(reason, strlen(reason), WS_CLOSE_REASON_MAX) : 0;
    frame[0] = (char)(code >> 8);
    frame[1] = (char)code;
    if (length)
        memcpy(frame + 2, reason, length);

    ws->state = WS_CLOSING;
    ws->over = true;
    drop_input(ws);
    remember_close(ws, code, reason, length);
    push(ws, WS_CLOSE, frame, 2 + length, NULL);
    timer_start(ws->loop, &ws->close_timer, WS_CLOSE_WAIT_MS, 0, on_close_wait, ws);
    if (ws->paused) /* their answer must be read */
        ws_pause(ws, false);
}

void ws_abort(struct ws *ws)
{
    if (ws->state == WS_CONNECTING)
        ws_connect_drop(ws);
    else
        ws_end(ws, 1006, NULL);
}

/* ---- in ---- */

void ws_pause(struct ws *ws, bool paused)
{
    if (ws->paused == paused || ws->state == WS_ENDED)
        return;
    ws->paused = paused;
    if (ws->door)
        ws_lws_pause(ws, paused);
    else if (!paused && ws->other)
        ws_pair_flush(ws->other);
}

static void deliver(struct ws *ws, const char *text, size_t length)
{
    if (ws->events && ws->events->message)
        ws->events->message(ws, ws->arg, text, length);
}

void ws_input(struct ws *ws, const char *data, size_t length, bool final, size_t to_come)
{
    ws->last_read = loop_now(ws->loop);
    if (ws->over || ws->state != WS_OPEN)
        return;
    if (length > ws->message_max || ws->in.length + length + to_come > ws->message_max) {
        ws_close(ws, 1009, NULL);
        return;
    }
    if (final && ws->in.length == 0) {
        deliver(ws, data, length);
        return;
    }

    if (!ws->in.data)
        buf_init(&ws->in, ws->message_max);
    buf_add(&ws->in, data, length);
    __atomic_fetch_add(&input_total, length, __ATOMIC_RELAXED);
    if (!final)
        return;

    struct buf whole = ws->in;
    ws->in = (struct buf){0};
    __atomic_fetch_sub(&input_total, whole.length, __ATOMIC_RELAXED);
    deliver(ws, whole.data, whole.length);
    buf_done(&whole);
}

void ws_input_close(struct ws *ws, uint16_t code, const char *reason, size_t length)
{
    ws->last_read = loop_now(ws->loop);
    if (ws->state != WS_OPEN) /* the answer to ours */
        return;

    size_t before = ws_queued(ws);
    ws->state = WS_CLOSING;
    ws->over = true;
    drop_input(ws);
    ws_out_done(&ws->out);
    ws_count_output(ws, before);
    remember_close(ws, code, reason, length);
    timer_start(ws->loop, &ws->close_timer, WS_CLOSE_WAIT_MS, 0, on_close_wait, ws);
}

/* ---- the end ---- */

static void unlink_from_server(struct ws *ws)
{
    if (!ws->link)
        return;
    *ws->link = ws->next;
    if (ws->next)
        ws->next->link = ws->link;
    ws->link = NULL;
}

static void run_end(void *arg)
{
    struct ws *ws = arg;
    struct ws_door *door = ws->door;

    CHECK(ws, WS_MAGIC);
    if (ws->wsi)
        ws_lws_kill(door, TAKE(ws->wsi));
    unlink_from_server(ws);
    if (ws->events && ws->events->closed)
        ws->events->closed(ws, ws->arg, ws->close_code, ws->close_reason ? ws->close_reason : "");
    if (ws->server)
        ws_server_release(ws->server, &ws->peer);
    mem_free(ws->close_reason);
    ws->magic = 0;
    mem_free(ws);
    if (door)
        ws_door_unref(door);
}

void ws_end(struct ws *ws, uint16_t code, const char *reason)
{
    if (ws->state == WS_ENDED)
        return;

    size_t before = ws_queued(ws);
    ws->state = WS_ENDED;
    ws_out_done(&ws->out);
    ws->held = 0;
    ws_count_output(ws, before);
    drop_input(ws);
    timer_stop(ws->loop, &ws->close_timer);
    if (code != ws->close_code)
        remember_close(ws, code, reason, reason ? strlen(reason) : 0);
    if (ws->connect)
        ws_connect_forget(ws);
    if (ws->door)
        ws_lws_forget_flush(ws);
    else
        ws_pair_detach(ws);
    defer_start(ws->loop, &ws->end, run_end, ws);
}

void ws_end_now(struct ws *ws, uint16_t code, const char *reason)
{
    ws_end(ws, code, reason);
    defer_stop(ws->loop, &ws->end);
    run_end(ws);
}
