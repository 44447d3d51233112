/* Fetches with the HTTP door from a server that plays scripts, in one loop. For tests/wire/base/io. */
#pragma once

#include "base/io/http.h"

#include "tests/rig/script_server.h"

struct fetch {
    struct http_call call;
    struct http_client *client;
    int result, ends;
    struct buf seen;
    int stop_at;   /* bytes after which on_data returns -ERR_DENIED */
    int drop_at;   /* … drops the op */
    int cancel_at; /* … cancels it */
    struct fetch *start_inside;
    const char *url_inside;
};

static struct loop *loop;
static struct http_client *client;
static struct script_server *server;

static inline void fetch_on_done(struct op *op, int result)
{
    struct fetch *f = CONTAINER(op, struct fetch, call.op);

    f->result = result;
    f->ends++;
}

static inline int fetch_on_data(struct http_call *call, const char *data, size_t length)
{
    struct fetch *f = CONTAINER(call, struct fetch, call);
    size_t seen;

    buf_add(&f->seen, data, length);
    seen = f->seen.length;
    if (f->start_inside != NULL) {
        struct fetch *other = TAKE(f->start_inside);

        op_init(&other->call.op, loop, fetch_on_done, 5000);
        http_start(client, &other->call,
                   &(struct http_spec){.method = "GET", .url = f->url_inside});
    }
    if (f->stop_at > 0 && seen >= (size_t)f->stop_at)
        return -ERR_DENIED;
    if (f->cancel_at > 0 && seen >= (size_t)f->cancel_at)
        op_cancel(&call->op);
    if (f->drop_at > 0 && seen >= (size_t)f->drop_at) {
        op_drop(&call->op);
        buf_done(&f->seen);
        buf_done(&f->call.body);
        mem_free(f);
    }
    return 0;
}

static inline struct fetch *fetch_new(bool streaming)
{
    struct fetch *f = NEW(struct fetch);

    buf_init(&f->seen, 32u << 20);
    if (streaming)
        f->call.on_data = fetch_on_data;
    return f;
}

static inline void fetch_free(struct fetch *f)
{
    op_drop(&f->call.op);
    buf_done(&f->seen);
    buf_done(&f->call.body);
    mem_free(f);
}

static inline char *url_of(const char *path)
{
    return mem_format("http://127.0.0.1:%d%s", server->port, path);
}

static inline void begin(const char *const *scripts)
{
    loop = loop_new(LOOP_REAL);
    client = http_client_new(loop);
    server = script_server_new(loop, scripts);
}

static inline void end(void)
{
    client = http_client_free(client);
    script_server_free(server);
    loop = loop_free(loop);
}

static inline void start(struct fetch *f, const char *path, struct http_spec spec)
{
    char *url = url_of(path);

    if (spec.url == NULL)
        spec.url = url;
    if (spec.method == NULL)
        spec.method = "GET";
    op_init(&f->call.op, loop, fetch_on_done, 10000);
    http_start(client, &f->call, &spec);
    mem_free(url);
}

static inline void wait_end(struct fetch *f)
{
    while (f->ends == 0)
        loop_turn(loop, true);
}

/* One GET against one script, collected. */
static inline struct fetch *get(const char *script, struct http_spec spec)
{
    const char *const scripts[] = {script, NULL};
    struct fetch *f = fetch_new(false);

    begin(scripts);
    start(f, "/p?secret=1", spec);
    t_eq(f->ends, 0); /* never from inside */
    wait_end(f);
    t_eq(f->ends, 1);
    return f;
}

static inline void done(struct fetch *f)
{
    fetch_free(f);
    end();
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"
