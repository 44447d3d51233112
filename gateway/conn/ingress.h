/* Where a request comes from, by its socket and headers alone: the Origin verdict, forwarded or not, on
 * this host or not, and the canonical address. Pure. design.md section 5. */
#pragma once

#include "base/io/ws.h"
#include "base/json.h"
#include "gateway/conn/address.h"
#include "gateway/tunnel/peer_identity.h"

/* Header values are NULL when absent. */
struct ingress_facts {
    enum ws_transport transport;
    const struct sockaddr_storage *remote, *local; /* TCP; NULL otherwise */
    bool own_uid; /* UNIX: the peer's uid is ours; pair: ours at both ends */
    bool tls;
    const char *host, *origin;
    const char *forwarded_for, *forwarded_host, *forwarded_proto;
    bool forwarded; /* any header that a proxy adds is there */
    bool
        proxy_door; /* by the door that only tailscaled's proxy is sent to: forwarded in any case */
    const char *machine;      /* our host name; NULL: not known */
    const char *tailnet_name; /* our name in the tailnet, "gw.tail1234.ts.net"; NULL: not known */
    const struct json *trusted_proxies, *allowed_origins;
    const struct peer_identity *identity; /* of somebody from elsewhere; NULL: none is known */
};

struct ingress {
    enum ws_transport transport;
    bool own_uid;       /* UNIX, pair: ours; of whatever came through a tunnel it is false */
    bool loopback;      /* TCP: both ends are loopback and nobody forwarded it */
    bool direct;        /* loopback, and Host is a loopback name or address with our own port */
    bool proxied;       /* a forwarding header was there */
    bool trusted_proxy; /* and the socket's other end is one of gateway.trustedProxies */
    bool browser;       /* an Origin was there (and allowed) */
    bool own_page;      /* and it is this listener's own: the page came from us */
    bool signed_in;     /* through an SSH server, or a user of this host: no stranger */
    bool exempt;        /* failed authentication is delayed, never locked out */
    char address[ADDRESS_TEXT];           /* the client's; "" when it has none */
    char rate_key[IDENTITY_RATE_KEY_MAX]; /* what the limiter counts; never empty */
};

/* 0, or the HTTP status to refuse the upgrade with and why (static text, a sentence). */
int ingress_judge(const struct ingress_facts *facts, struct ingress *ret, const char **ret_why);

/* On this host by the socket's word: loopback that nobody forwarded, our own uid, a pair. */
bool ingress_is_here(const struct ingress *ingress);

/* Names of the headers that show a proxy; NULL-terminated. */
extern const char *const ingress_forwarding_headers[];
