/* Streams through a tunnel by each way, against a real sshd: whole, half-closed, many at once, refused. */
#include "tests/wire/tunnel/world.h"

#define UPGRADE "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

/* Bytes that no shift or loss of a block leaves the same. */
static char *noise_new(size_t length)
{
    char *data = mem_new(length);
    uint32_t x = 12345;

    for (size_t i = 0; i < length; i++) {
        x = x * 1664525u + 1013904223u;
        data[i] = (char)(x >> 24);
    }
    return data;
}

T(by_bridge_streams_carry_their_ticket)
{
    struct world *w = world_new("");
    char *data = noise_new(3000000);

    world_start(w, (struct tunnel_options){0});
    t_eq(w->status.state, TUNNEL_CONNECTING);
    world_up(w);
    t_str(w->status.way, "bridge");
    t_has(w->status.peer, "127.0.0.1");
    t_has(w->status.host_key, "SHA256:");
    t_has(w->status.key, "SHA256:");
    int fd = world_dial(w);
    t_ok(world_echo(w, fd, data, 3000000));
    t_str(w->line, "CULVERT/1 " WORLD_TICKET " gateway");
    int web = world_dial(w);
    t_ok(world_echo_text(w, web, UPGRADE));
    tunnel_status(w->tunnel, &w->status);
    t_eq(w->status.streams, 2);
    t_ok(w->status.bytes_in >= 3000000 && w->status.bytes_out >= 3000000);
    close(fd);
    close(web);
    world_until(w, (tunnel_status(w->tunnel, &w->status), w->status.streams == 0));
    mem_free(data);
    world_free(w);
}

T(by_port_when_culvert_is_not_there)
{
    struct world *w = world_new("");

    world_start(w, (struct tunnel_options){.bridge_command = "/nowhere/culvert bridge"});
    world_up(w);
    t_str(w->status.way, "direct-tcpip");
    world_until(w, w->notices > 0);
    t_has(w->notice, "not in PATH");
    int fd = world_dial(w);
    t_ok(world_echo_text(w, fd, "hello"));
    close(fd);
    world_free(w);
}

T(by_port_when_sockets_are_not_forwarded)
{
    struct world *w = world_new("AllowStreamLocalForwarding no");

    world_start(w, (struct tunnel_options){0});
    world_up(w);
    t_str(w->status.way, "direct-tcpip");
    int fd = world_dial(w);
    t_ok(world_echo_text(w, fd, "hello"));
    close(fd);
    world_free(w);
}

static void by_command(const char *config)
{
    struct world *w = world_new(config);
    int fds[5], end = 0;
    char c;

    world_start(w, (struct tunnel_options){0});
    world_up(w);
    t_str(w->status.way, "exec");
    for (size_t i = 0; i < 3; i++) { /* MaxSessions 3, over control: the WebSockets */
        fds[i] = world_dial(w);
        t_ok(world_echo_text(w, fds[i], UPGRADE));
    }
    fds[3] = world_dial(w);
    t_eq(send(fds[3], UPGRADE, strlen(UPGRADE), 0), (ssize_t)strlen(UPGRADE));
    t_eq(world_hear(w, fds[3], &c, 1, &end), 0);
    t_eq(end, -ECONNRESET);
    world_until(w, strstr(w->status.last_error, "MaxSessions"));
    close(fds[0]); /* its place is free */
    world_until(w, (tunnel_status(w->tunnel, &w->status), w->status.streams == 2));
    fds[4] = world_dial(w);
    t_ok(world_echo_text(w, fds[4], UPGRADE));
    for (size_t i = 1; i < COUNT(fds); i++)
        close(fds[i]);
    world_free(w);
}
T(by_command_when_nothing_is_forwarded)
{
    by_command("DisableForwarding yes\nMaxSessions 3");
    by_command("AllowTcpForwarding no\nAllowStreamLocalForwarding no\nMaxSessions 3");
}

T(no_gateway_there_is_said_and_found_when_it_comes)
{
    struct world *w = world_new("");
    int port = w->echo_port;

    watch_free(w->echo_watch);
    (void)close(w->echo_fd);
    world_start(w, (struct tunnel_options){.bridge_command = "/nowhere/culvert bridge"});
    world_until(w, w->status.state == TUNNEL_WAITING);
    t_has(w->status.last_error, "not in PATH");
    t_has(w->status.last_error, "nobody listens");
    int held = world_dial(w);
    t_eq(send(held, "hello", 5, 0), 5);
    world_until(w, (tunnel_status(w->tunnel, &w->status), w->status.held == 1));

    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int on = 1, end = 0;
    char heard[5];
    w->echo_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)setsockopt(w->echo_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    t_eq(bind(w->echo_fd, (struct sockaddr *)&at, sizeof at), 0);
    t_eq(listen(w->echo_fd, 10), 0);
    w->echo_watch = watch_new(w->loop, w->echo_fd, POLLIN, world_on_echo, w);
    t_eq(world_hear(w, held, heard, 5, &end), 5);
    close(held);
    world_free(w);
}

T(half_closed_both_ways)
{
    struct world *w = world_new("");
    char heard[64];
    int end = 0;

    world_start(w, (struct tunnel_options){0});
    world_up(w);
    int fd = world_dial(w);
    t_eq(send(fd, "last words", 10, 0), 10);
    t_eq(shutdown(fd, SHUT_WR), 0);
    t_eq(world_hear(w, fd, heard, sizeof heard, &end), 10); /* the stand-in ends after ours */
    t_eq(end, 0);
    close(fd);
    world_until(w, (tunnel_status(w->tunnel, &w->status), w->status.streams == 0));
    world_free(w);
}

T(a_hundred_at_once)
{
    struct world *w = world_new("");
    char *data = noise_new(70000);
    int fds[100];

    world_start(w, (struct tunnel_options){0});
    world_up(w);
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = world_dial(w);
    for (size_t i = 0; i < COUNT(fds); i++)
        t_ok(world_echo(w, fds[i], data + i * 11, 64000 + i * 40));
    tunnel_status(w->tunnel, &w->status);
    t_eq(w->status.streams, 100);
    t_eq(w->status.streams_total, 100);
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
    world_until(w, (tunnel_status(w->tunnel, &w->status), w->status.streams == 0));
    mem_free(data);
    world_free(w);
}

T(a_unix_listener_for_this_process)
{
    struct world *w = world_new("");
    char path[300];
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct stat st;

    snprintf(path, sizeof path, "%s/own.sock", w->rig->folder);
    struct tunnel_listen listen[] = {{.unix_path = path, .own_process = true},
                                     {.host = "127.0.0.1", .service = BRIDGE_CANVAS}};
    world_start(w, (struct tunnel_options){.listen = listen, .listen_count = 2});
    world_up(w);
    t_eq(w->status.endpoint_count, 2);
    t_str(w->status.endpoints[0].address, path);
    t_eq(stat(path, &st), 0);
    t_eq(st.st_mode & 0777, 0600);
    snprintf(at.sun_path, sizeof at.sun_path, "%.100s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    t_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    t_ok(world_echo_text(w, fd, "hello"));
    int canvas = world_dial_port(world_port(w, 1));
    t_ok(world_echo_text(w, canvas, "hello"));
    t_str(w->line, "CULVERT/1 " WORLD_TICKET " canvas");
    close(fd);
    close(canvas);
    w->tunnel = tunnel_stop(w->tunnel);
    t_eq(stat(path, &st), -1);
    world_free(w);
}

T(a_port_that_is_taken_says_by_whom)
{
    struct world *w = world_new("");
    struct tunnel_listen listen = {.host = "127.0.0.1", .port = w->echo_port};
    struct tunnel_options options = {.target = w->rig->address,
                                     .config_file = w->rig->config,
                                     .listen = &listen,
                                     .listen_count = 1};
    struct tunnel *tunnel = NULL;
    struct fault fault;
    char pid[32];

    t_eq(tunnel_start(w->loop, &options, &tunnel, &fault), -ERR_EXISTS);
    snprintf(pid, sizeof pid, "(pid %d)", (int)getpid());
    t_has(fault.text, pid);
    t_has(fault.text, "--listen");

    listen.optional = true; /* a notice, not a failure */
    struct tunnel_listen both[] = {{.host = "127.0.0.1"}, listen};
    world_start(w, (struct tunnel_options){.listen = both, .listen_count = 2});
    world_until(w, w->notices > 0);
    t_has(w->notice, pid);
    t_eq(w->status.endpoint_count, 1);
    world_free(w);
}

T(a_ticket_that_is_refused_resets_and_is_asked_for_again)
{
    struct world *w = world_new("");
    char script[1024], c;
    int end = 0;

    /* The first offer carries another ticket. */
    snprintf(script, sizeof script,
             "#!/bin/sh\nif mkdir %s.first 2>/dev/null; then t=9%.42s; else t=" WORLD_TICKET
             "; fi\n"
             "echo '{\"culvert\":1,\"version\":\"0\",\"socket\":\"%s\",\"ticket\":\"'$t'\","
             "\"gateway\":\"g\",\"services\":[\"gateway\"]}'\nexec cat\n",
             w->bridge, WORLD_TICKET, w->socket);
    int file = open(w->bridge, O_WRONLY | O_TRUNC | O_CLOEXEC);
    t_ok(write(file, script, strlen(script)) > 0);
    close(file);
    world_start(w, (struct tunnel_options){0});
    world_up(w);
    int fd = world_dial(w);
    t_eq(send(fd, "hello", 5, 0), 5);
    t_eq(world_hear(w, fd, &c, 1, &end), 0);
    t_eq(end, -ECONNRESET);
    close(fd);
    world_until(w, strstr(w->status.last_error, "not known here"));
    fd = world_dial(w);
    t_ok(world_echo_text(w, fd, "again"));
    close(fd);
    world_free(w);
}
