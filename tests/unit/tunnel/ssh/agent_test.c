/* The agent client against a scripted agent, on a virtual clock. */
#include "base/io/loop.h"
#include "base/mem.h"
#include "tests/t.h"
#include "tunnel/ssh/agent.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* ---- a scripted agent ---- */

struct fake {
    struct loop *loop;
    char path[100];
    int listener, peer; /* peer -1: nobody */
    int dials;
    struct agent *agent;
};

static void fake_new(struct fake *fake, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *fake = (struct fake){.peer = -1, .loop = loop_new(LOOP_VIRTUAL)};
    snprintf(fake->path, sizeof(fake->path), "%.80s/%.16s", t_tmpdir(), name);
    memcpy(address.sun_path, fake->path, sizeof(fake->path));
    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    t_eq(bind(fake->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    t_eq(listen(fake->listener, 4), 0);
    fake->agent = agent_new(fake->loop, fake->path);
}

static void hang_up(struct fake *fake)
{
    if (fake->peer >= 0)
        close(fake->peer);
    fake->peer = -1;
}

static void fake_done(struct fake *fake)
{
    agent_free(fake->agent);
    hang_up(fake);
    close(fake->listener);
    loop_free(fake->loop);
}

static void turns(struct fake *fake)
{
    for (int i = 0; i < 20; i++)
        loop_turn(fake->loop, false);
}

/* What was asked since the last time: its bytes, -1: nobody is there. */
static ssize_t asked(struct fake *fake, uint8_t *out, size_t room)
{
    turns(fake);
    int peer = accept4(fake->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (peer >= 0) {
        hang_up(fake);
        fake->peer = peer;
        fake->dials++;
    }
    if (fake->peer < 0)
        return -1;
    ssize_t got = recv(fake->peer, out, room, 0);
    return got < 0 && errno == EAGAIN ? 0 : got;
}

static void answer(struct fake *fake, const void *bytes, size_t length)
{
    t_eq(send(fake->peer, bytes, length, MSG_NOSIGNAL), (ssize_t)length);
    turns(fake);
}
#define ANSWER(fake, text) answer(fake, text, sizeof(text) - 1)

struct wait {
    struct op op;
    int result, ends;
};

static void on_done(struct op *op, int result)
{
    struct wait *wait = CONTAINER(op, struct wait, op);

    wait->result = result;
    wait->ends++;
}

static void list(struct fake *fake, struct wait *wait, struct agent_keys *keys)
{
    op_init(&wait->op, fake->loop, on_done, 0);
    agent_list(fake->agent, &wait->op, keys);
    t_eq(wait->ends, 0);
}

static const struct agent_key some_key = {(uint8_t[]){0, 0, 0, 1, 'x', 1}, 6, "x", NULL};

static void sign(struct fake *fake, struct wait *wait, struct buf *ret)
{
    op_init(&wait->op, fake->loop, on_done, 0);
    agent_sign(fake->agent, &wait->op, &some_key, "data", 4, AGENT_SIGN_RSA_SHA512, ret);
}

#define ONE_KEY   "\0\0\0\x1a\x0c\0\0\0\1\0\0\0\x09\0\0\0\4type!\0\0\0\4m\ne!"
#define SIGNATURE "\0\0\0\x11\x0e\0\0\0\x0c\0\0\0\3sig\0\0\0\1S"

T(lists_and_signs)
{
    struct fake fake;
    struct agent_keys keys = {0};
    struct wait listing = {0}, signing = {0};
    CLEAN(buf_done) struct buf signature = {0};
    uint8_t got[256];

    buf_init(&signature, 1024);
    fake_new(&fake, "both");
    list(&fake, &listing, &keys);
    sign(&fake, &signing, &signature); /* waits its turn */
    t_eq(asked(&fake, got, sizeof(got)), 5);
    t_ok(memcmp(got, "\0\0\0\1\x0b", 5) == 0);
    answer(&fake, ONE_KEY, 3); /* in pieces */
    answer(&fake, &ONE_KEY[3], 7);
    t_eq(listing.ends, 0);
    answer(&fake, &ONE_KEY[10], sizeof(ONE_KEY) - 11);
    t_eq(listing.ends, 1);
    t_eq(listing.result, 0);
    t_eq(keys.count, 1);
    t_str(keys.items[0].type, "type");
    t_str(keys.items[0].comment, "m?e!");
    t_eq(keys.items[0].length, 9);
    agent_keys_done(&keys);

    t_eq(asked(&fake, got, sizeof(got)), 4 + 1 + 10 + 8 + 4);
    t_ok(memcmp(got, "\0\0\0\x17\x0d\0\0\0\6\0\0\0\1x\1\0\0\0\4data\0\0\0\4", 27) == 0);
    ANSWER(&fake, SIGNATURE);
    t_eq(signing.ends, 1);
    t_eq(signing.result, 0);
    t_eq(signature.length, 12);
    t_eq(fake.dials, 1); /* one connection for both */
    fake_done(&fake);
}

/* Answers that are none: refused, the connection dropped, the next question served over a new one. */
T(garbage)
{
    static const struct {
        const char *bytes;
        size_t length;
        int result;
        const char *says;
    } rows[] = {
#define ROW(text, result, says) {text, sizeof(text) - 1, result, says}
        ROW("\0\0\0\1\5", -ERR_DENIED, "refuses listing its keys"),
        ROW("\0\0\0\1\x1e", -ERR_DENIED, "refuses"),
        ROW("\0\0\0\0", -ERR_INVALID, "is it an SSH agent"),
        ROW("\xff\xff\xff\xff", -ERR_INVALID, "is it an SSH agent"),
        ROW("\0\4\0\1\x0c", -ERR_INVALID, "is it an SSH agent"),
        ROW("HTTP/1.1 400 Bad Request\r\n", -ERR_INVALID, "is it an SSH agent"),
        ROW("\0\0\0\1\x0e", -ERR_INVALID, "is it an SSH agent"),
        ROW("\0\0\0\1\x0c", -ERR_INVALID, "is it an SSH agent"),
        ROW("\0\0\0\5\x0c\xff\xff\xff\xff", -ERR_INVALID, "is it an SSH agent"),
        ROW("\0\0\0\5\x0c\0\0\0\1", -ERR_INVALID, "is it an SSH agent"),
        ROW("\0\0\0\x0d\x0c\0\0\0\1\xff\xff\xff\xff\0\0\0\0", -ERR_INVALID, "is it an SSH agent"),
        ROW("\0\0\0\6\x0c\0\0\0\0!", -ERR_INVALID, "is it an SSH agent"),
#undef ROW
    };

    struct fake fake;
    uint8_t got[64];

    fake_new(&fake, "garbage");
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct agent_keys keys = {0};
        struct wait wait = {0};

        list(&fake, &wait, &keys);
        t_eq(asked(&fake, got, sizeof(got)), 5);
        answer(&fake, rows[i].bytes, rows[i].length);
        t_eq(wait.ends, 1);
        t_eq(wait.result, rows[i].result);
        t_has(wait.op.fault.text, rows[i].says);
        t_has(wait.op.fault.text, fake.path);
        t_ok(keys.items == NULL && keys.count == 0);
    }
    fake_done(&fake);
}

T(bad_signatures)
{
    static const struct {
        const char *bytes;
        size_t length;
    } rows[] = {
#define ROW(text) {text, sizeof(text) - 1}
        ROW("\0\0\0\1\x0e"),
        ROW("\0\0\0\5\x0e\0\0\0\0"),
        ROW("\0\0\0\x0d\x0e\0\0\0\x08\0\0\0\0\0\0\0\0"),
        ROW("\0\0\0\x0d\x0e\0\0\0\x08\0\0\0\xff\0\0\0\0"),
        ROW("\0\0\0\x12\x0e\0\0\0\x0c\0\0\0\3sig\0\0\0\1S!"),
        ROW("\0\0\0\5\x0c\0\0\0\0"),
#undef ROW
    };
    struct fake fake;
    uint8_t got[64];

    fake_new(&fake, "signs");
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(buf_done) struct buf signature = {0};
        struct wait wait = {0};

        buf_init(&signature, 1024);
        sign(&fake, &wait, &signature);
        t_ok(asked(&fake, got, sizeof(got)) > 0);
        answer(&fake, rows[i].bytes, rows[i].length);
        t_eq(wait.ends, 1);
        t_eq(wait.result, -ERR_INVALID);
        t_eq(signature.length, 0);
    }
    fake_done(&fake);
}

T(no_keys)
{
    struct fake fake;
    struct agent_keys keys = {0};
    struct wait wait = {0};
    uint8_t got[64];

    fake_new(&fake, "empty");
    list(&fake, &wait, &keys);
    t_eq(asked(&fake, got, sizeof(got)), 5);
    ANSWER(&fake, "\0\0\0\5\x0c\0\0\0\0");
    t_eq(wait.result, 0);
    t_eq(wait.ends, 1);
    t_eq(keys.count, 0);
    agent_keys_done(&keys);
    fake_done(&fake);
}

/* More keys than we keep, and one of no type: the others are there. */
T(many_keys)
{
    struct fake fake;
    struct agent_keys keys = {0};
    struct wait wait = {0};
    CLEAN(buf_done) struct buf all = {0};
    uint8_t got[64];
    uint32_t body = 1 + 4 + 8 + 300 * 17;

    fake_new(&fake, "many");
    buf_init(&all, 65536);
    const uint8_t head[] = {0, 0, (uint8_t)(body >> 8), (uint8_t)body, 12, 0, 0, 1, 45};
    buf_add(&all, head, sizeof(head));
    buf_add(&all, "\0\0\0\0\0\0\0\0", 8);
    for (int i = 0; i < 300; i++)
        buf_add(&all, "\0\0\0\x09\0\0\0\4type!\0\0\0\0", 17);
    list(&fake, &wait, &keys);
    t_eq(asked(&fake, got, sizeof(got)), 5);
    answer(&fake, all.data, all.length);
    t_eq(wait.result, 0);
    t_eq(wait.ends, 1);
    t_eq(keys.count, AGENT_KEYS_MAX);
    agent_keys_done(&keys);
    fake_done(&fake);
}

/* An agent that hangs: the deadline ends it and the connection; the next question dials anew. */
T(hangs)
{
    struct fake fake;
    struct agent_keys keys = {0};
    struct wait first = {0}, second = {0};
    CLEAN(buf_done) struct buf signature = {0};
    uint8_t got[64];

    buf_init(&signature, 1024);
    fake_new(&fake, "hangs");
    list(&fake, &first, &keys);
    sign(&fake, &second, &signature);
    t_eq(asked(&fake, got, sizeof(got)), 5);
    loop_advance(fake.loop, AGENT_LIST_MS - 1);
    t_eq(first.ends, 0);
    loop_advance(fake.loop, 1);
    turns(&fake);
    t_eq(first.ends, 1);
    t_eq(first.result, -ERR_TIMEOUT);
    t_has(first.op.fault.text, "within 5 s");
    t_eq(second.ends, 0);
    t_eq(recv(fake.peer, got, sizeof(got), 0), 0); /* dropped */

    t_ok(asked(&fake, got, sizeof(got)) > 0);
    t_eq(fake.dials, 2);
    loop_advance(fake.loop, AGENT_SIGN_MS - 1); /* a finger takes its time */
    t_eq(second.ends, 0);
    ANSWER(&fake, SIGNATURE);
    t_eq(second.ends, 1);
    t_eq(second.result, 0);
    fake_done(&fake);
}

T(closes_in_the_middle)
{
    struct fake fake;
    struct agent_keys keys = {0};
    struct wait first = {0}, second = {0};
    uint8_t got[64];

    fake_new(&fake, "closes");
    list(&fake, &first, &keys);
    t_eq(asked(&fake, got, sizeof(got)), 5);
    answer(&fake, ONE_KEY, 9);
    hang_up(&fake);
    turns(&fake);
    t_eq(first.ends, 1);
    t_eq(first.result, -ERR_CLOSED);

    list(&fake, &second, &keys);
    t_eq(asked(&fake, got, sizeof(got)), 5);
    ANSWER(&fake, ONE_KEY);
    t_eq(second.result, 0);
    t_eq(second.ends, 1);
    agent_keys_done(&keys);

    hang_up(&fake); /* between two questions: nobody minds */
    turns(&fake);
    second.ends = 0;
    list(&fake, &second, &keys);
    t_eq(asked(&fake, got, sizeof(got)), 5);
    ANSWER(&fake, ONE_KEY);
    t_eq(second.result, 0);
    t_eq(second.ends, 1);
    agent_keys_done(&keys);
    fake_done(&fake);
}

T(talks_unasked)
{
    struct fake fake;
    struct agent_keys keys = {0};
    struct wait wait = {0};
    uint8_t got[64];

    fake_new(&fake, "unasked");
    list(&fake, &wait, &keys);
    t_eq(asked(&fake, got, sizeof(got)), 5);
    ANSWER(&fake, ONE_KEY ONE_KEY); /* and one more */
    t_eq(wait.result, 0);
    agent_keys_done(&keys);
    turns(&fake);
    ssize_t left = recv(fake.peer, got, sizeof(got), 0);
    t_ok(left == 0 || (left < 0 && errno == ECONNRESET)); /* dropped */
    fake_done(&fake);
}

T(cancelled)
{
    struct fake fake;
    struct agent_keys keys = {0};
    struct wait first = {0}, second = {0}, third = {0};
    uint8_t got[64];

    fake_new(&fake, "cancelled");
    list(&fake, &first, &keys);
    list(&fake, &second, &keys);
    list(&fake, &third, &keys);
    t_eq(asked(&fake, got, sizeof(got)), 5);
    op_cancel(&second.op); /* waits */
    op_cancel(&first.op);  /* on its way: its answer must not be taken for the next one's */
    turns(&fake);
    t_eq(first.result, -ERR_CANCELLED);
    t_eq(second.result, -ERR_CANCELLED);
    t_eq(first.ends + second.ends, 2);
    t_eq(asked(&fake, got, sizeof(got)), 5);
    t_eq(fake.dials, 2);
    ANSWER(&fake, ONE_KEY);
    t_eq(third.ends, 1);
    t_eq(third.result, 0);
    agent_keys_done(&keys);

    first.ends = second.ends = 0;
    list(&fake, &first, &keys); /* freed with one on its way and one that waits */
    list(&fake, &second, &keys);
    turns(&fake);
    fake_done(&fake);
    t_eq(first.ends + second.ends, 0);
}

T(too_many_wait)
{
    struct fake fake;
    struct agent_keys keys = {0};
    struct wait waits[66] = {0};

    fake_new(&fake, "queue");
    for (size_t i = 0; i < COUNT(waits); i++)
        list(&fake, &waits[i], &keys);
    turns(&fake);
    t_eq(waits[63].ends, 0);
    t_eq(waits[64].result, -ERR_BUSY);
    t_eq(waits[65].ends, 1);
    fake_done(&fake);
}

T(nobody_there)
{
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_VIRTUAL);
    CLEAN(mem_free) char *endless = mem_new(300);
    memset(endless, 'x', 299);
    const char *const paths[] = {"/nowhere/agent", "/dev/null", endless};

    for (size_t i = 0; i < COUNT(paths); i++) {
        struct agent *agent = agent_new(loop, paths[i]);
        struct agent_keys keys = {0};
        struct wait wait = {0};

        op_init(&wait.op, loop, on_done, 0);
        agent_list(agent, &wait.op, &keys);
        for (int turn = 0; turn < 10; turn++)
            loop_turn(loop, false);
        t_eq(wait.ends, 1);
        t_eq(wait.result, i == 2 ? -ERR_INVALID : -ERR_CONNECT);
        t_has(wait.op.fault.text, "SSH agent at ");
        agent_free(agent);
    }
}

/* Its backlog is full: knocked again, not given up. */
T(backlog_full)
{
    struct fake fake;
    struct agent_keys keys = {0};
    struct wait wait = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int others[32];
    size_t count = 0;
    uint8_t got[64];

    fake_new(&fake, "backlog");
    memcpy(address.sun_path, fake.path, sizeof(fake.path));
    for (;;) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || count == 32) {
            close(fd);
            break;
        }
        others[count++] = fd;
    }
    list(&fake, &wait, &keys);
    turns(&fake);
    t_eq(wait.ends, 0);
    for (size_t i = 0; i < count; i++) {
        int peer = accept4(fake.listener, NULL, NULL, SOCK_CLOEXEC);
        close(peer);
        close(others[i]);
    }
    loop_advance(fake.loop, 60);
    t_eq(asked(&fake, got, sizeof(got)), 5);
    ANSWER(&fake, ONE_KEY);
    t_eq(wait.result, 0);
    t_eq(wait.ends, 1);
    agent_keys_done(&keys);
    fake_done(&fake);
}
