/* The life of a turn, top to bottom: turn_submit stores the message, its idempotency key and the turn in
 * one batch; when that is on disk the caller may acknowledge and the lane may start it; answer.c lets the
 * agent speak; finish.c stores the answer, the outcome and the end in one batch. Every end (answer,
 * failure, abort, timeout) goes through turn_finish, which works once per turn; shutdown alone leaves
 * the turn in the store, for recover.c. */
#include "gateway/session/internal.h"

#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/session/policy.h"
#include "gateway/session/queue.h"
#include "gateway/session/row.h"
#include "gateway/session/transcript.h"

#include <string.h>

#define LOG_SUBSYSTEM "turn"
#include "base/log.h"

static void turn_on_accepted(struct op *op, int result);

/* ---- life of the table ---- */

struct turns *turns_new(struct gateway *gw, struct fault *reterr_fault)
{
    struct turns *turns = NEW(struct turns);

    turns->gw = gw;
    turns->ready_tail = &turns->ready;
    gw->turns = turns;
    if (turns_recover(gw, reterr_fault) < 0)
        return gw->turns = turns_free(turns);
    return turns;
}

struct turn *turn_find(struct gateway *gw, const char *run_id)
{
    struct index_node *node = gw->turns ? index_find(&gw->turns->by_run, run_id) : NULL;

    return node ? CONTAINER(node, struct turn, node) : NULL;
}

const char *turn_running_in(struct gateway *gw, const char *run_id)
{
    struct turn *turn = turn_find(gw, run_id);

    return turn && turn->state != TURN_ENDED ? turn->session_key : NULL;
}

static void turn_free(struct turn *turn)
{
    struct loop *loop = turn->gw->loop;

    timer_stop(loop, &turn->timeout);
    timer_stop(loop, &turn->delta);
    turn_drop_work(turn);
    op_drop(&turn->commit);
    op_drop(&turn->renew);
    json_free(turn->outcome);
    json_free(turn->content);
    json_free(turn->calls);
    json_free(turn->client_tools);
    buf_done(&turn->text);
    buf_done(&turn->thought);
    mem_free(turn->thinking);
    mem_free(turn->model_asked);
    mem_free(turn->text_in);
    mem_free(turn->images_in);
    mem_free(turn->run_id);
    mem_free(turn->session_key);
    mem_free(turn->caller_key);
    mem_free(turn->agent_id);
    mem_free(turn->extra_system);
    mem_free(turn->rest);
    mem_free(turn->argument);
    mem_free(turn->images);
    mem_free(turn->error);
    turn->magic = 0;
    mem_free(turn);
}

/* Out of the table and its lane; its id may be used again only through the stored outcome. */
void turn_leave(struct turn *turn)
{
    struct turns *turns = turn->gw->turns;

    index_remove(&turns->by_run, &turn->node);
    turn_unjoin(turn);
    if (turn->lane)
        lane_leave(turns, turn);
    turn_free(turn);
}

/* ---- 1. taken: message, idempotency key and turn in one batch ---- */

static int64_t turn_timeout(struct gateway *gw, int64_t asked)
{
    int64_t ms = asked < 0 ? config_int(gw->config, KNOB_agent_timeout_s) * 1000 : asked;

    return ms == 0 || ms > TURN_TIMEOUT_MAX_MS ? TURN_TIMEOUT_MAX_MS : ms;
}

static struct turn *turn_new(struct gateway *gw, const struct turn_request *request,
                             const struct turn_events *events, void *arg)
{
    struct turn *turn = NEW(struct turn);
    const char *rest;

    turn->magic = TURN_MAGIC;
    turn->gw = gw;
    turn->method = request->method;
    turn->run_id = mem_string(request->run_id);
    turn->session_key = mem_string(request->session_key);
    turn->caller_key = mem_string(request->caller_key);
    turn->extra_system = mem_string(request->extra_system);
    turn->command = request->literal ? NULL : command_of(request->message, &rest);
    if (!turn->command || (request->images && !turn->command->resets)) {
        turn->command = NULL; /* with a file it is a message about it */
        rest = "";
    }
    turn->queue_mode = queue_mode_spelled(request->queue_mode);
    if (turn->command && !turn->command->resets)
        turn->argument = mem_string(rest);
    else if (*rest || (turn->command && request->images))
        turn->rest = mem_string(rest);
    turn->timeout_ms = turn_timeout(gw, request->timeout_ms);
    turn->delta_at = INT64_MIN;
    turn->usage = (struct model_usage){-1, -1, -1, -1};
    turn->accepted_at = loop_wall(gw->loop);
    turn->events = *events;
    turn->arg = arg;
    turn->thinking = mem_string(request->thinking);
    turn->model_asked = mem_string(request->model);
    turn->max_tokens = request->max_tokens;
    if (request->client_tools)
        turn->client_tools = json_copy(request->client_tools);
    buf_init(&turn->text, TURN_TEXT_MAX + 1);
    buf_init(&turn->thought, TURN_TEXT_MAX + 1);
    return turn;
}

/* Puts a message of the user into the transcript; the turn answers that one. */
static void turn_put_user(struct turn *turn, struct session *session, struct store_batch *batch,
                          const char *text, const char *images)
{
    CLEAN(mem_free)
    char *message = transcript_user(text, images, turn->run_id, loop_wall(turn->gw->loop));
    char id[UUID_TEXT];

    turn->user_seq = transcript_append(
        turn->gw, session, batch,
        &(struct transcript_message){
            .role = "user", .run_id = turn->run_id, .text = text, .message = message},
        id);
    turn->first_seq = turn->user_seq;
}

/* What recover.c needs: whose key it is, what v3 clients call the session, the message where the
 * transcript does not have it yet, and the tools that have not answered. */
void turn_put_row(const struct turn *turn, struct store_batch *batch)
{
    CLEAN(mem_free) char *key = turn_outcome_key(turn->method, turn->run_id);
    CLEAN(json_free) struct json *detail = json_new_object();

    json_put(detail, "key", json_new_string(key));
    json_put(detail, "callerKey", json_new_string(turn->caller_key));
    if (turn->rest)
        json_put(detail, "message", json_new_string(turn->rest));
    if (turn->images)
        json_put(detail, "images", json_new_string(turn->images));
    if (turn->host)
        json_put(detail, "joined", json_new_string(turn->host->run_id));
    if (turn->calls)
        json_put(detail, "calls", json_copy(turn->calls));
    CLEAN(mem_free) char *text = json_print(detail, false);
    store_turn_put(batch, &(struct store_turn){.run_id = turn->run_id,
                                               .session_key = turn->session_key,
                                               .session_id = turn->session_id,
                                               .detail = text,
                                               .started_at = turn->accepted_at});
}

static void turn_put_start(struct turn *turn, struct store_batch *batch)
{
    CLEAN(mem_free) char *key = turn_outcome_key(turn->method, turn->run_id);
    CLEAN(mem_free) char *outcome = outcome_started(turn);

    store_idempotency_put(batch, key, outcome, turn->accepted_at);
    turn_put_row(turn, batch);
}

int turn_submit(struct gateway *gw, const struct turn_request *request,
                const struct turn_events *events, void *arg, struct fault *reterr_fault)
{
    struct turns *turns = gw->turns;
    struct session *session;
    struct store_batch *batch;
    struct turn *turn;
    int r;

    if (turns->closing)
        return fault_set(reterr_fault, -ERR_BUSY,
                         "the gateway is stopping; send the message again when it is back");
    if (fails(!turn_find(gw, request->run_id)))
        return fault_set(reterr_fault, -ERR_BUG, "run %s has not ended", request->run_id);
    session = session_ensure(gw, request->session_key, reterr_fault);
    if (!session)
        return -ERR_FULL;

    if (request->method == TURN_CHAT && queue_admit(gw, session, reterr_fault) < 0)
        return -ERR_BUSY;
    turn = turn_new(gw, request, events, arg);
    turn->agent_id = mem_string(session->agent_id);
    memcpy(turn->session_id, session->session_id, sizeof(turn->session_id));
    r = lane_join(turns, turn, reterr_fault);
    if (r < 0) {
        turn_free(turn);
        return r;
    }
    index_put(&turns->by_run, &turn->node, turn->run_id);

    if (lane_first(turn->lane) != turn) {
        turn->text_in = mem_string(request->message);
        turn->images_in = mem_string(request->images);
    }
    batch = store_batch(gw->store);
    if (lane_first(turn->lane) == turn && policy_stale(gw, session)) {
        session_restart(gw, session, batch);
        memcpy(turn->session_id, session->session_id, sizeof(turn->session_id));
        row_emit_changed(gw, batch, session, "reset", NULL, NULL);
    }
    if (!turn->command && lane_resets(turn->lane))
        turn->rest = mem_string(request->message);
    if (turn->rest)
        turn->images = mem_string(request->images);
    else if (!turn->command)
        turn_put_user(turn, session, batch, request->message, request->images);
    turn_put_start(turn, batch);
    session_put(gw, session, batch, true);
    row_emit_changed(gw, batch, session, "send", NULL, turn->run_id);
    op_init(&turn->commit, gw->loop, turn_on_accepted, 0);
    store_commit(batch, &turn->commit);
    return 0;
}

static void turn_on_accepted(struct op *op, int result)
{
    struct turn *turn = CONTAINER(op, struct turn, commit);
    struct turns *turns = turn->gw->turns;

    CHECK(turn, TURN_MAGIC);
    if (result < 0) {
        struct fault fault = op->fault;

        if (!fault.text[0])
            fault_set(&fault, result, "the message could not be stored: %s", err_text(result));
        fault.code = result;
        turn->events.accepted(turn->arg, result, &fault);
        turn_leave(turn);
        lanes_pump(turns);
        return;
    }
    turn->state = TURN_QUEUED;
    turn->events.accepted(turn->arg, 0, NULL);
    if (turn->abort_reason)
        turn_stop(turn, turn->abort_reason);
    else
        queue_place(turn);
    turn->text_in = mem_free(turn->text_in);
    turn->images_in = mem_free(turn->images_in);
    if (turn->state == TURN_QUEUED)
        lane_check(turns, turn->lane);
    lanes_pump(turns);
}

/* ---- 2. its lane starts it ---- */

void turn_drop_work(struct turn *turn)
{
    if (turn->work)
        command_stop_work(TAKE(turn->work));
}

static void turn_on_worked(void *arg, const char *text)
{
    struct turn *turn = arg;

    CHECK(turn, TURN_MAGIC);
    turn->work = NULL;
    buf_add_str(&turn->text, text);
    turn_finish(turn, TURN_OK, "stop", NULL);
}

void turn_command(struct turn *turn, struct session *session, struct store_batch *batch)
{
    turn->command->run(&(struct command_call){
        .gw = turn->gw,
        .session = session,
        .batch = batch,
        .argument = turn->argument ? turn->argument : "",
        .answer = &turn->text,
    });
}

static void turn_on_timeout(void *arg)
{
    struct turn *turn = arg;

    CHECK(turn, TURN_MAGIC);
    log_warn("run %s: no end after %lld s, stopped", turn->run_id,
             (long long)(turn->timeout_ms / 1000));
    turn_stop(turn, "timeout");
}

static void turn_on_renewed(struct op *op, int result)
{
    struct turn *turn = CONTAINER(op, struct turn, renew);

    CHECK(turn, TURN_MAGIC);
    if (turn->state != TURN_RUNNING)
        return;
    if (result < 0)
        turn_finish(turn, TURN_ERROR, "error",
                    op->fault.text[0] ? op->fault.text : err_text(result));
    else
        turn_run(turn);
}

/* A message that waited behind /new, or stands behind it, is the new session's: it is stored before the
 * agent sees it. */
static void turn_start_late(struct turn *turn, struct session *session)
{
    struct store_batch *batch = store_batch(turn->gw->store);

    if (turn->command)
        turn_command(turn, session, batch);
    buf_clear(&turn->text);
    memcpy(turn->session_id, session->session_id, sizeof(turn->session_id));
    turn_put_user(turn, session, batch, turn->rest, turn->images);
    session_put(turn->gw, session, batch, true);
    row_emit_changed(turn->gw, batch, session, turn->command ? turn->command->name : "send", NULL,
                     turn->run_id);
    op_init(&turn->renew, turn->gw->loop, turn_on_renewed, 0);
    store_commit(batch, &turn->renew);
}

void turn_start(struct turn *turn)
{
    struct session *session = session_find(turn->gw, turn->session_key);

    turn->state = TURN_RUNNING;
    queue_gather(turn);
    turn->started_at = loop_wall(turn->gw->loop);
    timer_start(turn->gw->loop, &turn->timeout, turn->timeout_ms, 0, turn_on_timeout, turn);
    if (!session) {
        turn_finish(turn, TURN_ERROR, "error", "the session was deleted before its turn came");
        return;
    }
    if (!turn->model_asked || model_choose(turn->gw, turn->model_asked, &turn->model, NULL) < 0)
        agent_model(turn->gw, session, turn->agent_id, &turn->model);
    if (turn->rest)
        turn_start_late(turn, session);
    else if (turn->command && turn->command->start)
        turn->work = turn->command->start(turn->gw, session, turn->argument ? turn->argument : "",
                                          turn_on_worked, turn);
    else if (turn->command)
        turn_finish(turn, TURN_OK, "stop", NULL); /* it answers in the batch that ends the turn */
    else
        turn_run(turn);
}

/* ---- stopping ---- */

void turn_stop(struct turn *turn, const char *reason)
{
    if (turn->state == TURN_ACCEPTING) {
        turn->abort_reason = reason;
        return;
    }
    turn_finish(turn, TURN_ABORTED, reason, NULL);
    if (turn->run)
        turn->kind->cancel(turn->run);
}

static size_t turn_write_stopped(const struct turn *turn, struct json_writer *w)
{
    if (w)
        jw_str(w, turn->run_id);
    for (const struct turn *rider = turn->riders; w && rider; rider = rider->next)
        jw_str(w, rider->run_id);
    return 1 + turn->rider_count;
}

size_t turn_abort(struct gateway *gw, const char *session_key, const char *run_id,
                  const char *reason, struct json_writer *w)
{
    struct turn *next, *one = run_id ? turn_find(gw, run_id) : NULL;
    size_t stopped = 0;

    if (one && one->host) /* the answer being written is the answer to it too */
        one = one->host;
    if (w)
        jw_array(w);
    for (struct turn *turn = lane_first(lane_find(gw->turns, session_key)); turn; turn = next) {
        next = turn->next;
        if (turn->state >= TURN_ENDING || turn->abort_reason || (run_id && turn != one))
            continue;
        stopped += turn_write_stopped(turn, w);
        turn_stop(turn, reason);
    }
    if (w)
        jw_array_end(w);
    if (!run_id)
        stopped += lane_stop_hold(lane_find(gw->turns, session_key), reason);
    return stopped;
}

/* ---- shutdown ---- */

/* Whoever holds a call hears of the end; the turn stays in the store and is ended by the next start. */
static void turn_interrupt(struct turn *turn)
{
    static const char why[] = "the gateway is stopping; the answer was interrupted";
    struct fault fault;

    if (turn->state == TURN_ACCEPTING) {
        fault_set(&fault, -ERR_INTERRUPTED, "%s", why);
        turn->events.accepted(turn->arg, -ERR_INTERRUPTED, &fault);
    } else if (turn->events.ended) {
        turn->end = turn->state < TURN_ENDING ? TURN_ERROR : turn->end;
        if (!turn->outcome) {
            turn->stop_reason = "interrupted";
            turn->error = mem_string(why);
            turn->ended_at = loop_wall(turn->gw->loop);
            CLEAN(mem_free) char *text = outcome_ended(turn);
            turn->outcome = json_parse(text, strlen(text), NULL);
        }
        turn->events.ended(turn->arg, turn->outcome, turn->text.length ? turn->text.data : "");
    }
    if (turn->run)
        turn->kind->drop(turn->run);
    turn_leave(turn);
}

struct turns *turns_free(struct turns *turns)
{
    if (!turns)
        return NULL;
    turns->closing = true;
    defer_stop(turns->gw->loop, &turns->next_starts);
    while (turns->holds)
        turns->holds->stop(turns->holds->arg, "restart");
    waiters_interrupt(turns);
    for (size_t i = 0; i < turns->by_run.room; i++) {
        while (turns->by_run.buckets[i])
            turn_interrupt(CONTAINER(turns->by_run.buckets[i], struct turn, node));
    }
    index_done(&turns->by_run);
    index_done(&turns->lanes);
    return mem_free(turns);
}
