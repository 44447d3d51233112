/* The output path (design.md section 4). Frames are made by ws_out_fill and leave in one raw lws_write at
 * the end of the turn in which they were queued, without arming POLLOUT; lws copes with a partial write
 * and calls back when it is over. Each batch ends on a frame boundary, so the pongs and close answers
 * that lws sends by itself never land inside a frame. On an lws this was not proved on, one lws_write
 * per frame is done instead. */
#include "base/io/ws_internal.h"

#include "base/mem.h"

#include <libwebsockets.h>

static uint8_t *door_batch(struct ws_door *door)
{
    if (!door->batch)
        door->batch = mem_array(LWS_PRE + WS_BATCH_MAX, 1);
    return door->batch + LWS_PRE;
}

static int write_batch(struct ws *ws, uint8_t *batch)
{
    size_t length = ws_out_fill(&ws->out, batch, WS_BATCH_MAX, ws->client);
    int written = lws_write(ws->wsi, batch, length, LWS_WRITE_HTTP);

    if (written < (int)length)
        return -1;
    return (int)length;
}

/* The way without the trick: one frame by lws's own framing, only from the writable callback. (A close
 * frame of ours stays raw: lws's way of sending one does not hand back the connection.) */
static int write_frame(struct ws *ws, uint8_t *batch)
{
    if (ws_out_first_opcode(&ws->out) == WS_CLOSE)
        return write_batch(ws, batch);

    struct ws_piece piece = ws_out_take(&ws->out, batch, WS_BATCH_MAX);
    int how = piece.opcode == WS_CONTINUATION ? LWS_WRITE_CONTINUATION
              : piece.opcode == WS_PING       ? LWS_WRITE_PING
                                              : LWS_WRITE_TEXT;
    if (!piece.final)
        how |= LWS_WRITE_NO_FIN;
    int written = lws_write(ws->wsi, batch, piece.length, (enum lws_write_protocol)how);
    return written < 0 ? -1 : (int)piece.length;
}

/* Writes what may be written now. */
void ws_lws_write_some(struct ws *ws, bool writable)
{
    struct ws_door *door = ws->door;

    if (ws->state == WS_ENDED || ws->state == WS_CONNECTING || !ws->wsi)
        return;
    if (lws_partial_buffered(ws->wsi) || (!writable && !door->raw)) {
        lws_callback_on_writable(ws->wsi);
        return;
    }

    size_t before = ws_queued(ws);
    int written = 0;
    ws->held = 0;
    if (!ws_out_empty(&ws->out))
        written = door->raw ? write_batch(ws, door_batch(door)) : write_frame(ws, door_batch(door));
    if (written < 0) {
        ws_count_output(ws, before);
        ws_end(ws, 1006, NULL);
        return;
    }
    if (lws_partial_buffered(ws->wsi))
        ws->held = (size_t)written;
    ws_count_output(ws, before);
    if (ws->held || !ws_out_empty(&ws->out))
        lws_callback_on_writable(ws->wsi);
    else if (before > 0 && ws->events && ws->events->drained)
        ws->events->drained(ws, ws->arg);
}

/* Each connection that queued something gets one write; who queues meanwhile waits for the next pass. */
static void run_flush(void *arg)
{
    struct ws_door *door = arg;
    size_t count = door->flush_count;

    while (count-- > 0 && door->flush) {
        struct ws *ws = door->flush;
        ws_lws_forget_flush(ws);
        ws_lws_write_some(ws, false);
    }
    if (door->flush)
        defer_start(door->loop, &door->flush_later, run_flush, door);
}

static void on_turn_over(void *arg)
{
    ((struct ws_door *)arg)->turn++;
}

/* An event to many leaves here without a place in any queue; a second message to the same connection
 * in the same turn waits for the batch at its end, and so do answers while input is being read. */
int ws_lws_send_now(struct ws *ws, const void *head, size_t head_length, struct bytes *tail)
{
    struct ws_door *door = ws->door;
    size_t length = head_length + (tail ? tail->length : 0);

    if (!door->raw || ws->flushing || ws->held || door->reading == ws || ws->wrote == door->turn ||
        !ws->wsi || !ws_out_empty(&ws->out) || length + WS_FRAME_HEAD_MAX > WS_BATCH_MAX ||
        lws_partial_buffered(ws->wsi))
        return 0;

    uint8_t *batch = door_batch(door);
    size_t frame = ws_out_frame(batch, head, head_length, tail, ws->client);
    ws->wrote = door->turn;
    defer_start(door->loop, &door->turn_over, on_turn_over, door);
    if (lws_write(ws->wsi, batch, frame, LWS_WRITE_HTTP) < (int)frame) {
        ws_end(ws, 1006, NULL);
        return -ERR_CLOSED;
    }
    if (lws_partial_buffered(ws->wsi)) {
        ws->held = frame;
        ws_count_output(ws, 0);
        lws_callback_on_writable(ws->wsi);
    }
    return 1;
}

void ws_lws_flush_later(struct ws *ws)
{
    struct ws_door *door = ws->door;

    if (ws->flushing)
        return;
    ws->flushing = true;
    ws->flush_next = NULL;
    *door->flush_tail = ws;
    door->flush_tail = &ws->flush_next;
    door->flush_count++;
    defer_start(door->loop, &door->flush_later, run_flush, door);
}

void ws_lws_forget_flush(struct ws *ws)
{
    struct ws_door *door = ws->door;

    if (!ws->flushing)
        return;
    ws->flushing = false;
    door->flush_count--;
    for (struct ws **at = &door->flush; *at; at = &(*at)->flush_next) {
        if (*at != ws)
            continue;
        *at = ws->flush_next;
        if (door->flush_tail == &ws->flush_next)
            door->flush_tail = at;
        return;
    }
}

void ws_lws_pause(struct ws *ws, bool paused)
{
    if (ws->wsi)
        lws_rx_flow_control(ws->wsi, paused ? 0 : 1);
}
