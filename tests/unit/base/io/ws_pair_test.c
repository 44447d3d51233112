/* Two ends in memory behave like a connection: later delivery, ceilings, pauses, closes. */
#include "base/mem.h"
#include "tests/wire/base/io/ws_rig.h"

struct two {
    struct loop *loop;
    struct heard *a, *b;
};

static struct two two_new(size_t output_max)
{
    struct two t = {loop_new(LOOP_VIRTUAL), heard_new(), heard_new()};
    ws_pair(t.loop, output_max, &t.a->ws, &t.b->ws);
    ws_set_events(t.a->ws, &heard_events, t.a);
    ws_set_events(t.b->ws, &heard_events, t.b);
    return t;
}

static void settle(struct two *t)
{
    loop_advance(t->loop, 0);
}

static void two_free(struct two *t)
{
    if (t->a->ws)
        ws_abort(t->a->ws);
    settle(t);
    t_eq(t->a->closes, 1);
    t_eq(t->b->closes, 1);
    loop_free(t->loop);
    t_eq(ws_output_total(), 0);
    heard_free(t->a);
    heard_free(t->b);
}

T(messages_arrive_on_a_later_turn_in_order)
{
    struct two t = two_new(1000);
    CLEAN(bytes_unref) struct bytes *tail = bytes_new("tail", 4);
    t_eq(ws_send(t.a->ws, "one", 3, NULL), 0);
    t_eq(ws_send(t.a->ws, "two ", 4, tail), 0);
    t_eq(t.b->messages, 0);
    t_eq(ws_queued(t.a->ws), 11);
    settle(&t);
    t_str(t.b->text.data, "one\ntwo tail\n");
    t_eq(t.a->drained, 1);
    t_eq(ws_queued(t.a->ws), 0);
    two_free(&t);
}

T(a_full_queue_refuses)
{
    struct two t = two_new(10);
    t_eq(ws_send(t.a->ws, "123456", 6, NULL), 0);
    t_eq(ws_send(t.a->ws, "12345", 5, NULL), -ERR_FULL);
    t_eq(ws_send(t.a->ws, "1234", 4, NULL), 0);
    settle(&t);
    t_str(t.b->text.data, "123456\n1234\n");
    two_free(&t);
}

T(a_paused_end_holds_the_others_queue)
{
    struct two t = two_new(1000);
    ws_pause(t.b->ws, true);
    t_eq(ws_send(t.a->ws, "x", 1, NULL), 0);
    settle(&t);
    t_eq(t.b->messages, 0);
    t_eq(ws_queued(t.a->ws), 1);
    ws_pause(t.b->ws, false);
    settle(&t);
    t_eq(t.b->messages, 1);
    two_free(&t);
}

T(close_comes_after_what_was_sent)
{
    struct two t = two_new(1000);
    t_eq(ws_send(t.a->ws, "last", 4, NULL), 0);
    ws_close(t.a->ws, 1008, "slow consumer");
    t_eq(ws_send(t.a->ws, "x", 1, NULL), -ERR_CLOSED);
    settle(&t);
    t_str(t.b->text.data, "last\n");
    t_eq(t.b->code, 1008);
    t_str(t.b->reason, "slow consumer");
    t_eq(t.a->code, 1008);
    two_free(&t);
}

T(both_closing_at_once_end)
{
    struct two t = two_new(1000);
    ws_close(t.a->ws, 1000, "a");
    ws_close(t.b->ws, 1001, "b");
    settle(&t);
    t_eq(t.a->code, 1000);
    t_eq(t.b->code, 1001);
    two_free(&t);
}

T(an_abort_is_1006_for_both)
{
    struct two t = two_new(1000);
    t_eq(ws_send(t.a->ws, "lost", 4, NULL), 0);
    ws_abort(t.a->ws);
    settle(&t);
    t_eq(t.a->code, 1006);
    t_eq(t.b->code, 1006);
    t_eq(t.b->messages, 0);
    two_free(&t);
}

T(a_close_to_a_paused_end_waits_two_seconds)
{
    struct two t = two_new(1000);
    ws_pause(t.b->ws, true);
    ws_close(t.a->ws, 1000, "");
    loop_advance(t.loop, 1999);
    t_eq(t.a->closes, 0);
    loop_advance(t.loop, 1);
    t_eq(t.a->closes, 1);
    two_free(&t);
}

T(ping_is_answered)
{
    struct two t = two_new(1000);
    ws_ping(t.a->ws);
    settle(&t);
    t_eq(t.a->pongs, 1);
    t_eq(t.b->messages, 0);
    two_free(&t);
}
