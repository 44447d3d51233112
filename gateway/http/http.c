/* The way of a plain request: http_head (Origin, path, method, authentication, size of the body) -> the body ->
 * http_route (is the peer local, where that decides) -> the row's handler -> its answer (reply.c).
 * Owns the open calls. */
#include "gateway/http/http.h"

#define LOG_SUBSYSTEM "http"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/conn/conns.h"
#include "gateway/conn/local.h"
#include "gateway/gateway.h"
#include "gateway/http/internal.h"
#include "gateway/http/pages.h"

#include <string.h>
#include <unistd.h>

static const struct route routes[] = {
#define ROUTE(name, methods_, path_, flags_, scope_, body_max_, enabled_)                          \
    {.path = path_,                                                                                \
     .methods = (methods_),                                                                        \
     .flags = (flags_),                                                                            \
     .scope = (scope_),                                                                            \
     .body_max = (body_max_),                                                                      \
     .enabled = (enabled_),                                                                        \
     .run = route_##name},
#include "gateway/http/routes.def"
#undef ROUTE
};

bool route_always(struct gateway *gw)
{
    (void)gw;
    return true;
}

/* ---- open calls ---- */

struct web_calls {
    struct gateway *gw;
    struct web_call *first; /* the newest */
    size_t count, held;
    struct probe *probe;
    size_t since_trim;
};

struct probe **web_probe(struct gateway *gw)
{
    return &gw->web_calls->probe;
}

struct web_calls *web_calls_new(struct gateway *gw)
{
    struct web_calls *calls = NEW(struct web_calls);

    calls->gw = gw;
    return calls;
}

size_t *web_since_trim(struct gateway *gw)
{
    return &gw->web_calls->since_trim;
}

/* Their clients are gone, their handlers too: nobody else would end them. */
struct web_calls *web_calls_free(struct web_calls *calls)
{
    if (!calls)
        return NULL;
    while (calls->first) {
        struct web_call *call = calls->first;
        web_cut(call);
    }
    probe_free(calls->probe);
    return mem_free(calls);
}

static void unhold(struct web_call *call)
{
    timer_stop(call->gw->loop, &call->delay);
    call->gw->web_calls->held -= call->held;
    call->held = false;
}

void web_call_free(struct web_call *call)
{
    CHECK(call, WEB_CALL_MAGIC);
    if (call->release)
        call->release(call);
    unhold(call);
    op_drop(&call->op);
    identify_free(call->tailnet);
    peer_identity_unref(call->found.identity);
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    call->gw->web_calls->count--;
    call->magic = 0;
    mem_free(call);
}

static void on_gone(void *arg)
{
    struct web_call *call = arg;

    CHECK(call, WEB_CALL_MAGIC);
    call->is_gone = true;
    if (!call->running)
        web_end(call); /* no handler has it yet */
    else if (call->gone)
        call->gone(call);
}

static void on_drained(void *arg)
{
    struct web_call *call = arg;

    CHECK(call, WEB_CALL_MAGIC);
    if (call->drained)
        call->drained(call);
}

static struct web_call *call_new(struct gateway *gw, struct http_exchange *x)
{
    static const struct http_events events = {.gone = on_gone, .drained = on_drained};
    struct web_calls *calls = gw->web_calls;
    struct web_call *call = NEW(struct web_call);

    call->magic = WEB_CALL_MAGIC;
    call->gw = gw;
    call->exchange = x;
    call->request = http_request(x);
    call->next = calls->first;
    call->link = &calls->first;
    if (call->next)
        call->next->link = &call->next;
    calls->first = call;
    calls->count++;
    op_init(&call->op, gw->loop, NULL, 0);
    http_watch(x, &events, call);
    return call;
}

/* ---- the answer to a wrong guess waits ---- */

static void on_held_long_enough(void *arg)
{
    authorize_refuse(arg);
}

static void drop_oldest_held(struct web_calls *calls)
{
    struct web_call *oldest = NULL;

    for (struct web_call *call = calls->first; call; call = call->next)
        if (call->held)
            oldest = call;
    if (oldest)
        web_cut(oldest);
}

void web_call_hold(struct web_call *call, int64_t ms)
{
    if (call->gw->web_calls->held >= WEB_HELD_MAX)
        drop_oldest_held(call->gw->web_calls);
    call->held = true;
    call->gw->web_calls->held++;
    timer_start(call->gw->loop, &call->delay, ms, 0, on_held_long_enough, call);
}

/* ---- the row ---- */

/* NULL: it does not fit; else what of the path the row does not name. */
static const char *path_rest(struct gateway *gw, const struct route *route, const char *path)
{
    size_t length = strlen(route->path);

    if (route->flags & ROUTE_PAGE && !(path = pages_path(gw, path)))
        return NULL;
    if (strcmp(route->path, path) == 0)
        return "";
    if (!(route->flags & ROUTE_PREFIX))
        return NULL;
    if (length == 1)
        return path;
    return strncmp(route->path, path, length) == 0 && path[length] == '/' ? path + length : NULL;
}

static const struct route *find_route(struct web_call *call)
{
    for (size_t i = 0; i < COUNT(routes); i++) {
        call->rest = path_rest(call->gw, &routes[i], call->request->path);
        if (call->rest && routes[i].enabled(call->gw))
            return &routes[i];
    }
    return NULL;
}

static const struct {
    const char *name;
    unsigned bit;
} method_rows[] = {
    {"GET", WEB_GET}, {"HEAD", WEB_GET},      {"POST", WEB_POST},
    {"PUT", WEB_PUT}, {"DELETE", WEB_DELETE},
};

static bool method_fits(const struct web_call *call)
{
    for (size_t i = 0; i < COUNT(method_rows); i++)
        if (strcmp(call->request->method, method_rows[i].name) == 0)
            return call->route->methods & method_rows[i].bit;
    return false;
}

static void refuse_method(struct web_call *call)
{
    static const char text[] = "Method Not Allowed\n";
    CLEAN(bytes_unref) struct bytes *body = bytes_new(text, sizeof(text) - 1);
    struct buf allow;

    buf_init(&allow, 256);
    for (size_t i = 0; i < COUNT(method_rows); i++)
        if (call->route->methods & method_rows[i].bit)
            buf_addf(&allow, "%s%s", allow.length ? ", " : "allow: ", method_rows[i].name);
    buf_add_str(&allow, "\r\n");
    CLEAN(mem_free) char *headers = buf_take(&allow);
    web_reply(call, 405, "text/plain; charset=utf-8", headers, body);
}

/* ---- the head has come ---- */

static bool is_welcome(struct web_call *call)
{
    const char *why = NULL;
    int status = conns_judge(call->gw, call->request, &call->ingress, &why);

    if (status) {
        web_text(call, status, "Forbidden: origin not allowed");
        return false;
    }
    if (call->gw->web_calls->count > WEB_CALLS_MAX || call->gw->stopping) {
        web_text(call, 503,
                 call->gw->stopping ? "the gateway is stopping"
                                    : "too many requests at once, try again");
        return false;
    }
    return true;
}

static bool fits_route(struct web_call *call, size_t *body_max)
{
    size_t announced = http_body_announced(call->exchange);

    call->route = find_route(call);
    if (!call->route) {
        web_text(call, 404, "Not Found");
        return false;
    }
    if (!method_fits(call)) {
        refuse_method(call);
        return false;
    }
    *body_max = call->route->body_max;
    if (announced > *body_max && !(call->route->flags & ROUTE_AUTH)) {
        web_error(call, 413, "invalid_request_error", "Payload too large");
        return false;
    }
    return true;
}

bool http_head(void *arg, struct http_exchange *x, size_t *body_max)
{
    struct web_call *call = call_new(arg, x);

    if (!is_welcome(call) || !fits_route(call, body_max))
        return false;
    switch (authorize(call)) {
    case AUTHORIZED_NOT: return false;
    case AUTHORIZED_ASK: call->ask_local = true; break;
    case AUTHORIZED: break;
    }
    if (http_body_announced(x) <= *body_max)
        return true;
    web_error(call, 413, "invalid_request_error", "Payload too large: at most %zu bytes are taken",
              *body_max);
    return false;
}

/* ---- the request is whole ---- */

static void run(struct web_call *call)
{
    call->running = true;
    call->route->run(call);
}

static void on_located(struct op *op, int result)
{
    struct web_call *call = CONTAINER(op, struct web_call, op);

    if (result == 0) {
        run(call);
        return;
    }
    log_warn("%s %s refused: gateway.auth.mode is none, which serves local peers only: %s",
             call->request->method, call->request->path, op->fault.text);
    authorize_refuse(call);
}

static void on_identified(struct op *op, int result)
{
    struct web_call *call = CONTAINER(op, struct web_call, op);

    (void)result;
    if (!call->found.carried || authorize_elsewhere(call))
        run(call);
}

void http_route(void *arg, struct http_exchange *x)
{
    struct web_call *call = http_watcher(x);
    struct gateway *gw = arg;

    CHECK(call, WEB_CALL_MAGIC);
    if (call->tailnet) {
        op_init(&call->op, gw->loop, on_identified, 0);
        identify_run(call->tailnet, &call->op, &call->found);
        return;
    }
    if (!call->ask_local) {
        run(call);
        return;
    }
    const struct ingress *in = &call->ingress;
    op_init(&call->op, gw->loop, on_located, 0);
    local_ask(conns_local_gate(gw), &call->op,
              &(struct local_question){
                  .transport = in->transport,
                  .remote = call->request->peer->remote,
                  .local = call->request->peer->local,
                  .fd = call->request->peer->fd,
                  .uid = (uint32_t)geteuid(),
                  .peer_uid = call->request->peer->uid,
                  .browser = in->browser,
              });
}
