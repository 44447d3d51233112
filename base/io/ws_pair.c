/* Two ends joined in memory. What one end queues is handed to the other by a deferred call, so never
 * inside the call that sent it; a close passes through the queue like a message and ends both ends. */
#include "base/io/ws_internal.h"

#include "base/mem.h"

#include <string.h>

void ws_pair(struct loop *loop, size_t output_max, struct ws **ret_a, struct ws **ret_b)
{
    struct ws *a = ws_new(loop, output_max, SIZE_MAX), *b = ws_new(loop, output_max, SIZE_MAX);

    a->other = b;
    b->other = a;
    *ret_a = a;
    *ret_b = b;
}

static void pass_close(struct ws *from, struct ws *to, const char *frame, size_t length)
{
    uint16_t code = (uint16_t)((uint8_t)frame[0] << 8 | (uint8_t)frame[1]);
    char reason[WS_CLOSE_REASON_MAX + 1];

    memcpy(reason, frame + 2, length - 2);
    reason[length - 2] = '\0';
    from->other = to->other = NULL;
    ws_end(to, to->state == WS_CLOSING ? to->close_code : code, reason);
    ws_end(from, from->close_code, NULL);
}

/* Hands over one message; false when nothing can be handed over. */
static bool pass_one(struct ws *from)
{
    struct ws *to = from->other;

    if (!to || to->paused || ws_out_empty(&from->out))
        return false;

    size_t before = ws_queued(from), length = ws_out_first_length(&from->out);
    CLEAN(mem_free) char *text = mem_array(length + 1, 1);
    struct ws_piece piece = ws_out_take(&from->out, text, length);
    ws_count_output(from, before);

    if (piece.opcode == WS_CLOSE)
        pass_close(from, to, text, length);
    else if (piece.opcode == WS_PING)
        from->last_read = loop_now(from->loop);
    else
        ws_input(to, text, length, true, 0);
    if (piece.opcode == WS_PING && from->events && from->events->pong)
        from->events->pong(from, from->arg);
    return from->state != WS_ENDED;
}

static void run_flush(void *arg)
{
    struct ws *ws = arg;
    uint32_t last = ws->out.pushed; /* what is queued meanwhile waits for the next turn */

    while (!ws_out_empty(&ws->out) && ws->out.popped != last)
        if (!pass_one(ws))
            return;
    if (!ws_out_empty(&ws->out))
        ws_pair_flush(ws);
    else if (ws->events && ws->events->drained)
        ws->events->drained(ws, ws->arg);
}

void ws_pair_flush(struct ws *ws)
{
    defer_start(ws->loop, &ws->end, run_flush, ws);
}

void ws_pair_detach(struct ws *ws)
{
    struct ws *other = TAKE(ws->other);

    defer_stop(ws->loop, &ws->end);
    if (!other)
        return;
    other->other = NULL;
    ws_end(other, 1006, NULL);
}
