/* The search for a way with channels that do what the test says. */
#include "tests/unit/tunnel/channel_double.h"
#include "tunnel/way.h"

#define OFFER                                                                                      \
    "{\"culvert\":1,\"version\":\"0.1.0\",\"socket\":\"/run/t.sock\",\"ticket\":"                  \
    "\"0123456789abcdef0123456789abcdef0123456789a\",\"gateway\":\"g\",\"services\":"              \
    "[\"gateway\",\"canvas\"]}\n"

static bool child; /* of the session's facts */
void ssh_facts(const struct ssh *ssh, struct ssh_facts *ret)
{
    (void)ssh;
    *ret = (struct ssh_facts){.child = child};
}

struct rig {
    struct loop *loop;
    struct way *way;
    struct ssh ssh;
    size_t ready, none, notices;
    struct fault why;
    char notice[FAULT_TEXT_MAX];
};
static void on_ready(void *arg)
{
    ((struct rig *)arg)->ready++;
}
static void on_none(void *arg, const struct fault *why)
{
    struct rig *g = arg;
    g->none++;
    g->why = *why;
}
static void on_notice(void *arg, const char *text)
{
    struct rig *g = arg;
    g->notices++;
    snprintf(g->notice, sizeof g->notice, "%s", text);
}
static const struct way_events events = {on_ready, on_none, on_notice};

static void rig_start(struct rig *g)
{
    memset(g, 0, sizeof *g);
    g->loop = loop_new(LOOP_VIRTUAL);
    struct way_config config = {.loop = g->loop,
                                .bridge_command = "culvert bridge",
                                .gateway_port = 18789,
                                .events = &events,
                                .arg = g};
    g->way = way_new(&config);
    way_look(g->way, &g->ssh);
}
static void rig_end(struct rig *g)
{
    way_free(g->way);
    loop_advance(g->loop, 60000);
    channels_forget();
    loop_free(g->loop);
}
static void print(struct rig *g, struct ssh_channel *channel, const char *text)
{
    t_eq(channel->events.data(channel->arg, text, strlen(text)), strlen(text));
    loop_advance(g->loop, 0);
}
static void answer(struct rig *g, int result, const char *text)
{
    channel_opened(channel_newest(), result, text);
    loop_advance(g->loop, 0);
}
/* Takes the bridge to its offer and the probe through. */
static struct ssh_channel *bridge_up(struct rig *g)
{
    struct ssh_channel *bridge = channel_newest();

    answer(g, 0, NULL);
    print(g, bridge, OFFER);
    t_eq(channel_newest()->kind, SSH_STREAMLOCAL);
    answer(g, 0, NULL);
    return bridge;
}
static char *route(struct rig *g, enum bridge_service service, struct ssh_channel_spec *ret)
{
    struct buf first;
    struct fault fault;
    bool gated;

    fault_clear(&fault);
    buf_init(&first, BRIDGE_LINE_MAX);
    int r = way_route(g->way, service, ret, &first, &gated, &fault);
    t_eq(gated, ret->kind == SSH_STREAMLOCAL);
    char *line = r < 0 ? NULL : buf_take(&first);
    buf_done(&first);
    return line;
}

T(a_bridge_gives_streams_its_socket_and_ticket)
{
    struct rig g;
    struct ssh_channel_spec spec;

    rig_start(&g);
    t_eq(channel_newest()->kind, SSH_EXEC);
    bridge_up(&g);
    t_eq(g.ready, 1);
    t_str(way_name(g.way), "bridge");
    t_ok(channels[1]->dropped); /* the probe */
    char *line = route(&g, BRIDGE_CANVAS, &spec);
    t_str(spec.path, "/run/t.sock");
    t_str(line, "CULVERT/1 0123456789abcdef0123456789abcdef0123456789a canvas\n");
    mem_free(line);
    t_eq(g.notices, 0);
    rig_end(&g);
}

T(a_greeting_before_the_offer_is_passed_over)
{
    struct rig g;

    rig_start(&g);
    struct ssh_channel *bridge = channel_newest();
    answer(&g, 0, NULL);
    print(&g, bridge, "Welcome!\nLast login: today\n\n{\"cul");
    for (const char *c = &OFFER[5]; *c; c++) {
        char one[2] = {*c, '\0'};
        print(&g, bridge, one);
    }
    answer(&g, 0, NULL);
    t_eq(g.ready, 1);
    print(&g, bridge, "pong 1\n"); /* what it says later is nobody's */
    rig_end(&g);
}

T(a_login_script_that_never_stops_is_no_bridge)
{
    struct rig g;
    char text[1001];

    memset(text, 'x', 1000);
    text[999] = '\n';
    text[1000] = '\0';
    rig_start(&g);
    struct ssh_channel *bridge = channel_newest();
    answer(&g, 0, NULL);
    for (int i = 0; i < 200 && !bridge->dropped; i++)
        print(&g, bridge, text);
    t_ok(bridge->dropped);
    t_eq(channel_newest()->kind, SSH_TCP);
    answer(&g, 0, NULL);
    t_has(g.notice, "login script");
    rig_end(&g);
}

T(without_culvert_over_there_streams_go_to_its_port)
{
    struct rig g;
    struct ssh_channel_spec spec;

    rig_start(&g);
    struct ssh_channel *bridge = channel_newest();
    answer(&g, 0, NULL);
    bridge->events.noise(bridge->arg, "sh: culvert: not found\n", 23);
    channel_closed(bridge, 127, NULL);
    loop_advance(g.loop, 0);
    t_eq(channel_newest()->kind, SSH_TCP);
    answer(&g, 0, NULL);
    t_str(way_name(g.way), "direct-tcpip");
    t_eq(g.ready, 1);
    t_eq(g.notices, 1);
    t_has(g.notice, "not in PATH");
    char *line = route(&g, BRIDGE_CANVAS, &spec);
    t_str(line, "");
    t_str(spec.host, "127.0.0.1");
    t_eq(spec.port, 18793);
    mem_free(line);

    way_look(g.way, &g.ssh); /* another session: the same, and not said again */
    channel_closed(channel_newest(), 127, NULL);
    answer(&g, 0, NULL);
    t_eq(g.ready, 2);
    t_eq(g.notices, 1);
    rig_end(&g);
}

T(nobody_anywhere_is_told_with_every_reason)
{
    struct rig g;

    rig_start(&g);
    struct ssh_channel *bridge = channel_newest();
    answer(&g, 0, NULL);
    print(&g, bridge, "{\"culvert\":1,\"error\":\"no gateway is running here\"}\n");
    answer(&g, -ERR_CONNECT, "nobody listens on port 18789");
    t_eq(g.none, 1);
    t_eq(g.ready, 0);
    t_has(g.why.text, "no gateway is running here");
    t_has(g.why.text, "nobody listens on port 18789");
    t_str(way_name(g.way), "");
    rig_end(&g);
}

/* Somebody else on that host may have its port. */
T(while_the_gateway_we_know_is_down_its_port_is_nobodys)
{
    struct rig g;

    rig_start(&g);
    bridge_up(&g);
    t_eq(g.ready, 1);
    way_look(g.way, &g.ssh);
    struct ssh_channel *bridge = channel_newest();
    answer(&g, 0, NULL);
    print(&g, bridge, "{\"culvert\":1,\"error\":\"no gateway is running here\"}\n");
    t_ok(channel_newest() == bridge);
    t_eq(g.none, 1);
    t_has(g.why.text, "bridge: no gateway is running here");
    rig_end(&g);
}

T(where_forwarding_is_forbidden_each_stream_is_a_command)
{
    struct rig g;
    struct ssh_channel_spec spec;

    rig_start(&g);
    struct ssh_channel *bridge = channel_newest();
    answer(&g, 0, NULL);
    print(&g, bridge, OFFER);
    answer(&g, -ERR_DENIED, "AllowStreamLocalForwarding no");
    t_eq(channel_newest()->kind, SSH_TCP);
    answer(&g, -ERR_DENIED, "AllowTcpForwarding no");
    t_str(way_name(g.way), "exec");
    t_has(g.notice, "AllowTcpForwarding no");
    t_ok(bridge->dropped); /* one of MaxSessions more for streams */
    char *line = route(&g, BRIDGE_GATEWAY, &spec);
    t_str(spec.command, "culvert bridge --stdio gateway");
    mem_free(line);
    struct fault full;
    fault_set(&full, -ERR_FULL, "MaxSessions");
    t_ok(!way_failed(g.way, &full)); /* of this one stream */
    t_ok(way_ready(g.way));
    rig_end(&g);
}

T(streamlocal_forbidden_alone_leaves_the_port)
{
    struct rig g;

    rig_start(&g);
    struct ssh_channel *bridge = channel_newest();
    answer(&g, 0, NULL);
    print(&g, bridge, OFFER);
    answer(&g, -ERR_DENIED, "AllowStreamLocalForwarding no");
    answer(&g, 0, NULL);
    t_str(way_name(g.way), "direct-tcpip");
    t_ok(bridge->dropped);
    rig_end(&g);
}

T(a_bridge_that_ends_is_a_way_lost)
{
    struct rig g;

    rig_start(&g);
    struct ssh_channel *bridge = bridge_up(&g);
    channel_closed(bridge, 0, NULL);
    loop_advance(g.loop, 0);
    t_eq(g.none, 1);
    t_ok(!way_ready(g.way));
    way_look(g.way, &g.ssh);
    bridge_up(&g);
    t_eq(g.ready, 2);
    rig_end(&g);
}

T(a_session_that_goes_is_not_a_way_lost)
{
    struct rig g;

    rig_start(&g);
    struct ssh_channel *bridge = bridge_up(&g);
    channel_closed(bridge, -1, "the session went");
    way_look(g.way, NULL);
    loop_advance(g.loop, 60000);
    t_eq(g.none, 0);
    t_ok(!way_ready(g.way));
    rig_end(&g);
}

T(a_stream_that_fails_by_a_way_puts_it_in_doubt_once)
{
    struct rig g;
    struct fault why;

    rig_start(&g);
    bridge_up(&g);
    fault_set(&why, -ERR_CONNECT, "nobody listens on the socket");
    t_ok(way_failed(g.way, &why));
    t_ok(way_failed(g.way, &why));
    loop_advance(g.loop, 0);
    t_eq(g.none, 1);
    t_str(g.why.text, "nobody listens on the socket");
    rig_end(&g);
}

T(silence_is_not_awaited_for_ever)
{
    struct rig g;

    rig_start(&g);
    answer(&g, 0, NULL);
    loop_advance(g.loop, WAY_STEP_MS);
    t_eq(channel_newest()->kind, SSH_TCP);
    loop_advance(g.loop, WAY_STEP_MS);
    t_eq(g.none, 1);
    t_has(g.why.text, "bridge gave no answer");
    t_has(g.why.text, "direct-tcpip gave no answer");
    rig_end(&g);
}

T(garbage_is_no_offer)
{
    static const char *const lines[] = {
        "{}\n", "{\"culvert\":1}\n", "{\"culvert\":2,\n",
        "{\"culvert\":1,\"socket\":\"relative\",\"ticket\":\"x\"}\n"};
    struct rig g;

    for (size_t i = 0; i < COUNT(lines); i++) {
        rig_start(&g);
        struct ssh_channel *bridge = channel_newest();
        answer(&g, 0, NULL);
        print(&g, bridge, lines[i]);
        t_ok(bridge->dropped);
        t_eq(channel_newest()->kind, SSH_TCP);
        rig_end(&g);
    }
}

T(over_a_child_ssh_the_way_is_called_so)
{
    struct rig g;

    child = true;
    rig_start(&g);
    bridge_up(&g);
    t_str(way_name(g.way), "ssh");
    rig_end(&g);
    child = false;
}
