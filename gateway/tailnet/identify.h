/* Who is at the other end, where a tailnet may tell: asked before a connect is judged. design.md section 5 "Tailnet
 * peers", protocol.md 2.7 "Tailscale". Loop thread only. */
#pragma once

#include "base/io/op.h"
#include "base/io/ws.h"
#include "gateway/conn/address.h"
#include "gateway/tunnel/peer_identity.h"

#define IDENTIFY_MS 6000 /* all of it; past it there is no identity */
#define IDENTIFY_PLAIN_MS                                                                          \
    1000 /* loopback without a claim: a tailscaled that hangs must not be felt */

struct gateway;
struct identify;

enum identify_verdict {
    IDENTIFY_NONE,  /* nothing is known, and nothing was claimed */
    IDENTIFY_KNOWN, /* identity is there */
    IDENTIFY_MISSING, /* by tailscaled's proxy, which named nobody (a tagged node without one, this host) */
    IDENTIFY_NO_PROXY,     /* headers claim somebody, but tailscaled did not send them */
    IDENTIFY_WHOIS_FAILED, /* tailscaled could not be asked, or knows nobody by that address */
    IDENTIFY_MISMATCH,     /* the header names somebody else than tailscaled does */
};
struct identified {
    enum identify_verdict verdict;
    struct peer_identity *identity; /* a reference of the asker's; NULL: none */
    bool
        carried; /* tailscaled holds the other end of a TCP connection: from elsewhere, whoever it is */
    bool served;                /* it came by tailscaled's proxy (Serve), proved */
    bool funnel;                /* and from the public Internet through Funnel */
    char address[ADDRESS_TEXT]; /* served: the client's, as tailscaled told; "" else */
    char why[FAULT_TEXT_MAX];   /* NONE and below: for the log; "" when there is nothing to say */
};

/* NULL: there is nothing to find out about this connection. What it needs of request (NULL: no headers) is copied;
 * peer's descriptor stays open while it lives. */
struct identify *identify_new(struct gateway *gw, const struct ws_peer *peer,
                              const struct ws_request *request) MUSTCHECK;
struct identify *identify_free(struct identify *identify);
/* op ends 0, whatever was found (*ret is filled), within IDENTIFY_MS. */
void identify_run(struct identify *identify, struct op *op, struct identified *ret);
