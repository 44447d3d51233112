/* The HTTP door against a server that plays scripts: bodies, limits, ceilings, Retry-After, faults
 * without secrets. */
#include "tests/rig/fetch.h"

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

/* A server on this machine is asked itself, whatever proxy the environment names. */
T(loopback_needs_no_proxy)
{
    struct fetch *f;

    setenv("http_proxy", "http://127.0.0.1:1/", 1);
    f = get(OK_HEAD "Content-Length: 2\r\n\r\nok", (struct http_spec){0});
    t_eq(f->result, 0);
    t_has(server->request.data, "GET /p?secret=1 HTTP/1.1\r\n");
    done(f);
    f = get(OK_HEAD "\r\n", (struct http_spec){.url = "http://elsewhere.invalid/"});
    t_eq(f->result, -ERR_CONNECT); /* the proxy, not the name */
    done(f);
    unsetenv("http_proxy");
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
