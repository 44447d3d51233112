/* The HTTP client door: libcurl's multi interface driven by our loop.
 *
 * Path: http_start makes a transfer and hands it to libcurl (transfer_begin); sockets and the timer
 * come back through http_on_socket and http_on_timer into http_drive, which lets libcurl work, frees
 * what was cancelled meanwhile (http_settle) and reports what is over (transfer_over -> op_end).
 * libcurl forbids most calls from inside its callbacks, hence `depth`: while it is not 0, cancelled
 * transfers are only marked and new ones only listed. http_setup.c says what is asked, http_answer.c
 * takes what comes in, http_end.c says how it ended.
 *
 * Owns: the multi handle, one easy handle per transfer, a watch per socket. Limits run on our clock:
 * one timer per transfer is the connect limit until the request goes out, then the idle limit. */
#include "base/io/http_transfer.h"

#include "base/mem.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define CONNECTIONS_KEPT 16

struct socket_watch {
    struct http_client *client;
    curl_socket_t fd;
    struct watch *watch;
};

static void http_drive(struct http_client *client, curl_socket_t fd, int events);

/* ---- client ---- */

struct http_client *http_client_new(struct loop *loop)
{
    struct http_client *client = NEW(struct http_client);

    client->magic = HTTP_CLIENT_MAGIC;
    client->loop = loop;
    return client;
}

static void http_on_timer(void *arg)
{
    struct http_client *client = arg;

    CHECK(client, HTTP_CLIENT_MAGIC);
    http_drive(client, CURL_SOCKET_TIMEOUT, 0);
}

static int http_want_timer(CURLM *multi, long delay_ms, void *arg)
{
    struct http_client *client = arg;

    (void)multi;
    if (delay_ms < 0)
        timer_stop(client->loop, &client->timer);
    else
        timer_start(client->loop, &client->timer, delay_ms, /* every_ms= */ 0, http_on_timer,
                    client);
    return 0;
}

static void http_on_socket(void *arg, int events)
{
    struct socket_watch *watch = arg;
    int flags = 0;

    if (events & POLLIN)
        flags |= CURL_CSELECT_IN;
    if (events & POLLOUT)
        flags |= CURL_CSELECT_OUT;
    if (flags == 0)
        flags = CURL_CSELECT_ERR;
    http_drive(watch->client, watch->fd, flags); /* may free the watch */
}

static int http_want_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct http_client *client = arg;
    struct socket_watch *watch = known;
    int events = 0;

    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (watch != NULL) {
            watch_free(watch->watch);
            mem_free(watch);
            (void)curl_multi_assign(client->multi, fd, NULL);
        }
        return 0;
    }
    if (what & CURL_POLL_IN)
        events |= POLLIN;
    if (what & CURL_POLL_OUT)
        events |= POLLOUT;
    if (watch != NULL) {
        watch_change(watch->watch, events);
        return 0;
    }
    watch = NEW(struct socket_watch);
    watch->client = client;
    watch->fd = fd;
    watch->watch = watch_new(client->loop, fd, events, http_on_socket, watch);
    (void)curl_multi_assign(client->multi, fd, watch);
    return 0;
}

/* The first transfer pays for libcurl and OpenSSL; a gateway without one never does. */
static void http_wake(struct http_client *client)
{
    struct sigaction now;

    if (client->multi != NULL)
        return;
    require(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
    client->multi = curl_multi_init();
    require(client->multi != NULL);
    (void)curl_multi_setopt(client->multi, CURLMOPT_SOCKETFUNCTION, http_want_socket);
    (void)curl_multi_setopt(client->multi, CURLMOPT_SOCKETDATA, client);
    (void)curl_multi_setopt(client->multi, CURLMOPT_TIMERFUNCTION, http_want_timer);
    (void)curl_multi_setopt(client->multi, CURLMOPT_TIMERDATA, client);
    (void)curl_multi_setopt(client->multi, CURLMOPT_MAXCONNECTS, (long)CONNECTIONS_KEPT);
    /* OpenSSL writes without MSG_NOSIGNAL. */
    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        now.sa_handler = SIG_IGN;
        (void)sigaction(SIGPIPE, &now, NULL);
    }
}

/* ---- transfer: life ---- */

static struct transfer *transfer_new(struct http_client *client, struct http_call *call,
                                     const struct http_spec *spec)
{
    struct transfer *t = NEW(struct transfer);

    t->magic = TRANSFER_MAGIC;
    t->client = client;
    t->call = call;
    t->url = mem_string(spec->url);
    t->method = mem_string(spec->method != NULL ? spec->method : "GET");
    t->body = spec->body != NULL ? mem_copy(spec->body, spec->body_length) : NULL;
    t->body_length = spec->body_length;
    t->body_max = spec->body_max > 0 ? spec->body_max : 1u << 20;
    t->connect_ms = spec->connect_ms > 0 ? spec->connect_ms : 10000;
    t->idle_ms = spec->idle_ms > 0 ? spec->idle_ms : 60000;
    t->follow = spec->follow;
    t->tell_redirect = spec->tell_redirect;
    if (spec->pin != NULL)
        (void)snprintf(t->pin, sizeof t->pin, "%s", spec->pin);
    t->next = client->first;
    t->link = &client->first;
    if (t->next != NULL)
        t->next->link = &t->next;
    client->first = t;
    client->count++;
    return t;
}

/* Never inside libcurl (depth 0). */
static void transfer_free(struct transfer *t)
{
    struct http_client *client = t->client;

    if (t->admitted)
        (void)curl_multi_remove_handle(client->multi, t->easy);
    if (t->easy != NULL)
        curl_easy_cleanup(t->easy);
    curl_slist_free_all(t->headers);
    curl_slist_free_all(t->connect_to);
    timer_stop(client->loop, &t->limit);
    *t->link = t->next;
    if (t->next != NULL)
        t->next->link = t->link;
    client->count--;
    mem_free(t->url);
    mem_free(t->method);
    if (t->body != NULL)
        mem_wipe_free(t->body, t->body_length);
    t->magic = 0;
    mem_free(t);
}

/* Reports the end; the fault was filled. */
static void transfer_end(struct transfer *t, int result)
{
    struct http_call *call = t->call;

    t->call = NULL;
    transfer_free(t);
    if (call != NULL) {
        call->impl = NULL;
        op_end(&call->op, result);
    }
}

static void http_cancel(struct op *op, void *worker)
{
    struct transfer *t = worker;

    (void)op;
    CHECK(t, TRANSFER_MAGIC);
    if (t->call != NULL)
        t->call->impl = NULL;
    t->call = NULL;
    if (t->client->depth == 0)
        transfer_free(t);
    else
        t->client->unsettled = true;
}

struct http_client *http_client_free(struct http_client *client)
{
    if (client == NULL)
        return NULL;
    CHECK(client, HTTP_CLIENT_MAGIC);
    require(client->depth == 0);
    while (client->first != NULL) {
        struct transfer *t = client->first;

        if (t->call != NULL)
            fault_set(&t->call->op.fault, -ERR_CANCELLED, "the HTTP client was shut down");
        transfer_end(t, -ERR_CANCELLED);
    }
    if (client->multi != NULL) {
        (void)curl_multi_cleanup(client->multi);
        curl_global_cleanup();
    }
    timer_stop(client->loop, &client->timer);
    client->magic = 0;
    mem_free(client);
    return NULL;
}

/* ---- start ---- */

void transfer_touch(struct transfer *t)
{
    t->last = loop_now(t->client->loop);
}

/* Gives the transfer to libcurl for its current URL. */
static int transfer_begin(struct transfer *t)
{
    bool loopback = false;

    if (url_origin(t->url, t->origin, &loopback) < 0)
        return fault_set(&t->call->op.fault, -ERR_INVALID,
                         "this is not an address of the form http://host or https://host");
    t->easy = curl_easy_init();
    require(t->easy != NULL);
    transfer_set(t, loopback);
    t->sent = false;
    t->head_seen = 0;
    t->moved = 0;
    transfer_touch(t);
    timer_start(t->client->loop, &t->limit, t->connect_ms, /* every_ms= */ 0, transfer_on_limit, t);
    if (t->client->depth > 0) {
        t->client->unsettled = true;
        return 0;
    }
    require(curl_multi_add_handle(t->client->multi, t->easy) == CURLM_OK);
    t->admitted = true;
    return 0;
}

void http_start(struct http_client *client, struct http_call *call, const struct http_spec *spec)
{
    struct transfer *t;
    int r;

    CHECK(client, HTTP_CLIENT_MAGIC);
    http_wake(client);
    call->status = 0;
    call->retry_after_ms = -1;
    call->content_type[0] = '\0';
    buf_done(&call->body);
    call->redirect = mem_free(call->redirect);
    t = transfer_new(client, call, spec);
    buf_init(&call->body, call->on_data != NULL ? HTTP_ERROR_BODY_MAX : t->body_max);
    call->impl = t;
    op_start(&call->op, http_cancel, t);

    r = client->count > HTTP_CALLS_MAX
            ? fault_set(&call->op.fault, -ERR_BUSY, "%d HTTP requests are running already",
                        HTTP_CALLS_MAX)
            : transfer_take_headers(t, spec->headers);
    if (r == 0)
        r = transfer_begin(t);
    if (r < 0)
        transfer_end(t, r);
}

/* ---- driving ---- */

static void http_settle(struct http_client *client)
{
    struct transfer *next;

    client->unsettled = false;
    for (struct transfer *t = client->first; t != NULL; t = next) {
        next = t->next;
        if (t->call == NULL) {
            transfer_free(t);
        } else if (!t->admitted) {
            require(curl_multi_add_handle(client->multi, t->easy) == CURLM_OK);
            t->admitted = true;
        }
    }
}

void transfer_on_limit(void *arg)
{
    struct transfer *t = arg;
    int64_t left;

    CHECK(t, TRANSFER_MAGIC);
    left = t->sent ? t->last + t->idle_ms - loop_now(t->client->loop) : 0;
    if (left > 0) {
        timer_start(t->client->loop, &t->limit, left, /* every_ms= */ 0, transfer_on_limit, t);
        return;
    }
    if (t->call == NULL)
        return; /* cancelled inside libcurl: http_settle frees it */
    transfer_end(t, transfer_time_fault(t));
}

static void transfer_over(struct transfer *t, CURLcode code)
{
    int r;

    if (t->call == NULL) {
        transfer_free(t);
        return;
    }
    if (code != CURLE_OK) {
        transfer_end(t, transfer_fault(t, code));
        return;
    }
    if (t->tell_redirect)
        transfer_tell_redirect(t);
    r = transfer_is_redirect(t) ? transfer_redirect(t) : 0;
    if (r <= 0) {
        transfer_end(t, r);
        return;
    }
    (void)curl_multi_remove_handle(t->client->multi, t->easy);
    curl_easy_cleanup(t->easy);
    t->easy = NULL;
    t->admitted = false;
    t->call->status = 0;
    t->body_seen = 0;
    r = transfer_begin(t);
    if (r < 0)
        transfer_end(t, r);
}

static void http_drive(struct http_client *client, curl_socket_t fd, int events)
{
    CURLMsg *message;
    int left, running;

    client->depth++;
    (void)curl_multi_socket_action(client->multi, fd, events, &running);
    client->depth--;
    if (client->unsettled)
        http_settle(client);
    while ((message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct transfer *t = NULL;
        CURLcode code = message->data.result;

        if (message->msg != CURLMSG_DONE)
            continue;
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&t);
        CHECK(t, TRANSFER_MAGIC);
        transfer_over(t, code);
    }
}
