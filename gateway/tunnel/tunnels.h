/* What comes through a tunnel: tunnel.sock, where `culvert bridge` registers and every stream of a tunnel begins with
 * its ticket, and the streams themselves, which the WebSocket server then serves like its own. None of them is ever local.
 * design.md section 5, tunnel/bridge.h. Loop thread only. */
#pragma once

#include "base/crypto.h"
#include "base/json.h"

struct gateway;
struct tunnels;
struct peer_identity;

#define TUNNEL_ARRIVALS_MAX                                                                        \
    128 /* connections that have not said their line yet; one more: the oldest goes */
#define TUNNEL_ARRIVALS_USER_MAX 64 /* of one unix user; one more: that user's oldest goes */
#define TUNNEL_LINE_MS           5000
#define TUNNEL_LOOKS_MAX         8 /* bridges that are looked at; one more is refused */

struct tunnels *tunnels_new(struct gateway *gw) MUSTCHECK;
struct tunnels *tunnels_free(
    struct tunnels *tunnels); /* before the listeners and the connections */
/* tunnel.sock in the folder of gateway.sock. A fault names what is in the way. */
int tunnels_open(struct gateway *gw, struct fault *reterr_fault);
void tunnels_stop(struct gateway *gw); /* nobody new */

/* A ticket for streams that this very process brings (tunnel.publish); each may tell who is at its far end
 * (from=). via: the host they come by. out is the only copy. */
int tunnels_ticket(struct gateway *gw, const char *via, char out[TOKEN_TEXT], uint64_t *ret_id,
                   struct fault *reterr_fault);
/* Its streams end with it. */
void tunnels_ticket_end(struct gateway *gw, uint64_t id);

/* The path, for doctor and the offer; NULL: not open. */
const char *tunnels_path(const struct gateway *gw);
/* listen.c: the last of a stream is gone. */
void tunnels_released(void *gw, void *owner);
