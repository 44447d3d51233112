/* A connection: from the upgrade through challenge and connect to an authorised client, and its end.
 * States, checks and their order: protocol.md section 2. One per WebSocket. */
#pragma once

#include "base/io/ws.h"
#include "gateway/conn/scope.h"
#include "gateway/event/outlet.h"

struct gateway;
struct conns;
struct peer_identity;

DEFINE_ID(conn_id);

#define CONN_MAGIC          0x636f6e6eu
#define CONN_HALF_OPEN_MAX  512      /* before hello-ok; one more: the oldest silent one goes */
#define CONN_MAX            8192     /* connections in all; one more is refused with 503 */
#define CONN_PREAUTH_MAX    65536    /* bytes of one message before hello-ok; protocol.md 1.3 */
#define CONN_MESSAGE_MAX    26214400 /* policy.maxPayload, v4 */
#define CONN_MESSAGE_MAX_V3 524288
#define CONN_OUTPUT_MAX     52428800 /* policy.maxBufferedBytes */
#define CONN_OUTPUT_MAX_V3  1572864
#define CONN_OUTPUT_TOTAL_MAX                                                                      \
    268435456 /* queued for all connections; past it the slowest is dropped */
#define CONN_INPUT_TOTAL_MAX 134217728 /* half-received messages of all connections; likewise */
#define CONN_HALF_OPEN_ADDRESS_MAX                                                                 \
    64 /* handshakes of one remote address; loopback has no such share */
#define CONN_HALF_OPEN_TUNNEL_MAX 256   /* and of one SSH or unix user */
#define CONN_TICK_MS              30000 /* policy.tickIntervalMs */
#define CONN_HANDSHAKE_MS         15000

enum conn_state { CONN_OPENED, CONN_CHECKING, CONN_OPEN, CONN_CLOSING, CONN_STATES };

/* What the client said of itself; all owned, NULL when absent. */
struct conn_client {
    char *id, *display_name, *version, *platform, *device_family, *model_identifier, *mode,
        *instance_id, *time_zone, *user_agent, *locale;
};

enum conn_cap { CAP_TOOL_EVENTS = 1, CAP_SESSION_SCOPED = 2, CAP_APPROVALS = 4 };

struct conn {
    uint32_t magic;
    conn_id id;
    char uuid[37]; /* server.connId */
    struct gateway *gw;
    struct ws *ws;
    enum conn_state state;
    int version; /* 3 or 4, 0 before connect */
    enum role role;
    scope_set scopes;        /* granted; checks go through scope_allows(…, version) */
    uint32_t caps;           /* enum conn_cap */
    char *device_id;         /* NULL: connected without a device */
    const char *auth_method; /* "token", "password", "device-token", "none", "trusted-proxy" */
    bool local;              /* design.md section 5 */
    char *remote_ip;         /* canonical address, NULL for unix and pairs */
    struct peer_identity *identity; /* from elsewhere, by whose word; NULL: nobody told. Owned */
    struct conn_client client;
    struct outlet outlet; /* events waiting for this connection: gateway/event/outlet.h */
    int64_t opened_at, connected_at;
    struct conn_handshake *handshake;         /* conn.c's own, NULL once open */
    struct conn_subscriptions *subscriptions; /* gateway/event/subscribe.h; NULL: none */
    unsigned unauthorised_calls;
    unsigned open_calls;                        /* method/call.c: requests not yet answered */
    size_t open_bytes;                          /* and what they came with */
    struct timer beat;                          /* pings while open */
    int64_t pinged_at;                          /* loop_now() of the last ping; 0: none yet */
    struct conn *next, *previous, *same_bucket; /* conns.c */
};

struct conns *conns_new(struct gateway *gw) MUSTCHECK;
struct conns *conns_free(struct conns *conns); /* every connection must be closed */
/* Callbacks for ws_listen (arg is the gateway): Origin, Host, ceilings, then conn_open. */
int conns_upgrade(void *gw, const struct ws_request *request);
void conns_open(void *gw, struct ws *ws, const struct ws_request *request,
                const struct ws_events **ret_events, void **ret_arg);
/* Drops the oldest handshake that says nothing, or waits out a penalty. False: there is none. */
bool conns_make_room(void *gw);

struct conn *conn_find(struct gateway *gw, conn_id id); /* NULL: already gone */
/* It only looks whether the gateway answers, perhaps every few seconds: not present, hardly logged. */
bool conn_is_probe(const struct conn *conn);
size_t conn_count(const struct gateway *gw);   /* all there are, also half-open and closing ones */
bool conn_any_v3(const struct gateway *gw);    /* is an open connection of protocol 3 there? */
conn_id conn_newest(const struct gateway *gw); /* the highest id given so far; ids rise */
/* Walk, in rising id order; safe against closing any connection inside. */
struct conn *conn_first(struct gateway *gw);
struct conn *conn_next(struct conn *c);
#define conn_each(c, gw) for (struct conn *c = conn_first(gw); c; c = conn_next(c))

/* Send one frame that is not an event (challenge, responses): never dropped; over the ceiling the
 * connection closes 1008 "slow consumer". text is head then tail as in ws_send. */
void conn_send(struct conn *c, const void *head, size_t length, struct bytes *tail);
void conn_close(struct conn *c, uint16_t code, const char *reason);
struct ingress_facts;
/* As conns_open for a connection that did not come through a listener, with facts other than those of
 * its socket: tests. What facts point to is borrowed for the call; of identity (facts->identity, or NULL) the
 * connection takes a reference. */
void conns_open_as(struct gateway *gw, struct ws *ws, const struct ingress_facts *facts,
                   struct peer_identity *identity, const struct ws_events **ret_events,
                   void **ret_arg);

/* Close every connection of the device (4001), all roles when role is NULL. Returns how many. */
size_t conn_close_device(struct gateway *gw, const char *device_id, const char *role,
                         const char *reason);
