/* Local doors and what comes through them: listeners, connections that wait for the path, and which of the two sessions
 * carries which. Tunnel thread only.
 *
 * Ceilings: TUNNEL_STREAMS_MAX connections (then nobody is accepted, the kernel's backlog waits), TUNNEL_HELD_MAX held
 * for TUNNEL_HOLD_MS (then refused), FORWARD_HEAD_MAX bytes and FORWARD_HEAD_MS to see what a connection is. */
#pragma once

#include "tunnel/pump.h"

#define FORWARD_HEAD_MAX  4096
#define FORWARD_HEAD_MS   250
#define FORWARD_TRIES_MAX 4 /* ways a connection is tried by before it is refused */

/* A bound local door; the descriptor is the forwarder's. */
struct forward_door {
    int fd;
    bool is_unix, own_process;
    enum bridge_service service;
};

/* How to open a stream; what way_route says. */
struct forward_route {
    struct ssh *ssh;
    struct ssh_channel_spec spec;
    struct buf *first;
    bool gated;
};
struct forward_config {
    struct loop *loop;
    struct board *board;
    void *arg;
    /* 0; -ERR_BUSY: no path now, it may wait; else refused, with the fault. control: a WebSocket. */
    int (*route)(void *arg, enum bridge_service service, bool control, struct forward_route *ret,
                 struct fault *reterr_fault);
    /* The route failed for this one. True: it is looked for anew, the connection may wait. */
    bool (*failed)(void *arg, const struct fault *why);
    void (*refused)(void *arg, const struct fault *why); /* for the last error */
};

struct forward;
struct forward *forward_new(const struct forward_config *config, const struct forward_door *doors,
                            size_t count) MUSTCHECK;
struct forward *forward_free(struct forward *forward);

void forward_flow(struct forward *forward); /* the route may be there now: what is held goes */
/* Ends what runs over this session (NULL: over any); what is held stays. */
void forward_cut(struct forward *forward, const struct ssh *ssh);
void forward_refuse(struct forward *forward, const struct fault *why); /* all that is held */
void forward_close(struct forward *forward);                           /* no door any more */

/* What the first bytes are: a WebSocket's upgrade request (true), something else (false). 1, 0; -1: more is needed. */
int forward_is_websocket(const char *head, size_t length);
