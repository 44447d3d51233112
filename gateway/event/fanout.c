/* An event to every connection. Up to EVENT_SLICE connections are served at once; beyond, the rest waits
 * for later turns so that a thousand viewers do not hold up the loop. Events keep their order: while
 * one is being sliced, the next waits behind it. */
#include "base/mem.h"
#include "gateway/event/internal.h"
#include "gateway/gateway.h"

struct round {
    struct round *next;
    struct parcel *parcel;
    struct conn *at;  /* next connection to serve; kept valid by fanout_conn_gone */
    uint64_t last_id; /* connections that came later do not get it */
};

struct fanout {
    struct gateway *gw;
    struct round *rounds, **tail; /* oldest first */
    size_t count;
    struct defer again;
};

struct fanout *fanout_new(struct gateway *gw)
{
    struct fanout *fanout = NEW(struct fanout);

    fanout->gw = gw;
    fanout->tail = &fanout->rounds;
    return fanout;
}

static void round_end(struct fanout *fanout)
{
    struct round *round = fanout->rounds;

    fanout->rounds = round->next;
    if (!fanout->rounds)
        fanout->tail = &fanout->rounds;
    fanout->count--;
    parcel_unref(round->parcel);
    mem_free(round);
}

/* Serves at most `budget` connections of the oldest round. Returns how many; the round is over when it
 * has no connection left. */
static size_t round_serve(struct round *round, size_t budget)
{
    size_t served = 0;

    while (round->at && round->at->id.v <= round->last_id && served < budget) {
        struct conn *conn = round->at;
        round->at = conn_next(conn);
        deliver(conn, round->parcel);
        served++;
    }
    if (round->at && round->at->id.v > round->last_id)
        round->at = NULL;
    return served;
}

static void fanout_go_on(void *arg)
{
    struct fanout *fanout = arg;
    size_t budget = EVENT_SLICE;

    while (fanout->rounds && budget > 0) {
        budget -= round_serve(fanout->rounds, budget);
        if (!fanout->rounds->at)
            round_end(fanout);
    }
    if (fanout->rounds)
        defer_start(fanout->gw->loop, &fanout->again, fanout_go_on, fanout);
}

static void deliver_to_one(struct gateway *gw, struct parcel *parcel)
{
    struct conn *conn = conn_find(gw, parcel->only);
    if (conn)
        deliver(conn, parcel);
}

void fanout_push(struct fanout *fanout, struct parcel *parcel)
{
    if (parcel->only.v && !fanout->rounds) {
        deliver_to_one(fanout->gw, parcel);
        return;
    }
    if (fanout->count >= EVENT_FANOUTS_MAX) {
        round_serve(fanout->rounds, SIZE_MAX);
        round_end(fanout);
    }

    struct round *round = NEW(struct round);
    round->parcel = parcel_ref(parcel);
    round->at = parcel->only.v ? conn_find(fanout->gw, parcel->only) : conn_first(fanout->gw);
    round->last_id = parcel->only.v ? parcel->only.v : conn_newest(fanout->gw).v;
    *fanout->tail = round;
    fanout->tail = &round->next;
    fanout->count++;
    if (fanout->count == 1)
        fanout_go_on(fanout);
}

void fanout_conn_gone(struct fanout *fanout, struct conn *conn)
{
    for (struct round *round = fanout->rounds; round; round = round->next)
        if (round->at == conn)
            round->at = round->parcel->only.v ? NULL : conn_next(conn);
}

struct fanout *fanout_free(struct fanout *fanout)
{
    if (!fanout)
        return NULL;
    while (fanout->rounds)
        round_end(fanout);
    defer_stop(fanout->gw->loop, &fanout->again);
    return mem_free(fanout);
}
