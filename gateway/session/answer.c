/* The agent answers a turn: its text comes in and leaves as deltas, at most one per TURN_DELTA_MS, and its
 * end goes to finish.c. After the turn has ended (abort, timeout) whatever it still says is dropped, and
 * the lane waits for it to let go. */
#include "gateway/session/internal.h"

#include "gateway/session/row.h"

#include <string.h>

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
        turn->error_kind = model_error_kind_name(out->error_kind);
        turn_finish(turn, TURN_ERROR, "error",
                    out->fault && out->fault->text[0] ? out->fault->text : err_text(result));
        return;
    }
    turn_finish(turn, TURN_OK,
                strcmp(out->stop_reason ? out->stop_reason : "", "length") == 0 ? "length" : "stop",
                NULL);
}

void turn_run(struct turn *turn)
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
    json_remove(session->entry, "endedAt"); /* of the turn before */
    json_remove(session->entry, "runtimeMs");
    row_emit_changed(turn->gw, batch, session, NULL, "start", turn->run_id);
    store_commit(batch, NULL);

    turn->run = turn->kind->start(
        turn->gw,
        &(struct agent_request){
            .session_key = turn->session_key,
            .session_id = turn->session_id,
            .agent_id = turn->agent_id,
            .run_id = turn->run_id,
            .user_seq = turn->user_seq,
            .extra_system = turn->extra_system,
            .provider = turn->model.provider,
            .model = turn->model.model,
            .thinking = model_thinking_of(session_text(session, "thinkingLevel", NULL)),
            .timeout_ms = turn->timeout_ms,
        },
        &events, turn);
}
