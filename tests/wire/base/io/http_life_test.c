/* The life of a transfer of the HTTP door: cancel, drop and start from everywhere, its sockets, its end
 * with the client. */
#include "tests/rig/fetch.h"

#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>

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

/* A name server that does not answer: this stands before libc's getaddrinfo for libcurl's resolver
 * thread, and returns when it is told to. */
static pthread_mutex_t resolver_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t resolver_change = PTHREAD_COND_INITIALIZER;
static int resolver_inside;
static bool resolver_hangs;

__attribute__((visibility("default"))) int getaddrinfo(const char *node, const char *service,
                                                       const struct addrinfo *hints,
                                                       struct addrinfo **ret)
{
    (void)node, (void)service, (void)hints, (void)ret;
    pthread_mutex_lock(&resolver_lock);
    resolver_inside++;
    pthread_cond_broadcast(&resolver_change);
    while (resolver_hangs)
        pthread_cond_wait(&resolver_change, &resolver_lock);
    resolver_inside--;
    pthread_cond_broadcast(&resolver_change);
    pthread_mutex_unlock(&resolver_lock);
    return EAI_FAIL;
}

static void resolver_wait(int inside)
{
    pthread_mutex_lock(&resolver_lock);
    while (resolver_inside != inside)
        pthread_cond_wait(&resolver_change, &resolver_lock);
    pthread_mutex_unlock(&resolver_lock);
}

/* The loop goes on while a name is looked up, the connect limit holds, and neither cancel nor the end of
 * the client waits for the resolver. A hang here is the failure. */
T(a_silent_name_server_blocks_nothing)
{
    static const char *const scripts[] = {"", NULL};
    struct fetch *f = fetch_new(false), *limited = fetch_new(false);

    begin(scripts);
    resolver_hangs = true;
    start(f, "", (struct http_spec){.url = "http://silent.invalid/"});
    while (loop_turn(loop, false))
        ;
    resolver_wait(1);
    start(limited, "", (struct http_spec){.url = "http://silent2.invalid/", .connect_ms = 50});
    wait_end(limited);
    t_eq(limited->result, -ERR_TIMEOUT);
    t_has(limited->call.op.fault.text, "no connection to http://silent2.invalid:80");
    op_cancel(&f->call.op);
    wait_end(f);
    t_eq(f->result, -ERR_CANCELLED);
    fetch_free(limited);
    done(f);
    pthread_mutex_lock(&resolver_lock);
    t_eq(resolver_inside, 2); /* both still wait */
    resolver_hangs = false;
    pthread_cond_broadcast(&resolver_change);
    pthread_mutex_unlock(&resolver_lock);
    resolver_wait(0);
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
