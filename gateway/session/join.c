/* Turns that are answered together with another: their message joined its run, or was collected into it.
 * The host's end is theirs, in the same batch, and each of them still ends once: its own outcome, its own
 * row, its own last event (without the text, which is the host's). A turn that has joined is out of its
 * lane and in its host's list. */
#include "gateway/session/internal.h"

#include "base/mem.h"

#include <string.h>

/* The message belongs to the host's run from now on, so that the transcript says who answers it, and a
 * crash leaves one note for all of them. */
static void join_store(struct turn *rider, struct turn *host)
{
    struct store_batch *batch = store_batch(host->gw->store);

    store_message_adopt(batch, rider->session_id, rider->user_seq, host->run_id);
    turn_put_row(rider, batch);
    store_commit(batch, NULL);
}

/* Its own riders come along; order of arrival stays. */
static void join_append(struct turn *host, struct turn *rider)
{
    struct turn **at = &host->riders;

    while (*at)
        at = &(*at)->next;
    *at = rider;
    rider->next = NULL;
    rider->host = host;
    host->rider_count++;
}

bool turn_has_room(const struct turn *host, const struct turn *rider)
{
    return host->rider_count + rider->rider_count < TURN_QUEUE_MAX;
}

void turn_join(struct turn *rider, struct turn *host)
{
    struct turn *theirs = TAKE(rider->riders), *next;

    if (!host->run) { /* not asked yet: it will ask for all of them */
        host->first_seq = rider->first_seq < host->first_seq ? rider->first_seq : host->first_seq;
        host->user_seq = rider->user_seq > host->user_seq ? rider->user_seq : host->user_seq;
    }
    rider->rider_count = 0;
    rider->state = TURN_JOINED;
    timer_stop(rider->gw->loop, &rider->timeout);
    lane_leave(host->gw->turns, rider);
    join_append(host, rider);
    join_store(rider, host);
    for (; theirs; theirs = next) {
        next = theirs->next;
        join_append(host, theirs);
        join_store(theirs, host);
    }
}

void turn_unjoin(struct turn *turn)
{
    if (turn->host) {
        struct turn **at = &turn->host->riders;

        while (*at != turn)
            at = &(*at)->next;
        *at = turn->next;
        turn->host = NULL;
    }
    for (struct turn *rider = turn->riders; rider; rider = rider->next)
        rider->host = NULL;
    turn->riders = NULL;
}

/* ---- the end ---- */

static void join_take_end(struct turn *rider, const struct turn *host)
{
    rider->end = host->end;
    rider->stop_reason = host->stop_reason;
    mem_free(rider->error);
    rider->error = mem_string(host->error);
    rider->error_kind = host->error_kind;
    rider->kind = host->kind;
    rider->model = host->model;
    rider->started_at = host->started_at;
    rider->ended_at = host->ended_at;
    rider->usage = (struct model_usage){-1, -1, -1, -1}; /* counted once, with the host */
    memcpy(rider->message_id, host->message_id, sizeof(rider->message_id));
}

void riders_end(struct turn *host, struct store_batch *batch)
{
    for (struct turn *rider = host->riders; rider; rider = rider->next) {
        join_take_end(rider, host);
        turn_put_outcome(rider, batch);
        stream_chat_ended(rider, batch);
    }
}

void riders_unstored(struct turn *host)
{
    for (struct turn *rider = host->riders; rider; rider = rider->next) {
        CLEAN(mem_free) char *text = NULL;

        join_take_end(rider, host);
        text = outcome_ended(rider);
        json_free(rider->outcome);
        rider->outcome = json_parse(text, strlen(text), NULL);
        stream_chat_ended(rider, NULL);
    }
}

void riders_tell(struct turn *host)
{
    while (host->riders) {
        struct turn *rider = host->riders;

        host->riders = rider->next;
        rider->host = NULL;
        turn_tell_ended(rider, host->text.length ? host->text.data : "");
        turn_leave(rider);
    }
}
