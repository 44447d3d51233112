/* Is it still there? An sshd that was stopped is dead within 6 s, one that only has nothing to say is not; and ports
 * over there that lead here. */
#include "tests/wire/tunnel/ssh_kit.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

static int64_t alive_until_lost(struct kit *k)
{
    int64_t since = loop_now(k->loop);

    KIT_UNTIL(k, k->lost);
    return loop_now(k->loop) - since;
}

static void alive_on_probe(struct op *op, int result)
{
    (void)result;
    op->fault.code = 1; /* ended */
}

T(a_quiet_server_is_alive_and_its_distance_known)
{
    struct kit *k = kit_new("");
    struct ssh_facts facts;
    struct op probe;

    memset(&probe, 0, sizeof probe);
    t_eq(kit_open(k), 0);
    op_init(&probe, k->loop, alive_on_probe, 3000);
    ssh_probe(k->ssh, &probe);
    KIT_UNTIL(k, !op_running(&probe));
    t_eq(probe.result, 0);
    ssh_facts(k->ssh, &facts);
    KIT_UNTIL(k, (ssh_facts(k->ssh, &facts), facts.rtt_ms >= 0));
    t_ok(facts.rtt_ms > 0 && facts.rtt_ms < 1000);
    t_ok(!k->lost);
    kit_free(k);
}

T(a_stopped_server_is_dead_in_six_seconds)
{
    struct kit *k = kit_new("");
    struct stream *s;
    struct op probe;
    int64_t took;

    memset(&probe, 0, sizeof probe);
    t_eq(kit_open(k), 0);
    s = stream_exec(k, "cat");
    sshd_rig_signal(k->rig, SIGSTOP);
    op_init(&probe, k->loop, alive_on_probe, 1000);
    ssh_probe(k->ssh, &probe);
    took = alive_until_lost(k);
    t_eq(probe.result, -ERR_TIMEOUT);
    t_eq(k->why.code, -ERR_TIMEOUT);
    t_has(k->why.text, "nothing was heard");
    t_ok(took > 2000 && took <= 6000);
    t_ok(s->closed);
    stream_free(s);
    kit_free(k);
}

T(a_stopped_server_is_dead_also_while_we_send)
{
    struct kit *k = kit_new("");
    struct stream *s;
    char *chunk = mem_new(1u << 20);
    int64_t since;

    t_eq(kit_open(k), 0);
    s = stream_exec(k, "cat > /dev/null");
    sshd_rig_signal(k->rig, SIGSTOP);
    since = loop_now(k->loop);
    while (!k->lost && loop_now(k->loop) - since < 10000) {
        if (s->channel != NULL)
            (void)ssh_channel_write(s->channel, chunk, 1u << 20);
        (void)loop_turn(k->loop, /* wait= */ true);
    }
    t_ok(k->lost);
    t_ok(loop_now(k->loop) - since <= 6000);
    stream_free(s);
    mem_free(chunk);
    kit_free(k);
}

T(what_the_configuration_says_of_liveness_counts)
{
    struct kit *k = kit_new("");
    char *config = sshd_rig_read(k->rig, "ssh_config"), *text;
    int64_t took;

    text = mem_format("%sServerAliveInterval 1\nServerAliveCountMax 1\n", config);
    sshd_rig_write(k->rig, "ssh_config", text);
    t_eq(kit_open(k), 0);
    sshd_rig_signal(k->rig, SIGSTOP);
    took = alive_until_lost(k);
    t_ok(took > 1000 && took < 4000);
    mem_free(config);
    mem_free(text);
    kit_free(k);
}

/* A host behind the server that takes no connection: the server is alive all the same, and pings cannot overtake. */
T(an_open_that_takes_long_is_no_death)
{
    struct kit *k = kit_new("");
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int full = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fds[4];
    struct stream *s;
    int64_t since;

    require(bind(full, (struct sockaddr *)&address, sizeof address) == 0 && listen(full, 0) == 0);
    require(getsockname(full, (struct sockaddr *)&address, &length) == 0);
    for (size_t i = 0; i < COUNT(fds);
         i++) { /* its backlog is full: the next SYN is not answered */
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(fds[i], (struct sockaddr *)&address, sizeof address);
    }
    t_eq(kit_open(k), 0);
    s = stream_start(k, (struct ssh_channel_spec){
                            .kind = SSH_TCP, .host = "127.0.0.1", .port = ntohs(address.sin_port)});
    since = loop_now(k->loop);
    while (!k->lost && loop_now(k->loop) - since < 7500)
        (void)loop_turn(k->loop, /* wait= */ true);
    t_ok(!k->lost);
    t_eq(s->opened, 1);
    sshd_rig_signal(k->rig, SIGSTOP); /* and now it is dead */
    since = loop_now(k->loop);
    KIT_UNTIL(k, k->lost);
    t_ok(loop_now(k->loop) - since <= 6000);
    for (size_t i = 0; i < COUNT(fds); i++)
        (void)close(fds[i]);
    (void)close(full);
    stream_free(s);
    kit_free(k);
}

/* ---- ports over there ---- */

static void on_listen(struct op *op, int result)
{
    (void)op;
    (void)result;
}

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    (void)close(fd);
    return -1;
}

T(a_port_over_there_leads_here)
{
    struct kit *k = kit_new("");
    struct op ops[2], taken;
    struct stream *s = stream_new(k);
    int ports[2] = {0, 0}, port = 0, fd;
    char text[16] = "";

    memset(ops, 0, sizeof ops);
    memset(&taken, 0, sizeof taken);
    t_eq(kit_open(k), 0);
    for (int i = 0; i < 2; i++) { /* two at once: libssh2 asks for one after the other */
        op_init(&ops[i], k->loop, on_listen, 10000);
        ssh_listen(k->ssh, &ops[i], "127.0.0.1", 0, &ports[i]);
    }
    KIT_UNTIL(k, !op_running(&ops[0]) && !op_running(&ops[1]));
    t_ok(ops[0].result == 0 && ops[1].result == 0 && ports[0] > 0 && ports[1] > 0 &&
         ports[0] != ports[1]);
    op_init(&taken, k->loop, on_listen, 10000);
    ssh_listen(k->ssh, &taken, "127.0.0.1", ports[0], &port);
    KIT_UNTIL(k, !op_running(&taken));
    t_eq(taken.result, -ERR_DENIED);
    t_has(taken.fault.text, "taken");

    fd = connect_to(ports[1]);
    t_ok(fd >= 0);
    KIT_UNTIL(k, k->arrivals == 1);
    t_eq(k->arrival.bound_port, ports[1]);
    s->opened = 0;
    s->channel = k->arrived;
    ssh_channel_take(k->arrived, &stream_events, s);
    t_eq(write(fd, "knock", 5), 5);
    KIT_UNTIL(k, s->data.length == 5);
    t_str(stream_text(s), "knock");
    stream_write(s, "come in", 7);
    ssh_channel_end(s->channel);
    KIT_UNTIL(k, recv(fd, text, sizeof text, MSG_DONTWAIT | MSG_PEEK) == 7);
    (void)close(fd);
    KIT_UNTIL(k, s->closed);
    stream_free(s);
    kit_close(k);
    sshd_rig_kill(k->rig);
    t_eq(connect_to(ports[0]), -1); /* went with the session */
    kit_free(k);
}

T(no_ports_where_it_is_forbidden)
{
    struct kit *k = kit_new("AllowTcpForwarding local\n");
    struct op op;
    int port = 0;

    memset(&op, 0, sizeof op);
    t_eq(kit_open(k), 0);
    op_init(&op, k->loop, on_listen, 10000);
    ssh_listen(k->ssh, &op, NULL, 0, &port);
    KIT_UNTIL(k, !op_running(&op));
    t_eq(op.result, -ERR_DENIED);
    t_has(op.fault.text, "AllowTcpForwarding");
    kit_free(k);
}

/* Between two of our own looks the kernel gives up by itself: bytes that nobody acknowledges, a peer that is gone. */
T(its_socket_knows_when_to_give_up)
{
    struct kit *k = kit_new("");
    int found = 0;

    t_eq(kit_open(k), 0);
    for (int fd = 3; fd < 1024; fd++) {
        struct sockaddr_in peer = {0};
        socklen_t length = sizeof peer, size = sizeof(unsigned);
        unsigned user_timeout = 0, alive = 0;
        if (getpeername(fd, (struct sockaddr *)&peer, &length) < 0 || peer.sin_family != AF_INET ||
            ntohs(peer.sin_port) != k->rig->port)
            continue;
        found++;
        t_eq(getsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, &size), 0);
        t_ok(user_timeout > 0 && user_timeout <= 30000);
        t_eq(getsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &alive, &size), 0);
        t_ok(alive != 0);
    }
    t_eq(found, 1);
    kit_free(k);
}
