/* Sessions as clients see them. One writer makes the rows of both protocol versions: v4 rows are v3
 * rows with more in them, and both kinds of client ignore what they do not know. protocol.md 4.1, 4.3. */
#include "gateway/session/row.h"

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/event/event.h"
#include "gateway/gateway.h"
#include "gateway/session/queue.h"
#include "gateway/session/turn.h"

#include <string.h>

#define ROW_MAX (256 * 1024) /* bytes of one sessions.changed payload */

const char *const row_texts[] = {
    "displayName",
    "channel",
    "subject",
    "groupChannel",
    "space",
    "chatType",
    "thinkingLevel",
    "verboseLevel",
    "reasoningLevel",
    "elevatedLevel",
    "sendPolicy",
    "responseUsage",
    "lastChannel",
    "lastTo",
    "lastAccountId",
    "spawnedBy",
    "parentSessionKey",
    "groupActivation",
    "execHost",
    "execSecurity",
    "execAsk",
    "execNode",
    NULL,
};
static const char *const row_numbers[] = {"inputTokens", "outputTokens", "totalTokens"};
static const char *const row_texts_v4[] = {
    "icon",      "color",          "category",   "statusNote", "attention", "createdVia",
    "lastRunId", "permissionMode", "traceLevel", "queueMode",  "queueDrop"};
static const char *const row_numbers_v4[] = {"startedAt",         "endedAt",         "runtimeMs",
                                             "lastInteractionAt", "archivedAt",      "pinnedAt",
                                             "spawnDepth",        "queueDebounceMs", "queueCap"};
static const char *const row_trees[] = {"origin", "deliveryContext"};

static void row_texts_write(const struct session *s, const char *const *names, size_t count,
                            struct json_writer *w)
{
    for (size_t i = 0; i < count && names[i]; i++)
        jw_kstr(w, names[i], session_text(s, names[i], NULL));
}

static void row_numbers_write(const struct session *s, const char *const *names, size_t count,
                              struct json_writer *w)
{
    for (size_t i = 0; i < count; i++) {
        if (json_get(s->entry, names[i]))
            jw_kint(w, names[i], session_number(s, names[i], 0));
    }
}

/* The best short name there is: what a person or channel gave, else the first words said. */
static const char *row_title(const struct session *s)
{
    const char *title = session_text(s, "displayName", s->label);

    return title ? title : session_text(s, "subject", session_text(s, "derivedTitle", NULL));
}

static void row_write_model(struct gateway *gw, const struct session *s, const char *agent_id,
                            struct json_writer *w)
{
    struct model_name ref;

    agent_model(gw, s, agent_id, &ref);
    jw_kstr(w, "modelProvider", ref.provider);
    jw_kstr(w, "model", ref.model);
}

/* The model's window, where it is known; null tells v3 clients that it is not. */
static void row_write_window(struct gateway *gw, const struct session *s, const char *agent_id,
                             bool nulls, struct json_writer *w)
{
    struct model_name ref;
    int64_t window;

    agent_model(gw, s, agent_id, &ref);
    window = model_context_window(gw, ref.provider, ref.model);
    if (window > 0)
        jw_kint(w, "contextTokens", window);
    else if (nulls)
        jw_knull(w, "contextTokens"); /* protocol.md 4.1: number or null */
}

static void row_write_active(struct gateway *gw, const char *key, struct json_writer *w)
{
    jw_kbool(w, "hasActiveRun", turn_active(gw, key));
    jw_key(w, "activeRunIds");
    turn_write_run_ids(gw, key, w);
}

static void row_write_v4(struct gateway *gw, const char *key, const struct session *s,
                         const char *agent, const struct key_rules *rules, struct json_writer *w)
{
    jw_kstr(w, "agentId", agent);
    jw_kstr(w, "classification", key_classification(rules, key));
    jw_kbool(w, "isMain", key_is_main(rules, key));
    jw_kbool(w, "isBackground", false);
    jw_kbool(w, "archived", s && session_flag(s, "archived"));
    jw_kbool(w, "pinned", s && session_flag(s, "pinned"));
    jw_kbool(w, "unread", s && session_flag(s, "unread"));
    jw_kbool(w, "totalTokensFresh", s && json_get(s->entry, "totalTokens"));
    jw_kint(w, "snapshotAt", loop_wall(gw->loop));
    row_write_active(gw, key, w);
    if (!s)
        return;
    jw_kstr(w, "visibility", "shared");
    jw_kint(w, "createdAt", s->created_at);
    jw_kstr(w, "status", turn_active(gw, key) ? "running" : session_text(s, "status", NULL));
    row_texts_write(s, row_texts_v4, COUNT(row_texts_v4), w);
    row_numbers_write(s, row_numbers_v4, COUNT(row_numbers_v4), w);
    jw_ktree(w, "fastMode", json_get(s->entry, "fastMode"));
    jw_kstr(w, "effectiveQueueMode", queue_modes[queue_rules_of(gw, s).mode]);
    jw_ktree(w, "estimatedCostUsd", json_get(s->entry, "estimatedCostUsd"));
}

void row_write(struct gateway *gw, const char *key, const struct session *s,
               const struct row_options *options, struct json_writer *w)
{
    struct key_rules rules = session_rules(gw);
    char agent[AGENT_ID_MAX + 1];

    key_agent(&rules, key, agent);
    jw_object(w);
    jw_kstr(w, "key", key);
    jw_kstr(w, "kind", key_kind(key));
    if (!s)
        jw_knull(w, "updatedAt");
    else
        jw_kint(w, "updatedAt", s->updated_at);
    row_write_model(gw, s, agent, w);
    if (s) {
        jw_kstr(w, "sessionId", s->session_id);
        jw_kstr(w, "label", s->label);
        jw_kbool(w, "systemSent", session_flag(s, "systemSent"));
        jw_kbool(w, "abortedLastRun", session_flag(s, "abortedLastRun"));
        row_texts_write(s, row_texts, SIZE_MAX, w);
        row_numbers_write(s, row_numbers, COUNT(row_numbers), w);
        row_write_window(gw, s, agent, false, w);
        for (size_t i = 0; i < COUNT(row_trees); i++)
            jw_ktree(w, row_trees[i], json_get(s->entry, row_trees[i]));
        if (options->title)
            jw_kstr(w, "derivedTitle", row_title(s));
        if (options->last)
            jw_kstr(w, "lastMessagePreview", session_text(s, "lastMessagePreview", NULL));
    }
    if (options->version >= 4)
        row_write_v4(gw, key, s, agent, &rules, w);
    jw_object_end(w);
}

void row_write_entry(const struct session *s, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "sessionId", s->session_id);
    jw_kint(w, "updatedAt", s->updated_at);
    jw_kint(w, "createdAt", s->created_at);
    jw_kstr(w, "label", s->label);
    json_each (member, s->entry)
        jw_ktree(w, json_key(member), member);
    jw_object_end(w);
}

void row_write_defaults(struct gateway *gw, int version, struct json_writer *w)
{
    jw_object(w);
    row_write_model(gw, NULL, session_default_agent(gw), w);
    row_write_window(gw, NULL, session_default_agent(gw), version < 4, w);
    jw_object_end(w);
}

void row_write_resolved(struct gateway *gw, const struct session *s, struct json_writer *w)
{
    jw_object(w);
    row_write_model(gw, s, s->agent_id, w);
    jw_object_end(w);
}

/* ---- the status method's rows ---- */

static void row_kint_or_null(struct json_writer *w, const char *name, bool known, int64_t number)
{
    if (known)
        jw_kint(w, name, number);
    else
        jw_knull(w, name);
}

/* How full the model's window is. protocol.md 4.1: each a number or null. */
static void row_write_use(const struct session *s, int64_t window, struct json_writer *w)
{
    bool counted = json_get(s->entry, "totalTokens"), both = counted && window > 0;
    int64_t total = session_number(s, "totalTokens", 0);

    row_kint_or_null(w, "totalTokens", counted, total);
    row_kint_or_null(w, "remainingTokens", both, total < window ? window - total : 0);
    row_kint_or_null(w, "percentUsed", both, window > 0 ? total * 100 / window : 0);
    row_kint_or_null(w, "contextTokens", window > 0, window);
}

static void row_write_status(struct gateway *gw, const struct session *s, struct json_writer *w)
{
    static const char *const levels[] = {"thinkingLevel", "verboseLevel", "reasoningLevel",
                                         "elevatedLevel"};
    int64_t now = loop_wall(gw->loop);
    struct model_name model;

    agent_model(gw, s, s->agent_id, &model);
    jw_object(w);
    jw_kstr(w, "agentId", s->agent_id);
    jw_kstr(w, "key", s->key);
    jw_kstr(w, "kind", key_kind(s->key));
    jw_kstr(w, "sessionId", s->session_id);
    jw_kint(w, "updatedAt", s->updated_at);
    jw_kint(w, "age", now > s->updated_at ? now - s->updated_at : 0);
    row_texts_write(s, levels, COUNT(levels), w);
    jw_kbool(w, "systemSent", session_flag(s, "systemSent"));
    jw_kbool(w, "abortedLastRun", session_flag(s, "abortedLastRun"));
    row_numbers_write(s, row_numbers, 2, w); /* inputTokens, outputTokens */
    row_write_use(s, model_context_window(gw, model.provider, model.model), w);
    jw_kstr(w, "model", model.model);
    jw_karray(w, "flags");
    if (session_flag(s, "abortedLastRun"))
        jw_str(w, "aborted");
    jw_array_end(w);
    jw_object_end(w);
}

void session_write_status(struct gateway *gw, const char *agent_id, int limit,
                          struct json_writer *w)
{
    jw_array(w);
    for (const struct session *s = session_newest(gw); s && limit > 0; s = s->older) {
        if (agent_id && strcmp(s->agent_id, agent_id) != 0)
            continue;
        row_write_status(gw, s, w);
        limit--;
    }
    jw_array_end(w);
}

char *row_store_path(struct gateway *gw)
{
    return mem_format("%s/culvert.db", gw->state_dir ? gw->state_dir : "");
}

/* ---- sessions.changed ---- */

static void row_emit(struct gateway *gw, struct store_batch *batch, const char *key,
                     struct buf *payload)
{
    struct bytes *bytes = bytes_from_buf(payload);

    if (!fails(bytes != NULL))
        event_emit_in(
            gw, batch,
            &(struct event){.id = EVENT_sessions_changed, .session_key = key, .payload = bytes});
    bytes_unref(bytes);
    buf_done(payload);
}

void row_emit_changed(struct gateway *gw, struct store_batch *batch, const struct session *s,
                      const char *reason, const char *phase, const char *run_id)
{
    struct row_options all = {.version = 4, .title = true, .last = true};
    struct json_writer w;
    struct buf b;

    buf_init(&b, ROW_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "sessionKey", s->key);
    jw_kstr(&w, "agentId", s->agent_id);
    jw_kstr(&w, "reason", reason);
    jw_kstr(&w, "phase", phase);
    jw_kstr(&w, "runId", run_id);
    jw_kint(&w, "ts", loop_wall(gw->loop));
    jw_kstr(&w, "sessionId", s->session_id);
    jw_kint(&w, "updatedAt", s->updated_at);
    jw_kstr(&w, "label", s->label);
    jw_key(&w, "session");
    row_write(gw, s->key, s, &all, &w);
    jw_object_end(&w);
    row_emit(gw, batch, s->key, &b);
}

void row_emit_removed(struct gateway *gw, struct store_batch *batch, const char *key,
                      const char *agent_id)
{
    struct json_writer w;
    struct buf b;

    buf_init(&b, ROW_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "sessionKey", key);
    jw_kstr(&w, "agentId", agent_id);
    jw_kstr(&w, "reason", "delete");
    jw_kint(&w, "ts", loop_wall(gw->loop));
    jw_object_end(&w);
    row_emit(gw, batch, key, &b);
}
