/* Bytes between one local socket and one SSH channel, both ways, half-close both ways, exactly one end. Tunnel thread
 * only.
 *
 * Ceilings: PUMP_CHUNK bytes wait for the channel (then the socket is not read), nothing waits for the socket (what it
 * does not take stays in the channel's window), PUMP_ANSWER_MAX bytes of a refusal. */
#pragma once

#include "tunnel/board.h"
#include "tunnel/ssh/session.h"

#define PUMP_CHUNK      (64u << 10)
#define PUMP_ANSWER_MAX 512
#define PUMP_LINGER_MS                                                                             \
    10000 /* both directions have ended: the channel's close is awaited so long */
#define PUMP_HALF_MS 3600000 /* one direction has ended: the other may be silent so long */

struct pump;

/* None comes from inside a pump_* call. */
struct pump_events {
    /* The channel is there (0) or it is not: then the socket is still held, unread, and pump_open may be tried again or
     * pump_free called. */
    void (*opened)(void *arg, int result, const struct fault *why);
    /* Last: the socket is closed and the pump gone. why NULL: orderly; else the socket was reset where it can be. */
    void (*ended)(void *arg, const struct fault *why);
};

/* Takes the descriptor (non-blocking). */
struct pump *pump_new(struct loop *loop, int fd, struct board *board,
                      const struct pump_events *events, void *arg) MUSTCHECK;
/* first (copied) goes to the channel before what the socket says. gated: the answer may begin with a gateway's refusal
 * (bridge.h), which becomes the fault of the end instead of bytes. */
void pump_open(struct pump *pump, struct ssh *ssh, const struct ssh_channel_spec *spec,
               const void *first, size_t length, bool gated);
/* Before opened(): that channel is not wanted any more, as if opened() had said so. */
void pump_retract(struct pump *pump);
/* A channel that the server brought; takes it. No opened(). */
void pump_take(struct pump *pump, struct ssh_channel *channel);
/* No callback any more. reset: the other end sees that something is missing. NULL ok. */
struct pump *pump_free(struct pump *pump, bool reset);
/* Closes a descriptor so that its other end sees a reset where the transport has one. */
void pump_reset_socket(int fd);
