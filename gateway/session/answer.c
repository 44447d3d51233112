/* The agent answers a turn: its words come in and leave as deltas, at most one per TURN_DELTA_MS, what it
 * does on the way goes to record.c and stream_agent.c, and its end to finish.c. After the turn has ended
 * (abort, timeout) whatever it still says is dropped, and the lane waits for it to let go. */
#include "gateway/session/internal.h"

#include "base/mem.h"
#include "gateway/session/level.h"
#include "gateway/session/row.h"

#include <stdio.h>
#include <string.h>

/* ---- deltas ---- */

/* Is a delta told with all the text so far? While that is short, and past it each time it has grown by a
 * quarter: v3 clients know nothing else, and who opens the page in the middle sees it all. So what is told
 * of an answer is a multiple of its length, however many deltas it takes. */
static bool answer_whole(const struct buf *text, size_t *told)
{
    if (text->length > TURN_WHOLE_MAX && text->length < *told + *told / 4)
        return false;
    *told = text->length;
    return true;
}

/* What was said and not told yet: thoughts first, then words. */
static void answer_tell(struct turn *turn)
{
    timer_stop(turn->gw->loop, &turn->delta);
    if (turn->thought.length > turn->thought_sent) {
        stream_thinking(turn, answer_whole(&turn->thought, &turn->thought_whole));
        turn->thought_sent = turn->thought.length;
        turn->delta_at = loop_now(turn->gw->loop);
    }
    if (turn->text.length > turn->sent) {
        bool whole = answer_whole(&turn->text, &turn->whole);

        stream_assistant(turn, whole);
        stream_chat_delta(turn, whole);
        turn->sent = turn->text.length;
        turn->anew = false;
        turn->delta_at = loop_now(turn->gw->loop);
    }
}

static void answer_on_time(void *arg)
{
    struct turn *turn = arg;

    CHECK(turn, TURN_MAGIC);
    answer_tell(turn);
}

static void answer_tell_in_time(struct turn *turn)
{
    int64_t now = loop_now(turn->gw->loop);

    if (timer_running(&turn->delta))
        return;
    if (turn->delta_at == INT64_MIN || now - turn->delta_at >= TURN_DELTA_MS)
        answer_tell(turn);
    else
        timer_start(turn->gw->loop, &turn->delta, turn->delta_at + TURN_DELTA_MS - now, 0,
                    answer_on_time, turn);
}

/* ---- what the agent says ---- */

static void answer_add(struct turn *turn, struct buf *to, const char *delta, size_t length)
{
    if (to->length + length > TURN_TEXT_MAX) {
        turn_finish(turn, TURN_ERROR, "length",
                    "the answer is longer than this gateway keeps (1 MiB); it was cut");
        turn->kind->cancel(turn->run);
        return;
    }
    buf_add(to, delta, length);
    answer_tell_in_time(turn);
}

static void answer_on_text(void *arg, const char *delta, size_t length)
{
    struct turn *turn = arg;

    CHECK(turn, TURN_MAGIC);
    if (turn->state != TURN_RUNNING || length == 0)
        return;
    if (turn->events.text)
        turn->events.text(turn->arg, delta, length);
    if (turn->state == TURN_RUNNING) /* the listener may have stopped it */
        answer_add(turn, &turn->text, delta, length);
}

static void answer_on_thinking(void *arg, const char *delta, size_t length)
{
    struct turn *turn = arg;

    CHECK(turn, TURN_MAGIC);
    if (turn->state == TURN_RUNNING && length > 0)
        answer_add(turn, &turn->thought, delta, length);
}

/* ---- what it does ---- */

static void answer_on_stream(void *arg, const char *stream, const char *data)
{
    struct turn *turn = arg;

    CHECK(turn, TURN_MAGIC);
    if (turn->state != TURN_RUNNING)
        return;
    answer_tell(turn); /* the words before it */
    stream_other(turn, stream, data);
}

static void answer_on_message(void *arg, const struct agent_message *message)
{
    struct turn *turn = arg;

    CHECK(turn, TURN_MAGIC);
    if (turn->state != TURN_RUNNING)
        return;
    answer_tell(turn);
    record_message(turn, message);
    if (strcmp(message->role, "assistant") != 0)
        return;
    if (turn->events.message)
        turn->events.message(turn->arg);
    turn->anew = turn->anew || turn->text.length > 0;
    buf_clear(&turn->text);
    buf_clear(&turn->thought);
    turn->sent = turn->thought_sent = turn->whole = turn->thought_whole = 0;
    turn->message_number++;
}

/* ---- its end ---- */

static void answer_let_go(struct turn *turn)
{
    struct turns *turns = turn->gw->turns;

    turns->running--;
    turn_leave(turn);
    lanes_pump(turns);
}

/* Who answered in the end, at what price, in which words. */
static void answer_take(struct turn *turn, const struct model_result *out)
{
    static const char *const kept[] = {"length", "toolUse"};

    turn->usage = out->usage;
    if (out->provider && *out->provider)
        snprintf(turn->model.provider, sizeof(turn->model.provider), "%s", out->provider);
    if (out->model && *out->model)
        snprintf(turn->model.model, sizeof(turn->model.model), "%s", out->model);
    if (json_count(out->content) > 0)
        turn->content = json_copy(out->content);
    turn->stop_reason = "stop";
    for (size_t i = 0; i < COUNT(kept); i++) {
        if (out->stop_reason && strcmp(out->stop_reason, kept[i]) == 0)
            turn->stop_reason = kept[i];
    }
}

static void answer_on_end(void *arg, int result, const struct model_result *out)
{
    struct turn *turn = arg;

    CHECK(turn, TURN_MAGIC);
    turn->run = NULL;
    if (turn->state == TURN_ENDED) {
        answer_let_go(turn);
        return;
    }
    if (turn->state != TURN_RUNNING)
        return;
    answer_take(turn, out);
    if (result < 0) {
        turn->error_kind = model_error_kind_name(out->error_kind);
        turn_finish(turn, TURN_ERROR, "error",
                    out->fault && out->fault->text[0] ? out->fault->text : err_text(result));
        return;
    }
    turn_finish(turn, TURN_OK, turn->stop_reason, NULL);
}

/* ---- its beginning ---- */

static void answer_announce(struct turn *turn, struct session *session)
{
    struct store_batch *batch = store_batch(turn->gw->store);

    stream_started(turn, batch);
    session_set_text(session, "status", "running");
    session_set_number(session, "startedAt", turn->started_at);
    json_remove(session->entry, "endedAt"); /* of the turn before */
    json_remove(session->entry, "runtimeMs");
    row_emit_changed(turn->gw, batch, session, NULL, "start", turn->run_id);
    store_commit(batch, NULL);
}

void turn_run(struct turn *turn)
{
    static const struct agent_events events = {
        .text = answer_on_text,
        .thinking = answer_on_thinking,
        .stream = answer_on_stream,
        .message = answer_on_message,
        .end = answer_on_end,
    };
    struct session *session = session_find(turn->gw, turn->session_key);

    turn->kind = agent_kind_of(turn->gw, turn->agent_id);
    if (!turn->kind || !session) {
        turn_finish(turn, TURN_ERROR, "error",
                    turn->kind
                        ? "the session was deleted before its turn came"
                        : "this gateway has no such kind of agent; see agents.list[].runtime.type");
        return;
    }
    answer_announce(turn, session);
    turn->run = turn->kind->start(
        turn->gw,
        &(struct agent_request){
            .session_key = turn->session_key,
            .session_id = turn->session_id,
            .agent_id = turn->agent_id,
            .run_id = turn->run_id,
            .user_seq = turn->user_seq,
            .first_seq = turn->first_seq,
            .extra_system = turn->extra_system,
            .provider = turn->model.provider,
            .model = turn->model.model,
            .model_chosen =
                turn->model_asked || session_text(session, "providerOverride", NULL) != NULL,
            .max_tokens = turn->max_tokens,
            .thinking = model_thinking_of(
                turn->thinking ? turn->thinking
                               : level_of(turn->gw, session, turn->agent_id, LEVEL_THINKING)),
            .client_tools = turn->client_tools,
            .timeout_ms = turn->timeout_ms,
        },
        &events, turn);
}
