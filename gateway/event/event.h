/* Events: rows in events.def; broadcast to whoever may see them, per-connection seq, slow readers merged
 * or closed, log events published only after their commit. design.md sections 4 and 7, protocol.md 5. */
#pragma once

#include "base/buf.h"
#include "gateway/conn/conn.h"

struct store_batch;

enum event_class { EVENT_STATE, EVENT_LOG, EVENT_EPHEMERAL };
enum event_slow { EVENT_DROP, EVENT_MERGE, EVENT_KEEP };

enum event_id {
#define EVENT(name, wire, v3, v4, class, slow, subscribers) EVENT_##name,
#include "gateway/event/events.def"
#undef EVENT
    EVENT_COUNT
};

/* The full-text form of a delta, made only when a connection that missed one needs it. Embedded by its maker,
 * counted; free is called with the last reference. */
struct event_late {
    uint32_t refs;
    /* One reference, the caller's. NULL: it is over, what comes next says it all; nothing is told. */
    struct bytes *(*make)(struct event_late *late, bool v3);
    void (*free)(struct event_late *late);
};

struct event {
    enum event_id id;
    const char *session_key;  /* lane and subscription filter; NULL: none */
    const char *run_id;       /* deltas of one run merge; NULL otherwise */
    struct bytes *payload;    /* JSON for v4 clients (and v3 unless given); referenced */
    struct bytes *payload_v3; /* NULL: same */
    struct bytes *replace,
        *replace_v3;         /* chat delta: the full-text form used after a merge or drop */
    struct event_late *late; /* the same, made when needed; referenced; NULL: none */
    conn_id only;            /* deliver to this one alone; zero: everyone entitled */
    bool tool;    /* an `agent` tool stream: of v4 clients only those with cap tool-events */
    bool v4_only; /* v3 clients do not hear it */
};

/* Past this many queued bytes a connection is slow: MERGE events wait as its newest value, DROP events
 * are skipped, KEEP events are still queued up to the connection's ceiling. */
#define EVENT_SLOW_BYTES (128 * 1024)
#define EVENT_GATHER                                                                               \
    16                 /* events of one connection told together; then the next connection's turn */
#define EVENT_SLICE 64 /* connections served per turn by one fan-out */
#define EVENT_FANOUTS_MAX                                                                          \
    256                    /* events waiting for their slices; one more serves the oldest at once */
#define EVENT_STATE_MS 200 /* a state event leaves at most this often */
#define EVENT_LANE_MAX                                                                             \
    1024 /* events held behind a commit per lane; then ephemeral ones are dropped */
#define EVENT_TICK_MS 30000

struct events *events_new(struct gateway *gw) MUSTCHECK;
struct events *events_free(struct events *events);
/* Starts tick and the 200 ms state timers; call when listeners are up. */
void events_start(struct gateway *gw);
void events_stop(struct gateway *gw);

/* Takes its own references. LOG events are appended and published after the commit; events of the same
 * session_key wait behind them, so order within a lane holds. */
void event_emit(struct gateway *gw, const struct event *event);
/* To everyone entitled before it returns, past what waits for its slice or its commit: last words. Not
 * for LOG events. */
void event_emit_now(struct gateway *gw, const struct event *event);
/* The same inside a batch the caller commits: published when that batch is on disk, in order. The
 * batch's own op is the caller's. */
void event_emit_in(struct gateway *gw, struct store_batch *batch, const struct event *event);
const char *event_name(enum event_id id);
void events_write_names(struct json_writer *w); /* features.events */
/* For conn.c: the socket drained; the connection is going away. */
void event_conn_drained(struct conn *conn);
void event_conn_done(struct conn *conn);
/* Session subscriptions of a connection (sessions.subscribe, sessions.messages.subscribe). */
void event_subscribe_sessions(struct conn *conn, bool on);
int event_subscribe_messages(struct conn *conn, const char *session_key,
                             bool on); /* -ERR_FULL past 256 */
