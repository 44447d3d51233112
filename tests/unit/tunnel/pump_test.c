/* The pump between a socket pair and a channel's double. */
#include "tests/unit/tunnel/channel_double.h"
#include "tunnel/pump.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct rig {
    struct loop *loop;
    struct board board;
    struct pump *pump;
    struct ssh ssh;
    int local; /* the other end of the pump's socket */
    int opened, ends;
    struct fault why;
};

static void on_opened(void *arg, int result, const struct fault *why)
{
    (void)why;
    ((struct rig *)arg)->opened = result;
}
static void on_ended(void *arg, const struct fault *why)
{
    struct rig *g = arg;
    g->ends++;
    g->pump = NULL;
    if (why)
        g->why = *why;
}
static const struct pump_events events = {on_opened, on_ended};

/* A connected pair over TCP: only there a reset can be seen. */
static void tcp_pair(int ret[2])
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    int door = socket(AF_INET, SOCK_STREAM, 0);

    t_eq(bind(door, (struct sockaddr *)&at, sizeof at), 0);
    t_eq(listen(door, 1), 0);
    getsockname(door, (struct sockaddr *)&at, &length);
    ret[1] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    (void)connect(ret[1], (struct sockaddr *)&at, sizeof at);
    ret[0] = accept4(door, NULL, NULL, SOCK_NONBLOCK);
    close(door);
}

static void rig_start(struct rig *g, const char *first, bool gated)
{
    struct tunnel_status status = {0};
    struct ssh_channel_spec spec = {.kind = SSH_TCP};
    int pair[2];

    memset(g, 0, sizeof *g);
    g->loop = loop_new(LOOP_VIRTUAL);
    board_init(&g->board, &status);
    tcp_pair(pair);
    g->local = pair[1];
    g->opened = 1;
    g->pump = pump_new(g->loop, pair[0], &g->board, &events, g);
    pump_open(g->pump, &g->ssh, &spec, first, strlen(first), gated);
}
static void rig_open(struct rig *g, const char *first)
{
    rig_start(g, first, false);
    channel_opened(channel_newest(), 0, NULL);
    loop_advance(g->loop, 0);
    t_eq(g->opened, 0);
}
static void rig_end(struct rig *g)
{
    pump_free(g->pump, false);
    close(g->local);
    channels_forget();
    loop_free(g->loop);
}
static void say(struct rig *g, const char *text)
{
    t_eq(send(g->local, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    loop_advance(g->loop, 0);
}
static size_t give(struct rig *g, const char *data, size_t length)
{
    struct ssh_channel *channel = channel_newest();
    size_t taken = channel->events.data(channel->arg, data, length);
    loop_advance(g->loop, 0);
    return taken;
}
/* What has come at the local end: bytes, 0 at the end, -errno. */
static ssize_t hear(struct rig *g, char *out, size_t size)
{
    loop_advance(g->loop, 0);
    ssize_t n = recv(g->local, out, size - 1, 0);
    out[n > 0 ? n : 0] = '\0';
    return n < 0 ? -errno : n;
}

T(bytes_pass_both_ways_and_are_counted)
{
    struct rig g;
    char text[64];

    rig_open(&g, "ticket\n");
    t_str(channel_newest()->taken.data, "ticket\n");
    say(&g, "hello");
    t_str(channel_newest()->taken.data, "ticket\nhello");
    t_eq(give(&g, "world", 5), 5);
    t_eq(hear(&g, text, sizeof text), 5);
    t_str(text, "world");
    t_eq(board_get(g.board.bytes_out), 12);
    t_eq(board_get(g.board.bytes_in), 5);
    rig_end(&g);
}

T(a_channel_that_takes_little_stops_the_reading)
{
    struct rig g;
    struct buf sent;
    char block[8192];

    channel_room = 10;
    rig_open(&g, "");
    buf_init(&sent, 64u << 20);
    for (unsigned i = 0; i < sizeof block; i++)
        block[i] = (char)('a' + i % 26);
    for (;;) { /* until nothing more goes in anywhere */
        ssize_t n = send(g.local, block, sizeof block, MSG_NOSIGNAL);
        if (n < 0)
            break;
        buf_add(&sent, block, (size_t)n);
        loop_advance(g.loop, 0);
        t_ok(sent.length < 32u << 20);
        if (sent.length >= 32u << 20)
            break;
    }
    struct ssh_channel *channel = channel_newest();
    t_eq(channel->taken.length, 10);
    while (channel->taken.length < sent.length) {
        channel->room = 70001;
        channel->events.writable(channel->arg);
        loop_advance(g.loop, 0);
    }
    t_eq(channel->taken.length, sent.length);
    t_ok(memcmp(channel->taken.data, sent.data, sent.length) == 0);
    buf_done(&sent);
    rig_end(&g);
}

T(a_socket_that_takes_little_leaves_the_rest_in_the_channel)
{
    static char big[16u << 20], heard[1u << 20];
    struct rig g;
    size_t given = 0, got = 0;

    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 7 + i / 251);
    rig_open(&g, "");
    struct ssh_channel *channel = channel_newest();
    while (given < sizeof big) {
        size_t taken = give(&g, big + given, sizeof big - given);
        t_ok(taken < sizeof big);
        given += taken;
        channel->resumed = false;
        for (ssize_t n; (n = hear(&g, heard, sizeof heard)) > 0; got += (size_t)n)
            if (memcmp(heard, big + got, (size_t)n) != 0)
                t_fail(__FILE__, __LINE__, "other bytes at %zu", got);
        t_ok(channel->resumed || given == sizeof big);
    }
    t_eq(got, sizeof big);
    rig_end(&g);
}

T(the_local_end_is_passed_on_after_its_bytes)
{
    struct rig g;
    char text[64];

    channel_room = 3;
    rig_open(&g, "");
    say(&g, "hello");
    shutdown(g.local, SHUT_WR);
    loop_advance(g.loop, 0);
    struct ssh_channel *channel = channel_newest();
    t_ok(!channel->ended);
    channel->room = SIZE_MAX;
    channel->events.writable(channel->arg);
    loop_advance(g.loop, 0);
    t_str(channel->taken.data, "hello");
    t_ok(channel->ended);
    t_eq(give(&g, "late answer", 11), 11);
    t_eq(hear(&g, text, sizeof text), 11);
    channel->events.ended(channel->arg);
    t_eq(hear(&g, text, sizeof text), 0);
    t_eq(g.ends, 0);
    channel_closed(channel, -1, NULL);
    loop_advance(g.loop, 0);
    t_eq(g.ends, 1);
    t_eq(g.why.code, 0);
    rig_end(&g);
}

T(the_far_end_is_passed_on_and_the_other_way_stays_open)
{
    struct rig g;
    char text[64];

    rig_open(&g, "");
    struct ssh_channel *channel = channel_newest();
    t_eq(give(&g, "bye", 3), 3);
    channel->events.ended(channel->arg);
    t_eq(hear(&g, text, sizeof text), 3);
    t_eq(hear(&g, text, sizeof text), 0);
    say(&g, "still here");
    t_str(channel->taken.data, "still here");
    rig_end(&g);
}

T(a_close_that_never_comes_is_not_awaited_for_ever)
{
    struct rig g;

    rig_open(&g, "");
    struct ssh_channel *channel = channel_newest();
    channel->events.ended(channel->arg);
    shutdown(g.local, SHUT_WR);
    loop_advance(g.loop, PUMP_LINGER_MS - 1);
    t_eq(g.ends, 0);
    loop_advance(g.loop, 1);
    t_eq(g.ends, 1);
    t_ok(channel->dropped);
    rig_end(&g);

    rig_open(&g, ""); /* one side only: an hour without a byte */
    channel = channel_newest();
    channel->events.ended(channel->arg);
    loop_advance(g.loop, PUMP_HALF_MS - 1000);
    say(&g, "x");
    loop_advance(g.loop, PUMP_HALF_MS);
    t_eq(g.ends, 0);
    loop_advance(g.loop, PUMP_HALF_MS);
    t_eq(g.ends, 1);
    t_eq(g.why.code, -ERR_TIMEOUT);
    rig_end(&g);
}

T(half_an_answer_never_looks_whole)
{
    struct rig g;
    char text[64];

    rig_open(&g, "");
    give(&g, "half", 4);
    t_eq(hear(&g, text, sizeof text), 4);
    channel_closed(channel_newest(), -1, "the session went");
    t_eq(hear(&g, text, sizeof text), -ECONNRESET);
    t_eq(g.ends, 1);
    t_eq(g.why.code, -ERR_CLOSED);
    rig_end(&g);
}

T(a_local_reset_ends_the_channel)
{
    struct rig g;
    struct linger now = {.l_onoff = 1};

    rig_open(&g, "");
    setsockopt(g.local, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(g.local);
    g.local = -1;
    loop_advance(g.loop, 0);
    t_eq(g.ends, 1);
    t_ok(channel_newest()->dropped);
    rig_end(&g);
}

T(a_command_that_fails_says_so)
{
    struct rig g;

    rig_open(&g, "");
    struct ssh_channel *channel = channel_newest();
    channel->events.noise(channel->arg, "no gateway\x1b[0m\n", 15);
    channel->events.ended(channel->arg);
    channel_closed(channel, 3, NULL);
    loop_advance(g.loop, 0);
    t_eq(g.why.code, -ERR_IO); /* worth the last error, as an ordinary close is not */
    t_has(g.why.text, "status 3: no gateway");
    t_ok(!strchr(g.why.text, '\x1b'));
    rig_end(&g);
}

T(a_refusal_of_the_gateway_is_a_fault_not_bytes)
{
    static const char refusal[] = "CULVERT/1 error this ticket is not known here\n";
    struct rig g;
    char text[64];

    for (size_t piece = 1; piece < sizeof refusal; piece += 7) {
        rig_start(&g, "", true);
        channel_opened(channel_newest(), 0, NULL);
        for (size_t at = 0; at < sizeof refusal - 1 && !g.ends; at += piece) {
            size_t n = sizeof refusal - 1 - at < piece ? sizeof refusal - 1 - at : piece;
            t_eq(give(&g, refusal + at, n), n);
        }
        t_eq(g.ends, 1);
        t_eq(g.why.code, -ERR_DENIED);
        t_has(g.why.text, "this ticket is not known here");
        t_eq(hear(&g, text, sizeof text), -ECONNRESET);
        rig_end(&g);
    }
}

T(what_only_begins_like_a_refusal_is_an_answer)
{
    static const char *const answers[] = {"HTTP/1.1 200 OK\r\n", "CULVERT/2 hello", "C",
                                          "CULVERT/1 errand"};
    struct rig g;
    char text[64];

    for (size_t i = 0; i < COUNT(answers); i++) {
        rig_start(&g, "", true);
        channel_opened(channel_newest(), 0, NULL);
        for (const char *c = answers[i]; *c; c++)
            t_eq(give(&g, c, 1), 1);
        channel_newest()->events.ended(
            channel_newest()->arg); /* a single C could have become one */
        t_eq(hear(&g, text, sizeof text), (ssize_t)strlen(answers[i]));
        t_str(text, answers[i]);
        rig_end(&g);
    }
}

T(an_open_that_fails_may_be_tried_again)
{
    struct rig g;
    struct ssh_channel_spec spec = {.kind = SSH_EXEC};

    rig_start(&g, "first", false);
    channel_opened(channel_newest(), -ERR_DENIED, "forbidden");
    t_eq(g.opened, -ERR_DENIED);
    t_eq(g.ends, 0);
    say(&g, "waiting");
    pump_open(g.pump, &g.ssh, &spec, "second ", 7, false);
    channel_opened(channel_newest(), 0, NULL);
    loop_advance(g.loop, 0);
    t_eq(channel_newest()->kind, SSH_EXEC);
    t_str(channel_newest()->taken.data, "second waiting");
    rig_end(&g);
}
