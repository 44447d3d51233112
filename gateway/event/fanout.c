/* An event to every connection. The rounds of one turn leave together at its end, connection by
 * connection, so that each connection's share is one write; EVENT_SLICE connections are served per turn so
 * that a thousand viewers do not hold up the loop. Events keep their order: what comes later waits behind
 * what is still being sliced. */
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

/* The connection after this one, or NULL when the round ends with it. */
static struct conn *next_of(const struct round *round, struct conn *conn)
{
    struct conn *next = conn_next(conn);

    return next && next->id.v <= round->last_id ? next : NULL;
}

/* The oldest rounds that stand at the same connection, moved one connection on. They are told
 * together: the ws door gathers what is sent until the end of the turn. */
static void serve_one(struct fanout *fanout)
{
    struct conn *conn = fanout->rounds->at;
    struct round *group[EVENT_GATHER];
    size_t count = 0;

    for (struct round *r = fanout->rounds; r && r->at == conn && count < EVENT_GATHER; r = r->next)
        group[count++] = r;
    for (size_t i = 0; i < count; i++)
        group[i]->at = next_of(group[i], conn);
    if (count > 1 && conn->state == CONN_OPEN)
        ws_gather(conn->ws);
    for (size_t i = 0; i < count; i++)
        deliver(conn, group[i]->parcel);
}

static void end_finished(struct fanout *fanout)
{
    while (fanout->rounds && !fanout->rounds->at)
        round_end(fanout);
}

static void fanout_go_on(void *arg)
{
    struct fanout *fanout = arg;

    end_finished(fanout);
    for (size_t served = 0; fanout->rounds && served < EVENT_SLICE; served++) {
        serve_one(fanout);
        end_finished(fanout);
    }
    if (fanout->rounds)
        defer_start(fanout->gw->loop, &fanout->again, fanout_go_on, fanout);
}

/* No room for another round: the oldest ones are served at once, in order. */
static void make_room(struct fanout *fanout)
{
    while (fanout->count >= EVENT_FANOUTS_MAX) {
        end_finished(fanout);
        if (fanout->rounds)
            serve_one(fanout);
        end_finished(fanout);
    }
}

void fanout_push(struct fanout *fanout, struct parcel *parcel)
{
    conn_id only = parcel->only;
    struct round *round = NEW(struct round);

    make_room(fanout);
    round->parcel = parcel_ref(parcel);
    round->at = only.v ? conn_find(fanout->gw, only) : conn_first(fanout->gw);
    round->last_id = only.v ? only.v : conn_newest(fanout->gw).v;
    *fanout->tail = round;
    fanout->tail = &round->next;
    fanout->count++;
    defer_start(fanout->gw->loop, &fanout->again, fanout_go_on, fanout);
}

void fanout_conn_gone(struct fanout *fanout, struct conn *conn)
{
    for (struct round *round = fanout->rounds; round; round = round->next)
        if (round->at == conn)
            round->at = next_of(round, conn);
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
