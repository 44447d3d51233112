/* The gateway's doors: gateway.sock, loopback (127.0.0.1 and ::1), a wider address when asked; and those that open
 * and close while it runs (the tailnet's addresses, the way in for tailscaled's proxy). */
#pragma once

#include "gateway/gateway.h"

#define LISTENERS_MAX 24

/* Which one a connection came by: ws_peer.door. */
enum door {
    DOOR_NONE, /* no listener: a pair */
    DOOR_SOCKET,
    DOOR_LOOPBACK,
    DOOR_WIDE,
    DOOR_TAILNET, /* gateway/tailnet/bind.h */
    DOOR_PROXY,   /* gateway/tailnet/serve.h: what comes by it was forwarded, whatever it says */
};
struct listen_at {
    enum door door;
    const char *host; /* an address */
    int port;         /* 0: any */
    const char *unix_path;
};

struct listeners;
/* Binds all that the configuration names; gw->listeners and gw->port are filled. Failure: a fault that names the
 * address and its holder; what was opened is closed by listen_close. A missing ::1 is a warning. */
int listen_open(struct gateway *gw, struct fault *reterr_fault);
/* One more door, now. Unix sockets and DOOR_PROXY speak plainly, the others TLS where it is configured.
 * -ERR_FULL past LISTENERS_MAX. *ret belongs to the gateway until listen_remove. */
int listen_add(struct gateway *gw, const struct listen_at *at, struct ws_server **ret,
               struct fault *reterr_fault);
/* Closes it and every connection that came by it, at once. From a timer or an op's end, not from a connection's own
 * events. */
void listen_remove(struct gateway *gw, struct ws_server *server);
bool listen_has(const struct gateway *gw, enum door door);

/* "http://127.0.0.1:18789": where a browser reaches us. Pages need a secure context for their keys, which
 * plain HTTP has on loopback only; with TLS it is the widest address we are bound to, and with tailscaled's proxy in
 * front the tailnet's name. Caller owns. */
char *listen_url(struct gateway *gw) MUSTCHECK;
/* The first server behind a door; NULL: none. Borrowed. */
struct ws_server *listen_server(const struct gateway *gw, enum door door);
/* Where a unix socket of ours is, and its mode: in the state directory for us alone, or in gateway.socketDirectory for
 * every user of this host, whom the kernel names. Caller owns the path. */
char *listen_path(const struct gateway *gw, const char *name) MUSTCHECK;
uint32_t listen_mode(const struct gateway *gw);
void listen_stop(struct gateway *gw);  /* no new connections */
void listen_close(struct gateway *gw); /* everything gone */
