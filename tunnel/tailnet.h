/* tailscaled's LocalAPI, asynchronously, over its unix socket (through the WebSocket door's HTTP client, so that
 * whoever uses this links no libcurl). The API is "not necessarily stable": every answer is checked, what is
 * missing is missing, nothing crashes on garbage. tunnel.md 3. Loop thread only. */
#pragma once

#include "base/io/op.h"
#include "base/json.h"

#define TAILNET_SOCKET    "/var/run/tailscale/tailscaled.sock"
#define TAILNET_BODY_MAX  (8u << 20)
#define TAILNET_CALL_MS   5000
#define TAILNET_PEERS_MAX 4096
#define TAILNET_ADDRESSES 8

struct tailnet;
/* socket NULL: $TS_SOCKET, then the usual places. Nothing is connected yet. */
struct tailnet *tailnet_new(struct loop *loop, const char *socket) MUSTCHECK;
struct tailnet *tailnet_free(struct tailnet *tailnet); /* what runs is dropped */
const char *tailnet_socket(const struct tailnet *tailnet);

/* A call takes at most TAILNET_CALL_MS, whatever the op's own deadline. Faults of every call: -ERR_NOT_FOUND no
 * tailscaled here, or it does not know the thing asked for; -ERR_DENIED not allowed (writing says --operator);
 * -ERR_TIMEOUT; -ERR_CORRUPT not what was expected (says the version); -ERR_CONFLICT 412; -ERR_TOO_LARGE,
 * -ERR_UNSUPPORTED more than is read here; -ERR_IO tailscaled's own trouble, in its words. */

/* Everything owned; strings never NULL. */
struct tailnet_node {
    char *name;      /* MagicDNS name without the last dot */
    char *host_name; /* as the machine calls itself */
    char *addresses[TAILNET_ADDRESSES];
    size_t address_count;
    char **tags; /* NULL-terminated; NULL: none */
    int64_t user_id;
    bool online, self;
};
struct tailnet_status {
    char *state;  /* BackendState: "Running", "NeedsLogin" … */
    char *suffix; /* MagicDNSSuffix */
    char *version;
    bool
        tun; /* false: userspace networking; then addresses are tailscaled's only, see tailnet_dial */
    struct tailnet_node self;
    struct tailnet_node *peers;
    size_t peer_count;
    char **cert_domains; /* NULL-terminated */
    char *health;        /* joined sentences, "" */
};
void tailnet_status_done(struct tailnet_status *status);
void tailnet_status_get(struct tailnet *tailnet, struct op *op, bool peers,
                        struct tailnet_status *ret);
/* "name", "name.tail1234.ts.net", an address: the node (also our own); NULL and a fault with the nearest name. */
const struct tailnet_node *tailnet_find(const struct tailnet_status *status, const char *name,
                                        struct fault *reterr_fault);

struct tailnet_who {
    char *login; /* "alice@example.com"; "tagged-devices" for tagged nodes */
    char *user;  /* display name */
    char *node;  /* MagicDNS name */
    char **tags;
    struct json *capabilities; /* CapMap: name to array of values; NULL: none */
};
void tailnet_who_done(struct tailnet_who *who);
/* address is "ip:port" of the peer as the socket tells it. -ERR_NOT_FOUND: nobody's. */
void tailnet_whois(struct tailnet *tailnet, struct op *op, const char *address,
                   struct tailnet_who *ret);

/* serve-config, read and written with its ETag. json is the caller's. */
void tailnet_serve_get(struct tailnet *tailnet, struct op *op, struct json **ret_config,
                       char ret_etag[128]);
void tailnet_serve_set(struct tailnet *tailnet, struct op *op, const struct json *config,
                       const char *etag);

/* watch-ipn-bus. each() for every line until the op ends, which is never with 0: -ERR_CLOSED, the daemon went or we
 * were too slow for it: come back. The op may be cancelled or dropped inside each(), and the tailnet freed. Give the
 * op no deadline. */
void tailnet_watch(struct tailnet *tailnet, struct op *op, unsigned mask,
                   void (*each)(void *arg, const struct json *notify), void *arg);
#define TAILNET_BUS_INITIAL_STATE  2u
#define TAILNET_BUS_PREFS          4u
#define TAILNET_BUS_HEALTH         128u
#define TAILNET_BUS_INITIAL_STATUS (1u << 14)

/* A TCP connection to a peer: straight where the kernel has a way, else through tailscaled (POST dial, upgrade; half of
 * such a connection cannot be closed). host as in tailnet_find, or an address that one of the tailnet's routers leads to.
 * op ends 0 with *ret_fd the caller's, non-blocking; else it is -1. Who drops the op looks at *ret_fd: the end may have
 * been on its way. At most 20 s. */
void tailnet_dial(struct tailnet *tailnet, struct op *op, const char *host, int port, int *ret_fd);

#define TAILNET_DISCOVER_PEER_MS 2000 /* for each peer to connect and answer */

struct tailnet_gateway {
    char *name, *address; /* MagicDNS name, first address */
    char *url;            /* "ts://name", with ":port" unless it is 18789 */
    int port;
};
struct tailnet_gateways {
    struct tailnet_gateway *list; /* by name */
    size_t count;
    size_t asked, silent,
        offline; /* peers: tried; of them no connection or no answer in time; not tried */
};
void tailnet_gateways_done(struct tailnet_gateways *gateways);
/* Which online peers answer as a gateway on port: a WebSocket that begins with the challenge (plain, no TLS). Some are
 * asked at a time. Faults: those of status. */
void tailnet_discover(struct tailnet *tailnet, struct op *op, int port,
                      struct tailnet_gateways *ret);
