/* The local test against real processes: a child of ours with one road passes; one that listens, has
 * another connection, holds an unknown socket or belongs to a forwarder does not. */
#include "gateway/conn/local.h"

#include "base/mem.h"
#include "gateway/conn/one_road.h"
#include "tests/t.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What the child holds besides its connection to us. */
enum also {
    ONLY,
    LISTENS,
    LISTENS_UNIX,
    ACCEPTED_UNIX,
    CONNECTED_ELSEWHERE,
    UDP,
    TWICE_TO_US,
    UNIX_PAIR
};

struct stage {
    struct loop *loop;
    int listener, elsewhere, ours; /* ours: the accepted end */
    struct sockaddr_in address, elsewhere_address;
    struct sockaddr_un path;
    bool unix_domain;
    pid_t child;
};

static int listen_tcp(struct sockaddr_in *ret)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof(*ret);

    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    require(fd >= 0 && bind(fd, (struct sockaddr *)ret, sizeof(*ret)) == 0 && listen(fd, 8) == 0);
    require(getsockname(fd, (struct sockaddr *)ret, &length) == 0);
    return fd;
}

static int connect_tcp(const struct sockaddr_in *to)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    return connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 ? fd : -1;
}

static int connect_unix(const struct sockaddr_un *to)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    return connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 ? fd : -1;
}

/* The child: holds what it shall hold, says so with one byte, waits to be killed. */
static void child_run(const struct stage *s, enum also also)
{
    int pair[2];
    struct sockaddr_in mine;
    struct sockaddr_un path = {.sun_family = AF_UNIX};

    closefrom(3);
    int fd = s->unix_domain ? connect_unix(&s->path) : connect_tcp(&s->address);
    bool ok = fd >= 0;
    if (also == LISTENS)
        ok = ok && listen_tcp(&mine) >= 0;
    if (also == LISTENS_UNIX || also == ACCEPTED_UNIX) {
        int l = socket(AF_UNIX, SOCK_STREAM, 0);
        snprintf(path.sun_path + 1, sizeof(path.sun_path) - 1, "culvert-local-test-%d",
                 (int)getpid());
        ok = ok && bind(l, (struct sockaddr *)&path, sizeof(path)) == 0 && listen(l, 1) == 0;
        if (also == ACCEPTED_UNIX) /* the listening socket is closed, as forking relays do */
            ok = ok && connect_unix(&path) >= 0 && accept(l, NULL, NULL) >= 0 && close(l) == 0;
    }
    if (also == CONNECTED_ELSEWHERE)
        ok = ok && connect_tcp(&s->elsewhere_address) >= 0;
    if (also == UDP) {
        int u = socket(AF_INET, SOCK_DGRAM, 0);
        ok = ok && connect(u, (const struct sockaddr *)&s->elsewhere_address,
                           sizeof(s->elsewhere_address)) == 0;
    }
    if (also == TWICE_TO_US)
        ok = ok && connect_tcp(&s->address) >= 0;
    if (also == UNIX_PAIR)
        ok = ok && socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0;
    if (!ok || write(fd, "x", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static struct stage *stage_new(bool unix_domain, enum also also)
{
    struct stage *s = NEW(struct stage);
    char byte;

    s->loop = loop_new(LOOP_REAL);
    s->unix_domain = unix_domain;
    s->elsewhere = listen_tcp(&s->elsewhere_address);
    if (unix_domain) {
        s->path.sun_family = AF_UNIX;
        snprintf(s->path.sun_path, sizeof(s->path.sun_path), "%s/%d.sock", t_tmpdir(), (int)also);
        s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        require(bind(s->listener, (struct sockaddr *)&s->path, sizeof(s->path)) == 0 &&
                listen(s->listener, 8) == 0);
    } else {
        s->listener = listen_tcp(&s->address);
    }
    s->child = fork();
    require(s->child >= 0);
    if (s->child == 0)
        child_run(s, also);
    s->ours = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    require(s->ours >= 0);
    require(read(s->ours, &byte, 1) == 1);
    return s;
}

static void stage_free(struct stage *s)
{
    kill(s->child, SIGKILL);
    waitpid(s->child, NULL, 0);
    close(s->ours);
    close(s->listener);
    close(s->elsewhere);
    loop_free(s->loop);
    mem_free(s);
}

struct asked {
    struct op op;
    bool done;
    int result;
    struct fault fault;
};

static void on_done(struct op *op, int result)
{
    struct asked *a = CONTAINER(op, struct asked, op);

    a->done = true;
    a->result = result;
    a->fault = op->fault;
}

static struct local_question question_of(const struct stage *s)
{
    struct local_question q = {.transport = s->unix_domain ? WS_UNIX : WS_TCP,
                               .fd = s->ours,
                               .uid = geteuid(),
                               .peer_uid = geteuid()};
    socklen_t length = sizeof(q.remote);

    if (!s->unix_domain) {
        require(getpeername(s->ours, (struct sockaddr *)&q.remote, &length) == 0);
        length = sizeof(q.local);
        require(getsockname(s->ours, (struct sockaddr *)&q.local, &length) == 0);
    }
    return q;
}

static void ask(struct stage *s, struct asked *a, const struct local_question *q)
{
    struct local_gate *gate = local_gate_new(s->loop);

    *a = (struct asked){0};
    op_init(&a->op, s->loop, on_done, 0);
    local_ask(gate, &a->op, q);
    while (!a->done)
        loop_turn(s->loop, true);
    local_gate_free(gate);
}

static void expect(bool unix_domain, enum also also, bool local, const char *why)
{
    struct stage *s = stage_new(unix_domain, also);
    struct local_question q = question_of(s);
    struct asked a;

    ask(s, &a, &q);
    if (a.result == -ERR_DENIED && strstr(a.fault.text, "kernel does not tell"))
        t_skip("no sock_diag here");
    t_eq(a.result, local ? 0 : -ERR_DENIED);
    t_has(a.fault.text, why);
    stage_free(s);
}

T(one_road_is_local)
{
    expect(false, ONLY, true, "");
    expect(true, ONLY, true, "");
    expect(false, TWICE_TO_US, true, "");
    expect(false, UNIX_PAIR, true, "");
}

/* ssh -L, socat, nginx and editors' servers all listen; what carries traffic on is connected. */
T(another_road_is_not)
{
    expect(false, LISTENS, false, "listening socket");
    expect(true, LISTENS, false, "listening socket");
    expect(false, LISTENS_UNIX, false, "listening socket");
    expect(false, ACCEPTED_UNIX, false, "others come in by");
    expect(true, ACCEPTED_UNIX, false, "others come in by");
    expect(false, CONNECTED_ELSEWHERE, false, "another network connection");
    expect(true, CONNECTED_ELSEWHERE, false, "another network connection");
    expect(false, UDP, false, "another network connection");
}

T(another_users_socket_is_not_ours)
{
    struct stage *s = stage_new(false, ONLY);
    struct local_question q = question_of(s);
    struct asked a;

    q.uid++;
    ask(s, &a, &q);
    t_eq(a.result, -ERR_DENIED);
    t_has(a.fault.text, "belongs to user");
    stage_free(s);
}

T(a_peer_that_left_is_not_local)
{
    struct stage *s = stage_new(false, ONLY);
    struct local_question q = question_of(s);
    struct asked a;

    kill(s->child, SIGKILL);
    waitpid(s->child, NULL, 0);
    ask(s, &a, &q);
    t_eq(a.result, -ERR_DENIED);
    s->child = fork(); /* somebody for stage_free to reap */
    if (s->child == 0)
        _exit(0);
    stage_free(s);
}

/* The end in this very process: it listens, so a gateway is never its own local peer. */
T(a_forwarder_in_our_own_process_is_not_local)
{
    struct stage *s = stage_new(false, ONLY);
    int fd = connect_tcp(&s->address);
    int accepted = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    struct asked a;

    require(fd >= 0 && accepted >= 0);
    int kept = s->ours;
    s->ours = accepted;
    struct local_question q = question_of(s);
    ask(s, &a, &q);
    t_eq(a.result, -ERR_DENIED);
    s->ours = kept;
    close(accepted);
    close(fd);
    stage_free(s);
}

T(an_asker_may_leave)
{
    struct stage *s = stage_new(false, ONLY);
    struct local_gate *gate = local_gate_new(s->loop);
    struct local_question q = question_of(s);
    struct asked a[6] = {0};

    for (size_t i = 0; i < COUNT(a); i++) { /* two run, four wait */
        op_init(&a[i].op, s->loop, on_done, 0);
        local_ask(gate, &a[i].op, &q);
    }
    op_drop(&a[0].op);
    op_drop(&a[4].op);
    while (!a[1].done || !a[2].done || !a[3].done || !a[5].done)
        loop_turn(s->loop, true);
    t_ok(!a[0].done && !a[4].done);
    t_eq(a[5].result, 0);
    op_init(&a[0].op, s->loop, on_done, 0);
    local_ask(gate, &a[0].op, &q);
    op_drop(&a[0].op);
    local_gate_free(gate); /* the scan goes on for nobody */
    stage_free(s);
}

T(names)
{
    static const char *const carriers[] = {
        "sshd", "sshd-session", "ssh",         "tailscaled", "socat",
        "nc",   "sshd-auth",    "slirp4netns", "pasta",      "qemu-system-x86_64"};

    for (size_t i = 0; i < COUNT(carriers); i++)
        t_ok(one_road_is_carrier(carriers[i]));
    t_ok(!one_road_is_carrier("culvert"));
    t_ok(one_road_is_browser("firefox") && !one_road_is_browser("socat"));
}
