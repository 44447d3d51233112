/* The `agent` events of a turn: lifecycle, assistant and thinking text, tools, and whatever other stream
 * an agent kind tells of. Each counts the run's seq by one. Who hears of tools: v3 clients when the
 * session is verbose, v4 clients that declared the cap tool-events. protocol.md 6.3. */
#include "gateway/session/internal.h"

#include "base/mem.h"
#include "gateway/session/level.h"

#include <string.h>

/* Everything an agent event may say. data is a JSON object as text. */
struct agent_event {
    enum event_id id;
    const char *stream, *data;
    const char *data_v3;   /* what v3 clients hear instead; NULL: the same */
    enum stream_text text; /* a delta of it: who misses one is told the whole; 0: none */
    bool tool, v4_only;
};

static struct bytes *agent_bytes(const struct turn *turn, const char *session_key,
                                 const char *stream, const char *data)
{
    struct json_writer w;
    struct buf b;

    if (!data)
        return NULL;
    buf_init(&b, STREAM_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "runId", turn->run_id);
    jw_kint(&w, "seq", turn->seq);
    jw_kstr(&w, "stream", stream);
    jw_kint(&w, "ts", loop_wall(turn->gw->loop));
    jw_kraw(&w, "data", data);
    jw_kstr(&w, "sessionKey", session_key);
    jw_kstr(&w, "sessionId", turn->session_id);
    jw_kstr(&w, "agentId", turn->agent_id);
    jw_object_end(&w);
    return stream_take(&b);
}

/* batch NULL: an event of its own. */
static void agent_emit(struct turn *turn, struct store_batch *batch, const struct agent_event *e)
{
    bool two = !e->v4_only && (e->data_v3 ? conn_any_v3(turn->gw) : stream_two_keys(turn));
    const char *v4_key = turn->session_key, *v3_key = turn->caller_key;

    turn->seq++;
    CLEAN(bytes_unref) struct bytes *payload = agent_bytes(turn, v4_key, e->stream, e->data);
    CLEAN(bytes_unref)
    struct bytes *v3 =
        two ? agent_bytes(turn, v3_key, e->stream, e->data_v3 ? e->data_v3 : e->data) : NULL;
    struct event_late *late = e->text ? stream_late(turn, e->text) : NULL;
    struct event event = {
        .id = e->id,
        .session_key = turn->session_key,
        .run_id = turn->run_id,
        .payload = payload,
        .payload_v3 = v3,
        .late = late,
        .tool = e->tool,
        .v4_only = e->v4_only,
    };

    if (batch)
        event_emit_in(turn->gw, batch, &event);
    else
        event_emit(turn->gw, &event);
    if (late)
        stream_late_unref(late);
}

/* ---- lifecycle ---- */

static void lifecycle_emit(struct turn *turn, struct store_batch *batch, enum event_id id,
                           struct buf *data)
{
    CLEAN(mem_free) char *text = buf_take(data);

    require(text != NULL);
    agent_emit(turn, batch, &(struct agent_event){.id = id, .stream = "lifecycle", .data = text});
}

void stream_started(struct turn *turn, struct store_batch *batch)
{
    struct json_writer w;
    struct buf data;

    buf_init(&data, STREAM_MAX);
    jw_init(&w, &data);
    jw_object(&w);
    jw_kstr(&w, "phase", "start");
    jw_kint(&w, "startedAt", turn->started_at);
    jw_object_end(&w);
    lifecycle_emit(turn, batch, EVENT_agent_log, &data);
}

void stream_lifecycle_ended(struct turn *turn, struct store_batch *batch)
{
    struct json_writer w;
    struct buf data;

    buf_init(&data, STREAM_MAX);
    jw_init(&w, &data);
    jw_object(&w);
    jw_kstr(&w, "phase", turn->end == TURN_ERROR ? "error" : "end");
    if (turn->started_at)
        jw_kint(&w, "startedAt", turn->started_at);
    jw_kint(&w, "endedAt", turn->ended_at);
    jw_kstr(&w, "error", turn->end == TURN_ERROR ? turn->error : NULL);
    jw_kbool(&w, "aborted", turn->end == TURN_ABORTED);
    jw_kstr(&w, "stopReason", turn->stop_reason);
    jw_object_end(&w);
    lifecycle_emit(turn, batch, batch ? EVENT_agent_log : EVENT_agent, &data);
}

/* ---- text ---- */

/* {text?: all of it, delta, replace?} */
static char *text_data(const struct buf *text, size_t from, bool whole, bool replace)
{
    struct json_writer w;
    struct buf b;
    char *data;

    buf_init(&b, STREAM_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    if (whole) {
        jw_key(&w, "text");
        jw_strn(&w, text->data, text->length);
    }
    jw_key(&w, "delta");
    jw_strn(&w, text->data + from, text->length - from);
    if (replace)
        jw_kbool(&w, "replace", true);
    jw_object_end(&w);
    data = buf_take(&b);
    require(data != NULL);
    return data;
}

static const char *text_stream(enum stream_text what)
{
    return what == STREAM_THOUGHT ? "thinking" : "assistant";
}

struct bytes *stream_text_whole(struct turn *turn, enum stream_text what, const struct buf *text,
                                bool v3)
{
    CLEAN(mem_free) char *data = text_data(text, 0, true, true);

    return agent_bytes(turn, v3 ? turn->caller_key : turn->session_key, text_stream(what), data);
}

void stream_assistant(struct turn *turn, bool whole)
{
    CLEAN(mem_free) char *data = text_data(&turn->text, turn->sent, whole, turn->anew);

    agent_emit(turn, NULL,
               &(struct agent_event){.id = EVENT_agent_delta,
                                     .stream = "assistant",
                                     .data = data,
                                     .text = STREAM_ANSWER,
                                     .v4_only = !whole});
}

void stream_thinking(struct turn *turn, bool whole)
{
    CLEAN(mem_free) char *data = text_data(&turn->thought, turn->thought_sent, whole, false);

    agent_emit(turn, NULL,
               &(struct agent_event){.id = EVENT_agent_thinking,
                                     .stream = "thinking",
                                     .data = data,
                                     .text = STREAM_THOUGHT,
                                     .v4_only = true});
}

/* ---- tools and the rest ---- */

/* Results are for verbose "full" alone. */
static char *tool_data_v3(struct json *data, const char *verbose)
{
    if (strcmp(verbose, "full") != 0) {
        json_remove(data, "result");
        json_remove(data, "partialResult");
    }
    return json_print(data, false);
}

static void stream_tool(struct turn *turn, const char *data)
{
    CLEAN(json_free) struct json *tree = json_parse(data, strlen(data), NULL);
    const struct session *session = session_find(turn->gw, turn->session_key);
    const char *verbose = level_of(turn->gw, session, turn->agent_id, LEVEL_VERBOSE);
    bool silent = strcmp(verbose, "off") == 0;
    bool update = strcmp(json_string(json_get(tree, "phase"), ""), "update") == 0;
    CLEAN(mem_free)
    char *data_v3 = !silent && tree && conn_any_v3(turn->gw) ? tool_data_v3(tree, verbose) : NULL;

    agent_emit(turn, NULL,
               &(struct agent_event){
                   .id = update ? EVENT_agent_update : EVENT_agent_log,
                   .stream = "tool",
                   .data = data,
                   .data_v3 = data_v3,
                   .tool = true,
                   .v4_only = silent,
               });
}

void stream_other(struct turn *turn, const char *stream, const char *data)
{
    /* Kept in the log; what else an agent tells is of the moment. */
    static const char *const logged[] = {"compaction", "approval"};
    enum event_id id = EVENT_agent;

    if (strcmp(stream, "tool") == 0) {
        stream_tool(turn, data);
        return;
    }
    for (size_t i = 0; i < COUNT(logged); i++) {
        if (strcmp(logged[i], stream) == 0)
            id = EVENT_agent_log;
    }
    agent_emit(turn, NULL, &(struct agent_event){.id = id, .stream = stream, .data = data});
}
