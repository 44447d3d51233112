/* Doors on the far host that lead to a local unix socket: tcpip-forward over the control session. What arrives is
 * connected there, with the ticket and the far peer's address as its first line (bridge.h). Tunnel thread only.
 *
 * Ceilings: PUBLISH_STREAMS_MAX arrivals at once (one more is refused). A port that cannot be had (after a reconnect
 * sshd's dead session may still hold it) is asked for again for ever, the fault said. */
#pragma once

#include "tunnel/pump.h"

#define PUBLISH_STREAMS_MAX 512
#define PUBLISH_FIRST_MS    250
#define PUBLISH_CAP_MS      10000

struct publish_config {
    struct loop *loop;
    struct board *board;
    const struct tunnel_publish *rows; /* borrowed */
    size_t count;
    void *arg;
    void (*changed)(void *arg); /* an endpoint came or went */
    void (*trouble)(void *arg, const struct fault *why);
};
struct publish;
struct publish *publish_new(const struct publish_config *config) MUSTCHECK;
struct publish *publish_free(struct publish *publish);

void publish_start(struct publish *publish, struct ssh *control); /* ask the server */
void publish_stop(struct publish *publish); /* the session goes: arrivals are cut */
/* Takes or drops the channel. */
void publish_arrived(struct publish *publish, struct ssh_channel *channel,
                     const struct ssh_arrival *arrival);
/* What is bound there now; returns how many were written. */
size_t publish_endpoints(const struct publish *publish, struct tunnel_endpoint *ret, size_t max);
