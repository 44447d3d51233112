/* One event to one connection: may it see it, can it take it now, which number does it get. A slow
 * connection keeps the newest value of each state event and of each run's delta; when its socket has
 * drained they leave, deltas in their full-text form. design.md section 4. */
#include "base/mem.h"
#include "gateway/event/internal.h"
#include "gateway/gateway.h"

#include <stdio.h>
#include <string.h>

struct held {
    struct held *next;
    struct parcel *parcel;
};

static int version_index(const struct conn *conn)
{
    return conn->version >= 4;
}

/* protocol.md 3.4 and "v4 client cap effects". */
static bool entitled(const struct conn *conn, const struct parcel *parcel)
{
    const struct event_row *row = &event_rows[parcel->id];
    scope_set needed = conn->version >= 4 ? row->v4 : row->v3;

    if (needed != SCOPE_NONE &&
        (conn->role != ROLE_OPERATOR || !scope_allows(conn->scopes, needed, conn->version)))
        return false;
    if (conn->version >= 4 ? parcel->tool && !(conn->caps & CAP_TOOL_EVENTS) : parcel->v4_only)
        return false;

    switch (row->subscribers) {
    case EVENT_NOBODY: return true;
    case EVENT_SCOPED:
        return !(conn->caps & CAP_SESSION_SCOPED) ||
               subscribed_to_messages(conn, parcel->session_key);
    case EVENT_SESSIONS: return subscribed_to_sessions(conn);
    case EVENT_MESSAGES: return subscribed_to_messages(conn, parcel->session_key);
    }
    return false;
}

static void send_numbered(struct conn *conn, struct bytes *tail)
{
    char head[40];
    int length = snprintf(head, sizeof(head), "{\"seq\":%lld,", (long long)++conn->outlet.seq);

    conn_send(conn, head, (size_t)length, tail);
}

static bool same_value(const struct parcel *a, const struct parcel *b)
{
    if (a->id != b->id)
        return false;
    if (!a->run_id || !b->run_id)
        return a->run_id == b->run_id;
    return strcmp(a->run_id, b->run_id) == 0;
}

static void held_drop(struct conn *conn, struct held **at)
{
    struct held *held = *at;

    *at = held->next;
    conn->outlet.held_count--;
    parcel_unref(held->parcel);
    mem_free(held);
}

/* Newest value last; an older one of the same kind goes. */
static void hold(struct conn *conn, struct parcel *parcel)
{
    struct held **at = &conn->outlet.held;

    while (*at) {
        if (same_value((*at)->parcel, parcel))
            held_drop(conn, at);
        else
            at = &(*at)->next;
    }
    struct held *held = NEW(struct held);
    held->parcel = parcel_ref(parcel);
    *at = held;
    if (++conn->outlet.held_count > OUTLET_HELD_MAX)
        held_drop(conn, &conn->outlet.held);
}

static bool holds_value(const struct conn *conn, const struct parcel *parcel)
{
    for (const struct held *held = conn->outlet.held; held; held = held->next)
        if (same_value(held->parcel, parcel))
            return true;
    return false;
}

static void send_held(struct conn *conn, struct held **at)
{
    CLEAN(parcel_unref) struct parcel *parcel = parcel_ref((*at)->parcel);
    struct bytes *tail = parcel_replace(conn->gw, parcel, version_index(conn));

    held_drop(conn, at);
    if (tail)
        send_numbered(conn, tail);
}

/* What was held back of a run is told before what must not be held back: its end stays its last word. */
static void send_held_of_run(struct conn *conn, const struct parcel *parcel)
{
    struct held **at = &conn->outlet.held;

    while (*at && conn->state == CONN_OPEN) {
        const struct parcel *old = (*at)->parcel;
        if (old->run_id && strcmp(old->run_id, parcel->run_id) == 0 &&
            strcmp(event_rows[old->id].name, event_rows[parcel->id].name) == 0)
            send_held(conn, at);
        else
            at = &(*at)->next;
    }
}

void deliver(struct conn *conn, struct parcel *parcel)
{
    if (conn->state != CONN_OPEN || !entitled(conn, parcel))
        return;

    enum event_slow policy = event_rows[parcel->id].slow;
    bool slow = ws_queued(conn->ws) > EVENT_SLOW_BYTES;

    if (policy == EVENT_DROP && slow)
        return;
    if (policy == EVENT_MERGE && (slow || holds_value(conn, parcel))) {
        hold(conn, parcel);
        return;
    }
    if (policy == EVENT_KEEP && parcel->run_id && conn->outlet.held)
        send_held_of_run(conn, parcel);
    send_numbered(conn, parcel->tail[version_index(conn)]);
}

void deliver_held(struct conn *conn)
{
    while (conn->outlet.held && conn->state == CONN_OPEN && ws_queued(conn->ws) <= EVENT_SLOW_BYTES)
        send_held(conn, &conn->outlet.held);
}

void deliver_forget(struct conn *conn)
{
    while (conn->outlet.held)
        held_drop(conn, &conn->outlet.held);
}
