/* After a crash: turns that had begun and not ended are ended as interrupted, all in one batch, the
 * first of this start, so that no session is stuck and a repeated idempotency key gets its answer. What
 * was streamed and not stored is gone; the transcript says so. */
#include "gateway/session/internal.h"

#include "base/mem.h"
#include "gateway/session/row.h"
#include "gateway/session/transcript.h"

#include <stdio.h>
#include <string.h>

#define LOG_SUBSYSTEM "turn"
#include "base/log.h"

static const char why[] =
    "interrupted: the gateway stopped before this was answered; send it again";

struct recovery {
    struct gateway *gw;
    struct turn **turns;
    size_t count;
};

/* Rows are only collected here: a batch is not filled while the store walks its table. */
static void recover_collect(void *arg, const struct store_turn *row)
{
    struct recovery *recovery = arg;
    CLEAN(json_free)
    struct json *detail = row->detail ? json_parse(row->detail, strlen(row->detail), NULL) : NULL;
    struct turn *turn = NEW(struct turn);
    struct session *session = session_find(recovery->gw, row->session_key);
    struct key_rules rules = session_rules(recovery->gw);
    char agent[AGENT_ID_MAX + 1];

    key_agent(&rules, row->session_key, agent);
    turn->magic = TURN_MAGIC;
    turn->gw = recovery->gw;
    turn->method = strncmp(json_string(json_get(detail, "key"), ""), "agent:", 6) == 0 ? TURN_AGENT
                                                                                       : TURN_CHAT;
    turn->run_id = mem_string(row->run_id);
    turn->session_key = mem_string(row->session_key);
    turn->caller_key = mem_string(json_string(json_get(detail, "callerKey"), row->session_key));
    turn->agent_id = mem_string(agent);
    snprintf(turn->session_id, sizeof(turn->session_id), "%s", row->session_id);
    turn->accepted_at = turn->started_at = row->started_at;
    turn->ended_at = loop_wall(recovery->gw->loop);
    turn->end = TURN_ERROR;
    turn->stop_reason = "interrupted";
    turn->error = mem_string(why);
    turn->usage = (struct model_usage){-1, -1, -1, -1};
    turn->kind = agent_kind_of(recovery->gw, agent);
    turn->rest = mem_string(json_string(json_get(detail, "message"), NULL));
    turn->images = mem_string(json_string(json_get(detail, "images"), NULL));
    turn->state = json_get(detail, "joined") ? TURN_JOINED : TURN_RUNNING;
    if (json_count(json_get(detail, "calls")) > 0)
        turn->calls = json_copy(json_get(detail, "calls"));
    agent_model(recovery->gw, session, agent, &turn->model);

    recovery->turns = mem_grow(recovery->turns, recovery->count + 1, sizeof(struct turn *));
    recovery->turns[recovery->count++] = turn;
}

/* A message that was acknowledged but waited behind /new is in the session at last. */
static void recover_message(struct turn *turn, struct session *session, struct store_batch *batch)
{
    CLEAN(mem_free) char *message = NULL;
    char id[UUID_TEXT];

    if (!turn->rest)
        return;
    message = transcript_user(turn->rest, turn->images, turn->run_id, turn->accepted_at);
    transcript_append(
        turn->gw, session, batch,
        &(struct transcript_message){
            .role = "user", .run_id = turn->run_id, .text = turn->rest, .message = message},
        id);
}

static void recover_note(struct turn *turn, struct session *session, struct store_batch *batch)
{
    CLEAN(mem_free)
    char *message = transcript_answer(&(struct transcript_answer){
        .text = "",
        .api = model_api(turn->gw, turn->model.provider),
        .provider = turn->model.provider,
        .model = turn->model.model,
        .stop_reason = "error",
        .error = turn->error,
        .abort_origin = "interrupted",
        .run_id = turn->run_id,
        .usage = turn->usage,
        .at = turn->ended_at,
    });

    transcript_append(turn->gw, session, batch,
                      &(struct transcript_message){
                          .role = "assistant", .run_id = turn->run_id, .message = message},
                      turn->message_id);
}

static void recover_end(struct turn *turn, struct store_batch *batch)
{
    struct session *session = session_find(turn->gw, turn->session_key);

    /* One that had joined another: that one's note stands for both. */
    if (session && turn->state != TURN_JOINED) {
        recover_message(turn, session, batch);
        record_open_calls(turn, session, batch,
                          "interrupted: the gateway stopped before this tool answered; what it did "
                          "until then is not known");
        recover_note(turn, session, batch);
        session_set_text(session, "status", "failed");
        session_set_text(session, "lastRunId", turn->run_id);
        session_set_flag(session, "abortedLastRun", true);
        session_set_number(session, "endedAt", turn->ended_at);
        session_put(turn->gw, session, batch, true);
        row_emit_changed(turn->gw, batch, session, NULL, "error", turn->run_id);
    }
    CLEAN(mem_free) char *key = turn_outcome_key(turn->method, turn->run_id);
    CLEAN(mem_free) char *outcome = outcome_ended(turn);
    store_idempotency_put(batch, key, outcome, turn->ended_at);
    store_turn_remove(batch, turn->run_id);
    stream_ended(turn, batch);
}

static void recover_free(struct turn *turn)
{
    mem_free(turn->run_id);
    mem_free(turn->session_key);
    mem_free(turn->caller_key);
    mem_free(turn->agent_id);
    mem_free(turn->rest);
    mem_free(turn->images);
    mem_free(turn->error);
    json_free(turn->calls);
    mem_free(turn);
}

int turns_recover(struct gateway *gw, struct fault *reterr_fault)
{
    struct recovery recovery = {.gw = gw};
    struct store_batch *batch;
    int r = store_turn_each(gw->store, recover_collect, &recovery);

    if (r < 0)
        fault_set(reterr_fault, r, "cannot load the unfinished turns: %s", err_text(r));
    if (recovery.count > 0) {
        log_warn("%zu turns were cut off by the last stop; they are marked as interrupted",
                 recovery.count);
        batch = store_batch(gw->store);
        for (size_t i = 0; i < recovery.count; i++) {
            recover_end(recovery.turns[i], batch);
            recover_free(recovery.turns[i]);
        }
        store_commit(batch, NULL);
        mem_free(recovery.turns);
    }
    return r;
}
