/* The end of a turn: answer, outcome, session row and final events in one batch; when that is on disk
 * everyone who waits is told and the lane goes on. */
#include "gateway/session/internal.h"

#include "base/mem.h"
#include "gateway/session/row.h"

#include <string.h>

#define LOG_SUBSYSTEM "turn"
#include "base/log.h"

static void turn_on_finished(struct op *op, int result);

static const char *turn_status(const struct turn *turn)
{
    if (turn->end == TURN_ABORTED)
        return strcmp(turn->stop_reason, "timeout") == 0 ? "timeout" : "killed";
    return turn->end == TURN_OK ? "done" : "failed";
}

/* What sessions.changed calls the end. */
static const char *turn_phase(const struct turn *turn)
{
    return turn->end == TURN_ERROR ? "error" : "end";
}

static void turn_put_session(struct turn *turn, struct session *session, struct store_batch *batch)
{
    const char *told = turn->command && !turn->rest ? turn->command->name : NULL;

    session_set_text(session, "status", turn_status(turn));
    session_set_text(session, "lastRunId", turn->run_id);
    session_set_flag(session, "abortedLastRun", turn->end == TURN_ABORTED);
    session_set_flag(session, "systemSent", true);
    session_set_number(session, "endedAt", turn->ended_at);
    if (turn->started_at)
        session_set_number(session, "runtimeMs", turn->ended_at - turn->started_at);
    usage_put(turn, session, batch);
    session_put(turn->gw, session, batch, true);
    row_emit_changed(turn->gw, batch, session, told, told ? NULL : turn_phase(turn), turn->run_id);
}

void turn_put_outcome(struct turn *turn, struct store_batch *batch)
{
    CLEAN(mem_free) char *key = turn_outcome_key(turn->method, turn->run_id);
    CLEAN(mem_free) char *text = outcome_ended(turn);

    turn->outcome = json_parse(text, strlen(text), NULL);
    store_idempotency_put(batch, key, text, turn->ended_at);
    store_turn_remove(batch, turn->run_id);
    if (turn->content && strcmp(turn->stop_reason, "toolUse") == 0) /* turn.h: told, not kept */
        json_put(turn->outcome, "content", json_copy(turn->content));
}

void turn_finish(struct turn *turn, enum turn_end end, const char *stop_reason, const char *error)
{
    struct gateway *gw = turn->gw;
    struct session *session = session_find(gw, turn->session_key);
    struct store_batch *batch;

    if (turn->state >= TURN_ENDING)
        return;
    timer_stop(gw->loop, &turn->timeout);
    timer_stop(gw->loop, &turn->delta);
    op_drop(&turn->renew);
    turn_drop_work(turn);
    turn->state = TURN_ENDING;
    turn->end = end;
    turn->stop_reason = stop_reason;
    turn->error = mem_string(error);
    turn->ended_at = loop_wall(gw->loop);

    batch = store_batch(gw->store);
    if (session && strcmp(session->session_id, turn->session_id) == 0) {
        if (turn->command && turn->command->run && !turn->rest && end == TURN_OK)
            turn_command(turn, session, batch);
        record_answer(turn, session, batch);
        turn_put_session(turn, session, batch);
    }
    turn_put_outcome(turn, batch);
    stream_ended(turn, batch);
    riders_end(turn, batch);
    lane_check(gw->turns, turn->lane);
    op_init(&turn->commit, gw->loop, turn_on_finished, 0);
    store_commit(batch, &turn->commit);
}

/* Nothing of the end is on disk: everyone hears an error instead, outside the log; the store still has the
 * turn, and the next start ends it as interrupted. Until then its key is answered with an error too. */
static void turn_unstored(struct turn *turn, const char *why)
{
    CLEAN(mem_free) char *error = mem_format("the answer could not be stored: %s", why);
    CLEAN(mem_free) char *text = NULL;

    log_error("run %s: %s", turn->run_id, error);
    mem_free(turn->error);
    turn->error = TAKE(error);
    turn->end = TURN_ERROR;
    turn->error_kind = "unknown";
    turn->message_id[0] = '\0';
    text = outcome_ended(turn);
    json_free(turn->outcome);
    turn->outcome = json_parse(text, strlen(text), NULL);
    stream_unstored(turn);
    riders_unstored(turn);
}

void turn_tell_ended(struct turn *turn, const char *text)
{
    waiters_run_ended(turn->gw->turns, turn->run_id, turn->outcome);
    if (turn->events.ended)
        turn->events.ended(turn->arg, turn->outcome, text);
    turn->events.ended = NULL;
}

static void turn_on_finished(struct op *op, int result)
{
    struct turn *turn = CONTAINER(op, struct turn, commit);
    struct turns *turns = turn->gw->turns;

    CHECK(turn, TURN_MAGIC);
    if (result < 0)
        turn_unstored(turn, op->fault.text[0] ? op->fault.text : err_text(result));
    turn->state = TURN_ENDED;
    turn_tell_ended(turn, turn->text.length ? turn->text.data : "");
    riders_tell(turn);
    if (turn->run)
        return; /* cancelled: its end() comes, and the lane waits for it */
    if (turn->started_at)
        turns->running--;
    turn_leave(turn);
    lanes_pump(turns);
}
