/* Path: compact_session holds the lane and gathers the transcript; compact_on_gathered asks for the
 * summary; compact_on_compacted tells. Owns the hold and whatever runs; a stop ends it at any point. */
#include "gateway/agent/compact.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/agent/gather.h"
#include "gateway/event/event.h"
#include "gateway/gateway.h"
#include "gateway/session/turn.h"

#include <string.h>

#define COMPACT_MAGIC 0x636d7061u
#define EVENT_MAX     (64 * 1024)

struct compact {
    uint32_t magic;
    struct gateway *gw;
    struct turn_hold hold;
    char *session_key, *session_id, *agent_id, *focus;
    char id[UUID_TEXT]; /* of the operation, and of its `agent` events */
    struct model_name model;
    bool model_chosen;
    struct gather *gather;
    struct compaction *compaction;
    struct prompt prompt;
    int64_t seq;
    compact_fn *fn;
    void *arg;
};

static void compact_on_gathered(void *arg, int result, struct gathered *out,
                                const struct fault *fault);
static void compact_on_compacted(void *arg, int result, const struct compaction_result *out,
                                 const struct fault *fault);
static void compact_on_stop(void *arg, const char *reason);

/* ---- what is heard of it ---- */

static void compact_emit(struct compact *compact, enum event_id id, struct buf *b)
{
    CLEAN(bytes_unref) struct bytes *payload = bytes_from_buf(b);

    buf_done(b);
    if (!fails(payload != NULL))
        event_emit(
            compact->gw,
            &(struct event){.id = id, .session_key = compact->session_key, .payload = payload});
}

/* session.operation, for those who watch the list of sessions. */
static void compact_tell_operation(struct compact *compact, const char *phase, int result,
                                   const char *reason)
{
    bool end = strcmp(phase, "end") == 0;
    struct json_writer w;
    struct buf b;

    buf_init(&b, EVENT_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "operationId", compact->id);
    jw_kstr(&w, "operation", "compact");
    jw_kstr(&w, "phase", phase);
    jw_kstr(&w, "sessionKey", compact->session_key);
    jw_kstr(&w, "agentId", compact->agent_id);
    if (end)
        jw_kbool(&w, "completed", result == 0);
    jw_kstr(&w, "reason", result < 0 ? reason : NULL);
    jw_kint(&w, "ts", loop_wall(compact->gw->loop));
    jw_object_end(&w);
    compact_emit(compact, EVENT_session_operation, &b);
}

/* The `compaction` stream of protocol.md 6.3, for those who watch the session. */
static void compact_tell_stream(struct compact *compact, const char *data)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, EVENT_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "runId", compact->id);
    jw_kint(&w, "seq", ++compact->seq);
    jw_kstr(&w, "stream", "compaction");
    jw_kint(&w, "ts", loop_wall(compact->gw->loop));
    jw_kraw(&w, "data", data);
    jw_kstr(&w, "sessionKey", compact->session_key);
    jw_kstr(&w, "sessionId", compact->session_id);
    jw_kstr(&w, "agentId", compact->agent_id);
    jw_object_end(&w);
    compact_emit(compact, EVENT_agent, &b);
}

/* ---- life ---- */

static void compact_free(struct compact *compact)
{
    gather_drop(compact->gather);
    compaction_drop(compact->compaction);
    prompt_done(&compact->prompt);
    turn_release(&compact->hold);
    mem_free(compact->session_key);
    mem_free(compact->session_id);
    mem_free(compact->agent_id);
    mem_free(compact->focus);
    compact->magic = 0;
    mem_free(compact);
}

/* Its own are told first, then the lane is free. */
static void compact_end(struct compact *compact, int result, const struct compaction_result *out,
                        const struct fault *fault)
{
    compact_tell_stream(
        compact, result == 0 ? "{\"phase\":\"end\",\"willRetry\":false,\"completed\":true}"
                             : "{\"phase\":\"end\",\"willRetry\":false,\"completed\":false}");
    compact_tell_operation(compact, "end", result, fault->text);
    compact->fn(compact->arg, result, out, fault);
    compact_free(compact);
}

static void compact_on_stop(void *arg, const char *reason)
{
    struct compact *compact = arg;
    struct compaction_result none = {.usage = {-1, -1, -1, -1}};
    struct fault fault = {0};

    CHECK(compact, COMPACT_MAGIC);
    fault_set(&fault, -ERR_CANCELLED, "the summary was stopped (%s); nothing was changed", reason);
    compact_end(compact, -ERR_CANCELLED, &none, &fault);
}

/* ---- 1. the lane, the transcript ---- */

static struct compact *compact_new(struct gateway *gw, struct session *session, const char *focus,
                                   compact_fn *fn, void *arg)
{
    struct compact *compact = NEW(struct compact);

    compact->magic = COMPACT_MAGIC;
    compact->gw = gw;
    compact->fn = fn;
    compact->arg = arg;
    compact->session_key = mem_string(session->key);
    compact->session_id = mem_string(session->session_id);
    compact->agent_id = mem_string(session->agent_id);
    compact->focus = mem_string(focus);
    compact->hold.stop = compact_on_stop;
    compact->hold.arg = compact;
    compact->model_chosen = session_text(session, "providerOverride", NULL) != NULL;
    agent_model(gw, session, session->agent_id, &compact->model);
    crypto_uuid(compact->id);
    prompt_init(&compact->prompt);
    return compact;
}

/* NULL with a fault: there is nothing to summarise, or nobody who could. */
static struct compact *compact_prepare(struct gateway *gw, const char *session_key,
                                       const char *focus, compact_fn *fn, void *arg,
                                       struct fault *reterr_fault)
{
    struct session *session = session_find(gw, session_key);
    const struct agent_kind *kind = session ? agent_kind_of(gw, session->agent_id) : NULL;

    if (!session || session->message_count == 0) {
        fault_set(reterr_fault, -ERR_NOT_FOUND, "nothing was said in session %s yet", session_key);
        return NULL;
    }
    if (!kind || strcmp(kind->name, "builtin") != 0) {
        fault_set(reterr_fault, -ERR_UNSUPPORTED,
                  "agent %s (%s) keeps its conversation itself; only the built-in agent's "
                  "can be summarised here",
                  session->agent_id, kind ? kind->name : "of no kind");
        return NULL;
    }
    return compact_new(gw, session, focus, fn, arg);
}

static void compact_begin(struct compact *compact)
{
    compact_tell_operation(compact, "start", 0, NULL);
    compact_tell_stream(compact, "{\"phase\":\"start\"}");
    compact->gather =
        gather_start(compact->gw, &(struct gather_request){.session_id = compact->session_id},
                     compact_on_gathered, compact);
}

int compact_session(struct gateway *gw, const char *session_key, const char *focus, compact_fn *fn,
                    void *arg, struct fault *reterr_fault)
{
    struct compact *compact = compact_prepare(gw, session_key, focus, fn, arg, reterr_fault);
    int r;

    if (!compact)
        return reterr_fault->code;
    if ((r = turn_hold(gw, session_key, &compact->hold, reterr_fault)) < 0) {
        compact_free(compact);
        return r;
    }
    compact_begin(compact);
    return 0;
}

struct compact *compact_in_turn(struct gateway *gw, const char *session_key, const char *focus,
                                compact_fn *fn, void *arg, struct fault *reterr_fault)
{
    struct compact *compact = compact_prepare(gw, session_key, focus, fn, arg, reterr_fault);

    if (compact)
        compact_begin(compact);
    return compact;
}

struct compact *compact_drop(struct compact *compact)
{
    if (compact) {
        compact_tell_stream(compact, "{\"phase\":\"end\",\"willRetry\":false,\"completed\":false}");
        compact_tell_operation(compact, "end", -ERR_CANCELLED, "stopped; nothing was changed");
        compact_free(compact);
    }
    return NULL;
}

/* ---- 2. the summary ---- */

static void compact_on_gathered(void *arg, int result, struct gathered *out,
                                const struct fault *fault)
{
    struct compaction_result none = {.usage = {-1, -1, -1, -1}};
    struct compact *compact = arg;

    CHECK(compact, COMPACT_MAGIC);
    compact->gather = NULL;
    if (result < 0) {
        compact_end(compact, result, &none, fault);
        return;
    }
    prompt_done(&compact->prompt);
    compact->prompt = out->prompt;
    out->prompt = (struct prompt){0};
    gathered_done(out);
    compact->compaction =
        compaction_start(compact->gw,
                         &(struct compaction_request){
                             .session_key = compact->session_key,
                             .session_id = compact->session_id,
                             .agent_id = compact->agent_id,
                             .model = &compact->model,
                             .model_chosen = compact->model_chosen,
                             .prompt = &compact->prompt,
                             .keep = compaction_keep(compact->gw, compact->prompt.tokens / 3 * 2),
                             .focus = compact->focus,
                         },
                         compact_on_compacted, compact);
}

/* ---- 3. the end ---- */

static void compact_on_compacted(void *arg, int result, const struct compaction_result *out,
                                 const struct fault *fault)
{
    struct compact *compact = arg;

    CHECK(compact, COMPACT_MAGIC);
    compact->compaction = NULL;
    compact_end(compact, result, out, fault);
}
