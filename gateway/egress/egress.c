/* A request's path: hop_begin (read the URL, ask the rules) -> the pool resolves -> hop_on_resolved (check every
 * address) -> hop_try (fetch from one of them, the next one when nobody answers there) -> hop_on_fetched: a
 * redirect begins the next hop, anything else is the end.
 *
 * Owns: one HTTP client of its own, so that no connection or name of anybody else's is ever shared with
 * these; the requests that run. */
#include "gateway/egress/egress.h"

#include "base/io/work.h"
#include "base/json.h"
#include "base/mem.h"
#include "gateway/egress/address.h"
#include "gateway/gateway.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define RUN_MAGIC     0x65677273u
#define RESOLVE_MS    10000
#define CONNECT_MS    10000
#define IDLE_MS       20000
#define HOSTS_MAX     256 /* names of each list that are looked at */
#define REDIRECTS_MAX 10

struct egress {
    struct gateway *gw;
    struct http_client *client;
    egress_resolve_fn *resolve;
    struct egress_run *first;
    size_t count;
};

/* What the pool works on; its own, because it may outlive the request. */
struct lookup {
    egress_resolve_fn *fn;
    char host[256];
    int port, count;
    struct sockaddr_storage found[EGRESS_ADDRESSES_MAX];
};

struct egress_run {
    uint32_t magic;
    struct egress *egress;
    struct egress_run *next, **link;
    struct egress_call *call;
    char *method, *url, *body;
    char **headers; /* NULL: none (any more) */
    struct json *allowed, *blocked;
    size_t body_length, body_max;
    int redirects; /* left */
    bool follow;
    struct http_url where; /* of this hop */
    struct op resolving;
    struct lookup *lookup; /* the job's; valid until hop_on_resolved returns */
    struct sockaddr_storage found[EGRESS_ADDRESSES_MAX];
    int found_count, tried;
    struct http_call fetch;
};

static void hop_begin(struct egress_run *run);
static void hop_try(struct egress_run *run);

/* ---- names ---- */

static int resolve_by_system(const char *host, int port, struct sockaddr_storage *out, size_t room,
                             struct fault *fault)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_ADDRCONFIG | AI_IDN | AI_NUMERICSERV};
    struct addrinfo *list = NULL;
    char service[16];
    size_t count = 0;
    int r;

    snprintf(service, sizeof(service), "%d", port);
    r = getaddrinfo(host, service, &hints, &list);
    if (r != 0)
        return fault_set(fault, -ERR_CONNECT, "cannot find the host %s: %s", host, gai_strerror(r));
    for (struct addrinfo *at = list; at && count < room; at = at->ai_next) {
        if (at->ai_addrlen <= sizeof(out[0]))
            memcpy(&out[count++], at->ai_addr, at->ai_addrlen);
    }
    freeaddrinfo(list);
    return (int)count;
}

static int lookup_work(void *arg, struct fault *fault)
{
    struct lookup *lookup = arg;

    lookup->count =
        lookup->fn(lookup->host, lookup->port, lookup->found, EGRESS_ADDRESSES_MAX, fault);
    return lookup->count < 0 ? lookup->count : 0;
}

static void lookup_free(void *arg)
{
    mem_free(arg);
}

/* ---- one request's life ---- */

static char **copy_headers(const char *const *headers)
{
    size_t count = 0;
    char **copy;

    if (!headers)
        return NULL;
    while (headers[count])
        count++;
    copy = mem_array(count + 1, sizeof(*copy));
    for (size_t i = 0; i < count; i++)
        copy[i] = mem_string(headers[i]);
    return copy;
}

static void drop_headers(struct egress_run *run)
{
    for (char **at = run->headers; at && *at; at++)
        mem_wipe_free(*at, strlen(*at));
    run->headers = mem_free(run->headers);
}

static struct egress_run *run_new(struct egress *egress, struct egress_call *call,
                                  const struct egress_spec *spec)
{
    struct egress_run *run = NEW(struct egress_run);

    run->magic = RUN_MAGIC;
    run->egress = egress;
    run->call = call;
    run->method = mem_string(spec->method ? spec->method : "GET");
    run->url = mem_string(spec->url);
    run->body = spec->body ? mem_copy(spec->body, spec->body_length) : NULL;
    run->body_length = spec->body_length;
    run->headers = copy_headers(spec->headers);
    run->allowed = spec->allowed ? json_copy(spec->allowed) : NULL;
    run->blocked = spec->blocked ? json_copy(spec->blocked) : NULL;
    run->body_max = spec->body_max ? spec->body_max : 1u << 20;
    run->redirects = spec->redirects < REDIRECTS_MAX ? spec->redirects : REDIRECTS_MAX;
    run->follow = run->redirects > 0;
    run->next = egress->first;
    run->link = &egress->first;
    if (run->next)
        run->next->link = &run->next;
    egress->first = run;
    egress->count++;
    return run;
}

static void run_free(struct egress_run *run)
{
    op_drop(&run->resolving);
    op_drop(&run->fetch.op);
    buf_done(&run->fetch.body);
    mem_free(run->fetch.redirect);
    drop_headers(run);
    json_free(run->allowed);
    json_free(run->blocked);
    mem_free(run->method);
    mem_free(run->url);
    if (run->body)
        mem_wipe_free(run->body, run->body_length);
    *run->link = run->next;
    if (run->next)
        run->next->link = run->link;
    run->egress->count--;
    run->magic = 0;
    mem_free(run);
}

/* The end; a negative result's fault was filled. */
static void run_end(struct egress_run *run, int result)
{
    struct egress_call *call = run->call;

    if (result == 0)
        call->url = TAKE(run->url);
    call->impl = NULL;
    run_free(run);
    op_end(&call->op, result);
}

static void run_cancel(struct op *op, void *worker)
{
    struct egress_run *run = worker;

    (void)op;
    CHECK(run, RUN_MAGIC);
    run->call->impl = NULL;
    run_free(run);
}

struct egress *egress_new(struct gateway *gw)
{
    struct egress *egress = NEW(struct egress);

    egress->gw = gw;
    egress->client = http_client_new(gw->loop);
    egress->resolve = resolve_by_system;
    return egress;
}

struct egress *egress_free(struct egress *egress)
{
    if (!egress)
        return NULL;
    while (egress->first) {
        struct egress_run *run = egress->first;

        fault_set(&run->call->op.fault, -ERR_CANCELLED, "the gateway is shutting down");
        run_end(run, -ERR_CANCELLED);
    }
    http_client_free(egress->client);
    return mem_free(egress);
}

void egress_set_resolver(struct egress *egress, egress_resolve_fn *fn)
{
    egress->resolve = fn;
}

void egress_call_done(struct egress_call *call)
{
    buf_done(&call->body);
    call->url = mem_free(call->url);
}

void egress_start(struct gateway *gw, struct egress_call *call, const struct egress_spec *spec)
{
    struct egress_run *run = run_new(gw->egress, call, spec);

    call->status = 0;
    call->content_type[0] = '\0';
    call->truncated = false;
    egress_call_done(call);
    buf_init(&call->body, run->body_max);
    call->impl = run;
    op_start(&call->op, run_cancel, run);
    if (gw->egress->count > EGRESS_CALLS_MAX) {
        fault_set(&call->op.fault, -ERR_BUSY, "%d requests to the outside are running already",
                  EGRESS_CALLS_MAX);
        run_end(run, -ERR_BUSY);
        return;
    }
    hop_begin(run);
}

/* ---- a hop: what is asked for ---- */

static bool host_listed(const struct json *list, const char *host, bool wildcards)
{
    size_t n = strlen(host), seen = 0;

    if (n > 1 && host[n - 1] == '.')
        n--; /* "name." is the same host */
    json_each (item, list) {
        const char *name = json_string(item, "");
        size_t length = strlen(name);

        if (seen++ == HOSTS_MAX)
            break;
        if (length == n && strncasecmp(name, host, n) == 0)
            return true;
        if (wildcards && name[0] == '*' && name[1] == '.' && n > length - 1 &&
            strncasecmp(host + n - (length - 1), name + 1, length - 1) == 0)
            return true;
    }
    return false;
}

static int hop_check_url(struct egress_run *run, struct fault *fault)
{
    if (strlen(run->url) > EGRESS_URL_MAX || http_url_parse(run->url, &run->where) < 0)
        return fault_set(fault, -ERR_INVALID,
                         "this is not an address of the form http://host/… or https://host/…");
    if (run->where.has_user)
        return fault_set(fault, -ERR_DENIED,
                         "addresses with a user name or password in them are not fetched");
    if (port_is_refused(run->where.port))
        return fault_set(fault, -ERR_DENIED, "port %d belongs to another protocol: not fetched",
                         run->where.port);
    if (host_listed(run->blocked, run->where.host, /* wildcards= */ true))
        return fault_set(fault, -ERR_DENIED, "the host %s is blocked by the configuration",
                         run->where.host);
    return 0;
}

static void hop_on_resolved(struct op *op, int result);

static void hop_begin(struct egress_run *run)
{
    struct egress *egress = run->egress;
    int r = hop_check_url(run, &run->call->op.fault);

    if (r < 0) {
        run_end(run, r);
        return;
    }
    run->lookup = NEW(struct lookup);
    run->lookup->fn = egress->resolve;
    snprintf(run->lookup->host, sizeof(run->lookup->host), "%s", run->where.host);
    run->lookup->port = run->where.port;
    op_init(&run->resolving, egress->gw->loop, hop_on_resolved, RESOLVE_MS);
    work_run(&run->resolving, lookup_work, run->lookup, lookup_free);
}

/* ---- a hop: where it goes ---- */

static void address_text(const struct sockaddr_storage *address, char out[INET6_ADDRSTRLEN])
{
    const void *raw =
        address->ss_family == AF_INET
            ? (const void *)&((const struct sockaddr_in *)(const void *)address)->sin_addr
            : (const void *)&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;

    out[0] = '\0';
    (void)inet_ntop(address->ss_family, raw, out, INET6_ADDRSTRLEN);
}

/* One bad address spoils the name: a server that answers with a public and a private one means no good. */
static int hop_check_addresses(struct egress_run *run, struct fault *fault)
{
    bool excepted = host_listed(run->allowed, run->where.host, /* wildcards= */ false);

    for (int i = 0; i < run->found_count; i++) {
        const struct sockaddr *address = (const struct sockaddr *)&run->found[i];
        const char *what = address_refusal(address);

        if (what && (!excepted || address_is_hopeless(address)))
            return fault_set(
                fault, -ERR_DENIED,
                "%s is not fetched: it leads to an address that is %s, and only public "
                "ones are reached from here",
                run->where.host, what);
    }
    return run->found_count > 0
               ? 0
               : fault_set(fault, -ERR_CONNECT, "the host %s has no address", run->where.host);
}

static void hop_on_resolved(struct op *op, int result)
{
    struct egress_run *run = CONTAINER(op, struct egress_run, resolving);
    struct fault *fault = &run->call->op.fault;

    CHECK(run, RUN_MAGIC);
    if (result == -ERR_TIMEOUT)
        fault_set(fault, result,
                  "the address of %s was not found in time: check this machine's DNS",
                  run->where.host);
    else if (result < 0)
        *fault = op->fault;
    if (result == 0) {
        run->found_count = run->lookup->count;
        memcpy(run->found, run->lookup->found, sizeof(run->found));
        result = hop_check_addresses(run, fault);
    }
    run->lookup = NULL;
    run->tried = 0;
    if (result < 0)
        run_end(run, result);
    else
        hop_try(run);
}

static int hop_on_data(struct http_call *fetch, const char *data, size_t length)
{
    struct egress_run *run = CONTAINER(fetch, struct egress_run, fetch);
    struct egress_call *call = run->call;
    size_t room = run->body_max - call->body.length;

    if (fetch->status >= 300) /* a redirect's or an error's own text: kept like any other */
        room = room < HTTP_ERROR_BODY_MAX ? room : HTTP_ERROR_BODY_MAX;
    buf_add(&call->body, data, length < room ? length : room);
    if (length <= room)
        return 0;
    call->truncated = true;
    return -ERR_TOO_LARGE; /* enough: hop_on_fetched takes it for the end */
}

static void hop_on_fetched(struct op *op, int result);

static void hop_try(struct egress_run *run)
{
    char pin[INET6_ADDRSTRLEN];
    struct http_spec spec = {
        .method = run->method,
        .url = run->url,
        .headers = (const char *const *)run->headers,
        .body = run->body,
        .body_length = run->body_length,
        .connect_ms = CONNECT_MS,
        .idle_ms = IDLE_MS,
        .body_max = SIZE_MAX / 2, /* hop_on_data counts */
        .tell_redirect = true,
        .pin = pin,
    };

    address_text(&run->found[run->tried++], pin);
    buf_clear(&run->call->body);
    run->call->truncated = false;
    run->fetch.on_data = hop_on_data;
    op_init(&run->fetch.op, run->egress->gw->loop, hop_on_fetched, /* deadline_ms= */ 0);
    http_start(run->egress->client, &run->fetch, &spec);
}

/* ---- a hop: what came ---- */

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Points the request at where the answer says: 1 when it goes on, 0 when this is the answer. */
static int hop_redirect(struct egress_run *run, struct fault *fault)
{
    struct http_url to;

    if (!is_redirect(run->fetch.status) || !run->fetch.redirect || run->body || !run->follow)
        return 0;
    if (http_url_parse(run->fetch.redirect, &to) < 0)
        return fault_set(fault, -ERR_DENIED, "%s redirects to an address that is not http or https",
                         run->where.host);
    if (strcmp(run->where.scheme, "https") == 0 && strcmp(to.scheme, "http") == 0)
        return fault_set(fault, -ERR_DENIED, "%s redirects from https to plain http: refused",
                         run->where.host);
    if (run->redirects-- == 0)
        return fault_set(fault, -ERR_INVALID, "%s redirects too often", run->where.host);
    if (strcmp(run->where.scheme, to.scheme) != 0 || strcmp(run->where.host, to.host) != 0 ||
        run->where.port != to.port)
        drop_headers(run);
    mem_free(run->url);
    run->url = TAKE(run->fetch.redirect);
    return 1;
}

/* Nobody was reached there, so the request did not happen: the name's next address may be tried. */
static bool hop_may_try_again(const struct egress_run *run, int result)
{
    return result == -ERR_CONNECT && run->tried < run->found_count && run->tried < EGRESS_TRIES;
}

static void hop_on_fetched(struct op *op, int result)
{
    struct egress_run *run = CONTAINER(op, struct egress_run, fetch.op);
    struct egress_call *call = run->call;

    CHECK(run, RUN_MAGIC);
    if (hop_may_try_again(run, result)) {
        hop_try(run);
        return;
    }
    if (result == -ERR_TOO_LARGE && call->truncated)
        result = 0;
    if (result < 0)
        call->op.fault = op->fault;
    call->status = run->fetch.status;
    snprintf(call->content_type, sizeof(call->content_type), "%s", run->fetch.content_type);
    if (result == 0 && call->status >= 400) /* the door keeps the body of an error apart */
        buf_add(&call->body, run->fetch.body.data ? run->fetch.body.data : "",
                run->fetch.body.length < run->body_max ? run->fetch.body.length : run->body_max);
    if (result == 0)
        result = hop_redirect(run, &call->op.fault);
    if (result == 1)
        hop_begin(run);
    else
        run_end(run, result);
}
