/* The life of a turn, top to bottom: turn_submit stores the message, its idempotency key and the turn in
 * one batch; when that is on disk the caller may acknowledge and the lane may start it; the agent's text
 * comes in and leaves as throttled deltas; turn_finish stores the answer, the outcome and the end in one
 * batch; when that is on disk everyone who waits is told and the lane goes on. Every end (answer,
 * failure, abort, timeout, shutdown) goes through turn_finish, which works once per turn. */
#include "gateway/session/internal.h"

#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/session/row.h"
#include "gateway/session/transcript.h"

#include <string.h>

#define LOG_SUBSYSTEM "turn"
#include "base/log.h"

static void turn_on_accepted(struct op *op, int result);
static void turn_run(struct turn *turn);
static void turn_on_finished(struct op *op, int result);

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

static struct turn *turn_find(struct turns *turns, const char *run_id)
{
    struct index_node *node = index_find(&turns->by_run, run_id);

    return node ? CONTAINER(node, struct turn, node) : NULL;
}

const char *turn_running_in(struct gateway *gw, const char *run_id)
{
    struct turn *turn = turn_find(gw->turns, run_id);

    return turn && turn->state != TURN_ENDED ? turn->session_key : NULL;
}

static void turn_free(struct turn *turn)
{
    struct loop *loop = turn->gw->loop;

    timer_stop(loop, &turn->timeout);
    timer_stop(loop, &turn->delta);
    op_drop(&turn->commit);
    op_drop(&turn->renew);
    json_free(turn->outcome);
    buf_done(&turn->text);
    mem_free(turn->run_id);
    mem_free(turn->session_key);
    mem_free(turn->caller_key);
    mem_free(turn->agent_id);
    mem_free(turn->extra_system);
    mem_free(turn->rest);
    mem_free(turn->images);
    mem_free(turn->error);
    turn->magic = 0;
    mem_free(turn);
}

/* Out of the table and its lane; its id may be used again only through the stored outcome. */
static void turn_leave(struct turn *turn)
{
    struct turns *turns = turn->gw->turns;

    index_remove(&turns->by_run, &turn->node);
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
    turn->command = command_of(request->message, &rest);
    turn->rest = *rest ? mem_string(rest) : NULL;
    turn->timeout_ms = turn_timeout(gw, request->timeout_ms);
    turn->delta_at = INT64_MIN;
    turn->usage = (struct model_usage){-1, -1, -1, -1};
    turn->accepted_at = loop_wall(gw->loop);
    turn->events = *events;
    turn->arg = arg;
    buf_init(&turn->text, TURN_TEXT_MAX + 1);
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
}

static void turn_put_start(struct turn *turn, struct store_batch *batch)
{
    CLEAN(mem_free) char *key = outcome_key(turn->method, turn->run_id);
    CLEAN(mem_free) char *outcome = outcome_started(turn);
    /* What recover.c needs besides: whose key it is, what v3 clients call the session, and the message
     * where the transcript does not have it yet. */
    CLEAN(json_free) struct json *detail = json_new_object();

    json_put(detail, "key", json_new_string(key));
    json_put(detail, "callerKey", json_new_string(turn->caller_key));
    if (turn->rest)
        json_put(detail, "message", json_new_string(turn->rest));
    CLEAN(mem_free) char *text = json_print(detail, false);
    store_idempotency_put(batch, key, outcome, turn->accepted_at);
    store_turn_put(batch, &(struct store_turn){.run_id = turn->run_id,
                                               .session_key = turn->session_key,
                                               .session_id = turn->session_id,
                                               .detail = text,
                                               .started_at = turn->accepted_at});
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
    if (fails(!turn_find(turns, request->run_id)))
        return fault_set(reterr_fault, -ERR_BUG, "run %s has not ended", request->run_id);
    session = session_ensure(gw, request->session_key, reterr_fault);
    if (!session)
        return -ERR_FULL;

    turn = turn_new(gw, request, events, arg);
    turn->agent_id = mem_string(session->agent_id);
    memcpy(turn->session_id, session->session_id, sizeof(turn->session_id));
    r = lane_join(turns, turn, reterr_fault);
    if (r < 0) {
        turn_free(turn);
        return r;
    }
    index_put(&turns->by_run, &turn->node, turn->run_id);

    batch = store_batch(gw->store);
    if (!turn->command && lane_resets(turn->lane)) {
        turn->rest = mem_string(request->message);
        turn->images = mem_string(request->images);
    } else if (!turn->command) {
        turn_put_user(turn, session, batch, request->message, request->images);
    }
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
        lane_check(turns, turn->lane);
    lanes_pump(turns);
}

/* ---- 2. its lane starts it ---- */

static void turn_finish(struct turn *turn, enum turn_end end, const char *stop_reason,
                        const char *error);

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
        turn->command->run(turn->gw, session, batch, &turn->text);
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
    turn->started_at = loop_wall(turn->gw->loop);
    timer_start(turn->gw->loop, &turn->timeout, turn->timeout_ms, 0, turn_on_timeout, turn);
    if (!session) {
        turn_finish(turn, TURN_ERROR, "error", "the session was deleted before its turn came");
        return;
    }
    agent_model(turn->gw, session, turn->agent_id, &turn->model);
    if (turn->rest)
        turn_start_late(turn, session);
    else if (turn->command)
        turn_finish(turn, TURN_OK, "stop", NULL); /* it answers in the batch that ends the turn */
    else
        turn_run(turn);
}

/* ---- 3. the agent answers ---- */

static void turn_send_delta(void *arg)
{
    struct turn *turn = arg;

    CHECK(turn, TURN_MAGIC);
    timer_stop(turn->gw->loop, &turn->delta);
    stream_delta(turn);
    turn->sent = turn->text.length;
    turn->delta_at = loop_now(turn->gw->loop);
}

static void turn_on_text(void *arg, const char *delta, size_t length)
{
    struct turn *turn = arg;
    int64_t now = loop_now(turn->gw->loop);

    CHECK(turn, TURN_MAGIC);
    if (turn->state != TURN_RUNNING || length == 0)
        return;
    if (turn->text.length + length > TURN_TEXT_MAX) {
        turn_finish(turn, TURN_ERROR, "length",
                    "the answer is longer than this gateway keeps (1 MiB); it was cut");
        turn->kind->cancel(turn->run);
        return;
    }
    buf_add(&turn->text, delta, length);
    if (timer_running(&turn->delta))
        return;
    if (turn->delta_at == INT64_MIN || now - turn->delta_at >= TURN_DELTA_MS)
        turn_send_delta(turn);
    else
        timer_start(turn->gw->loop, &turn->delta, turn->delta_at + TURN_DELTA_MS - now, 0,
                    turn_send_delta, turn);
}

static const char *turn_error_kind(enum model_error_kind kind)
{
    static const char *const names[] = {
        [MODEL_ERROR_RATE_LIMIT] = "rate_limit", [MODEL_ERROR_OVERLOADED] = "rate_limit",
        [MODEL_ERROR_TIMEOUT] = "timeout",       [MODEL_ERROR_CONTEXT] = "context_length",
        [MODEL_ERROR_REFUSAL] = "refusal",
    };

    return (size_t)kind < COUNT(names) && names[kind] ? names[kind] : "unknown";
}

static void turn_on_end(void *arg, int result, const struct model_result *out)
{
    struct turn *turn = arg;

    CHECK(turn, TURN_MAGIC);
    turn->run = NULL;
    if (turn->state == TURN_ENDED) {
        struct turns *turns = turn->gw->turns;

        turns->running--;
        turn_leave(turn);
        lanes_pump(turns);
        return;
    }
    if (turn->state != TURN_RUNNING)
        return;
    turn->usage = out->usage;
    if (result < 0) {
        turn->error_kind = turn_error_kind(out->error_kind);
        turn_finish(turn, TURN_ERROR, "error",
                    out->fault && out->fault->text[0] ? out->fault->text : err_text(result));
        return;
    }
    turn_finish(turn, TURN_OK,
                strcmp(out->stop_reason ? out->stop_reason : "", "length") == 0 ? "length" : "stop",
                NULL);
}

static void turn_run(struct turn *turn)
{
    static const struct agent_events events = {.text = turn_on_text, .end = turn_on_end};
    struct session *session = session_find(turn->gw, turn->session_key);
    struct store_batch *batch;

    turn->kind = agent_kind_of(turn->gw, turn->agent_id);
    if (!turn->kind || !session) {
        turn_finish(turn, TURN_ERROR, "error",
                    turn->kind
                        ? "the session was deleted before its turn came"
                        : "this gateway has no such kind of agent; see agents.list[].runtime.type");
        return;
    }
    batch = store_batch(turn->gw->store);
    stream_started(turn, batch);
    session_set_text(session, "status", "running");
    session_set_number(session, "startedAt", turn->started_at);
    row_emit_changed(turn->gw, batch, session, NULL, "start", turn->run_id);
    store_commit(batch, NULL);

    turn->run = turn->kind->start(turn->gw,
                                  &(struct agent_request){
                                      .session_key = turn->session_key,
                                      .session_id = turn->session_id,
                                      .agent_id = turn->agent_id,
                                      .run_id = turn->run_id,
                                      .user_seq = turn->user_seq,
                                      .extra_system = turn->extra_system,
                                      .provider = turn->model.provider,
                                      .model = turn->model.model,
                                      .timeout_ms = turn->timeout_ms,
                                  },
                                  &events, turn);
}

/* ---- 4. the end: answer, outcome, events in one batch ---- */

static const char *turn_status(const struct turn *turn)
{
    if (turn->end == TURN_ABORTED)
        return strcmp(turn->stop_reason, "timeout") == 0 ? "timeout" : "killed";
    return turn->end == TURN_OK ? "done" : "failed";
}

/* Nothing is stored of an abort before the first word. */
static void turn_put_answer(struct turn *turn, struct session *session, struct store_batch *batch)
{
    bool aborted = turn->end == TURN_ABORTED;
    CLEAN(mem_free) char *message = NULL;

    if (!turn->kind || (turn->text.length == 0 && turn->end != TURN_ERROR))
        return;
    message = transcript_answer(&(struct transcript_answer){
        .text = turn->text.data,
        .length = turn->text.length,
        .api = turn->model.provider,
        .provider = turn->model.provider,
        .model = turn->model.model,
        .stop_reason = aborted                   ? "aborted"
                       : turn->end == TURN_ERROR ? "error"
                                                 : turn->stop_reason,
        .error = turn->error,
        .abort_origin = aborted ? turn->stop_reason : NULL,
        .run_id = turn->run_id,
        .usage = turn->usage,
        .at = turn->ended_at,
    });
    transcript_append(turn->gw, session, batch,
                      &(struct transcript_message){.role = "assistant",
                                                   .run_id = turn->run_id,
                                                   .text = turn->text.data,
                                                   .message = message},
                      turn->message_id);
}

static void turn_count_tokens(const struct turn *turn, struct session *session)
{
    const struct model_usage *u = &turn->usage;

    if (u->input >= 0)
        session_set_number(session, "inputTokens",
                           session_number(session, "inputTokens", 0) + u->input);
    if (u->output >= 0)
        session_set_number(session, "outputTokens",
                           session_number(session, "outputTokens", 0) + u->output);
    if (u->input >= 0 || u->output >= 0) /* what the context holds now */
        session_set_number(session, "totalTokens",
                           (u->input > 0 ? u->input : 0) + (u->cache_read > 0 ? u->cache_read : 0) +
                               (u->output > 0 ? u->output : 0));
}

static void turn_put_session(struct turn *turn, struct session *session, struct store_batch *batch)
{
    session_set_text(session, "status", turn_status(turn));
    session_set_text(session, "lastRunId", turn->run_id);
    session_set_flag(session, "abortedLastRun", turn->end == TURN_ABORTED);
    session_set_flag(session, "systemSent", true);
    session_set_number(session, "endedAt", turn->ended_at);
    if (turn->started_at)
        session_set_number(session, "runtimeMs", turn->ended_at - turn->started_at);
    turn_count_tokens(turn, session);
    session_put(turn->gw, session, batch, true);
    row_emit_changed(turn->gw, batch, session,
                     turn->command && !turn->rest ? turn->command->name : NULL,
                     turn->command && !turn->rest ? NULL : "end", turn->run_id);
}

static void turn_put_outcome(struct turn *turn, struct store_batch *batch)
{
    CLEAN(mem_free) char *key = outcome_key(turn->method, turn->run_id);
    CLEAN(mem_free) char *text = outcome_ended(turn);

    turn->outcome = json_parse(text, strlen(text), NULL);
    store_idempotency_put(batch, key, text, turn->ended_at);
    store_turn_remove(batch, turn->run_id);
}

static void turn_finish(struct turn *turn, enum turn_end end, const char *stop_reason,
                        const char *error)
{
    struct gateway *gw = turn->gw;
    struct session *session = session_find(gw, turn->session_key);
    struct store_batch *batch;

    if (turn->state >= TURN_ENDING)
        return;
    timer_stop(gw->loop, &turn->timeout);
    timer_stop(gw->loop, &turn->delta);
    op_drop(&turn->renew);
    turn->state = TURN_ENDING;
    turn->end = end;
    turn->stop_reason = stop_reason;
    turn->error = mem_string(error);
    turn->ended_at = loop_wall(gw->loop);

    batch = store_batch(gw->store);
    if (session && strcmp(session->session_id, turn->session_id) == 0) {
        if (turn->command && !turn->rest && end == TURN_OK)
            turn->command->run(gw, session, batch, &turn->text);
        turn_put_answer(turn, session, batch);
        turn_put_session(turn, session, batch);
    }
    turn_put_outcome(turn, batch);
    stream_ended(turn, batch);
    lane_check(gw->turns, turn->lane);
    op_init(&turn->commit, gw->loop, turn_on_finished, 0);
    store_commit(batch, &turn->commit);
}

/* The end is on disk, or could not be put there: then it stands in the log, clients are answered from
 * memory, and the next start finds the turn and ends it as interrupted. */
static void turn_on_finished(struct op *op, int result)
{
    struct turn *turn = CONTAINER(op, struct turn, commit);
    struct turns *turns = turn->gw->turns;

    CHECK(turn, TURN_MAGIC);
    if (result < 0)
        log_error("run %s: its end could not be stored: %s", turn->run_id,
                  op->fault.text[0] ? op->fault.text : err_text(result));
    turn->state = TURN_ENDED;
    waiters_run_ended(turns, turn->run_id, turn->outcome);
    if (turn->events.ended)
        turn->events.ended(turn->arg, turn->outcome, turn->text.length ? turn->text.data : "");
    turn->events.ended = NULL;
    if (turn->run)
        return; /* cancelled: its end() comes, and the lane waits for it */
    if (turn->started_at)
        turns->running--;
    turn_leave(turn);
    lanes_pump(turns);
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

size_t turn_abort(struct gateway *gw, const char *session_key, const char *run_id,
                  const char *reason, struct json_writer *w)
{
    struct turn *next;
    size_t stopped = 0;

    if (w)
        jw_array(w);
    for (struct turn *turn = lane_first(lane_find(gw->turns, session_key)); turn; turn = next) {
        next = turn->next;
        if (turn->state >= TURN_ENDING || turn->abort_reason ||
            (run_id && strcmp(turn->run_id, run_id) != 0))
            continue;
        if (w)
            jw_str(w, turn->run_id);
        turn_stop(turn, reason);
        stopped++;
    }
    if (w)
        jw_array_end(w);
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
    waiters_interrupt(turns);
    for (size_t i = 0; i < turns->by_run.room; i++) {
        while (turns->by_run.buckets[i])
            turn_interrupt(CONTAINER(turns->by_run.buckets[i], struct turn, node));
    }
    index_done(&turns->by_run);
    index_done(&turns->lanes);
    return mem_free(turns);
}
