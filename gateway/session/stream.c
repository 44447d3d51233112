/* The `chat` events of a turn (its `agent` events: stream_agent.c). Payloads are made once per kind of
 * client: v4 hears the canonical session key, v3 the key as its caller gave it; a second copy is made
 * only where they differ. What ends a turn goes into the batch that stores the end. protocol.md 6.2. */
#include "gateway/session/internal.h"

#include "base/mem.h"
#include "gateway/session/transcript.h"

#include <string.h>

/* Everything a chat event may say; text NULL: no message. */
struct chat_event {
    const char *state, *stop_reason, *error, *error_kind;
    const char *text, *delta; /* delta NULL: no deltaText */
    size_t text_length, delta_length;
    bool replace;
};

struct bytes *stream_take(struct buf *b)
{
    struct bytes *bytes = bytes_from_buf(b);

    require(bytes != NULL); /* TURN_TEXT_MAX keeps it below STREAM_MAX */
    buf_done(b);
    return bytes;
}

/* ---- chat ---- */

static void chat_write_message(struct gateway *gw, const struct chat_event *event,
                               struct json_writer *w)
{
    if (!event->text || event->text_length == 0)
        return;
    jw_kobject(w, "message");
    jw_kstr(w, "role", "assistant");
    jw_karray(w, "content");
    jw_object(w);
    jw_kstr(w, "type", "text");
    jw_key(w, "text");
    jw_strn(w, event->text, event->text_length);
    jw_object_end(w);
    jw_array_end(w);
    jw_kint(w, "timestamp", loop_wall(gw->loop));
    jw_object_end(w);
}

static struct bytes *chat_bytes(struct turn *turn, const char *session_key,
                                const struct chat_event *event)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, STREAM_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "runId", turn->run_id);
    jw_kstr(&w, "sessionKey", session_key);
    jw_kstr(&w, "agentId", turn->agent_id);
    jw_kint(&w, "seq", turn->seq);
    jw_kstr(&w, "state", event->state);
    if (event->delta) {
        jw_key(&w, "deltaText");
        jw_strn(&w, event->delta, event->delta_length);
    }
    if (event->replace)
        jw_kbool(&w, "replace", true);
    jw_kstr(&w, "stopReason", event->stop_reason);
    jw_kstr(&w, "errorMessage", event->error);
    jw_kstr(&w, "errorKind", event->error_kind);
    chat_write_message(turn->gw, event, &w);
    if (strcmp(event->state, "final") == 0 && (turn->usage.input >= 0 || turn->usage.output >= 0)) {
        jw_key(&w, "usage");
        transcript_write_priced(turn->gw, turn->model.provider, turn->model.model, &turn->usage,
                                &w);
    }
    jw_object_end(&w);
    return stream_take(&b);
}

/* Is a second copy needed: another key, and somebody who would hear it. */
bool stream_two_keys(const struct turn *turn)
{
    return strcmp(turn->caller_key, turn->session_key) != 0 && conn_any_v3(turn->gw);
}

static void chat_emit(struct turn *turn, struct store_batch *batch, const struct chat_event *event)
{
    enum event_id id = batch ? EVENT_chat : EVENT_chat_unstored;
    bool two = stream_two_keys(turn);
    CLEAN(bytes_unref) struct bytes *payload = chat_bytes(turn, turn->session_key, event);
    CLEAN(bytes_unref) struct bytes *v3 = two ? chat_bytes(turn, turn->caller_key, event) : NULL;

    struct event out = {.id = id,
                        .session_key = turn->session_key,
                        .run_id = turn->run_id,
                        .payload = payload,
                        .payload_v3 = v3};

    if (batch)
        event_emit_in(turn->gw, batch, &out);
    else
        event_emit(turn->gw, &out);
}

/* ---- deltas ---- */

/* Which text, up to where: what a connection that missed a delta is told, as long as that message is still
 * being written. Afterwards its end, or the next message, says it all. */
struct late {
    struct event_late event;
    struct gateway *gw;
    char *run_id;
    enum stream_text what;
    int64_t message_number, seq;
    size_t length;
};

static struct bytes *late_make(struct event_late *event, bool v3)
{
    struct late *late = CONTAINER(event, struct late, event);
    struct turn *turn = turn_find(late->gw, late->run_id);
    struct buf text;
    int64_t seq;
    struct bytes *bytes;

    if (!turn || turn->message_number != late->message_number)
        return NULL;
    text = late->what == STREAM_THOUGHT ? turn->thought : turn->text;
    if (text.length < late->length)
        return NULL;
    text.length = late->length;
    seq = turn->seq;
    turn->seq = late->seq;
    bytes = late->what == STREAM_CHAT ? stream_chat_whole(turn, &text, v3)
                                      : stream_text_whole(turn, late->what, &text, v3);
    turn->seq = seq;
    return bytes;
}

static void late_free(struct event_late *event)
{
    struct late *late = CONTAINER(event, struct late, event);

    mem_free(late->run_id);
    mem_free(late);
}

struct event_late *stream_late(struct turn *turn, enum stream_text what)
{
    struct late *late = NEW(struct late);

    late->event = (struct event_late){.refs = 1, .make = late_make, .free = late_free};
    late->gw = turn->gw;
    late->run_id = mem_string(turn->run_id);
    late->what = what;
    late->message_number = turn->message_number;
    late->seq = turn->seq;
    late->length = what == STREAM_THOUGHT ? turn->thought.length : turn->text.length;
    return &late->event;
}

void stream_late_unref(struct event_late *late)
{
    if (--late->refs == 0)
        late->free(late);
}

struct bytes *stream_chat_whole(struct turn *turn, const struct buf *text, bool v3)
{
    return chat_bytes(turn, v3 ? turn->caller_key : turn->session_key,
                      &(struct chat_event){.state = "delta",
                                           .text = text->data,
                                           .text_length = text->length,
                                           .delta = text->data,
                                           .delta_length = text->length,
                                           .replace = true});
}

void stream_chat_delta(struct turn *turn, bool whole)
{
    struct chat_event event = {
        .state = "delta",
        .text = whole ? turn->text.data : NULL,
        .text_length = turn->text.length,
        .delta = turn->text.data + turn->sent,
        .delta_length = turn->text.length - turn->sent,
        .replace = turn->anew,
    };
    bool two = whole && stream_two_keys(turn);
    struct event_late *late = stream_late(turn, STREAM_CHAT);
    CLEAN(bytes_unref) struct bytes *payload = chat_bytes(turn, turn->session_key, &event);
    CLEAN(bytes_unref) struct bytes *v3 = two ? chat_bytes(turn, turn->caller_key, &event) : NULL;

    event_emit(turn->gw, &(struct event){.id = EVENT_chat_delta,
                                         .session_key = turn->session_key,
                                         .run_id = turn->run_id,
                                         .payload = payload,
                                         .payload_v3 = v3,
                                         .late = late,
                                         .v4_only = !whole});
    stream_late_unref(late);
}

void stream_chat_ended(struct turn *turn, struct store_batch *batch)
{
    static const char *const states[] = {
        [TURN_OK] = "final", [TURN_ERROR] = "error", [TURN_ABORTED] = "aborted"};

    if (turn->seq == 0)
        turn->seq = 1;
    chat_emit(turn, batch,
              &(struct chat_event){
                  .state = states[turn->end],
                  .text = turn->text.data,
                  .text_length = turn->text.length,
                  .stop_reason = turn->stop_reason,
                  .error = turn->end == TURN_ERROR ? turn->error : NULL,
                  .error_kind = turn->end == TURN_ERROR ? turn->error_kind : NULL,
              });
}

void stream_ended(struct turn *turn, struct store_batch *batch)
{
    if (turn->started_at && turn->kind)
        stream_lifecycle_ended(turn, batch);
    else
        turn->seq++;
    stream_chat_ended(turn, batch);
}

/* Nothing of the batch with the end happened: clients still have to hear of it, though the log cannot. */
void stream_unstored(struct turn *turn)
{
    buf_clear(&turn->text); /* none of it is kept */
    stream_lifecycle_ended(turn, NULL);
    stream_chat_ended(turn, NULL);
}

void stream_injected(struct gateway *gw, struct store_batch *batch, const struct session *session,
                     const char *message_id, const char *message)
{
    CLEAN(mem_free) char *run_id = mem_format("inject-%s", message_id);
    struct json_writer w;
    struct buf b;

    buf_init(&b, STREAM_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "runId", run_id);
    jw_kstr(&w, "sessionKey", session->key);
    jw_kstr(&w, "agentId", session->agent_id);
    jw_kint(&w, "seq", 0);
    jw_kstr(&w, "state", "final");
    jw_kraw(&w, "message", message);
    jw_object_end(&w);

    CLEAN(bytes_unref) struct bytes *payload = stream_take(&b);
    event_emit_in(
        gw, batch,
        &(struct event){.id = EVENT_chat, .session_key = session->key, .payload = payload});
}
