/* The session table. Loaded whole at start, changed in memory and written through in the batch of
 * whatever changed it, so that what a client was told is on disk. Found by canonical key; kept in a
 * list by time of change, newest first, because that is how every list is asked for. */
#include "gateway/session/session.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"

#include <stdio.h>
#include <string.h>

#define LOG_SUBSYSTEM "session"
#include "base/log.h"

struct sessions {
    struct gateway *gw;
    struct index by_key;
    struct session *newest, *oldest;
};

/* ---- order: by updated_at, newest first ---- */

static void session_unlink(struct sessions *all, struct session *s)
{
    *(s->newer ? &s->newer->older : &all->newest) = s->older;
    *(s->older ? &s->older->newer : &all->oldest) = s->newer;
    s->newer = s->older = NULL;
}

/* A change is nearly always the newest: the walk from the front ends at once. */
static void session_link(struct sessions *all, struct session *s)
{
    struct session *after = NULL, *before = all->newest;

    while (before && before->updated_at > s->updated_at) {
        after = before;
        before = before->older;
    }
    s->newer = after;
    s->older = before;
    *(after ? &after->older : &all->newest) = s;
    *(before ? &before->newer : &all->oldest) = s;
}

/* ---- life ---- */

static struct session *session_free(struct session *s)
{
    if (!s)
        return NULL;
    json_free(s->entry);
    mem_free(s->key);
    mem_free(s->agent_id);
    mem_free(s->label);
    return mem_free(s);
}

static void session_load(void *arg, const struct store_session *row)
{
    struct sessions *all = arg;
    struct session *s = NEW(struct session);

    s->key = mem_string(row->key);
    s->agent_id = mem_string(row->agent_id);
    s->label = mem_string(row->label);
    snprintf(s->session_id, sizeof(s->session_id), "%s", row->session_id);
    s->created_at = row->created_at;
    s->updated_at = row->updated_at;
    s->message_count = row->message_count;
    if (row->entry)
        s->entry = json_parse(row->entry, strlen(row->entry), NULL);
    if (json_kind(s->entry) != JSON_OBJECT) {
        if (row->entry)
            log_warn("session %s: its stored entry is not an object; its settings are lost",
                     s->key);
        json_free(s->entry);
        s->entry = json_new_object();
    }
    index_put(&all->by_key, &s->node, s->key);
    /* Rows come in any order and may be many: sorted once, below. */
    s->older = all->newest;
    all->newest = s;
}

/* Merge sort of the singly linked chain (older) by updated_at, newest first. */
static struct session *session_sort(struct session *chain, size_t count)
{
    struct session *second = chain, *left, *right, **tail, *sorted = NULL;

    if (count < 2)
        return chain;
    for (size_t i = 1; i < count / 2; i++)
        second = second->older;
    right = second->older;
    second->older = NULL;
    left = session_sort(chain, count / 2);
    right = session_sort(right, count - count / 2);
    for (tail = &sorted; left && right; tail = &(*tail)->older) {
        struct session **from = left->updated_at >= right->updated_at ? &left : &right;

        *tail = *from;
        *from = (*from)->older;
    }
    *tail = left ? left : right;
    return sorted;
}

struct sessions *sessions_new(struct gateway *gw, struct fault *reterr_fault)
{
    struct sessions *all = NEW(struct sessions);
    int r;

    all->gw = gw;
    r = store_session_each(gw->store, session_load, all);
    if (r < 0) {
        fault_set(reterr_fault, r, "cannot load the sessions: %s", err_text(r));
        return sessions_free(all);
    }
    all->newest = session_sort(all->newest, all->by_key.count);
    for (struct session *s = all->newest; s; s = s->older) {
        s->newer = all->oldest;
        all->oldest = s;
    }
    return all;
}

struct sessions *sessions_free(struct sessions *all)
{
    struct session *next;

    if (!all)
        return NULL;
    for (struct session *s = all->newest; s; s = next) {
        next = s->older;
        session_free(s);
    }
    index_done(&all->by_key);
    return mem_free(all);
}

/* ---- keys ---- */

struct key_rules session_rules(struct gateway *gw)
{
    return (struct key_rules){
        .default_agent = session_default_agent(gw),
        .main_key = config_str(gw->config, KNOB_session_main_key),
        .global = strcmp(config_str(gw->config, KNOB_session_scope), "global") == 0,
    };
}

int session_canonical(struct gateway *gw, const char *key, const char *agent_id,
                      char out[SESSION_KEY_MAX + 1], struct fault *reterr_fault)
{
    struct key_rules rules = session_rules(gw);

    return key_canonical(&rules, key, agent_id, out, reterr_fault);
}

const char *session_default_agent(struct gateway *gw)
{
    return agent_at(gw, 0);
}

const char *session_agent_at(struct gateway *gw, size_t index)
{
    return agent_at(gw, index);
}

void session_main_key(struct gateway *gw, const char *agent_id, char out[SESSION_KEY_MAX + 1])
{
    struct key_rules rules = session_rules(gw);

    if (key_canonical(&rules, "main", agent_id, out, NULL) < 0)
        snprintf(out, SESSION_KEY_MAX + 1, "agent:main:main");
}

/* ---- the table ---- */

struct session *session_find(struct gateway *gw, const char *canonical_key)
{
    /* At shutdown the last answers of the store still ask, after the table is gone. */
    struct index_node *node =
        gw->sessions ? index_find(&gw->sessions->by_key, canonical_key) : NULL;

    return node ? CONTAINER(node, struct session, node) : NULL;
}

struct session *session_newest(struct gateway *gw)
{
    return gw->sessions->newest;
}

size_t session_count(const struct gateway *gw)
{
    return gw->sessions->by_key.count;
}

size_t session_count_of(const struct gateway *gw, const char *agent_id)
{
    size_t count = 0;

    if (!agent_id)
        return session_count(gw);
    for (const struct session *s = gw->sessions->newest; s; s = s->older)
        count += strcmp(s->agent_id, agent_id) == 0;
    return count;
}

struct session *session_by_label(struct gateway *gw, const char *label)
{
    for (struct session *s = gw->sessions->newest; s; s = s->older) {
        if (s->label && strcmp(s->label, label) == 0)
            return s;
    }
    return NULL;
}

struct session *session_ensure(struct gateway *gw, const char *canonical_key,
                               struct fault *reterr_fault)
{
    struct session *s = session_find(gw, canonical_key);
    struct key_rules rules = session_rules(gw);
    char agent[AGENT_ID_MAX + 1];

    if (s)
        return s;
    if (session_count(gw) >= SESSIONS_MAX) {
        fault_set(reterr_fault, -ERR_FULL,
                  "there are %d sessions, the most this gateway keeps; delete some first",
                  SESSIONS_MAX);
        return NULL;
    }
    key_agent(&rules, canonical_key, agent);
    s = NEW(struct session);
    s->key = mem_string(canonical_key);
    s->agent_id = mem_string(agent);
    s->entry = json_new_object();
    s->created_at = s->updated_at = loop_wall(gw->loop);
    crypto_uuid(s->session_id);
    index_put(&gw->sessions->by_key, &s->node, s->key);
    session_link(gw->sessions, s);
    return s;
}

int session_check_agent(struct gateway *gw, const char *canonical_key, struct fault *reterr_fault)
{
    struct key_rules rules = session_rules(gw);
    char agent[AGENT_ID_MAX + 1];

    key_agent(&rules, canonical_key, agent);
    if (agent_exists(gw, agent))
        return 0;
    return fault_set(reterr_fault, -ERR_INVALID, "Agent \"%s\" no longer exists in configuration",
                     agent);
}

void session_put(struct gateway *gw, struct session *s, struct store_batch *batch, bool touch)
{
    CLEAN(mem_free) char *entry = json_print(s->entry, false);

    if (touch) {
        s->updated_at = loop_wall(gw->loop);
        session_unlink(gw->sessions, s);
        session_link(gw->sessions, s);
    }
    store_session_put(batch, &(struct store_session){
                                 .key = s->key,
                                 .session_id = s->session_id,
                                 .agent_id = s->agent_id,
                                 .label = s->label,
                                 .entry = entry,
                                 .created_at = s->created_at,
                                 .updated_at = s->updated_at,
                                 .message_count = s->message_count,
                             });
}

void session_remove(struct gateway *gw, struct session *s, struct store_batch *batch)
{
    store_session_remove(batch, s->key);
    index_remove(&gw->sessions->by_key, &s->node);
    session_unlink(gw->sessions, s);
    session_free(s);
}

void session_renew(struct gateway *gw, struct session *s)
{
    static const char *const gone[] = {"derivedTitle", "lastMessagePreview", "lastInteractionAt",
                                       "systemSent",   "abortedLastRun",     "status",
                                       "lastRunId",    "startedAt",          "endedAt",
                                       "runtimeMs",    "firstSeq",           "estimatedCostUsd"};
    static const char *const zero[] = {"cacheRead",    "cacheWrite",  "inputTokens",
                                       "outputTokens", "totalTokens", "compactionCount"};

    for (size_t i = 0; i < COUNT(gone); i++)
        json_remove(s->entry, gone[i]);
    for (size_t i = 0; i < COUNT(zero); i++)
        session_set_number(s, zero[i], 0);
    crypto_uuid(s->session_id);
    s->message_count = 0;
    session_set_number(s, "sessionStartedAt", loop_wall(gw->loop));
}

void session_restart(struct gateway *gw, struct session *s, struct store_batch *batch)
{
    store_messages_drop(batch, s->session_id, INT64_MAX, true, loop_wall(gw->loop));
    session_renew(gw, s);
}

int session_set_model(struct gateway *gw, struct session *s, const char *model,
                      struct fault *reterr_fault)
{
    struct model_name ref;
    int r = model ? model_choose(gw, model, &ref, reterr_fault) : 0;

    if (r < 0)
        return r;
    session_set_text(s, "providerOverride", model ? ref.provider : NULL);
    session_set_text(s, "modelOverride", model ? ref.model : NULL);
    return 0;
}

/* ---- members of the entry ---- */

const char *session_text(const struct session *s, const char *name, const char *otherwise)
{
    return json_string(json_get(s->entry, name), otherwise);
}

int64_t session_number(const struct session *s, const char *name, int64_t otherwise)
{
    return json_integer(json_get(s->entry, name), otherwise);
}

bool session_flag(const struct session *s, const char *name)
{
    return json_boolean(json_get(s->entry, name), false);
}

void session_set_text(struct session *s, const char *name, const char *text)
{
    if (text)
        json_put(s->entry, name, json_new_string(text));
    else
        json_remove(s->entry, name);
}

void session_set_number(struct session *s, const char *name, int64_t number)
{
    json_put(s->entry, name, json_new_number((double)number));
}

void session_set_flag(struct session *s, const char *name, bool value)
{
    json_put(s->entry, name, json_new_boolean(value));
}

void session_write_recent(struct gateway *gw, const char *agent_id, int limit,
                          struct json_writer *w)
{
    int64_t now = loop_wall(gw->loop);

    jw_array(w);
    for (const struct session *s = session_newest(gw); s && limit > 0; s = s->older) {
        if (agent_id && strcmp(s->agent_id, agent_id) != 0)
            continue;
        jw_object(w);
        jw_kstr(w, "key", s->key);
        jw_kint(w, "updatedAt", s->updated_at);
        jw_kint(w, "age", now > s->updated_at ? now - s->updated_at : 0);
        jw_object_end(w);
        limit--;
    }
    jw_array_end(w);
}
