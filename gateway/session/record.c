/* What a run leaves in the transcript: the messages on its way (calls of tools and their results), each
 * in a batch of its own, and its last one, in the batch that ends the turn. Calls that got no result
 * (a stop, a failure, a crash) are given one, so that no transcript shows a tool that runs for ever. */
#include "gateway/session/internal.h"

#include "base/mem.h"
#include "gateway/session/transcript.h"

#include <string.h>

#define LOG_SUBSYSTEM "turn"
#include "base/log.h"

/* ---- on the way ---- */

/* Names what could not be stored, by id: the turn may be gone by then. */
struct record_write {
    struct gateway *gw;
    char *run_id;
};

static void record_on_written(void *arg, int result)
{
    struct record_write *write = arg;
    struct turn *turn = result < 0 ? turn_find(write->gw, write->run_id) : NULL;

    if (turn && turn->state == TURN_RUNNING) {
        CLEAN(mem_free)
        char *why =
            mem_format("a message of this answer could not be stored: %s", err_text(result));

        log_error("run %s: %s", turn->run_id, why);
        turn_finish(turn, TURN_ERROR, "error", why);
        if (turn->run)
            turn->kind->cancel(turn->run);
    }
    mem_free(write->run_id);
    mem_free(write);
}

/* Which calls wait for a result, after this message. */
static void record_count_calls(struct turn *turn, const struct json *message)
{
    const char *answered = json_string(json_get(message, "toolCallId"), NULL);
    struct json *open = json_new_array();

    json_each (call, turn->calls) {
        if (!answered || strcmp(answered, json_string(json_get(call, "id"), "")) != 0)
            json_append(open, json_copy(call));
    }
    json_each (part, json_get(message, "content")) {
        struct json *call;

        if (json_kind(part) != JSON_OBJECT ||
            strcmp(json_string(json_get(part, "type"), ""), "toolCall") != 0)
            continue;
        call = json_new_object();
        json_put(call, "id", json_new_string(json_string(json_get(part, "id"), "")));
        json_put(call, "name", json_new_string(json_string(json_get(part, "name"), "")));
        json_append(open, call);
        turn->tool_calls++;
    }
    json_free(turn->calls);
    turn->calls = json_count(open) > 0 ? TAKE(open) : json_free(open);
}

void record_message(struct turn *turn, const struct agent_message *message)
{
    struct session *session = session_find(turn->gw, turn->session_key);
    CLEAN(json_free) struct json *tree = json_parse(message->json, strlen(message->json), NULL);
    struct record_write *write;
    struct store_batch *batch;
    char id[UUID_TEXT];

    if (!session || strcmp(session->session_id, turn->session_id) != 0)
        return; /* deleted or renewed meanwhile */
    batch = store_batch(turn->gw->store);
    transcript_append(turn->gw, session, batch,
                      &(struct transcript_message){.role = message->role,
                                                   .run_id = turn->run_id,
                                                   .text = message->text,
                                                   .message = message->json},
                      id);
    record_count_calls(turn, tree);
    usage_take_message(turn, tree);
    turn_put_row(turn, batch);
    session_put(turn->gw, session, batch, true);
    write = NEW(struct record_write);
    write->gw = turn->gw;
    write->run_id = mem_string(turn->run_id);
    store_on_commit(batch, record_on_written, write);
    store_commit(batch, NULL);
}

void record_open_calls(struct turn *turn, struct session *session, struct store_batch *batch,
                       const char *error)
{
    json_each (call, turn->calls) {
        const char *name = json_string(json_get(call, "name"), "");
        CLEAN(mem_free)
        char *message = transcript_tool_error(json_string(json_get(call, "id"), ""), name, error,
                                              turn->ended_at);
        char id[UUID_TEXT];

        transcript_append(turn->gw, session, batch,
                          &(struct transcript_message){
                              .role = "toolResult", .run_id = turn->run_id, .message = message},
                          id);
    }
    turn->calls = json_free(turn->calls);
}

/* ---- the last one ---- */

/* Nothing is stored of an abort before the first word. */
void record_answer(struct turn *turn, struct session *session, struct store_batch *batch)
{
    bool aborted = turn->end == TURN_ABORTED;
    CLEAN(mem_free) char *message = NULL;

    record_open_calls(turn, session, batch,
                      aborted ? "stopped before this tool answered"
                              : "the run ended before this tool answered");
    if (!turn->kind || (turn->text.length == 0 && !turn->content && turn->end != TURN_ERROR))
        return;
    message = transcript_answer(&(struct transcript_answer){
        .text = turn->text.data,
        .length = turn->text.length,
        .content = turn->content,
        .api = model_api(turn->gw, turn->model.provider),
        .provider = turn->model.provider,
        .model = turn->model.model,
        .stop_reason = aborted                   ? "aborted"
                       : turn->end == TURN_ERROR ? "error"
                                                 : turn->stop_reason,
        .error = turn->error,
        .abort_origin = aborted ? turn->stop_reason : NULL,
        .run_id = turn->run_id,
        .usage = usage_last(turn),
        .priced = turn->gw,
        .at = turn->ended_at,
    });
    transcript_append(turn->gw, session, batch,
                      &(struct transcript_message){.role = "assistant",
                                                   .run_id = turn->run_id,
                                                   .text = turn->text.data,
                                                   .message = message},
                      turn->message_id);
}
