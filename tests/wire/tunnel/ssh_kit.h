/* What the tests of one SSH connection share: a loop with a real clock and a rig, a session opened on it, streams
 * that collect what they hear, and waiting for something to happen (never for time alone). */
#pragma once

#include "tests/rig/sshd_rig.h"
#include "tunnel/ssh/session.h"

#include <sys/un.h>

#define KIT_WAIT_MS 20000

struct kit {
    struct loop *loop;
    struct sshd_rig *rig;
    struct ssh_policy policy;
    struct ssh *ssh;
    struct op op;
    int result;
    bool ended, lost;
    struct fault why; /* of the attempt, then of the loss */
    char notices[2048], steps[2048];
    struct ssh_question *question;
    const char *answer; /* given at once when it is not NULL */
    char prompts[1024];
    unsigned asked;
    struct ssh_channel *arrived;
    struct ssh_arrival arrival;
    unsigned arrivals;
};

struct stream {
    struct kit *kit;
    struct ssh_channel *channel;
    struct buf data, noise;
    int opened; /* 1: not yet; else the result */
    bool ended, closed, writable;
    int exit_status;
    size_t take; /* data() takes no more than this in all; SIZE_MAX: everything */
    struct fault why;
};

static inline void kit_on_beat(void *arg)
{
    (void)arg; /* the loop must not sleep past a wait's limit */
}

/* Turns the loop until the condition holds. */
#define KIT_UNTIL(k, condition)                                                                    \
    do {                                                                                           \
        struct timer beat_ = {0};                                                                  \
        int64_t until_ = loop_now((k)->loop) + KIT_WAIT_MS;                                        \
        timer_start((k)->loop, &beat_, 200, 200, kit_on_beat, NULL);                               \
        while (!(condition) && loop_now((k)->loop) < until_)                                       \
            (void)loop_turn((k)->loop, /* wait= */ true);                                          \
        timer_stop((k)->loop, &beat_);                                                             \
        t_ok(condition);                                                                           \
    } while (0)

/* ---- the session ---- */

static inline void kit_add(char *to, size_t size, const char *text)
{
    size_t n = strlen(to);

    (void)snprintf(to + n, size - n, "%s\n", text);
}

static inline void kit_on_step(void *arg, enum ssh_step step, const char *detail)
{
    struct kit *k = arg;
    char line[600];

    (void)snprintf(line, sizeof line, "%s: %s", ssh_step_name(step), detail);
    kit_add(k->steps, sizeof k->steps, line);
}

static inline void kit_on_notice(void *arg, const char *text)
{
    struct kit *k = arg;

    kit_add(k->notices, sizeof k->notices, text);
}

static inline void kit_on_ask(void *arg, struct ssh_question *question)
{
    struct kit *k = arg;

    k->asked++;
    kit_add(k->prompts, sizeof k->prompts, question->prompt);
    if (k->answer != NULL)
        ssh_answer(question, k->answer);
    else
        k->question = question;
}

static inline void kit_on_lost(void *arg, const struct fault *why)
{
    struct kit *k = arg;

    t_ok(!k->lost); /* once */
    k->lost = true;
    k->why = *why;
}

static inline void kit_on_arrived(void *arg, struct ssh_channel *channel,
                                  const struct ssh_arrival *arrival)
{
    struct kit *k = arg;

    k->arrivals++;
    k->arrived = channel;
    k->arrival = *arrival;
}

static inline void kit_on_open(struct op *op, int result)
{
    struct kit *k = CONTAINER(op, struct kit, op);

    t_ok(!k->ended);
    k->ended = true;
    k->result = result;
    k->why = op->fault;
}

static inline void kit_start(struct kit *k)
{
    static const struct ssh_events events = {.lost = kit_on_lost, .arrived = kit_on_arrived};

    k->ended = k->lost = false;
    k->result = 1;
    fault_clear(&k->why);
    op_init(&k->op, k->loop, kit_on_open, /* deadline_ms= */ 0);
    ssh_open(&k->op, &k->rig->target, &k->rig->options, &k->policy, &events, k, &k->ssh);
}

/* Opens and waits for the end of that. */
static inline int kit_open(struct kit *k)
{
    kit_start(k);
    KIT_UNTIL(k, k->ended);
    return k->result;
}

static inline void kit_close(struct kit *k)
{
    k->ssh = ssh_close(k->ssh);
}

static inline struct kit *kit_new(const char *sshd_extra)
{
    struct kit *k = NEW(struct kit);

    k->loop = loop_new(LOOP_REAL);
    k->rig = sshd_rig_new(k->loop, sshd_extra);
    k->policy = (struct ssh_policy){.secrets = ssh_secrets_new(),
                                    .arg = k,
                                    .step = kit_on_step,
                                    .notice = kit_on_notice,
                                    .ask = kit_on_ask};
    return k;
}

static inline void kit_free(struct kit *k)
{
    kit_close(k);
    sshd_rig_free(k->rig);
    ssh_secrets_free(k->policy.secrets);
    loop_free(k->loop);
    mem_free(k);
}

/* ---- streams ---- */

static inline void stream_on_opened(void *arg, int result, const struct fault *why)
{
    struct stream *s = arg;

    t_eq(s->opened, 1);
    s->opened = result;
    if (why != NULL)
        s->why = *why;
    if (result < 0)
        s->channel = NULL;
}

static inline size_t stream_on_data(void *arg, const void *data, size_t length)
{
    struct stream *s = arg;
    size_t room = s->take - s->data.length;
    size_t n = length < room ? length : room;

    t_ok(length <= 256u << 10);
    buf_add(&s->data, data, n);
    return n;
}

static inline void stream_on_noise(void *arg, const char *text, size_t length)
{
    struct stream *s = arg;

    buf_add(&s->noise, text, length);
}

static inline void stream_on_writable(void *arg)
{
    struct stream *s = arg;

    s->writable = true;
}

static inline void stream_on_ended(void *arg)
{
    struct stream *s = arg;

    t_ok(!s->ended);
    s->ended = true;
}

static inline void stream_on_closed(void *arg, int exit_status, const struct fault *why)
{
    struct stream *s = arg;

    t_ok(!s->closed);
    s->closed = true;
    s->exit_status = exit_status;
    s->channel = NULL;
    if (why != NULL)
        s->why = *why;
}

static const struct ssh_channel_events stream_events = {.opened = stream_on_opened,
                                                        .data = stream_on_data,
                                                        .noise = stream_on_noise,
                                                        .writable = stream_on_writable,
                                                        .ended = stream_on_ended,
                                                        .closed = stream_on_closed};

static inline struct stream *stream_new(struct kit *k)
{
    struct stream *s = NEW(struct stream);

    s->kit = k;
    s->opened = 1;
    s->take = SIZE_MAX;
    s->exit_status = -2;
    buf_init(&s->data, 256u << 20);
    buf_init(&s->noise, 1u << 20);
    return s;
}

static inline struct stream *stream_start(struct kit *k, struct ssh_channel_spec spec)
{
    struct stream *s = stream_new(k);

    s->channel = ssh_channel_open(k->ssh, &spec, &stream_events, s);
    return s;
}

/* A command over there; opened when it returns. */
static inline struct stream *stream_exec(struct kit *k, const char *command)
{
    struct stream *s =
        stream_start(k, (struct ssh_channel_spec){.kind = SSH_EXEC, .command = command});

    KIT_UNTIL(k, s->opened != 1);
    return s;
}

/* Writes it all, however often that takes. */
static inline void stream_write(struct stream *s, const void *data, size_t length)
{
    const char *at = data;

    while (length > 0 && s->channel != NULL) {
        size_t n = ssh_channel_write(s->channel, at, length);

        at += n;
        length -= n;
        if (length == 0)
            break;
        s->writable = false;
        KIT_UNTIL(s->kit, s->writable || s->channel == NULL);
        if (!s->writable)
            break;
    }
}

static inline const char *stream_text(struct stream *s)
{
    return s->data.data != NULL ? s->data.data : "";
}

static inline void stream_free(struct stream *s)
{
    ssh_channel_drop(s->channel);
    buf_done(&s->data);
    buf_done(&s->noise);
    mem_free(s);
}

/* ---- an echo service of our own, on the test's loop ---- */

struct echo_end {
    struct echo *echo;
    int fd;
    struct watch *watch;
    struct buf waiting;
};

struct echo {
    struct loop *loop;
    int fd, port;
    struct watch *watch;
    struct echo_end ends[64];
    size_t count;
    char path[200]; /* "" for TCP */
};

static inline void echo_end_close(struct echo_end *end)
{
    if (end->fd < 0)
        return;
    end->watch = watch_free(end->watch);
    (void)close(end->fd);
    end->fd = -1;
    buf_done(&end->waiting);
}

static inline void echo_on_end(void *arg, int events)
{
    struct echo_end *end = arg;
    char chunk[65536];
    ssize_t n;

    if ((events & POLLIN) != 0 && end->waiting.length < 1u << 20) {
        n = recv(end->fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n == 0 && end->waiting.length == 0) {
            echo_end_close(end);
            return;
        }
        if (n > 0)
            buf_add(&end->waiting, chunk, (size_t)n);
    }
    while (end->waiting.length > 0 && (n = send(end->fd, end->waiting.data, end->waiting.length,
                                                MSG_DONTWAIT | MSG_NOSIGNAL)) > 0)
        buf_drop(&end->waiting, (size_t)n);
    watch_change(end->watch, (end->waiting.length < 1u << 20 ? POLLIN : 0) |
                                 (end->waiting.length > 0 ? POLLOUT : 0));
}

static inline void echo_on_connection(void *arg, int events)
{
    struct echo *echo = arg;
    struct echo_end *end = &echo->ends[echo->count];

    (void)events;
    require(echo->count < COUNT(echo->ends));
    end->fd = accept4(echo->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (end->fd < 0)
        return;
    echo->count++;
    end->echo = echo;
    buf_init(&end->waiting, 4u << 20);
    end->watch = watch_new(echo->loop, end->fd, POLLIN, echo_on_end, end);
}

/* path NULL: TCP on 127.0.0.1. */
static inline struct echo *echo_new(struct loop *loop, const char *path)
{
    struct echo *echo = NEW(struct echo);
    struct sockaddr_in tcp = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_un local = {.sun_family = AF_UNIX};
    socklen_t length = sizeof tcp;

    echo->loop = loop;
    echo->fd =
        socket(path != NULL ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (path != NULL) {
        (void)snprintf(echo->path, sizeof echo->path, "%s", path);
        (void)snprintf(local.sun_path, sizeof local.sun_path, "%s", path);
        require(bind(echo->fd, (struct sockaddr *)&local, sizeof local) == 0);
    } else {
        require(bind(echo->fd, (struct sockaddr *)&tcp, sizeof tcp) == 0);
        require(getsockname(echo->fd, (struct sockaddr *)&tcp, &length) == 0);
        echo->port = ntohs(tcp.sin_port);
    }
    require(listen(echo->fd, 64) == 0);
    echo->watch = watch_new(loop, echo->fd, POLLIN, echo_on_connection, echo);
    return echo;
}

static inline void echo_free(struct echo *echo)
{
    for (size_t i = 0; i < echo->count; i++)
        echo_end_close(&echo->ends[i]);
    echo->watch = watch_free(echo->watch);
    (void)close(echo->fd);
    if (echo->path[0] != '\0')
        (void)unlink(echo->path);
    mem_free(echo);
}
