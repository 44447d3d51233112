/* Order within a session. A log event is published only when its batch is on disk; whatever comes later
 * in the same lane waits behind it, so nobody sees an answer end before its last words, or an event
 * that a crash would take back. */
#include "base/log.h"
#include "base/mem.h"
#include "gateway/event/internal.h"
#include "gateway/gateway.h"

#include <string.h>

#define LANE_BUCKETS 256

enum ticket_state { TICKET_READY, TICKET_WAITING, TICKET_FAILED };

struct lane;

struct ticket {
    struct ticket *next;
    struct lane *lane; /* NULL: the lanes were freed before the commit came */
    struct parcel *parcel;
    enum ticket_state state;
};

struct lane {
    struct lane *next_in_bucket;
    struct lanes *lanes;
    char *key;
    struct ticket *tickets, **tail;
    size_t count;
};

struct lanes {
    struct gateway *gw;
    struct fanout *fanout;
    struct lane *buckets[LANE_BUCKETS];
    size_t dropped;
};

struct lanes *lanes_new(struct gateway *gw, struct fanout *fanout)
{
    struct lanes *lanes = NEW(struct lanes);

    lanes->gw = gw;
    lanes->fanout = fanout;
    return lanes;
}

static struct lane **lane_slot(struct lanes *lanes, const char *key)
{
    uint32_t hash = 2166136261u;

    for (const char *c = key; *c; c++)
        hash = (hash ^ (uint8_t)*c) * 16777619u;

    struct lane **slot = &lanes->buckets[hash % LANE_BUCKETS];
    while (*slot && strcmp((*slot)->key, key) != 0)
        slot = &(*slot)->next_in_bucket;
    return slot;
}

/* Events that belong to no session share one lane. */
static const char *lane_key(const struct parcel *parcel)
{
    return parcel->session_key ? parcel->session_key : "";
}

static struct ticket *lane_append(struct lane *lane, struct parcel *parcel, enum ticket_state state)
{
    struct ticket *ticket = NEW(struct ticket);

    ticket->lane = lane;
    ticket->parcel = parcel_ref(parcel);
    ticket->state = state;
    *lane->tail = ticket;
    lane->tail = &ticket->next;
    lane->count++;
    return ticket;
}

static void lane_end(struct lane *lane)
{
    struct lane **slot = lane_slot(lane->lanes, lane->key);

    *slot = lane->next_in_bucket;
    mem_free(lane->key);
    mem_free(lane);
}

/* Publishes from the front up to the first ticket whose commit is still to come. */
static void lane_drain(struct lane *lane)
{
    while (lane->tickets && lane->tickets->state != TICKET_WAITING) {
        struct ticket *ticket = lane->tickets;

        lane->tickets = ticket->next;
        if (!lane->tickets)
            lane->tail = &lane->tickets;
        lane->count--;
        if (ticket->state == TICKET_READY)
            fanout_push(lane->lanes->fanout, ticket->parcel);
        parcel_unref(ticket->parcel);
        mem_free(ticket);
    }
    if (!lane->tickets)
        lane_end(lane);
}

void lane_pass(struct lanes *lanes, struct parcel *parcel)
{
    struct lane *lane = *lane_slot(lanes, lane_key(parcel));

    if (!lane) {
        fanout_push(lanes->fanout, parcel);
        return;
    }
    if (lane->count >= EVENT_LANE_MAX) {
        if (lanes->dropped++ % 1000 == 0)
            log_warn("events: %zu ephemeral events dropped behind a slow commit", lanes->dropped);
        return;
    }
    lane_append(lane, parcel, TICKET_READY);
}

static void on_commit(void *arg, int result)
{
    struct ticket *ticket = arg;

    if (!ticket->lane) {
        mem_free(ticket);
        return;
    }
    ticket->state = result < 0 ? TICKET_FAILED : TICKET_READY;
    if (result < 0)
        log_error("events: %s not published, it could not be stored: %s",
                  event_name(ticket->parcel->id), err_text(result));
    lane_drain(ticket->lane);
}

void lane_hold(struct lanes *lanes, struct store_batch *batch, struct parcel *parcel)
{
    const char *key = lane_key(parcel);
    struct lane **slot = lane_slot(lanes, key);

    if (!*slot) {
        struct lane *lane = NEW(struct lane);
        lane->lanes = lanes;
        lane->key = mem_string(key);
        lane->tail = &lane->tickets;
        *slot = lane;
    }
    store_on_commit(batch, on_commit, lane_append(*slot, parcel, TICKET_WAITING));
}

/* What still waits is left to the commit hook, which finds no lane any more. */
static void lane_abandon(struct lane *lane)
{
    while (lane->tickets) {
        struct ticket *ticket = lane->tickets;

        lane->tickets = ticket->next;
        ticket->parcel = parcel_unref(ticket->parcel);
        ticket->lane = NULL;
        if (ticket->state != TICKET_WAITING)
            mem_free(ticket);
    }
    mem_free(lane->key);
    mem_free(lane);
}

struct lanes *lanes_free(struct lanes *lanes)
{
    if (!lanes)
        return NULL;
    for (size_t i = 0; i < LANE_BUCKETS; i++) {
        while (lanes->buckets[i]) {
            struct lane *lane = lanes->buckets[i];
            lanes->buckets[i] = lane->next_in_bucket;
            lane_abandon(lane);
        }
    }
    return mem_free(lanes);
}
