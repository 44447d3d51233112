/* How a stream reaches the gateway over a session that is up. The ways are rows, tried in their order:
 *
 *   bridge        `culvert bridge` over there names tunnel.sock and a ticket; streams are streamlocal channels
 *   direct-tcpip  the gateway's port on the far loopback: culvert is not in PATH there, has no gateway running that it
 *                 knows of, or sshd forbids streamlocal forwarding
 *   exec          one `culvert bridge --stdio SERVICE` per stream: sshd forbids forwarding (MaxSessions bounds it)
 *
 * A way that fails later is looked for anew. Tunnel thread only. */
#pragma once

#include "tunnel/bridge.h"
#include "tunnel/ssh/session.h"

#define WAY_STEP_MS 10000 /* a step of the search takes no longer */

struct way;
struct way_events {
    void (*ready)(void *arg);
    /* Looked at all of them: none. Or it was ready and is lost; way_look begins anew. */
    void (*none)(void *arg, const struct fault *why);
    void (*notice)(void *arg, const char *text);
};
struct way_config {
    struct loop *loop;
    const char *bridge_command; /* borrowed */
    int gateway_port;
    const struct way_events *events;
    void *arg;
};
struct way *way_new(const struct way_config *config) MUSTCHECK;
struct way *way_free(struct way *way);

/* A search over this session; what was is forgotten. NULL: no session. */
void way_look(struct way *way, struct ssh *control);
bool way_ready(const struct way *way);
const char *way_name(const struct way *way); /* "" while there is none */
int64_t way_round_trip(
    const struct way *way); /* ms the last channel took to open; -1: none did yet */

/* How to open a stream: ret borrows from the way until the next turn, first (empty) gets what it begins with.
 * *ret_gated as pump_open's. */
int way_route(struct way *way, enum bridge_service service, struct ssh_channel_spec *ret,
              struct buf *first, bool *ret_gated, struct fault *reterr_fault);
/* A stream by the current way ended with this before it was one. True: the way is in doubt and looked for anew, try
 * again when it is ready. */
bool way_failed(struct way *way, const struct fault *why);
