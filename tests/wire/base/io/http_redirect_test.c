/* Redirects of the HTTP door: what is followed, and with what. */
#include "tests/rig/fetch.h"

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
