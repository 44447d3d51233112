/* The HTTP door against a server that plays scripts: limits, ceilings, redirects, Retry-After, cancel
 * and drop from every place, faults without secrets. */
#include "base/io/http.h"

#include "tests/rig/script_server.h"

#include <fcntl.h>

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

static void fetch_on_done(struct op *op, int result)
{
    struct fetch *f = CONTAINER(op, struct fetch, call.op);

    f->result = result;
    f->ends++;
}

static int fetch_on_data(struct http_call *call, const char *data, size_t length)
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

static struct fetch *fetch_new(bool streaming)
{
    struct fetch *f = NEW(struct fetch);

    buf_init(&f->seen, 32u << 20);
    if (streaming)
        f->call.on_data = fetch_on_data;
    return f;
}

static void fetch_free(struct fetch *f)
{
    op_drop(&f->call.op);
    buf_done(&f->seen);
    buf_done(&f->call.body);
    mem_free(f);
}

static char *url_of(const char *path)
{
    return mem_format("http://127.0.0.1:%d%s", server->port, path);
}

static void begin(const char *const *scripts)
{
    loop = loop_new(LOOP_REAL);
    client = http_client_new(loop);
    server = script_server_new(loop, scripts);
}

static void end(void)
{
    client = http_client_free(client);
    script_server_free(server);
    loop = loop_free(loop);
}

static void start(struct fetch *f, const char *path, struct http_spec spec)
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

static void wait_end(struct fetch *f)
{
    while (f->ends == 0)
        loop_turn(loop, true);
}

/* One GET against one script, collected. */
static struct fetch *get(const char *script, struct http_spec spec)
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

static void done(struct fetch *f)
{
    fetch_free(f);
    end();
}

#define OK_HEAD "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\n"

T(collects_a_body)
{
    struct fetch *f = get(OK_HEAD "Content-Length: 5\r\n\r\nhe|llo", (struct http_spec){0});

    t_eq(f->result, 0);
    t_eq(f->call.status, 200);
    t_str(f->call.content_type, "text/plain; charset=utf-8");
    t_eq(f->call.retry_after_ms, -1);
    t_str(f->call.body.data, "hello");
    t_ok(f->call.impl == NULL);
    t_has(server->request.data, "GET /p?secret=1 HTTP/1.1\r\n");
    done(f);
}

T(posts_a_body_and_headers)
{
    static const char *const headers[] = {"authorization: Bearer k",
                                          "content-type: application/json", NULL};
    struct fetch *f =
        get(OK_HEAD "Content-Length: 2\r\n\r\nok",
            (struct http_spec){
                .method = "POST", .headers = headers, .body = "{\"a\":1}", .body_length = 7});

    t_eq(f->result, 0);
    t_has(server->request.data, "POST /p?secret=1 HTTP/1.1\r\n");
    t_has(server->request.data, "authorization: Bearer k\r\n");
    t_has(server->request.data, "\r\n\r\n{\"a\":1}");
    t_ok(strstr(server->request.data, "Expect") == NULL);
    done(f);
}

T(streams_and_keeps_error_bodies)
{
    static const char *const scripts[] = {
        "HTTP/1.1 200 OK\r\n\r\nab|cd|ef",
        "HTTP/1.1 500 no\r\nContent-Length: 7\r\n\r\nbecause",
        "HTTP/1.1 500 no\r\nContent-Length: 100000\r\n\r\n|@fill x100000",
        NULL,
    };
    struct fetch *f = fetch_new(true);

    begin(scripts);
    start(f, "/", (struct http_spec){0});
    wait_end(f);
    t_eq(f->result, 0);
    t_str(f->seen.data, "abcdef");
    t_eq(f->call.body.length, 0);

    buf_clear(&f->seen);
    f->ends = 0;
    start(f, "/", (struct http_spec){0});
    wait_end(f);
    t_eq(f->result, 0);
    t_eq(f->call.status, 500);
    t_eq(f->seen.length, 0);
    t_str(f->call.body.data, "because");

    f->ends = 0;
    start(f, "/", (struct http_spec){0});
    wait_end(f);
    t_eq(f->result, 0);
    t_eq(f->call.body.length, HTTP_ERROR_BODY_MAX);
    done(f);
}

T(body_ceiling)
{
    struct fetch *f = get(OK_HEAD "\r\n|@fill x100001", (struct http_spec){.body_max = 100000});

    t_eq(f->result, -ERR_TOO_LARGE);
    t_has(f->call.op.fault.text, "100000 bytes");
    t_ok(strstr(f->call.op.fault.text, "secret") == NULL);
    done(f);

    f = get(OK_HEAD "\r\n|@fill x100000", (struct http_spec){.body_max = 100000});
    t_eq(f->result, 0);
    t_eq(f->call.body.length, 100000);
    done(f);
}

T(head_ceiling)
{
    struct fetch *f =
        get("HTTP/1.1 200 OK\r\na: |@fill x90000|\r\nb: |@fill x90000|\r\nc: |@fill x90000|"
            "\r\n\r\n",
            (struct http_spec){0});

    t_eq(f->result, -ERR_TOO_LARGE);
    t_has(f->call.op.fault.text, "head");
    done(f);
}

T(idle_limit)
{
    struct fetch *f = get(OK_HEAD "\r\nabc|@wait", (struct http_spec){.idle_ms = 50});

    t_eq(f->result, -ERR_TIMEOUT);
    t_has(f->call.op.fault.text, "sent nothing");
    t_eq(f->call.body.length, 3);
    done(f);
}

/* A listener whose backlog is full does not answer the SYN: connecting hangs. */
T(connect_limit)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof at;
    static const char *const scripts[] = {"", NULL};
    struct fetch *f = fetch_new(false);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), fill[8];
    char *url;

    begin(scripts);
    t_eq(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    t_eq(listen(listener, 0), 0);
    t_eq(getsockname(listener, (struct sockaddr *)&at, &length), 0);
    for (size_t i = 0; i < COUNT(fill); i++) {
        fill[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(fill[i], (struct sockaddr *)&at, sizeof at);
    }
    url = mem_format("http://127.0.0.1:%d/", ntohs(at.sin_port));
    start(f, "", (struct http_spec){.url = url, .connect_ms = 50});
    wait_end(f);
    t_eq(f->result, -ERR_TIMEOUT);
    t_has(f->call.op.fault.text, "no connection to http://127.0.0.1:");
    for (size_t i = 0; i < COUNT(fill); i++)
        (void)close(fill[i]);
    (void)close(listener);
    mem_free(url);
    done(f);
}

T(op_deadline_bounds_the_whole)
{
    static const char *const scripts[] = {OK_HEAD "\r\nabc|@wait", NULL};
    struct fetch *f = fetch_new(false);
    char *url;

    begin(scripts);
    url = url_of("/");
    op_init(&f->call.op, loop, fetch_on_done, 50);
    http_start(client, &f->call, &(struct http_spec){.method = "GET", .url = url});
    wait_end(f);
    t_eq(f->result, -ERR_TIMEOUT);
    t_ok(f->call.impl == NULL);
    mem_free(url);
    done(f);
}

T(refused_broken_and_strange)
{
    static const struct {
        const char *script;
        int result;
        const char *text;
    } rows[] = {
        {"@close", -ERR_CLOSED, "without an answer"},
        {"@reset", -ERR_CLOSED, "broke"},
        {OK_HEAD "Content-Length: 10\r\n\r\nabc|@close", -ERR_CLOSED, "middle of its answer"},
        {OK_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n|@close", -ERR_CLOSED, "127.0.0.1"},
        {"SSH-2.0-OpenSSH_9.2\r\n|@close", -ERR_INVALID, "does not answer in HTTP"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct fetch *f = get(rows[i].script, (struct http_spec){0});

        t_eq(f->result, rows[i].result);
        t_has(f->call.op.fault.text, rows[i].text);
        t_has(f->call.op.fault.text, "http://127.0.0.1:");
        t_ok(strstr(f->call.op.fault.text, "secret") == NULL);
        done(f);
    }
}

T(nobody_listens)
{
    struct fetch *f = get(OK_HEAD "\r\n", (struct http_spec){.url = "http://127.0.0.1:1/x?secret"});

    t_eq(f->result, -ERR_CONNECT);
    t_has(f->call.op.fault.text, "cannot connect to http://127.0.0.1:1:");
    t_ok(strstr(f->call.op.fault.text, "secret") == NULL);
    done(f);
}

T(unknown_host)
{
    struct fetch *f =
        get(OK_HEAD "\r\n", (struct http_spec){.url = "http://no-such-host.invalid/"});

    t_eq(f->result, -ERR_CONNECT);
    t_has(f->call.op.fault.text, "no-such-host.invalid");
    done(f);
}

T(only_http_and_clean_headers)
{
    static const char *const urls[] = {
        "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://x/", "", "http://", NULL};
    static const char *const bad[] = {"authorization: Bearer a\r\nx: y", NULL};
    struct fetch *f;

    for (size_t i = 0; urls[i] != NULL; i++) {
        f = get(OK_HEAD "\r\n", (struct http_spec){.url = urls[i]});
        t_eq(f->result, -ERR_INVALID);
        t_eq(server->requests, 0);
        done(f);
    }
    f = get(OK_HEAD "\r\n", (struct http_spec){.headers = bad});
    t_eq(f->result, -ERR_INVALID);
    t_ok(strstr(f->call.op.fault.text, "Bearer") == NULL);
    t_eq(server->requests, 0);
    done(f);
}

T(retry_after)
{
    static const struct {
        const char *header;
        int64_t low, high;
    } rows[] = {
        {"Retry-After: 3\r\n", 3000, 3000},
        {"retry-after: 1.5\r\n", 1500, 1500},
        {"Retry-After: 7\r\nretry-after-ms: 250\r\n", 250, 250},
        {"retry-after-ms: 250\r\nRetry-After: 7\r\n", 250, 250},
        {"Retry-After: Fri, 01 Jan 1999 00:00:00 GMT\r\n", 0, 0},
        {"Retry-After: Fri, 01 Jan 2094 00:00:00 GMT\r\n", 86400000, 86400000},
        {"Retry-After: 99999999999999999999\r\n", 86400000, 86400000},
        {"Retry-After: -5\r\n", -1, -1},
        {"Retry-After: nan\r\n", -1, -1},
        {"Retry-After: soon\r\n", -1, -1},
        {"", -1, -1},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *script = mem_format("HTTP/1.1 429 x\r\n%sContent-Length: 0\r\n\r\n", rows[i].header);
        struct fetch *f = get(script, (struct http_spec){0});

        t_eq(f->result, 0);
        t_eq(f->call.status, 429);
        t_ok(f->call.retry_after_ms >= rows[i].low && f->call.retry_after_ms <= rows[i].high);
        done(f);
        mem_free(script);
    }
}

T(redirects)
{
    static const char *const headers[] = {"x-api-key: k", NULL};
    static const char *const scripts[] = {
        "HTTP/1.1 302 x\r\nLocation: /two\r\nContent-Length: 4\r\n\r\nmove",
        OK_HEAD "Content-Length: 2\r\n\r\nok",
        NULL,
    };
    struct fetch *f = fetch_new(true);

    begin(scripts);
    start(f, "/one", (struct http_spec){.headers = headers, .follow = true});
    wait_end(f);
    t_eq(f->result, 0);
    t_eq(f->call.status, 200);
    t_str(f->seen.data, "ok"); /* not the redirect's own body */
    t_has(server->request.data, "GET /two ");
    t_has(server->request.data, "x-api-key: k"); /* the same origin keeps them */
    done(f);

    f = get(scripts[0], (struct http_spec){.headers = headers}); /* not asked to follow */
    t_eq(f->call.status, 302);
    t_eq(server->requests, 1);
    done(f);
}

/* localhost and 127.0.0.1 are two origins on the same server. */
T(redirect_to_another_host_loses_headers)
{
    static const char *const headers[] = {"x-api-key: k", "authorization: Bearer k", NULL};
    const char *scripts[] = {NULL, OK_HEAD "Content-Length: 2\r\n\r\nok", NULL};
    struct fetch *f = fetch_new(false);
    char *first;

    loop = loop_new(LOOP_REAL);
    client = http_client_new(loop);
    scripts[0] = "";
    server = script_server_new(loop, scripts);
    first = mem_format(
        "HTTP/1.1 307 x\r\nLocation: http://localhost:%d/two\r\nContent-Length: 0\r\n\r\n",
        server->port);
    scripts[0] = first;
    start(f, "/one", (struct http_spec){.headers = headers, .follow = true});
    wait_end(f);
    t_eq(f->result, 0);
    t_has(server->request.data, "GET /two ");
    t_ok(strstr(server->request.data, "x-api-key") == NULL);
    t_ok(strstr(server->request.data, "uthorization") == NULL);

    server->taken = 0;
    f->ends = 0;
    start(f, "/one",
          (struct http_spec){.method = "POST",
                             .body = "secret",
                             .body_length = 6,
                             .headers = headers,
                             .follow = true});
    wait_end(f);
    t_eq(f->result, -ERR_DENIED);
    t_eq(server->requests, 3);
    done(f);
    mem_free(first);
}

T(redirect_rules)
{
    static const struct {
        const char *location;
        int result;
    } rows[] = {
        {"file:///etc/passwd", -ERR_DENIED},
        {"ftp://127.0.0.1/x", -ERR_DENIED},
        {"/again", -ERR_INVALID}, /* for ever */
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *script = mem_format("HTTP/1.1 302 x\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n",
                                  rows[i].location);
        struct fetch *f = get(script, (struct http_spec){.follow = true});

        t_eq(f->result, rows[i].result);
        t_ok(server->requests <= 1 + HTTP_REDIRECTS_MAX);
        done(f);
        mem_free(script);
    }
}

T(on_data_can_stop)
{
    static const char *const scripts[] = {"HTTP/1.1 200 OK\r\n\r\nabcdef|@wait", NULL};
    struct fetch *f = fetch_new(true);

    begin(scripts);
    f->stop_at = 3;
    start(f, "/", (struct http_spec){0});
    wait_end(f);
    t_eq(f->result, -ERR_DENIED);
    t_ok(f->call.op.fault.code < 0);
    done(f);
}

T(cancel_everywhere)
{
    static const char *const scripts[] = {"HTTP/1.1 200 OK\r\n\r\nabc|@wait|def|@wait", NULL};
    struct fetch *f = fetch_new(true);

    begin(scripts);
    start(f, "/", (struct http_spec){0}); /* before anything happened */
    op_cancel(&f->call.op);
    t_eq(f->ends, 0);
    wait_end(f);
    t_eq(f->result, -ERR_CANCELLED);
    t_ok(f->call.impl == NULL);

    f->ends = 0;
    start(f, "/", (struct http_spec){0}); /* in the middle, from outside */
    while (f->seen.length == 0)
        loop_turn(loop, true);
    op_cancel(&f->call.op);
    wait_end(f);
    t_eq(f->result, -ERR_CANCELLED);

    f->ends = 0;
    buf_clear(&f->seen);
    f->cancel_at = 3;
    start(f, "/", (struct http_spec){0}); /* from inside on_data */
    wait_end(f);
    t_eq(f->result, -ERR_CANCELLED);
    t_eq(f->ends, 1);
    while (server->gone < 2) /* the server sees the connections go */
        loop_turn(loop, true);
    done(f);
}

T(drop_frees_the_owner_inside_on_data)
{
    static const char *const scripts[] = {"HTTP/1.1 200 OK\r\n\r\nabc|@wait", NULL};
    struct fetch *f = fetch_new(true);

    begin(scripts);
    f->drop_at = 3;
    start(f, "/", (struct http_spec){0});
    while (server->gone == 0)
        loop_turn(loop, true);
    end();
}

T(drop_while_the_name_is_resolved_does_not_block)
{
    static const char *const scripts[] = {"", NULL};
    struct fetch *f = fetch_new(false);

    begin(scripts);
    start(f, "", (struct http_spec){.url = "http://no-such-host.invalid/"});
    loop_turn(loop, false);
    op_cancel(&f->call.op);
    wait_end(f);
    t_eq(f->result, -ERR_CANCELLED);
    done(f);
}

T(start_inside_on_data)
{
    static const char *const scripts[] = {"HTTP/1.1 200 OK\r\n\r\nabc|@wait",
                                          OK_HEAD "Content-Length: 2\r\n\r\nok", NULL};
    struct fetch *f = fetch_new(true), *other = fetch_new(false);
    char *url;

    begin(scripts);
    url = url_of("/inner");
    f->start_inside = other;
    f->url_inside = url;
    start(f, "/", (struct http_spec){0});
    wait_end(other);
    t_eq(other->result, 0);
    t_str(other->call.body.data, "ok");
    fetch_free(other);
    mem_free(url);
    done(f);
}

T(free_ends_what_runs)
{
    static const char *const scripts[] = {"HTTP/1.1 200 OK\r\n\r\nabc|@wait", NULL};
    struct fetch *f = fetch_new(false);

    begin(scripts);
    start(f, "/", (struct http_spec){0});
    while (server->requests == 0)
        loop_turn(loop, true);
    client = http_client_free(client);
    t_eq(f->ends, 0);
    wait_end(f);
    t_eq(f->result, -ERR_CANCELLED);
    done(f);
}

T(ceiling_of_transfers)
{
    static const char *const scripts[] = {"@wait", NULL};
    struct fetch *all[HTTP_CALLS_MAX], *one_more = fetch_new(false);

    begin(scripts);
    for (size_t i = 0; i < COUNT(all); i++) {
        all[i] = fetch_new(false);
        start(all[i], "/", (struct http_spec){0});
    }
    start(one_more, "/", (struct http_spec){0});
    wait_end(one_more);
    t_eq(one_more->result, -ERR_BUSY);
    for (size_t i = 0; i < COUNT(all); i++)
        fetch_free(all[i]);
    done(one_more);
}

/* Sockets of ours must not be handed to children. */
T(sockets_are_close_on_exec)
{
    static const char *const scripts[] = {"HTTP/1.1 200 OK\r\n\r\nabc|@wait", NULL};
    struct fetch *f = fetch_new(false);

    begin(scripts);
    start(f, "/", (struct http_spec){0});
    while (server->requests == 0)
        loop_turn(loop, true);
    for (int fd = 3; fd < 256; fd++) {
        struct sockaddr_in peer;
        socklen_t length = sizeof peer;

        if (getpeername(fd, (struct sockaddr *)&peer, &length) == 0 && peer.sin_family == AF_INET &&
            ntohs(peer.sin_port) == server->port)
            t_ok((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
    done(f);
}

T(an_unused_client_costs_nothing)
{
    loop = loop_new(LOOP_REAL);
    client = http_client_new(loop);
    client = http_client_free(client);
    loop = loop_free(loop);
}
