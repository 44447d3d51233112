/* The client side: what a person is told when it does not connect, TLS trust and pins, cancelling. */
#include "tests/wire/base/io/ws_certificate.h"
#include "tests/wire/base/io/ws_rig.h"

#include <arpa/inet.h>
#include <unistd.h>

static int unused_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t length = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    t_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    getsockname(fd, (struct sockaddr *)&a, &length);
    close(fd);
    return ntohs(a.sin_port);
}

static void fails_with(struct rig *g, const struct ws_target *target, int code, const char *part)
{
    struct heard *h = heard_new();
    struct fault fault = {0};

    t_eq(rig_connect_to(g, h, target, &fault), code);
    t_has(fault.text, part);
    t_eq(h->closes, 0);
    t_eq(h->messages, 0);
    while (loop_turn(g->loop, false))
        ;
    heard_free(h);
}

T(refused_is_said_with_host_and_port)
{
    struct rig *g = rig_new();
    struct ws_target target = {.host = "127.0.0.1", .port = unused_port()};
    fails_with(g, &target, -ERR_CONNECT, "cannot connect to 127.0.0.1 port ");
    fails_with(g, &target, -ERR_CONNECT, "connection refused");
    target.host = "localhost";
    fails_with(g, &target, -ERR_CONNECT, "cannot connect to localhost port ");
    rig_free(g);
}

T(a_name_that_is_not_found_is_said)
{
    struct rig *g = rig_new();
    struct ws_target target = {.host = "no-such-host.invalid", .port = 1};
    fails_with(g, &target, -ERR_CONNECT, "cannot find the address of no-such-host.invalid");
    rig_free(g);
}

T(a_missing_socket_is_said)
{
    struct rig *g = rig_new();
    struct ws_target target = {.unix_path = "/tmp/no/such.sock"};
    fails_with(g, &target, -ERR_CONNECT, "/tmp/no/such.sock: no such socket");
    rig_free(g);
}

T(a_target_without_port_is_said)
{
    struct rig *g = rig_new();
    struct ws_target target = {.host = "127.0.0.1"};
    fails_with(g, &target, -ERR_INVALID, "no valid port");
    rig_free(g);
}

T(a_refused_upgrade_tells_its_status)
{
    struct rig *g = rig_new();
    g->refuse = 403;
    rig_listen(g);
    struct ws_target target = {.host = "127.0.0.1", .port = ws_server_port(g->server)};
    fails_with(g, &target, -ERR_DENIED, "HTTP status 403");
    g->refuse = 503;
    fails_with(g, &target, -ERR_CONNECT, "HTTP status 503");
    rig_free(g);
}

T(localhost_reaches_either_family)
{
    struct rig *g = rig_new();
    rig_listen(g);
    struct heard *h = heard_new();
    struct ws_target target = {.host = "localhost", .port = ws_server_port(g->server)};
    t_eq(rig_connect_to(g, h, &target, NULL), 0);
    t_ok(strncmp(g->header_value, "localhost:", 10) == 0);
    ws_close(h->ws, 1000, NULL);
    rig_until(g, h->closes == 1);
    heard_free(h);
    rig_free(g);
}

T(a_pin_decides_alone)
{
    struct rig *g = rig_new();
    struct certificate certificate;
    char pin[128];
    certificate_make("gateway.test", &certificate);
    g->config.tls_certificate = certificate.certificate;
    g->config.tls_key = certificate.key;
    rig_listen(g);

    /* As people paste it: capitals and colons. The name on the certificate does not matter. */
    size_t at = 0;
    for (size_t i = 0; certificate.pin[i]; i++) {
        if (i > 0 && i % 2 == 0)
            pin[at++] = ':';
        pin[at++] =
            (char)(certificate.pin[i] >= 'a' ? certificate.pin[i] - 32 : certificate.pin[i]);
    }
    pin[at] = '\0';
    struct ws_target target = {
        .host = "127.0.0.1", .port = ws_server_port(g->server), .tls = true, .pin = pin};
    struct heard *h = heard_new();
    t_eq(rig_connect_to(g, h, &target, NULL), 0);
    rig_until(g, g->accepted_count == 1);
    t_ok(g->peer.tls);
    ws_abort(h->ws);
    rig_until(g, h->closes == 1);
    heard_free(h);

    certificate.pin[0] = certificate.pin[0] == '0' ? '1' : '0';
    target.pin = certificate.pin;
    fails_with(g, &target, -ERR_CONNECT, "not the pinned one");
    t_eq(g->upgrades, 1);
    target.pin = NULL;
    fails_with(g, &target, -ERR_CONNECT, "the certificate is not trusted: self-signed");
    t_eq(g->upgrades, 1);
    rig_free(g);
}

T(tls_to_a_plain_server_is_said)
{
    struct rig *g = rig_new();
    g->config.head_timeout_ms = 500;
    rig_listen(g);
    struct ws_target target = {.host = "127.0.0.1", .port = ws_server_port(g->server), .tls = true};
    fails_with(g, &target, -ERR_CONNECT, "TLS");
    rig_free(g);
}

/* Drops the op after so many turns; false when it had opened by then. */
static bool drop_after(struct rig *g, int turns)
{
    struct rig_connect c = {0};
    struct heard *h = heard_new();
    struct ws_target target = {.host = "localhost", .port = ws_server_port(g->server)};

    op_init(&c.op, g->loop, rig_connected, 5000);
    ws_connect(&c.op, &target, &heard_events, h, &h->ws);
    for (int i = 0; i < turns && !c.done; i++)
        loop_turn(g->loop, true);
    bool opened = c.done;
    if (opened) {
        ws_abort(h->ws);
        rig_until(g, h->closes == 1);
    } else {
        op_drop(&c.op);
        for (int i = 0; i < 20; i++)
            loop_turn(g->loop, false);
        t_ok(!c.done);
        t_eq(h->closes, 0);
    }
    heard_free(h);
    return !opened;
}

T(dropped_at_any_moment_nothing_is_left)
{
    struct rig *g = rig_new();
    rig_listen(g);
    int turns = 0;
    while (drop_after(g, turns))
        turns++;
    t_ok(turns > 2);
    t_ok(turns < 100);
    rig_free(g);
}

T(closed_before_it_opens_ends_the_op)
{
    struct rig *g = rig_new();
    rig_listen(g);
    struct rig_connect c = {0};
    struct heard *h = heard_new();
    struct ws_target target = {.host = "127.0.0.1", .port = ws_server_port(g->server)};
    op_init(&c.op, g->loop, rig_connected, 5000);
    ws_connect(&c.op, &target, &heard_events, h, &h->ws);
    ws_close(h->ws, 1000, NULL);
    t_ok(!c.done);
    rig_until(g, c.done);
    t_eq(c.result, -ERR_CANCELLED);
    t_eq(h->closes, 0);
    heard_free(h);
    rig_free(g);
}

T(a_server_that_never_answers_meets_the_deadline)
{
    struct rig *g = rig_new();
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t length = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    t_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    t_eq(listen(fd, 4), 0);
    getsockname(fd, (struct sockaddr *)&a, &length);

    struct rig_connect c = {0};
    struct heard *h = heard_new();
    struct ws_target target = {.host = "127.0.0.1", .port = ntohs(a.sin_port)};
    op_init(&c.op, g->loop, rig_connected, 200);
    ws_connect(&c.op, &target, &heard_events, h, &h->ws);
    rig_until(g, c.done);
    t_eq(c.result, -ERR_TIMEOUT);
    close(fd);
    heard_free(h);
    rig_free(g);
}

static void pause_when_connected(struct op *op, int result)
{
    rig_connected(op, result);
    struct heard *h = CONTAINER(op, struct rig_connect, op)->heard;
    t_eq(h->messages, 0);
    ws_pause(h->ws, true);
}

T(what_the_server_says_first_waits_for_the_op_and_for_a_pause)
{
    struct rig *g = rig_new();
    g->greet = "welcome";
    rig_listen(g);
    struct heard *h = heard_new();
    struct rig_connect c = {.heard = h};
    struct ws_target target = {.host = "127.0.0.1", .port = ws_server_port(g->server)};
    op_init(&c.op, g->loop, pause_when_connected, 5000);
    ws_connect(&c.op, &target, &heard_events, h, &h->ws);
    rig_until(g, c.done);
    t_eq(c.result, 0);
    for (int i = 0; i < 20; i++)
        loop_turn(g->loop, false);
    t_eq(h->messages, 0);
    ws_pause(h->ws, false);
    rig_until(g, h->messages == 1);
    t_str(h->text.data, "welcome\n");
    ws_abort(h->ws);
    rig_until(g, h->closes == 1);
    heard_free(h);
    rig_free(g);
}

T(both_ends_say_what_they_mean_at_the_same_time)
{
    struct rig *g = rig_new();
    rig_listen(g);
    struct heard *h = rig_client(g);
    ws_close(h->ws, 1000, "client");
    ws_close(g->accepted[0]->ws, 1012, "service restart");
    rig_until(g, h->closes == 1 && g->accepted[0]->closes == 1);
    t_eq(h->code, 1000);
    t_eq(g->accepted[0]->code, 1012);
    heard_free(h);
    rig_free(g);
}

T(two_loops_one_after_the_other)
{
    for (int i = 0; i < 3; i++) {
        struct rig *g = rig_new();
        g->echo = true;
        rig_listen(g);
        struct heard *h = rig_client(g);
        t_eq(ws_send(h->ws, "x", 1, NULL), 0);
        rig_until(g, h->messages == 1);
        ws_close(h->ws, 1000, NULL);
        rig_until(g, h->closes == 1);
        heard_free(h);
        rig_free(g);
    }
}
