/* The verdict on an upgrade: first who sits at the other end of the socket, then what the headers say of
 * a proxy, then the Origin. Pure; owns nothing. design.md section 5 "Local" and "Browsers". */
#include "gateway/conn/ingress.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const char *const ingress_forwarding_headers[] = {"x-forwarded-for",
                                                  "x-forwarded-host",
                                                  "x-forwarded-proto",
                                                  "x-forwarded-port",
                                                  "x-real-ip",
                                                  "forwarded",
                                                  "via",
                                                  "cf-connecting-ip",
                                                  "true-client-ip",
                                                  "x-client-ip",
                                                  "fly-client-ip",
                                                  "tailscale-user-login",
                                                  "tailscale-funnel-request",
                                                  "x-original-host",
                                                  "x-forwarded-prefix",
                                                  NULL};

#define NAME_MAX_BYTES 256

/* ---- Host ---- */

struct host {
    char name[NAME_MAX_BYTES]; /* lower case, no brackets */
    long port;                 /* -1: not given */
};

static bool host_port(const char *text, long *ret)
{
    char *end;

    if (*text < '0' || *text > '9')
        return false;
    *ret = strtol(text, &end, 10);
    return *end == '\0' && *ret <= 65535;
}

static bool host_parse(const char *text, struct host *ret)
{
    const char *name = text, *end, *rest;

    if (*text == '[') {
        name = text + 1;
        end = strchr(name, ']');
        rest = end ? end + 1 : NULL;
    } else {
        end = text + strcspn(text, ":");
        rest = end;
    }
    if (!end || end == name || (size_t)(end - name) >= sizeof(ret->name))
        return false;
    for (size_t i = 0; i < (size_t)(end - name); i++)
        ret->name[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + ('a' - 'A')) : name[i];
    ret->name[end - name] = '\0';
    ret->port = -1;
    return *rest == '\0' || (*rest == ':' && host_port(rest + 1, &ret->port));
}

static bool names_loopback(const struct host *host)
{
    struct address address;

    if (strcmp(host->name, "localhost") == 0)
        return true;
    return address_parse(host->name, strlen(host->name), &address) && address_is_loopback(&address);
}

/* Is it one of the names this listener answers to? A name that merely resolves to us (DNS rebinding) is
 * not. */
static bool names_us(const struct host *host, const struct ingress_facts *facts,
                     const struct address *local)
{
    char text[ADDRESS_TEXT];

    if (names_loopback(host))
        return !local || address_is_loopback(local);
    if (local) {
        address_text(local, text);
        if (strcmp(host->name, text) == 0)
            return true;
    }
    if (facts->tailnet_name && strcasecmp(host->name, facts->tailnet_name) == 0)
        return true;
    if (!facts->machine || !facts->machine[0])
        return false;
    size_t length = strlen(facts->machine);
    return strncasecmp(host->name, facts->machine, length) == 0 &&
           (host->name[length] == '\0' || strcmp(host->name + length, ".local") == 0);
}

/* ---- proxies ---- */

static bool in_ranges(const struct address *address, const struct json *ranges)
{
    json_each (range, ranges)
        if (address_in(address, json_string(range, "")))
            return true;
    return false;
}

/* X-Forwarded-For grows to the right: the first entry from the right that is no proxy of ours is the
 * client. One that cannot be read ends the search: the socket's address stands. */
static void client_behind_proxy(const char *forwarded_for, const struct json *proxies,
                                struct address *client)
{
    const char *end = forwarded_for ? forwarded_for + strlen(forwarded_for) : NULL;

    while (end && end > forwarded_for) {
        const char *start = end;
        struct address hop;

        while (start > forwarded_for && start[-1] != ',')
            start--;
        if (!address_parse(start, (size_t)(end - start), &hop))
            return;
        *client = hop;
        if (!in_ranges(&hop, proxies))
            return;
        end = start > forwarded_for ? start - 1 : start;
    }
}

/* ---- Origin ---- */

static bool listed(const char *origin, const struct json *allowed)
{
    json_each (item, allowed) {
        const char *text = json_string(item, "");
        size_t length = strlen(text);

        while (length > 0 && text[length - 1] == '/')
            length--;
        if (length > 0 && strlen(origin) == length && strncasecmp(origin, text, length) == 0)
            return true;
    }
    return false;
}

/* Behind tailscaled's proxy the page is at https and our name in the tailnet; the proxy tells that name as it heard it. */
static bool is_served_origin(const struct ingress_facts *facts, const struct ingress *in)
{
    const char *asked = facts->forwarded_host ? facts->forwarded_host : facts->host;
    char own[NAME_MAX_BYTES * 2];
    struct host host;

    if (!in->proxied || !facts->tailnet_name || !asked || !host_parse(asked, &host) ||
        strcasecmp(host.name, facts->tailnet_name) != 0)
        return false;
    snprintf(own, sizeof(own), "https://%s", facts->tailnet_name);
    return strcasecmp(own, facts->origin) == 0;
}

static bool same_origin(const struct ingress_facts *facts, const struct ingress *in,
                        const struct address *local)
{
    const char *host_text =
        in->trusted_proxy && facts->forwarded_host ? facts->forwarded_host : facts->host;
    const char *scheme = facts->tls ? "https" : "http";
    struct host host;
    char own[NAME_MAX_BYTES * 2];

    if (is_served_origin(facts, in))
        return true;
    if (in->trusted_proxy && facts->forwarded_proto)
        scheme = facts->forwarded_proto;
    if (!host_text || !host_parse(host_text, &host) || !names_us(&host, facts, local))
        return false;
    snprintf(own, sizeof(own), "%s://%s", scheme, host_text);
    return strcasecmp(own, facts->origin) == 0;
}

/* ---- the verdict ---- */

static void judge_tcp(const struct ingress_facts *facts, struct ingress *in, struct address *local,
                      uint16_t *local_port)
{
    struct address peer;
    uint16_t peer_port;

    if (!address_from_socket(facts->remote, &peer, &peer_port) ||
        !address_from_socket(facts->local, local, local_port)) {
        snprintf(in->rate_key, sizeof(in->rate_key), "unknown");
        return;
    }
    in->trusted_proxy = in->proxied && in_ranges(&peer, facts->trusted_proxies);
    in->loopback = !in->proxied && address_is_loopback(&peer) && address_is_loopback(local);
    /* A proxy on this host that we do not know stands for all who come through it. */
    in->exempt = address_is_loopback(&peer) && !in->trusted_proxy;
    if (in->trusted_proxy)
        client_behind_proxy(facts->forwarded_for, facts->trusted_proxies, &peer);
    address_text(&peer, in->address);
    address_rate_key(&peer, in->rate_key);
}

/* Who came through a tunnel is from elsewhere, whatever socket the tunnel ends in, and each counts by itself. */
static void judge_unix(const struct ingress_facts *facts, struct ingress *in)
{
    const char *claimed = facts->identity ? peer_identity_address(facts->identity) : NULL;
    struct address address;

    in->own_uid = facts->own_uid && !facts->identity && facts->transport != WS_TUNNEL;
    in->exempt = in->own_uid || (facts->transport == WS_UNIX && !facts->identity);
    snprintf(in->rate_key, sizeof(in->rate_key), "%s",
             facts->transport == WS_TUNNEL ? "tunnel" : "unix");
    in->signed_in = facts->identity && facts->identity->kind != IDENTITY_PUBLISH;
    if (facts->identity)
        peer_identity_rate_key(facts->identity, in->rate_key);
    if (claimed && address_parse(claimed, strlen(claimed), &address))
        address_text(&address, in->address);
}

/* From elsewhere whatever the socket says, and no proxy that may name users: tailscaled hands on most headers as they
 * came. On a unix socket, which only tailscaled and we can reach, the client's address is its word. */
static void judge_proxy_door(const struct ingress_facts *facts, struct ingress *in)
{
    const char *text = facts->forwarded_for;
    struct address client;

    in->proxied = true;
    in->own_uid = in->loopback = in->direct = in->trusted_proxy = in->exempt = false;
    in->address[0] = '\0';
    snprintf(in->rate_key, sizeof(in->rate_key), "proxy");
    if (facts->transport != WS_UNIX || !text || !address_parse(text, strlen(text), &client))
        return;
    address_text(&client, in->address);
    address_rate_key(&client, in->rate_key);
}

int ingress_judge(const struct ingress_facts *facts, struct ingress *ret, const char **ret_why)
{
    struct ingress in = {.transport = facts->transport, .proxied = facts->forwarded};
    struct address local = {0};
    uint16_t port = 0;
    struct host host;
    bool tcp = facts->transport == WS_TCP;

    if (tcp) {
        judge_tcp(facts, &in, &local, &port);
        long given = 0;
        if (in.loopback && facts->host && host_parse(facts->host, &host)) {
            given = host.port >= 0 ? host.port : facts->tls ? 443 : 80;
            in.direct = given == port && names_loopback(&host);
        }
    } else {
        judge_unix(facts, &in);
    }

    if (facts->proxy_door)
        judge_proxy_door(facts, &in);
    if (facts->origin) {
        in.browser = true;
        in.own_page = same_origin(facts, &in, tcp ? &local : NULL);
        if (!in.own_page && !listed(facts->origin, facts->allowed_origins)) {
            *ret_why =
                "origin not allowed: open the page from the gateway's own address, or list the "
                "origin in gateway.controlUi.allowedOrigins\n";
            return 403;
        }
    }
    *ret = in;
    return 0;
}

bool ingress_is_here(const struct ingress *ingress)
{
    return ingress->transport == WS_TCP ? ingress->loopback : ingress->own_uid;
}
