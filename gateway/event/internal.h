/* Between the files of gateway/event: an event as it travels, and the row it belongs to. */
#pragma once

#include "gateway/event/event.h"

struct event_row {
    const char *name;
    scope_set v3, v4;
    enum event_class class;
    enum event_slow slow;
    enum event_subscribers {
        EVENT_NOBODY,
        EVENT_SCOPED,
        EVENT_SESSIONS,
        EVENT_MESSAGES
    } subscribers;
};
extern const struct event_row event_rows[EVENT_COUNT];

/* One event ready to leave, shared by its fan-out and by connections that hold it back. The frame of a
 * connection is {"seq":N, followed by a tail. */
struct parcel {
    uint32_t refs;
    enum event_id id;
    conn_id only;
    bool tool, v4_only;
    char *session_key, *run_id;    /* owned, NULL when none */
    struct bytes *tail[2];         /* [0] v3, [1] v4 (may be the same) */
    struct bytes *replace_tail[2]; /* the full-text form, NULL when there is none (yet) */
    struct event_late *late;       /* makes it; NULL: it was given, or there is none */
};
struct parcel *parcel_new(struct gateway *gw, const struct event *event) MUSTCHECK;
/* What a connection that missed a delta is told, borrowed; NULL: nothing. */
struct bytes *parcel_replace(struct gateway *gw, struct parcel *parcel, int v);
struct parcel *parcel_ref(struct parcel *parcel);
struct parcel *parcel_unref(struct parcel *parcel);
DEFINE_CLEAN(struct parcel *, parcel_unref)

/* deliver.c: one parcel to one connection: entitlement, holding back, seq. */
void deliver(struct conn *conn, struct parcel *parcel);
void deliver_held(struct conn *conn); /* the socket drained */
void deliver_forget(struct conn *conn);

/* fanout.c: a parcel to all connections, in slices. */
struct fanout;
struct fanout *fanout_new(struct gateway *gw) MUSTCHECK;
struct fanout *fanout_free(struct fanout *fanout);
void fanout_push(struct fanout *fanout, struct parcel *parcel);
void fanout_conn_gone(struct fanout *fanout, struct conn *conn);

/* lane.c: order within a session: what comes after an uncommitted log event waits for it. */
struct lanes;
struct lanes *lanes_new(struct gateway *gw, struct fanout *fanout) MUSTCHECK;
struct lanes *lanes_free(struct lanes *lanes);
/* Publishes at once when nothing of the lane is pending. */
void lane_pass(struct lanes *lanes, struct parcel *parcel);
/* Held until the batch is on disk; dropped when it fails. */
void lane_hold(struct lanes *lanes, struct store_batch *batch, struct parcel *parcel);

/* subscribe.c */
bool subscribed_to_sessions(const struct conn *conn);
bool subscribed_to_messages(const struct conn *conn, const char *session_key);
void subscriptions_free(struct conn *conn);
