/* Local doors with a virtual clock, real sockets and channels that do what the test says. */
#include "base/io/listen_socket.h"
#include "tests/unit/tunnel/channel_double.h"
#include "tunnel/forward.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct rig {
    struct loop *loop;
    struct board board;
    struct forward *forward;
    struct ssh control, bulk;
    int port;
    int answer; /* of route */
    bool doubt; /* of failed */
    const char *line;
    size_t asked, failed, refused;
    struct fault why;
};

static int on_route(void *arg, enum bridge_service service, bool control, struct forward_route *ret,
                    struct fault *fault)
{
    struct rig *g = arg;

    (void)service;
    g->asked++;
    if (g->answer < 0 && g->answer != -ERR_BUSY)
        return fault_set(fault, g->answer, "the path is closed");
    ret->ssh = control ? &g->control : &g->bulk;
    ret->spec = (struct ssh_channel_spec){.kind = SSH_TCP};
    if (g->line)
        buf_add_str(ret->first, g->line);
    return g->answer;
}
static bool on_failed(void *arg, const struct fault *why)
{
    struct rig *g = arg;
    (void)why;
    g->failed++;
    if (g->doubt)
        g->answer = -ERR_BUSY;
    return g->doubt;
}
static void on_refused(void *arg, const struct fault *why)
{
    struct rig *g = arg;
    g->refused++;
    g->why = *why;
}

static void rig_start_with(struct rig *g, const char *unix_path, bool own_process)
{
    struct listen_socket spec = {.host = "127.0.0.1",
                                 .unix_path = unix_path,
                                 .unix_mode = 0600,
                                 .host_option = "--listen",
                                 .port_option = "--listen"};
    struct tunnel_status status = {0};
    struct fault fault;

    memset(g, 0, sizeof *g);
    g->loop = loop_new(LOOP_VIRTUAL);
    board_init(&g->board, &status);
    struct forward_door door = {.fd = listen_socket(&spec, &g->port, &fault),
                                .is_unix = unix_path != NULL,
                                .own_process = own_process};
    t_ok(door.fd >= 0);
    struct forward_config config = {.loop = g->loop,
                                    .board = &g->board,
                                    .arg = g,
                                    .route = on_route,
                                    .failed = on_failed,
                                    .refused = on_refused};
    g->forward = forward_new(&config, &door, 1);
}
static void rig_start(struct rig *g)
{
    rig_start_with(g, NULL, false);
}
static void rig_end(struct rig *g)
{
    forward_free(g->forward);
    channels_forget();
    loop_free(g->loop);
}
static int dial(struct rig *g)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)g->port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    t_eq(connect(fd, (struct sockaddr *)&at, sizeof at), 0);
    t_eq(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    loop_advance(g->loop, 0);
    return fd;
}
static void say(struct rig *g, int fd, const char *text)
{
    t_eq(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    loop_advance(g->loop, 0);
}
static ssize_t hear(struct rig *g, int fd)
{
    char text[64];
    loop_advance(g->loop, 0);
    ssize_t n = recv(fd, text, sizeof text, 0);
    return n < 0 ? -errno : n;
}

#define UPGRADE                                                                                    \
    "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"                   \
    "Sec-WebSocket-Key: x\r\n\r\n"

T(a_websocket_is_told_by_its_upgrade_request)
{
    static const struct {
        const char *head;
        int is;
    } rows[] = {
        {"", -1},
        {"G", -1},
        {"GET ", -1},
        {"GET / HTTP/1.1\r\nHost: x\r\n", -1},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", 0},
        {UPGRADE, 1},
        {"GET / HTTP/1.1\r\nupgrade:WebSocket\r\n", 1},
        {"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", 0},
        {"GET / HTTP/1.1\r\nX-Upgrade: websocket\r\n\r\n", 0},
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\nUpgrade: websocket\r\n", 0},
        {"POST /x HTTP/1.1\r\nUpgrade: websocket\r\n", 0},
        {"\x16\x03\x01", 0},
        {"anything", 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++)
        t_eq(forward_is_websocket(rows[i].head, strlen(rows[i].head)), rows[i].is);

    char big[FORWARD_HEAD_MAX];
    memset(big, 'a', sizeof big);
    memcpy(big, "GET /", 5);
    t_eq(forward_is_websocket(big, sizeof big - 1), -1);
    t_eq(forward_is_websocket(big, sizeof big), 0);
}

T(websockets_go_over_control_the_rest_over_bulk)
{
    struct rig g;

    rig_start(&g);
    g.line = "ticket\n";
    int web = dial(&g), http = dial(&g), silent = dial(&g);
    say(&g, web, UPGRADE);
    t_eq(channel_count, 1);
    t_ok(channels[0]->ssh == &g.control);
    say(&g, http, "GET /x HTTP/1.1\r\nHost: x\r\n");
    t_eq(channel_count, 1);
    say(&g, http, "\r\n");
    t_eq(channel_count, 2);
    t_ok(channels[1]->ssh == &g.bulk);
    loop_advance(g.loop, FORWARD_HEAD_MS);
    t_eq(channel_count, 3); /* it waits for the other side to speak */
    t_ok(channels[2]->ssh == &g.bulk);
    channel_opened(channels[1], 0, NULL);
    loop_advance(g.loop, 0);
    t_str(channels[1]->taken.data, "ticket\nGET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    t_eq(board_get(g.board.streams), 3);
    t_eq(board_get(g.board.streams_total), 3);
    close(web);
    close(http);
    close(silent);
    rig_end(&g);
}

T(without_a_path_a_connection_is_held_and_goes_when_it_is_back)
{
    struct rig g;

    rig_start(&g);
    g.answer = -ERR_BUSY;
    int fd = dial(&g);
    say(&g, fd, UPGRADE);
    t_eq(board_get(g.board.held), 1);
    t_eq(channel_count, 0);
    say(&g, fd, "more");
    loop_advance(g.loop, TUNNEL_HOLD_MS - 1000);
    g.answer = 0;
    forward_flow(g.forward);
    t_eq(board_get(g.board.held), 0);
    channel_opened(channel_newest(), 0, NULL);
    loop_advance(g.loop, TUNNEL_HOLD_MS);
    t_str(channel_newest()->taken.data, UPGRADE "more");
    t_eq(g.refused, 0);
    t_eq(hear(&g, fd), -EAGAIN);
    close(fd);
    rig_end(&g);
}

T(a_held_connection_is_refused_after_its_time)
{
    struct rig g;

    rig_start(&g);
    g.answer = -ERR_BUSY;
    int fd = dial(&g);
    say(&g, fd, "hello");
    loop_advance(g.loop, TUNNEL_HOLD_MS - 1);
    t_eq(hear(&g, fd), -EAGAIN);
    loop_advance(g.loop, 1);
    t_eq(hear(&g, fd), -ECONNRESET);
    t_eq(g.refused, 1);
    t_eq(board_get(g.board.held), 0);
    close(fd);
    rig_end(&g);
}

T(one_held_too_many_is_refused_at_once)
{
    struct rig g;
    int fds[TUNNEL_HELD_MAX];

    rig_start(&g);
    g.answer = -ERR_BUSY;
    for (size_t i = 0; i < COUNT(fds); i++) {
        fds[i] = dial(&g);
        say(&g, fds[i], "x");
    }
    t_eq(board_get(g.board.held), TUNNEL_HELD_MAX);
    int one_more = dial(&g);
    say(&g, one_more, "x");
    t_eq(hear(&g, one_more), -ECONNRESET);
    t_eq(g.refused, 1);
    t_eq(g.why.code, -ERR_FULL);
    close(fds[0]); /* gives up: its place is free */
    loop_advance(g.loop, 0);
    t_eq(board_get(g.board.held), TUNNEL_HELD_MAX - 1);
    for (size_t i = 1; i < COUNT(fds); i++)
        close(fds[i]);
    close(one_more);
    rig_end(&g);
}

T(a_path_that_only_a_person_can_mend_refuses)
{
    struct rig g;
    struct fault why;

    rig_start(&g);
    g.answer = -ERR_BUSY;
    int held = dial(&g);
    say(&g, held, "x");
    fault_set(&why, -ERR_CONNECT, "the host key has changed");
    forward_refuse(g.forward, &why);
    t_eq(hear(&g, held), -ECONNRESET);
    t_str(g.why.text, "the host key has changed");
    g.answer = -ERR_CONNECT;
    int fd = dial(&g);
    say(&g, fd, "x");
    t_eq(hear(&g, fd), -ECONNRESET);
    t_eq(g.refused, 2);
    close(held);
    close(fd);
    rig_end(&g);
}

T(an_open_that_fails_puts_the_way_in_doubt_and_is_tried_again)
{
    struct rig g;

    rig_start(&g);
    g.doubt = true;
    int fd = dial(&g);
    say(&g, fd, "hello");
    for (int i = 1; i < FORWARD_TRIES_MAX; i++) {
        channel_opened(channel_newest(), -ERR_CONNECT, "nobody listens");
        t_eq(g.failed, i);
        t_eq(board_get(g.board.held), 1);
        g.answer = 0;
        forward_flow(g.forward);
        t_eq(channel_count, i + 1);
    }
    channel_opened(channel_newest(), -ERR_CONNECT, "nobody listens");
    t_eq(g.refused, 1);
    t_str(g.why.text, "nobody listens");
    t_eq(hear(&g, fd), -ECONNRESET);
    close(fd);
    rig_end(&g);
}

T(a_full_session_hands_over_to_the_other_then_refuses)
{
    struct rig g;

    rig_start(&g);
    int fd = dial(&g);
    say(&g, fd, "hello");
    t_ok(channel_newest()->ssh == &g.bulk);
    channel_opened(channel_newest(), -ERR_BUSY, "too many");
    loop_advance(g.loop, 0);
    t_ok(channel_newest()->ssh == &g.control);
    channel_opened(channel_newest(), -ERR_BUSY, "too many");
    t_eq(hear(&g, fd), -ECONNRESET);
    t_eq(g.refused, 1);
    close(fd);
    rig_end(&g);
}

T(a_lost_session_cuts_what_runs_and_holds_what_has_not_begun)
{
    struct rig g;

    rig_start(&g);
    int running = dial(&g), opening = dial(&g), other = dial(&g);
    say(&g, running, "hello");
    channel_opened(channel_newest(), 0, NULL);
    say(&g, opening, "hello");
    say(&g, other, UPGRADE);
    channel_opened(channel_newest(), 0, NULL);
    g.answer = -ERR_BUSY;
    forward_cut(g.forward, &g.bulk);
    t_eq(hear(&g, running), -ECONNRESET);
    t_eq(hear(&g, opening), -EAGAIN);
    t_eq(hear(&g, other), -EAGAIN);
    t_eq(board_get(g.board.held), 1);
    forward_cut(g.forward, NULL);
    t_eq(hear(&g, other), -ECONNRESET);
    g.answer = 0;
    forward_flow(g.forward);
    channel_opened(channel_newest(), 0, NULL);
    loop_advance(g.loop, 0);
    t_str(channel_newest()->taken.data, "hello");
    close(running);
    close(opening);
    close(other);
    rig_end(&g);
}

T(a_socket_for_this_process_lets_no_other_in)
{
    struct rig g;
    char path[108];
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    char c;
    int status = 0;

    snprintf(path, sizeof path, "%s/own", t_tmpdir());
    snprintf(at.sun_path, sizeof at.sun_path, "%.100s", path);
    rig_start_with(&g, path, true);
    pid_t pid = fork();
    if (pid == 0) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        bool in = connect(fd, (struct sockaddr *)&at, sizeof at) == 0 && recv(fd, &c, 1, 0) != 0;
        _exit(in ? 1 : 0);
    }
    for (int i = 0; i < 1000 && waitpid(pid, &status, WNOHANG) == 0; i++) {
        loop_advance(g.loop, 0);
        (void)poll(NULL, 0, 10);
    }
    t_eq(WEXITSTATUS(status), 0);
    t_eq(board_get(g.board.streams_total), 0);
    int own = socket(AF_UNIX, SOCK_STREAM, 0);
    t_eq(connect(own, (struct sockaddr *)&at, sizeof at), 0);
    loop_advance(g.loop, 0);
    t_eq(board_get(g.board.streams_total), 1);
    close(own);
    rig_end(&g);
}

T(one_connection_too_many_waits_in_the_backlog)
{
    struct rig g;
    struct rlimit limit;
    static int fds[TUNNEL_STREAMS_MAX];

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max < 4096 ? limit.rlim_max : 4096;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2 * TUNNEL_STREAMS_MAX + 64)
        t_skip("too few descriptors are allowed here");
    rig_start(&g);
    for (size_t i = 0; i < COUNT(fds); i++)
        fds[i] = dial(&g);
    int one_more = dial(&g);
    loop_advance(g.loop, FORWARD_HEAD_MS);
    t_eq(channel_count, TUNNEL_STREAMS_MAX);
    t_eq(board_get(g.board.streams), TUNNEL_STREAMS_MAX);
    for (size_t i = 0; i < COUNT(fds); i++)
        channel_opened(channels[i], 0, NULL);
    channel_closed(channels[0], -1, NULL);
    loop_advance(g.loop, FORWARD_HEAD_MS);
    t_eq(channel_count, TUNNEL_STREAMS_MAX + 1);
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
    close(one_more);
    rig_end(&g);
}

T(closed_doors_take_nobody)
{
    struct rig g;

    rig_start(&g);
    int fd = dial(&g);
    forward_close(g.forward);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)g.port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int late = socket(AF_INET, SOCK_STREAM, 0);
    t_eq(connect(late, (struct sockaddr *)&at, sizeof at), -1);
    close(late);
    close(fd);
    rig_end(&g);
}
