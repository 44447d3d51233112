/* The WebSocket door over real sockets: messages both ways, closes, pauses, ceilings. */
#include "tests/wire/base/io/ws_rig.h"

T(echo_over_tcp)
{
    struct rig *g = rig_new();
    g->echo = true;
    rig_listen(g);
    struct heard *h = rig_client(g);
    t_eq(ws_send(h->ws, "hello", 5, NULL), 0);
    CLEAN(bytes_unref) struct bytes *tail = bytes_new(" world", 6);
    t_eq(ws_send(h->ws, "again", 5, tail), 0);
    rig_until(g, h->messages == 2);
    t_str(h->text.data, "hello\nagain world\n");
    t_eq(g->peer.transport, WS_TCP);
    t_eq(g->peer.uid, UINT32_MAX);
    ws_close(h->ws, 1000, "bye");
    rig_until(g, h->closes == 1 && g->accepted[0]->closes == 1);
    t_eq(h->code, 1000);
    t_eq(g->accepted[0]->code, 1000);
    t_str(g->accepted[0]->reason, "bye");
    heard_free(h);
    rig_free(g);
}

T(server_closes_with_code_and_reason)
{
    struct rig *g = rig_new();
    rig_listen(g);
    struct heard *h = rig_client(g);
    t_eq(ws_send(g->accepted[0]->ws, "last", 4, NULL), 0);
    ws_close(g->accepted[0]->ws, 1012, "service restart");
    rig_until(g, h->closes == 1 && g->accepted[0]->closes == 1);
    t_str(h->text.data, "last\n");
    t_eq(h->code, 1012);
    t_str(h->reason, "service restart");
    t_eq(g->accepted[0]->code, 1012);
    heard_free(h);
    rig_free(g);
}

T(server_free_ends_everything)
{
    struct rig *g = rig_new();
    rig_listen(g);
    struct heard *h = rig_client(g);
    g->server = ws_server_free(g->server);
    t_eq(g->accepted[0]->closes, 1);
    rig_until(g, h->closes == 1);
    heard_free(h);
    rig_free(g);
}

static void free_server(struct ws *ws, void *arg, const char *text, size_t length)
{
    struct rig *g = arg;
    (void)ws;
    (void)text;
    (void)length;
    g->server = ws_server_free(g->server);
}

static void ignore_close(struct ws *ws, void *arg, uint16_t code, const char *reason)
{
    (void)ws;
    (void)reason;
    t_eq(code, 1001);
    ((struct rig *)arg)->accepted[0]->closes++;
}

T(a_message_may_end_the_server_it_came_to)
{
    static const struct ws_events events = {.message = free_server, .closed = ignore_close};
    struct rig *g = rig_new();
    rig_listen(g);
    struct heard *h = rig_client(g), *h2 = rig_client(g);
    ws_set_events(g->accepted[0]->ws, &events, g);
    for (int i = 0; i < 3; i++)
        t_eq(ws_send(h->ws, "stop", 4, NULL), 0);
    rig_until(g, h->closes == 1 && h2->closes == 1);
    t_eq(g->accepted[0]->closes, 1);
    heard_free(h);
    heard_free(h2);
    rig_free(g);
}

static void abort_self(struct ws *ws, void *arg, const char *text, size_t length)
{
    heard_message(ws, arg, text, length);
    ws_abort(ws);
}

T(a_message_may_abort_its_own_connection)
{
    static const struct ws_events events = {.message = abort_self, .closed = heard_closed};
    struct rig *g = rig_new();
    rig_listen(g);
    struct heard *h = rig_client(g);
    ws_set_events(g->accepted[0]->ws, &events, g->accepted[0]);
    for (int i = 0; i < 3; i++)
        t_eq(ws_send(h->ws, "stop", 4, NULL), 0);
    rig_until(g, h->closes == 1 && g->accepted[0]->closes == 1);
    t_eq(g->accepted[0]->messages, 1);
    t_eq(h->code, 1006);
    heard_free(h);
    rig_free(g);
}

T(hundreds_of_connections_come_and_go)
{
    struct rig *g = rig_new();
    g->echo = true;
    rig_listen(g);
    struct heard *all[300];
    for (size_t i = 0; i < COUNT(all); i++)
        all[i] = rig_client(g);
    CLEAN(bytes_unref) struct bytes *event = bytes_new("to everybody", 12);
    /* The first of a turn leaves at once, the second waits for the turn's end by reference. */
    for (size_t i = 0; i < 2 * COUNT(all); i++)
        t_eq(ws_send(g->accepted[i / 2]->ws, NULL, 0, event), 0);
    t_eq(event->refs, COUNT(all) + 1);
    t_eq(ws_output_total(), COUNT(all) * event->length);
    rig_until(g, all[COUNT(all) - 1]->messages == 2 && all[0]->messages == 2);
    rig_until(g, event->refs == 1);
    for (size_t i = 0; i < COUNT(all); i += 2)
        ws_close(all[i]->ws, 1000, NULL);
    rig_until(g, all[0]->closes == 1 && all[COUNT(all) - 2]->closes == 1);
    g->server = ws_server_free(g->server);
    rig_until(g, all[1]->closes == 1 && all[COUNT(all) - 1]->closes == 1);
    for (int i = 0; i < 50; i++)
        loop_turn(g->loop, false);
    for (size_t i = 0; i < COUNT(all); i++) {
        t_eq(all[i]->closes, 1);
        heard_free(all[i]);
    }
    rig_free(g);
}
