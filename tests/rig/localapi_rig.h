/* tests/tool/localapi.py beside a test: tailscaled's LocalAPI on a socket in the test's folder, told what to play by
 * JSON with single quotes. In the test's own loop; started and ended with it. */
#pragma once

#include "base/io/child.h"
#include "base/mem.h"
#include "tests/t.h"
#include "tunnel/tailnet/request.h"

#define LOCALAPI_WAIT_MS 10000

struct localapi {
    struct loop *loop;
    struct child *child;
    char *socket;
    bool ready, ended;
    struct op op;
    struct buf reply; /* of the last control call */
    bool over;
};

static inline void localapi_on_line(void *arg, const char *text, size_t length)
{
    struct localapi *l = arg;
    l->ready = l->ready || (length == 5 && memcmp(text, "ready", 5) == 0);
}

static inline void localapi_on_noise(void *arg, const char *text, size_t length)
{
    (void)arg;
    fprintf(stderr, "localapi: %.*s\n", (int)length, text);
}

static inline void localapi_on_ended(void *arg, int status, int signal, int result)
{
    struct localapi *l = arg;
    (void)status, (void)signal, (void)result;
    l->ended = true;
}

static inline void localapi_awake(void *arg)
{
    (void)arg;
}

/* Turns until *flag, at most ten seconds. */
static inline void localapi_wait(struct loop *loop, const bool *flag)
{
    int64_t end = loop_now(loop) + LOCALAPI_WAIT_MS;
    struct timer awake = {0};

    timer_start(loop, &awake, 10, 10, localapi_awake, NULL);
    while (!*flag && loop_now(loop) < end)
        loop_turn(loop, true);
    timer_stop(loop, &awake);
    t_ok(*flag);
}

static inline struct localapi *localapi_new(struct loop *loop)
{
    struct localapi *l = NEW(struct localapi);
    struct fault fault = {0};

    l->loop = loop;
    l->socket = mem_format("%s/localapi.sock", t_tmpdir());
    buf_init(&l->reply, REQUEST_BODY_MAX);
    struct child_config config = {
        .argv = (const char *const[]){"python3", "tests/tool/localapi.py", l->socket, NULL},
        .leash = true,
        .arg = l,
        .line = localapi_on_line,
        .noise = localapi_on_noise,
        .ended = localapi_on_ended};
    t_eq(child_start(loop, &config, &l->child, &fault), 0);
    localapi_wait(loop, &l->ready);
    return l;
}

static inline struct localapi *localapi_free(struct localapi *l)
{
    child_close_input(l->child);
    localapi_wait(l->loop, &l->ended);
    buf_done(&l->reply);
    mem_free(l->socket);
    return mem_free(l);
}

static inline int localapi_on_reply(void *arg, struct request *request, int result)
{
    struct localapi *l = arg;
    const struct buf *body = request_body(request);

    buf_clear(&l->reply);
    if (body->length)
        buf_add(&l->reply, body->data, body->length);
    return result;
}

static inline void localapi_on_over(struct op *op, int result)
{
    struct localapi *l = CONTAINER(op, struct localapi, op);
    t_eq(result, 0);
    l->over = true;
}

/* POST to one of the double's own doors; its reply, valid until the next. */
static inline const char *localapi_post(struct localapi *l, const char *door, const char *text)
{
    CLEAN(mem_free) char *path = mem_format("/double/%s", door);
    CLEAN(mem_free) char *body = mem_string(text);

    for (char *c = body; *c; c++)
        if (*c == '\'')
            *c = '"';
    l->over = false;
    op_init(&l->op, l->loop, localapi_on_over, LOCALAPI_WAIT_MS);
    request_start(&l->op, &(struct request_spec){.unix_path = l->socket,
                                                 .method = "POST",
                                                 .path = path,
                                                 .host = "double",
                                                 .body = body,
                                                 .body_length = strlen(body),
                                                 .arg = l,
                                                 .end = localapi_on_reply});
    localapi_wait(l->loop, &l->over);
    return l->reply.data;
}

static inline void localapi_set(struct localapi *l, const char *patch)
{
    (void)localapi_post(l, "set", patch);
}

/* {"log": [...], "watchers": n, "serve": …} */
static inline const char *localapi_log(struct localapi *l)
{
    return localapi_post(l, "log", "");
}
