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
