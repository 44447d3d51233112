/* The LocalAPI client: where the socket is, one call and what can go wrong with it, and the calls themselves, which
 * are a spec each. Reading what comes back is read.c, the bus watch.c, connections dial.c. */
#include "tunnel/tailnet.h"

#include "base/mem.h"
#include "tunnel/tailnet/call.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define API        "/localapi/v0/"
#define ERROR_TEXT 200

struct tailnet {
    struct loop *loop;
    char *socket;
    char version[128]; /* as the last answer told; "" */
    struct running *running;
};

/* Where tailscaled's packages put its socket (Debian, others, Synology, QNAP, gokrazy). */
static const char *const places[] = {
    TAILNET_SOCKET,
    "/run/tailscale/tailscaled.sock",
    "/var/packages/Tailscale/etc/tailscaled.sock",
    "/tmp/tailscale/tailscaled.sock",
    "/perm/tailscaled/tailscaled.sock",
};

static const char *usual_place(void)
{
    const char *told = getenv("TS_SOCKET");

    if (told && *told)
        return told;
    for (size_t i = 0; i < COUNT(places); i++)
        if (access(places[i], F_OK) == 0)
            return places[i];
    return TAILNET_SOCKET;
}

struct tailnet *tailnet_new(struct loop *loop, const char *socket)
{
    struct tailnet *tailnet = NEW(struct tailnet);

    tailnet->loop = loop;
    tailnet->socket = mem_string(socket ? socket : usual_place());
    return tailnet;
}

struct tailnet *tailnet_free(struct tailnet *tailnet)
{
    if (!tailnet)
        return NULL;
    while (tailnet->running)
        op_drop(tailnet->running->op);
    mem_free(tailnet->socket);
    return mem_free(tailnet);
}

const char *tailnet_socket(const struct tailnet *tailnet)
{
    return tailnet->socket;
}

void running_add(struct tailnet *tailnet, struct running *running, struct op *op)
{
    running->op = op;
    running->next = tailnet->running;
    running->link = &tailnet->running;
    if (running->next)
        running->next->link = &running->next;
    tailnet->running = running;
}

void running_remove(struct running *running)
{
    if (!running->link)
        return;
    *running->link = running->next;
    if (running->next)
        running->next->link = running->link;
    running->link = NULL;
}

/* ---- what can go wrong ---- */

/* Nobody to talk to, or no answer from it. */
static int no_answer(const struct call *call, const struct request *request, int result,
                     struct fault *fault)
{
    const char *path = call->tailnet->socket;
    char why[FAULT_TEXT_MAX];

    snprintf(why, sizeof(why), "%s", fault->text);
    switch (request_connect_error(request)) {
    case ENOENT:
        return fault_set(
            fault, -ERR_NOT_FOUND,
            "there is no tailscaled here: no socket %s. Install and start Tailscale, or "
            "set TS_SOCKET to where its socket is",
            path);
    case ECONNREFUSED:
        return fault_set(fault, -ERR_NOT_FOUND,
                         "tailscaled does not run: nobody listens on %s. Start it (systemctl start "
                         "tailscaled)",
                         path);
    case EACCES:
    case EPERM:
        return fault_set(fault, -ERR_DENIED, "this user may not open tailscaled's socket %s", path);
    default:
        return fault_set(fault, result == -ERR_CLOSED ? -ERR_CORRUPT : result,
                         "tailscaled (%s), asked for %s: %s", path, call->spec.what, why);
    }
}

/* Statuses that are not 2xx. %s: what was asked for, tailscaled's words, its version. */
static int status_fault(const struct call *call, int status, const char *words, struct fault *fault)
{
    const char *what = call->spec.what, *version = call->tailnet->version;

    switch (status) {
    case 401:
    case 403:
        if (!call->spec.writes)
            return fault_set(fault, -ERR_DENIED, "tailscaled does not tell this user %s: %s", what,
                             words);
        return fault_set(
            fault, -ERR_DENIED,
            "tailscaled does not let this user change %s (%s): allow it once with 'sudo "
            "tailscale set --operator=$USER'",
            what, words);
    case 404:
        if (strncmp(words, "404 page", 8) == 0)
            return fault_set(fault, -ERR_UNSUPPORTED,
                             "tailscaled %s does not know how to tell %s: update Tailscale",
                             version, what);
        return fault_set(fault, -ERR_NOT_FOUND, "tailscaled does not know %s: %s", what, words);
    case 412:
        return fault_set(fault, -ERR_CONFLICT, "somebody else has changed %s since it was read",
                         what);
    case 400:
    case 405:
        return fault_set(fault, -ERR_INVALID, "tailscaled %s does not take the question for %s: %s",
                         version, what, words);
    default:
        return fault_set(fault, -ERR_IO, "tailscaled could not answer for %s (HTTP %d): %s", what,
                         status, words);
    }
}

static int corrupt(const struct call *call, const char *why, struct fault *fault)
{
    char words[ERROR_TEXT];

    snprintf(words, sizeof(words), "%s", why);
    return fault_set(fault, -ERR_CORRUPT,
                     "tailscaled %s answered the question for %s with something else: %s",
                     call->tailnet->version, call->spec.what, words);
}

/* ---- the answer ---- */

static int read_json(struct call *call, const struct request *request, struct fault *fault)
{
    const struct buf *body = request_body(request);
    const char *type = request_head(request)->type;

    if (strncmp(type, "application/json", 16) != 0)
        return corrupt(call, *type ? type : "no content type", fault);
    struct fault why = {0};
    CLEAN(json_free)
    struct json *json = json_parse(body->data ? body->data : "", body->length, &why);
    if (!json)
        return why.code == -ERR_UNSUPPORTED
                   ? fault_set(fault, -ERR_UNSUPPORTED,
                               "what tailscaled %s tells of %s cannot be read: %s",
                               call->tailnet->version, call->spec.what, why.text)
                   : corrupt(call, why.text, fault);
    int r = call->spec.read(call, json, &why);
    return r < 0 ? corrupt(call, why.text, fault) : 0;
}

/* 101: the connection. 200 with Dial-Self: none of the tailnet's, the caller goes there by itself. */
static int take_connection(struct call *call, struct request *request, struct fault *fault)
{
    const struct answer_head *head = request_head(request);

    if (head->status == 101 && strcmp(head->upgrade, "ts-dial") == 0) {
        *call->spec.ret_fd = request_take_fd(request);
        return 0;
    }
    if (head->status == 200 && strcmp(head->dial_self, "true") == 0 && *head->dial_address) {
        snprintf(call->spec.ret_dial_self, call->spec.ret_dial_self_size, "%s", head->dial_address);
        return 0;
    }
    return corrupt(call, "no connection", fault);
}

static int on_end(void *arg, struct request *request, int result)
{
    struct call *call = arg;
    struct op *op = request_op(request);
    const struct answer_head *head = request_head(request);
    const struct buf *body = request_body(request);
    char words[ERROR_TEXT];

    if (head->version[0])
        snprintf(call->tailnet->version, sizeof(call->tailnet->version), "%s", head->version);
    if (call->spec.data && head->status == 200)
        return result < 0 ? result : fault_set(&op->fault, -ERR_CLOSED, "tailscaled ended its bus");
    if (result < 0)
        return no_answer(call, request, result, &op->fault);
    if (call->spec.upgrade && head->status <= 200)
        return take_connection(call, request, &op->fault);
    if (head->status < 200 || head->status > 299) {
        read_error(body->data ? body->data : "", body->length, words, sizeof(words));
        return status_fault(call, head->status, words, &op->fault);
    }
    if (call->spec.ret_etag)
        snprintf(call->spec.ret_etag, sizeof(head->etag), "%s", head->etag);
    return call->spec.read ? read_json(call, request, &op->fault) : 0;
}

static int on_data(void *arg, const char *data, size_t length)
{
    struct call *call = arg;
    return call->spec.data(call->spec.arg, data, length);
}

static void on_release(void *arg)
{
    struct call *call = arg;

    running_remove(&call->running);
    if (call->spec.release)
        call->spec.release(call->spec.arg);
    mem_free(call);
}

void call_start(struct tailnet *tailnet, struct op *op, const struct call_spec *spec)
{
    struct call *call = NEW(struct call);
    CLEAN(mem_free) char *path = mem_format(API "%s", spec->path);

    call->tailnet = tailnet;
    call->spec = *spec;
    running_add(tailnet, &call->running, op);
    request_start(op, &(struct request_spec){.unix_path = tailnet->socket,
                                             .method = spec->method,
                                             .path = path,
                                             .host = "local-tailscaled.sock",
                                             .headers = spec->headers,
                                             .body = spec->body,
                                             .body_length = spec->body_length,
                                             .body_max = TAILNET_BODY_MAX,
                                             .limit_ms = spec->data       ? 0
                                                         : spec->limit_ms ? spec->limit_ms
                                                                          : TAILNET_CALL_MS,
                                             .upgrade = spec->upgrade,
                                             .arg = call,
                                             .data = spec->data ? on_data : NULL,
                                             .end = on_end,
                                             .release = on_release});
}

/* ---- the calls ---- */

static int take_status(struct call *call, const struct json *json, struct fault *fault)
{
    return read_status(json, call->spec.ret, fault);
}

void tailnet_status_get(struct tailnet *tailnet, struct op *op, bool peers,
                        struct tailnet_status *ret)
{
    *ret = (struct tailnet_status){0};
    call_start(tailnet, op,
               &(struct call_spec){.method = "GET",
                                   .path = peers ? "status" : "status?peers=false",
                                   .what = "its status",
                                   .read = take_status,
                                   .ret = ret});
}

static int take_who(struct call *call, const struct json *json, struct fault *fault)
{
    return read_who(json, call->spec.ret, fault);
}

void tailnet_whois(struct tailnet *tailnet, struct op *op, const char *address,
                   struct tailnet_who *ret)
{
    struct buf path;

    *ret = (struct tailnet_who){0};
    buf_init(&path, 512);
    buf_add_str(&path, "whois?proto=tcp&addr=");
    for (const char *c = address; *c; c++)
        if (strchr("0123456789abcdefABCDEF.:", *c))
            buf_add_char(&path, *c);
        else
            buf_addf(&path, "%%%02X", (unsigned char)*c);
    call_start(tailnet, op,
               &(struct call_spec){.method = "GET",
                                   .path = path.bad ? "whois" : path.data,
                                   .what = "who a peer is",
                                   .read = take_who,
                                   .ret = ret});
    buf_done(&path);
}

/* Nothing configured is null. */
static int take_serve(struct call *call, const struct json *json, struct fault *fault)
{
    struct json **ret = call->spec.ret;

    if (json_kind(json) != JSON_OBJECT && json_kind(json) != JSON_NULL)
        return fault_set(fault, -ERR_CORRUPT, "not an object");
    if (!call->spec.ret_etag[0])
        return fault_set(fault, -ERR_CORRUPT, "it has no ETag: this version is too old for it");
    *ret = json_kind(json) == JSON_OBJECT ? json_copy(json) : json_new_object();
    return 0;
}

void tailnet_serve_get(struct tailnet *tailnet, struct op *op, struct json **ret_config,
                       char ret_etag[128])
{
    *ret_config = NULL;
    ret_etag[0] = '\0';
    call_start(tailnet, op,
               &(struct call_spec){.method = "GET",
                                   .path = "serve-config",
                                   .what = "its serve configuration",
                                   .read = take_serve,
                                   .ret = ret_config,
                                   .ret_etag = ret_etag});
}

void tailnet_serve_set(struct tailnet *tailnet, struct op *op, const struct json *config,
                       const char *etag)
{
    CLEAN(mem_free) char *body = json_print(config, /* pretty= */ false);
    CLEAN(mem_free)
    char *headers =
        mem_format("Content-Type: application/json\r\n%s%s%s", etag && *etag ? "If-Match: " : "",
                   etag ? etag : "", etag && *etag ? "\r\n" : "");

    call_start(tailnet, op,
               &(struct call_spec){.method = "POST",
                                   .path = "serve-config",
                                   .what = "its serve configuration",
                                   .headers = headers,
                                   .body = body,
                                   .body_length = strlen(body),
                                   .writes = true});
}
