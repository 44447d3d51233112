/* Where events enter: each class takes its own road. State events are merged to one per name and 200 ms;
 * log events go into the store first (lane.c publishes them after the commit); ephemeral ones pass
 * through their lane at once. All end in fanout.c. */
#include "base/log.h"
#include "base/mem.h"
#include "gateway/event/health.h"
#include "gateway/event/internal.h"
#include "gateway/event/presence.h"
#include "gateway/gateway.h"

#include <stdio.h>
#include <string.h>

const struct event_row event_rows[EVENT_COUNT] = {
#define EVENT(id, wire, v3_, v4_, class_, slow_, subscribers_)                                     \
    [EVENT_##id] = {wire,           SCOPE_##v3_,   SCOPE_##v4_,                                    \
                    EVENT_##class_, EVENT_##slow_, EVENT_##subscribers_},
#include "gateway/event/events.def"
#undef EVENT
};

struct state_slot {
    struct events *events;
    struct parcel *newest; /* waits for its turn; NULL: nothing to say */
    struct timer timer;    /* running: sent less than EVENT_STATE_MS ago */
};

struct events {
    struct gateway *gw;
    struct fanout *fanout;
    struct lanes *lanes;
    struct timer tick;
    struct state_slot states[EVENT_COUNT];
};

/* ---- parcels ---- */

/* protocol.md 5.1: stateVersion only on presence and health. */
static void write_state_version(struct gateway *gw, enum event_id id, struct json_writer *w)
{
    if (id != EVENT_presence && id != EVENT_health)
        return;
    jw_kobject(w, "stateVersion");
    jw_kint(w, "presence", presence_version(gw));
    jw_kint(w, "health", health_version(gw));
    jw_object_end(w);
}

/* The part of the frame every connection shares: everything after {"seq":N, */
static struct bytes *make_tail(struct gateway *gw, enum event_id id, const struct bytes *payload)
{
    struct buf b;
    struct json_writer w;

    buf_init(&b, CONN_OUTPUT_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "type", "event");
    jw_kstr(&w, "event", event_rows[id].name);
    if (payload) {
        jw_key(&w, "payload");
        jw_raw(&w, payload->data, payload->length);
    }
    write_state_version(gw, id, &w);
    jw_object_end(&w);

    struct bytes *tail = b.bad ? NULL : bytes_new(b.data + 1, b.length - 1);
    buf_done(&b);
    return tail;
}

static void make_tails(struct gateway *gw, enum event_id id, const struct bytes *v4,
                       const struct bytes *v3, struct bytes *ret[2])
{
    ret[1] = make_tail(gw, id, v4);
    ret[0] = v3 ? make_tail(gw, id, v3) : ret[1] ? bytes_ref(ret[1]) : NULL;
}

struct parcel *parcel_new(struct gateway *gw, const struct event *event)
{
    struct parcel *parcel = NEW(struct parcel);

    parcel->refs = 1;
    parcel->id = event->id;
    parcel->only = event->only;
    parcel->tool = event->tool;
    parcel->v4_only = event->v4_only;
    parcel->session_key = mem_string(event->session_key);
    parcel->run_id = mem_string(event->run_id);
    make_tails(gw, event->id, event->payload, event->payload_v3, parcel->tail);
    if (event->replace)
        make_tails(gw, event->id, event->replace, event->replace_v3, parcel->replace_tail);
    parcel->late = event->late;
    if (parcel->late)
        parcel->late->refs++;
    return parcel;
}

struct bytes *parcel_replace(struct gateway *gw, struct parcel *parcel, int v)
{
    if (!parcel->late)
        return parcel->replace_tail[v] ? parcel->replace_tail[v] : parcel->tail[v];
    if (!parcel->replace_tail[v]) {
        CLEAN(bytes_unref) struct bytes *payload = parcel->late->make(parcel->late, v == 0);

        if (payload)
            parcel->replace_tail[v] = make_tail(gw, parcel->id, payload);
    }
    return parcel->replace_tail[v];
}

struct parcel *parcel_ref(struct parcel *parcel)
{
    parcel->refs++;
    return parcel;
}

struct parcel *parcel_unref(struct parcel *parcel)
{
    if (!parcel || --parcel->refs > 0)
        return NULL;
    for (int v = 0; v < 2; v++) {
        bytes_unref(parcel->tail[v]);
        bytes_unref(parcel->replace_tail[v]);
    }
    if (parcel->late && --parcel->late->refs == 0)
        parcel->late->free(parcel->late);
    mem_free(parcel->session_key);
    mem_free(parcel->run_id);
    return mem_free(parcel);
}

/* ---- state events ---- */

static void state_release(void *arg)
{
    struct state_slot *slot = arg;
    CLEAN(parcel_unref) struct parcel *parcel = TAKE(slot->newest);

    if (!parcel)
        return; /* quiet for a whole interval: the next one may leave at once */
    timer_start(slot->events->gw->loop, &slot->timer, EVENT_STATE_MS, 0, state_release, slot);
    fanout_push(slot->events->fanout, parcel);
}

static void state_offer(struct events *events, struct parcel *parcel)
{
    struct state_slot *slot = &events->states[parcel->id];

    parcel_unref(slot->newest);
    slot->newest = parcel_ref(parcel);
    if (!timer_running(&slot->timer))
        state_release(slot);
}

/* ---- emitting ---- */

void event_emit_in(struct gateway *gw, struct store_batch *batch, const struct event *event)
{
    const struct event_row *row = &event_rows[event->id];
    CLEAN(parcel_unref) struct parcel *parcel = parcel_new(gw, event);

    require(row->class == EVENT_LOG);
    store_log_append(batch, &(struct store_event){
                                .name = row->name,
                                .session_key = event->session_key,
                                .payload = event->payload ? event->payload->data : "{}",
                                .scopes = row->v4,
                                .at = loop_wall(gw->loop),
                            });
    lane_hold(gw->events->lanes, batch, parcel);
}

void event_emit(struct gateway *gw, const struct event *event)
{
    if (event_rows[event->id].class == EVENT_LOG) {
        struct store_batch *batch = store_batch(gw->store);
        event_emit_in(gw, batch, event);
        store_commit(batch, NULL);
        return;
    }

    CLEAN(parcel_unref) struct parcel *parcel = parcel_new(gw, event);
    if (event_rows[event->id].class == EVENT_STATE && !event->only.v)
        state_offer(gw->events, parcel);
    else
        lane_pass(gw->events->lanes, parcel);
}

void event_emit_now(struct gateway *gw, const struct event *event)
{
    CLEAN(parcel_unref) struct parcel *parcel = parcel_new(gw, event);

    conn_each (conn, gw)
        deliver(conn, parcel);
}

const char *event_name(enum event_id id)
{
    return event_rows[id].name;
}

/* One name may have several rows (chat, agent): each is told once. */
void events_write_names(struct json_writer *w)
{
    jw_array(w);
    jw_str(w, "connect.challenge");
    for (int i = 0; i < EVENT_COUNT; i++) {
        int first = 0;
        while (strcmp(event_rows[first].name, event_rows[i].name) != 0)
            first++;
        if (first == i)
            jw_str(w, event_rows[i].name);
    }
    jw_array_end(w);
}

/* ---- connections ---- */

void event_conn_drained(struct conn *conn)
{
    deliver_held(conn);
}

void event_conn_done(struct conn *conn)
{
    deliver_forget(conn);
    subscriptions_free(conn);
    fanout_conn_gone(conn->gw->events->fanout, conn);
}

/* ---- life ---- */

static void on_tick(void *arg)
{
    struct gateway *gw = arg;
    char text[48];
    int length = snprintf(text, sizeof(text), "{\"ts\":%lld}", (long long)loop_wall(gw->loop));
    CLEAN(bytes_unref) struct bytes *payload = bytes_new(text, (size_t)length);

    event_emit(gw, &(struct event){.id = EVENT_tick, .payload = payload});
}

struct events *events_new(struct gateway *gw)
{
    struct events *events = NEW(struct events);

    events->gw = gw;
    events->fanout = fanout_new(gw);
    events->lanes = lanes_new(gw, events->fanout);
    for (int i = 0; i < EVENT_COUNT; i++)
        events->states[i].events = events;
    return events;
}

void events_start(struct gateway *gw)
{
    timer_start(gw->loop, &gw->events->tick, EVENT_TICK_MS, EVENT_TICK_MS, on_tick, gw);
}

void events_stop(struct gateway *gw)
{
    timer_stop(gw->loop, &gw->events->tick);
}

struct events *events_free(struct events *events)
{
    if (!events)
        return NULL;
    timer_stop(events->gw->loop, &events->tick);
    for (int i = 0; i < EVENT_COUNT; i++) {
        timer_stop(events->gw->loop, &events->states[i].timer);
        parcel_unref(events->states[i].newest);
    }
    lanes_free(events->lanes);
    fanout_free(events->fanout);
    return mem_free(events);
}
