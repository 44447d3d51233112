/* Outcomes: what a repeated idempotency key is answered with, during the run, after it and after a
 * restart. Small on purpose (100,000 are kept): the answer's text stays in the transcript,
 * named by messageId; only command replies, which are not in it, carry theirs. protocol.md 6.7. */
#include "gateway/session/internal.h"

#include "base/mem.h"
#include "gateway/session/transcript.h"

#include <string.h>

#define OUTCOME_MAX      (64 * 1024)
#define OUTCOME_TEXT_MAX (16 * 1024)

static const char *const method_names[] = {[TURN_CHAT] = "chat", [TURN_AGENT] = "agent"};
static const char *const end_names[] = {
    [TURN_OK] = "ok", [TURN_ERROR] = "error", [TURN_ABORTED] = "aborted"};

char *turn_outcome_key(enum turn_method method, const char *run_id)
{
    return mem_format("%s:%s", method_names[method], run_id);
}

static void outcome_begin(const struct turn *turn, const char *status, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "runId", turn->run_id);
    jw_kstr(w, "status", status);
    jw_kstr(w, "sessionKey", turn->session_key);
    jw_kstr(w, "agentId", turn->agent_id);
    jw_kstr(w, "sessionId", turn->session_id);
    jw_kint(w, "acceptedAt", turn->accepted_at);
}

static char *outcome_take(struct buf *b)
{
    char *text = buf_take(b);

    require(text != NULL); /* every member is bounded */
    return text;
}

char *outcome_started(const struct turn *turn)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, OUTCOME_MAX);
    jw_init(&w, &b);
    outcome_begin(turn, "started", &w);
    jw_object_end(&w);
    return outcome_take(&b);
}

char *outcome_ended(const struct turn *turn)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, OUTCOME_MAX);
    jw_init(&w, &b);
    outcome_begin(turn, end_names[turn->end], &w);
    jw_kstr(&w, "messageId", turn->message_id[0] ? turn->message_id : NULL);
    jw_kstr(&w, "error", turn->error);
    jw_kstr(&w, "errorKind", turn->error_kind);
    jw_kstr(&w, "stopReason", turn->stop_reason);
    if (turn->started_at)
        jw_kint(&w, "startedAt", turn->started_at);
    jw_kint(&w, "endedAt", turn->ended_at);
    jw_kstr(&w, "provider", turn->model.provider);
    jw_kstr(&w, "model", turn->model.model);
    if (turn->usage.input >= 0 || turn->usage.output >= 0) {
        jw_key(&w, "usage");
        transcript_write_priced(turn->gw, turn->model.provider, turn->model.model, &turn->usage,
                                &w);
    }
    if (!turn->kind && turn->text.length > 0 && turn->text.length <= OUTCOME_TEXT_MAX)
        jw_kstr(&w, "text", turn->text.data);
    jw_object_end(&w);
    return outcome_take(&b);
}

/* Begun, and neither running nor ended: its end could not be stored (a full disk). It is not run again;
 * the next start of the gateway marks it as interrupted. */
static void outcome_unstored(struct json *outcome)
{
    json_put(outcome, "status", json_new_string("error"));
    json_put(outcome, "error",
             json_new_string("this run's end could not be stored; look at the transcript, then "
                             "send it with a new key"));
}

struct json *turn_known(struct gateway *gw, enum turn_method method, const char *run_id)
{
    CLEAN(mem_free) char *key = turn_outcome_key(method, run_id);
    const char *text;
    struct json *outcome;

    if (fails(store_idempotency_find(gw->store, key, &text) != STORE_ON_DISK))
        text =
            "{\"status\":\"started\"}"; /* the caller did not recall it: at least never run again */
    outcome = text ? json_parse(text, strlen(text), NULL) : NULL;
    if (outcome && !turn_running_in(gw, run_id) &&
        strcmp(json_string(json_get(outcome, "status"), ""), "started") == 0)
        outcome_unstored(outcome);
    return outcome;
}
