/* Speaking to an ssh-agent: a queue of requests, the first of them on its way. Path of one: agent_list or agent_sign
 * makes the message and queues it; pump connects if need be, sends, and read_answer hands the whole answer to the
 * request's own reader; finish ends its op and pumps on. A fault of the connection ends the request that was on its way
 * and the connection, the next one connects anew. draft-miller-ssh-agent.
 *
 * Owns: the descriptor, the queue, the bytes of both directions. */
#include "tunnel/ssh/agent.h"

#include "base/mem.h"
#include "tunnel/ssh/agent_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define AGENT_MAGIC       0x6167656eu
#define AGENT_REQUESTS    64  /* that wait; one more: -ERR_BUSY */
#define AGENT_COMMENT_MAX 256 /* of a comment; the rest is cut */
#define AGENT_AGAIN_MS    50  /* its backlog was full: knock again so much later */

enum {
    MESSAGE_FAILURE = 5,
    MESSAGE_LIST = 11,
    MESSAGE_KEYS = 12,
    MESSAGE_SIGN = 13,
    MESSAGE_SIGNED = 14
};

struct request {
    struct request *next;
    struct op *op;
    int64_t deadline_ms;
    uint8_t expected; /* type of the answer */
    int (*read)(struct request *request, struct wire *answer, struct fault *reterr_fault);
    const char *wanted; /* "listing its keys" */
    struct agent_keys *keys;
    struct buf *signature;
    struct buf message; /* with its length in front */
};

struct agent {
    uint32_t magic;
    struct loop *loop;
    char *path;
    int fd; /* -1: not connected */
    struct watch *watch;
    struct request *first, **last;
    size_t requests;
    size_t sent;      /* of first's message */
    bool asking;      /* first is on its way */
    struct buf input; /* of its answer */
    struct timer deadline, again;
    struct defer pump;
};

static void pump(void *arg);

/* ---- life ---- */

struct agent *agent_new(struct loop *loop, const char *socket_path)
{
    struct agent *agent = NEW(struct agent);

    agent->magic = AGENT_MAGIC;
    agent->loop = loop;
    agent->path = mem_string(socket_path);
    agent->fd = -1;
    agent->last = &agent->first;
    buf_init(&agent->input, AGENT_MESSAGE_MAX + 4);
    return agent;
}

static void hang_up(struct agent *agent)
{
    agent->watch = watch_free(agent->watch);
    if (agent->fd >= 0)
        (void)close(agent->fd);
    agent->fd = -1;
    agent->sent = 0;
    agent->asking = false;
    buf_clear(&agent->input);
    timer_stop(agent->loop, &agent->deadline);
    timer_stop(agent->loop, &agent->again);
}

static struct request *request_free(struct request *request)
{
    buf_done(&request->message);
    return mem_free(request);
}

static void take_out(struct agent *agent, struct request *request)
{
    struct request **at = &agent->first;

    while (*at != request)
        at = &(*at)->next;
    *at = request->next;
    if (agent->last == &request->next)
        agent->last = at;
    agent->requests--;
}

struct agent *agent_free(struct agent *agent)
{
    if (agent == NULL)
        return NULL;
    CHECK(agent, AGENT_MAGIC);
    while (agent->first)
        op_drop(agent->first->op); /* its cancel takes it out */
    hang_up(agent);
    defer_stop(agent->loop, &agent->pump);
    buf_done(&agent->input);
    mem_free(agent->path);
    agent->magic = 0;
    return mem_free(agent);
}

/* ---- the queue ---- */

static void finish(struct agent *agent, int result)
{
    struct request *request = agent->first;
    struct op *op = request->op;

    take_out(agent, request);
    request_free(request);
    agent->asking = false;
    agent->sent = 0;
    buf_clear(&agent->input);
    timer_stop(agent->loop, &agent->deadline);
    op_end(op, result);
    defer_start(agent->loop, &agent->pump, pump, agent);
}

/* The connection is of no use any more, nor is what was asked over it. */
static void fail(struct agent *agent, int code, const char *what)
{
    bool asking = agent->first && (agent->asking || agent->fd < 0);

    hang_up(agent);
    if (!asking)
        return;
    fault_set(&agent->first->op->fault, code, "the SSH agent at %s %s", agent->path, what);
    finish(agent, code);
}

static void on_cancel(struct op *op, void *worker)
{
    struct agent *agent = worker;
    struct request *request;

    CHECK(agent, AGENT_MAGIC);
    for (request = agent->first; request && request->op != op;)
        request = request->next;
    if (fails(request != NULL))
        return;
    if (request == agent->first)
        hang_up(agent); /* its answer may still come */
    take_out(agent, request);
    request_free(request);
    defer_start(agent->loop, &agent->pump, pump, agent);
}

static void ask(struct agent *agent, struct request *request)
{
    wire_put_u32((uint8_t *)request->message.data, request->message.length - 4);
    *agent->last = request;
    agent->last = &request->next;
    agent->requests++;
    defer_start(agent->loop, &agent->pump, pump, agent);
}

/* NULL: the op has ended. */
static struct request *request_new(struct agent *agent, struct op *op)
{
    op_start(op, on_cancel, agent);
    if (agent->requests >= AGENT_REQUESTS) {
        fault_set(&op->fault, -ERR_BUSY, "the SSH agent at %s has too many questions waiting",
                  agent->path);
        op_end(op, -ERR_BUSY);
        return NULL;
    }
    struct request *request = NEW(struct request);

    request->op = op;
    buf_init(&request->message, AGENT_MESSAGE_MAX + 4);
    buf_add(&request->message, "\0\0\0\0", 4); /* room for the length */
    return request;
}

/* ---- the connection ---- */

static void on_deadline(void *arg)
{
    struct agent *agent = arg;

    CHECK(agent, AGENT_MAGIC);
    char why[160];
    snprintf(why, sizeof(why),
             "did not answer %s within %lld s; unlock it or touch the key, or set IdentityAgent",
             agent->first->wanted, (long long)agent->first->deadline_ms / 1000);
    hang_up(agent);
    agent->asking = true;
    fail(agent, -ERR_TIMEOUT, why);
}

static void read_answer(struct agent *agent);

static void on_ready(void *arg, int events)
{
    struct agent *agent = arg;

    CHECK(agent, AGENT_MAGIC);
    if (events & (POLLIN | POLLERR | POLLHUP))
        read_answer(agent);
    else
        pump(agent);
}

/* Connected, or it will be tried again, or the request has ended. */
static bool dial(struct agent *agent)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(agent->path) >= sizeof(address.sun_path)) {
        fail(agent, -ERR_INVALID, "has a longer path than a socket can have");
        return false;
    }
    memcpy(address.sun_path, agent->path, strlen(agent->path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) {
        agent->fd = fd;
        agent->watch = watch_new(agent->loop, fd, POLLIN, on_ready, agent);
        return true;
    }
    int error = errno;
    if (fd >= 0)
        (void)close(fd);
    if (error == EAGAIN || error == EINTR) {
        timer_start(agent->loop, &agent->again, AGENT_AGAIN_MS, 0, pump, agent);
        return false;
    }
    char why[160];
    snprintf(why, sizeof(why), "cannot be reached (%s); start it, or unset SSH_AUTH_SOCK",
             strerror(error));
    fail(agent, -ERR_CONNECT, why);
    return false;
}

/* Sends what is to be sent. */
static void pump(void *arg)
{
    struct agent *agent = arg;
    struct request *request;

    CHECK(agent, AGENT_MAGIC);
    request = agent->first;
    if (request == NULL)
        return;
    if (!timer_running(&agent->deadline))
        timer_start(agent->loop, &agent->deadline, request->deadline_ms, 0, on_deadline, agent);
    if (agent->fd < 0 && !dial(agent))
        return;
    agent->asking = true;
    while (agent->sent < request->message.length) {
        ssize_t sent = send(agent->fd, request->message.data + agent->sent,
                            request->message.length - agent->sent, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno == EAGAIN)
            break;
        if (sent < 0) {
            fail(agent, -ERR_CLOSED, "closed the connection");
            return;
        }
        agent->sent += (size_t)sent;
    }
    watch_change(agent->watch, agent->sent < request->message.length ? POLLIN | POLLOUT : POLLIN);
}

/* ---- answers ---- */

static void take_answer(struct agent *agent)
{
    struct request *request = agent->first;
    struct wire answer = wire_of(agent->input.data + 4, agent->input.length - 4);
    uint8_t type = wire_u8(&answer);
    int r;

    if (type == request->expected)
        r = request->read(request, &answer, &request->op->fault);
    else if (type == MESSAGE_FAILURE || type == 30 || type == 102) /* the latter two: old agents */
        r = fault_set(&request->op->fault, -ERR_DENIED,
                      "the SSH agent at %s refuses %s; is it locked, was the key taken out or the "
                      "question declined?",
                      agent->path, request->wanted);
    else
        r = -ERR_INVALID;
    if (r == -ERR_INVALID)
        fail(agent, r, "answers with what is no answer; is it an SSH agent?");
    else
        finish(agent, r);
}

/* One message at most: nobody asked for more. */
static void read_answer(struct agent *agent)
{
    struct buf *in = &agent->input;
    size_t wanted = 4;

    for (;;) {
        if (in->length >= 4) {
            struct wire head = wire_of(in->data, 4);
            size_t length = wire_u32(&head);

            if (length == 0 || length > AGENT_MESSAGE_MAX) {
                fail(agent, -ERR_INVALID, "answers with what is no answer; is it an SSH agent?");
                return;
            }
            wanted = 4 + length;
        }
        if (in->length == wanted) {
            take_answer(agent);
            return;
        }
        char *to = buf_reserve(in, wanted - in->length);
        ssize_t got = recv(agent->fd, to, wanted - in->length, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && errno == EAGAIN)
            return;
        if (got <= 0 || !agent->asking || agent->sent < agent->first->message.length) {
            fail(agent, got <= 0 ? -ERR_CLOSED : -ERR_INVALID,
                 got <= 0 ? "closed the connection without an answer"
                          : "answers before it is asked; is it an SSH agent?");
            return;
        }
        in->length += (size_t)got;
    }
}

/* ---- list ---- */

void agent_keys_done(struct agent_keys *keys)
{
    for (size_t i = 0; i < keys->count; i++) {
        mem_free(keys->items[i].blob);
        mem_free(keys->items[i].comment);
    }
    mem_free(keys->items);
    *keys = (struct agent_keys){0};
}

static char *comment_of(struct wire_text text)
{
    char *comment = mem_slice((const char *)text.data,
                              text.length < AGENT_COMMENT_MAX ? text.length : AGENT_COMMENT_MAX);

    for (char *c = comment; *c; c++)
        if ((unsigned char)*c < ' ' || (unsigned char)*c > '~')
            *c = '?';
    return comment;
}

int agent_keys_read(struct wire *answer, struct agent_keys *ret)
{
    struct agent_keys keys = {0};
    uint32_t count = wire_u32(answer);

    if (answer->bad || count > wire_left(answer) / 8) /* each takes two lengths at least */
        return -ERR_INVALID;
    keys.items = mem_array(AGENT_KEYS_MAX, sizeof(*keys.items));
    for (uint32_t i = 0; i < count && !answer->bad; i++) {
        struct wire_text blob = wire_string(answer), comment = wire_string(answer);
        struct agent_key *key = &keys.items[keys.count];

        /* More keys than any server lets us try, or one of no type: passed over. */
        if (answer->bad || keys.count == AGENT_KEYS_MAX ||
            !wire_key_type(blob.data, blob.length, key->type))
            continue;
        key->blob = mem_copy(blob.data, blob.length);
        key->length = blob.length;
        key->comment = comment_of(comment);
        keys.count++;
    }
    if (answer->bad || wire_left(answer) > 0) {
        agent_keys_done(&keys);
        return -ERR_INVALID;
    }
    *ret = keys;
    return 0;
}

static int list_read(struct request *request, struct wire *answer, struct fault *reterr_fault)
{
    (void)reterr_fault;
    return agent_keys_read(answer, request->keys);
}

void agent_list(struct agent *agent, struct op *op, struct agent_keys *ret)
{
    struct request *request = request_new(agent, op);

    if (request == NULL)
        return;
    request->deadline_ms = AGENT_LIST_MS;
    request->expected = MESSAGE_KEYS;
    request->read = list_read;
    request->wanted = "listing its keys";
    request->keys = ret;
    buf_add_char(&request->message, MESSAGE_LIST);
    ask(agent, request);
}

/* ---- sign ---- */

static void add_u32(struct buf *out, size_t value)
{
    uint8_t bytes[4];

    wire_put_u32(bytes, value);
    buf_add(out, bytes, sizeof(bytes));
}

int agent_signature_read(struct wire *answer, struct buf *ret)
{
    struct wire_text blob = wire_string(answer);
    struct wire inside = wire_of(blob.data, blob.length);
    struct wire_text type = wire_string(&inside), signature = wire_string(&inside);

    /* A hardware key's signature carries flags and a counter behind. */
    if (answer->bad || inside.bad || wire_left(answer) > 0 || type.length == 0 ||
        signature.length == 0)
        return -ERR_INVALID;
    buf_add(ret, blob.data, blob.length);
    return ret->bad ? -ERR_TOO_LARGE : 0;
}

static int sign_read(struct request *request, struct wire *answer, struct fault *reterr_fault)
{
    int r = agent_signature_read(answer, request->signature);

    if (r == -ERR_TOO_LARGE)
        fault_set(reterr_fault, r, "the SSH agent's signature is longer than any");
    return r;
}

void agent_sign(struct agent *agent, struct op *op, const struct agent_key *key, const void *data,
                size_t length, uint32_t flags, struct buf *ret)
{
    struct request *request = request_new(agent, op);

    if (request == NULL)
        return;
    request->deadline_ms = AGENT_SIGN_MS;
    request->expected = MESSAGE_SIGNED;
    request->read = sign_read;
    request->wanted = "the signature";
    request->signature = ret;
    buf_add_char(&request->message, MESSAGE_SIGN);
    add_u32(&request->message, key->length);
    buf_add(&request->message, key->blob, key->length);
    add_u32(&request->message, length);
    buf_add(&request->message, data, length);
    add_u32(&request->message, flags);
    if (request->message.bad) {
        request_free(request);
        fault_set(&op->fault, -ERR_TOO_LARGE, "what is to be signed is longer than an agent takes");
        op_end(op, -ERR_TOO_LARGE);
        return;
    }
    ask(agent, request);
}
