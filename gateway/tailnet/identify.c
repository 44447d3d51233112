/* From a socket and its headers to an identity. Path: on_daemon (is there a tailscaled) -> for a peer of the tailnet
 * whois on its address; for loopback and the proxy's door on_holder (is tailscaled the other end), on_forwarded (does
 * it bring a peer's bytes as they are: then that peer wrote the headers), and only then what the headers say, held
 * against whois. Every doubt ends without an identity. Owns the copies of the headers. */
#include "gateway/tailnet/identify.h"

#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/listen.h"
#include "gateway/tailnet/holder.h"
#include "gateway/tailnet/internal.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LOGIN_MAX 320 /* of an e-mail address */

struct identify {
    struct tailscale *tailscale;
    struct ws_peer peer;
    struct address remote, local;
    uint16_t port; /* the peer's */
    bool tailnet;  /* both ends are tailnet addresses */
    bool claims;   /* a header that tailscaled's proxy sets is there */
    bool funnel;
    char *login, *forwarded_for; /* NULL: not there */
    struct op step, *asker;
    struct timer deadline;
    struct peer_identity *found;
    struct identified result, *ret;
};

/* ---- is there anything to find out? ---- */

static char *copy_header(const struct ws_request *request, const char *name)
{
    const char *value = request ? ws_header(request, name) : NULL;

    return value && strlen(value) <= LOGIN_MAX ? mem_string(value) : NULL;
}

static bool is_loopback(const struct identify *identify)
{
    return identify->peer.transport == WS_TCP && address_is_loopback(&identify->remote) &&
           address_is_loopback(&identify->local);
}

/* A tailnet address; tailscaled's proxy; loopback where tailscaled may bring what comes to it. */
static bool matters(const struct identify *identify)
{
    const struct daemon *daemon = identify->tailscale->daemon;
    const struct tailnet_status *status = daemon_status(daemon);

    if (identify->tailnet || identify->peer.door == DOOR_PROXY)
        return true;
    if (!is_loopback(identify) || !daemon_exists(daemon))
        return identify->claims;
    return identify->claims || (status ? !status->tun : !daemon_failed(daemon));
}

struct identify *identify_new(struct gateway *gw, const struct ws_peer *peer,
                              const struct ws_request *request)
{
    uint16_t own_port;

    if (!gw->tailscale || (peer->transport != WS_TCP && peer->door != DOOR_PROXY))
        return NULL;
    struct identify *identify = NEW(struct identify);
    identify->tailscale = gw->tailscale;
    identify->peer = *peer;
    if (peer->transport == WS_TCP)
        identify->tailnet =
            address_from_socket(&peer->remote, &identify->remote, &identify->port) &&
            address_from_socket(&peer->local, &identify->local, &own_port) &&
            address_is_tailnet(&identify->remote) && address_is_tailnet(&identify->local);
    identify->login = copy_header(request, "tailscale-user-login");
    identify->forwarded_for = copy_header(request, "x-forwarded-for");
    identify->funnel = request && ws_header(request, "tailscale-funnel-request");
    identify->claims = identify->login || identify->funnel;
    return matters(identify) ? identify : identify_free(identify);
}

struct identify *identify_free(struct identify *identify)
{
    if (!identify)
        return NULL;
    timer_stop(identify->tailscale->gw->loop, &identify->deadline);
    op_drop(&identify->step);
    peer_identity_unref(identify->found);
    mem_free(identify->login);
    mem_free(identify->forwarded_for);
    return mem_free(identify);
}

/* Loopback that claims nothing. */
static bool is_plain(const struct identify *identify)
{
    return !identify->tailnet && !identify->claims && identify->peer.door != DOOR_PROXY;
}

/* ---- the end ---- */

static void finish(struct identify *identify, enum identify_verdict verdict, const char *why)
{
    struct identified *result = &identify->result;

    timer_stop(identify->tailscale->gw->loop, &identify->deadline);
    result->verdict = verdict;
    snprintf(result->why, sizeof(result->why), "%s", why);
    if (verdict == IDENTIFY_KNOWN)
        result->identity = TAKE(identify->found);
    *identify->ret = *result;
    op_end(TAKE(identify->asker), 0);
}

static void on_late(void *arg)
{
    struct identify *identify = arg;

    op_drop(&identify->step);
    finish(identify, is_plain(identify) ? IDENTIFY_NONE : IDENTIFY_WHOIS_FAILED,
           "tailscaled took too long");
}

/* Somebody on this very host, whoever it is: it stands for no user of the tailnet. */
static bool is_own(const struct identify *identify, const struct address *address)
{
    return daemon_is_own(identify->tailscale->daemon, address);
}

/* By its address of this host's own tailscaled, its node is us as well. */
static bool names_self(const struct identify *identify)
{
    const struct tailnet_status *status = daemon_status(identify->tailscale->daemon);

    return !status || (identify->found->node && status->self.name &&
                       strcmp(identify->found->node, status->self.name) == 0);
}

/* ---- what the headers say ---- */

static void on_header_answer(struct op *op, int result)
{
    struct identify *identify = CONTAINER(op, struct identify, step);
    const struct peer_identity *who = identify->found;

    if (result < 0)
        finish(identify, IDENTIFY_WHOIS_FAILED, op->fault.text);
    else if (names_self(identify))
        finish(identify, IDENTIFY_MISSING, "it came from this host itself");
    else if (!identify->login && !who->tags)
        finish(identify, IDENTIFY_MISSING, "the proxy named no user");
    else if (identify->login && (!who->login || strcasecmp(identify->login, who->login) != 0))
        finish(identify, IDENTIFY_MISMATCH,
               "the header names another user than tailscaled does for that address");
    else
        finish(identify, IDENTIFY_KNOWN, "");
}

/* The other end is tailscaled's proxy: X-Forwarded-For is its word. */
static void read_headers(struct identify *identify)
{
    const char *text = identify->forwarded_for;
    struct address client;

    if (!text || strchr(text, ',') || !address_parse(text, strlen(text), &client)) {
        finish(identify, IDENTIFY_NO_PROXY, "there is no X-Forwarded-For with one address");
        return;
    }
    identify->result.served = true;
    identify->result.funnel = identify->funnel;
    address_text(&client, identify->result.address);
    if (identify->funnel) {
        finish(identify, IDENTIFY_NONE, "it came from the Internet, by Funnel");
    } else if (!address_is_tailnet(&client) || is_own(identify, &client)) {
        finish(identify, IDENTIFY_MISSING, "it came from no other node of the tailnet");
    } else {
        op_init(&identify->step, identify->tailscale->gw->loop, on_header_answer, 0);
        whois_ask(identify->tailscale->whois, &identify->step, &client, 0, &identify->found);
    }
}

/* ---- loopback and the proxy's door ---- */

/* tailscaled knows the connection by its port: it is a peer's, brought here byte for byte. */
static void on_forwarded(struct op *op, int result)
{
    struct identify *identify = CONTAINER(op, struct identify, step);

    if (result == 0) {
        bool self = names_self(identify);
        finish(identify, self ? IDENTIFY_NONE : IDENTIFY_KNOWN,
               self ? "it is this host itself" : "");
    } else if (result != -ERR_NOT_FOUND) {
        finish(identify, IDENTIFY_WHOIS_FAILED, op->fault.text);
    } else if (!identify->claims && identify->peer.door != DOOR_PROXY) {
        finish(identify, IDENTIFY_NONE, "");
    } else if (!daemon_ssh_is_off(identify->tailscale->daemon)) {
        finish(identify, IDENTIFY_NO_PROXY,
               "Tailscale SSH is on (or it is not known), and what its guests forward cannot be "
               "told from Serve");
    } else {
        read_headers(identify);
    }
}

static void on_holder(struct op *op, int result)
{
    struct identify *identify = CONTAINER(op, struct identify, step);
    bool claims = identify->claims || identify->peer.door == DOOR_PROXY;

    if (result < 0) {
        finish(identify, claims ? IDENTIFY_NO_PROXY : IDENTIFY_NONE, op->fault.text);
    } else if (identify->peer.transport == WS_UNIX) {
        read_headers(identify);
    } else {
        identify->result.carried = true;
        op_init(&identify->step, identify->tailscale->gw->loop, on_forwarded, 0);
        whois_ask(identify->tailscale->whois, &identify->step, &identify->remote, identify->port,
                  &identify->found);
    }
}

/* ---- the first question ---- */

static void on_direct(struct op *op, int result)
{
    struct identify *identify = CONTAINER(op, struct identify, step);

    if (result < 0)
        finish(identify, IDENTIFY_WHOIS_FAILED, op->fault.text);
    else
        finish(identify, IDENTIFY_KNOWN, "");
}

static void on_daemon(struct op *op, int result)
{
    struct identify *identify = CONTAINER(op, struct identify, step);
    struct tailscale *tailscale = identify->tailscale;

    bool claims = identify->claims || identify->peer.door == DOOR_PROXY;

    if (result < 0) {
        finish(identify,
               claims              ? IDENTIFY_NO_PROXY
               : identify->tailnet ? IDENTIFY_WHOIS_FAILED
                                   : IDENTIFY_NONE,
               op->fault.text);
    } else if (!matters(identify)) {
        finish(identify, IDENTIFY_NONE, "");
    } else if (!identify->tailnet) {
        op_init(&identify->step, tailscale->gw->loop, on_holder, HOLDER_MS);
        holder_ask(&identify->step, &identify->peer, tailnet_socket(daemon_api(tailscale->daemon)));
    } else if (is_own(identify, &identify->remote) || !is_own(identify, &identify->local)) {
        finish(identify, IDENTIFY_NONE,
               "it came from this host itself, or not by its tailnet address");
    } else {
        op_init(&identify->step, tailscale->gw->loop, on_direct, 0);
        whois_ask(tailscale->whois, &identify->step, &identify->remote, identify->port,
                  &identify->found);
    }
}

static void on_cancelled(struct op *op, void *worker)
{
    struct identify *identify = worker;

    (void)op;
    identify->asker = NULL;
    timer_stop(identify->tailscale->gw->loop, &identify->deadline);
    op_drop(&identify->step);
}

void identify_run(struct identify *identify, struct op *op, struct identified *ret)
{
    identify->asker = op;
    identify->ret = ret;
    op_start(op, on_cancelled, identify);
    timer_start(identify->tailscale->gw->loop, &identify->deadline,
                is_plain(identify) ? IDENTIFY_PLAIN_MS : IDENTIFY_MS, 0, on_late, identify);
    op_init(&identify->step, identify->tailscale->gw->loop, on_daemon, 0);
    daemon_wait(identify->tailscale->daemon, &identify->step);
}
