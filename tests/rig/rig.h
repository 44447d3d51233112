/* The whole gateway minus the sockets, in one process: virtual clock, store in memory, peers that speak
 * text over pairs joined in memory. rig_free fails on a leaked timer, call or connection. */
#pragma once

#include "gateway/gateway.h"
#include "tests/t.h"

#define RIG_TOKEN "rig-token"

struct rig {
    struct gateway *gw;
    char *dir; /* the state directory */
    struct peer *peers;
};

/* config: JSON5 text of culvert.json, NULL: none. */
struct rig *rig_new(const char *config);
/* The same over an existing directory and a database file in it, to start again on what is there. */
struct rig *rig_new_at(const char *dir, const char *config);
void rig_free(struct rig *rig);
/* Time passes: timers run in order, sockets and the store's threads are served in between. */
void rig_advance(struct rig *rig, int64_t ms);
/* Turns the loop (real time for the store's threads, at most 10 s) until *flag; fails the case otherwise. */
bool rig_until(struct rig *rig, bool (*done)(void *arg), void *arg);

struct peer;

/* A raw connection: nothing said yet. */
struct peer *peer_new(struct rig *rig);
/* An operator by the shared token without a device; scopes like "operator.read" separated by blanks ("" for
 * none), version 3 or 4. Fails the case when it is refused. */
struct peer *peer_connect(struct rig *rig, int version, const char *scopes);
void peer_close(struct peer *peer);

/* Single quotes stand for double ones. */
void peer_send(struct peer *peer, const char *format, ...) PRINTF(2, 3);
void peer_send_raw(struct peer *peer, const void *data, size_t length);
/* The next message (borrowed until the one after it), "" when none comes or the connection closed. */
const char *peer_next(struct peer *peer);
/* Skips to the next event of the name, or the response with the id; "" when there is none. */
const char *peer_event(struct peer *peer, const char *name);
const char *peer_response(struct peer *peer, const char *id);
/* Request and its response. */
const char *peer_call(struct peer *peer, const char *method, const char *params);
/* What has come and was not yet taken, without waiting. */
size_t peer_pending(const struct peer *peer);
/* The close code once it is closed (waits for it), 0 when it stays open; the reason beside it. */
int peer_closed(struct peer *peer);
const char *peer_close_reason(const struct peer *peer);
/* Stop and restart reading: a slow client. */
void peer_pause(struct peer *peer, bool paused);
