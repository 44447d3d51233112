/* agents_list, sessions_list, session_status: what exists, from memory. */
#include "gateway/tools/ops.h"

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/session/turn.h"
#include "gateway/tools/visibility.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define LIST_DEFAULT 100
#define LIST_MAX     200
#define LIST_BYTES   (48u * 1024) /* of the rows: with the pretty print's blanks still one result */
#define READ_MS      10000

/* A tree from what a writer printed. */
static struct json *tree_of(struct buf *b)
{
    struct json *tree = json_parse(b->data, b->length, NULL);

    require(tree != NULL);
    buf_done(b);
    return tree;
}

static void write_model(struct gateway *gw, const char *agent_id, const struct session *session,
                        struct json_writer *w)
{
    char name[2 * MODEL_NAME_MAX + 2];
    struct model_name model;

    agent_model(gw, session, agent_id, &model);
    snprintf(name, sizeof(name), "%s/%s", model.provider, model.model);
    jw_kstr(w, "model", name);
}

/* ---- agents_list ---- */

struct agents_list {
    char nothing;
};
static const struct field agents_list_fields[] = {F_END};

static void agents_list_start(struct tool_call *call, const void *params)
{
    struct gateway *gw = tool_call_gateway(call);
    struct json_writer w;
    struct buf b;

    (void)params;
    buf_init(&b, 1 << 20);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "requester", tool_call_request(call)->agent_id);
    jw_karray(&w, "agents");
    for (size_t i = 0; agent_at(gw, i); i++) {
        jw_object(&w);
        jw_kstr(&w, "id", agent_at(gw, i));
        jw_kstr(&w, "name", agent_name(gw, agent_at(gw, i)));
        write_model(gw, agent_at(gw, i), NULL, &w);
        jw_object_end(&w);
    }
    jw_array_end(&w);
    jw_object_end(&w);
    tool_end_json(call, tree_of(&b));
}

/* ---- sessions_list ---- */

struct sessions_list {
    int64_t limit, offset, active_minutes;
    const char *agent_id, *label, *search;
    bool archived;
};
static const struct field sessions_list_fields[] = {
    A_INT(sessions_list, "limit", limit, OPTIONAL, 1, 1e6, LIST_DEFAULT,
          "Most rows of one answer (at most 200 are given)."),
    A_INT(sessions_list, "offset", offset, OPTIONAL, 0, 1e9, 0,
          "Rows to pass over: nextOffset of the answer before."),
    A_INT(sessions_list, "activeMinutes", active_minutes, OPTIONAL, 1, 1e7, 0,
          "Only sessions with activity in so many minutes."),
    A_STR(sessions_list, "agentId", agent_id, FIELD_NONEMPTY, 128, "Only this agent's sessions."),
    A_STR(sessions_list, "label", label, FIELD_NONEMPTY, SESSION_LABEL_MAX,
          "Only the session with this label."),
    A_STR(sessions_list, "search", search, OPTIONAL, 1000,
          "Only sessions whose key, label or title holds this text."),
    A_BOOL(sessions_list, "archived", archived, OPTIONAL, 0,
           "True: the archived sessions instead of the others."),
    F_END,
};

static bool holds(const char *text, const char *part)
{
    return text && strcasestr(text, part);
}

static bool list_wants(struct gateway *gw, const struct session *s, const struct sessions_list *p)
{
    int64_t since = p->active_minutes ? loop_wall(gw->loop) - p->active_minutes * 60000 : INT64_MIN;

    return s->updated_at >= since && session_flag(s, "archived") == p->archived &&
           (!p->agent_id || strcasecmp(s->agent_id, p->agent_id) == 0) &&
           (!p->label || (s->label && strcmp(s->label, p->label) == 0)) &&
           (!p->search || !*p->search || holds(s->key, p->search) || holds(s->label, p->search) ||
            holds(session_text(s, "displayName", NULL), p->search) ||
            holds(session_text(s, "derivedTitle", NULL), p->search));
}

static void list_write_row(struct gateway *gw, const struct session *s, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "key", s->key);
    jw_kstr(w, "sessionId", s->session_id);
    jw_kstr(w, "agentId", s->agent_id);
    jw_kstr(w, "kind", key_kind(s->key));
    jw_kstr(w, "channel", session_text(s, "channel", NULL));
    jw_kstr(w, "label", s->label);
    jw_kstr(w, "title", session_text(s, "displayName", session_text(s, "derivedTitle", NULL)));
    jw_kint(w, "updatedAt", s->updated_at);
    write_model(gw, s->agent_id, s, w);
    if (json_get(s->entry, "totalTokens"))
        jw_kint(w, "totalTokens", session_number(s, "totalTokens", 0));
    jw_kint(w, "messages", s->message_count);
    jw_kbool(w, "running", turn_active(gw, s->key));
    jw_object_end(w);
}

static void sessions_list_start(struct tool_call *call, const void *params)
{
    const struct sessions_list *p = params;
    struct gateway *gw = tool_call_gateway(call);
    int64_t limit = p->limit < LIST_MAX ? p->limit : LIST_MAX, seen = 0, count = 0;
    bool more = false;
    struct json_writer w;
    struct buf b;

    buf_init(&b, 4u << 20);
    jw_init(&w, &b);
    jw_object(&w);
    jw_karray(&w, "sessions");
    for (const struct session *s = session_newest(gw); s; s = s->older) {
        if (!list_wants(gw, s, p) || !visibility_allows(gw, tool_call_request(call), s->key) ||
            seen++ < p->offset)
            continue;
        more = count == limit || b.length > LIST_BYTES;
        if (more)
            break;
        list_write_row(gw, s, &w);
        count++;
    }
    jw_array_end(&w);
    jw_kint(&w, "count", count);
    jw_kbool(&w, "hasMore", more);
    jw_kint(&w, "limitApplied", limit);
    if (more)
        jw_kint(&w, "nextOffset", p->offset + count);
    jw_object_end(&w);
    tool_end_json(call, tree_of(&b));
}

/* ---- session_status ---- */

struct session_status {
    const char *session_key;
};
static const struct field session_status_fields[] = {
    A_STR(session_status, "sessionKey", session_key, OPTIONAL, SESSION_KEY_MAX,
          "A session's key; \"current\" or absent: this one."),
    F_END,
};

static void write_moment(struct gateway *gw, struct buf *text)
{
    time_t now = (time_t)(loop_wall(gw->loop) / 1000);
    char when[64];
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(when, sizeof(when), "%A, %Y-%m-%d %H:%M UTC", &tm);
    buf_addf(text, "Current time: %s\n", when);
}

static void status_write(struct gateway *gw, const struct session *s, const char *key,
                         const char *agent_id, struct buf *text)
{
    struct model_name model;
    int64_t window;

    agent_model(gw, s, agent_id, &model);
    window = model_context_window(gw, model.provider, model.model);
    buf_addf(text, "Culvert %s\n", CULVERT_VERSION);
    write_moment(gw, text);
    buf_addf(text, "Session: %s%s\nAgent: %s\nModel: %s/%s\n", key,
             turn_active(gw, key) ? " (running)" : "", agent_id, model.provider, model.model);
    if (s)
        buf_addf(text, "Messages: %" PRId64 "\n", s->message_count);
    if (s && json_get(s->entry, "totalTokens"))
        buf_addf(text, "Context: %" PRId64 " tokens", session_number(s, "totalTokens", 0));
    else
        buf_add_str(text, "Context: not counted yet");
    if (window > 0)
        buf_addf(text, " of %" PRId64, window);
    buf_addf(text, "\nThinking: %s",
             s ? session_text(s, "thinkingLevel", "as the model is configured")
               : "as the model is configured");
}

static void session_status_start(struct tool_call *call, const void *params)
{
    const struct session_status *p = params;
    struct gateway *gw = tool_call_gateway(call);
    struct key_rules rules = session_rules(gw);
    char key[SESSION_KEY_MAX + 1], agent_id[AGENT_ID_MAX + 1];
    struct fault fault = {0};
    struct session *session;
    struct json *details;
    struct buf text;

    if (visibility_find(gw, tool_call_request(call), p->session_key, key, &session, &fault) < 0) {
        tool_end_fault(call, &fault);
        return;
    }
    key_agent(&rules, key, agent_id);
    buf_init(&text, 64 * 1024);
    status_write(gw, session, key, agent_id, &text);
    details = json_new_object();
    json_put(details, "ok", json_new_boolean(true));
    json_put(details, "sessionKey", json_new_string(key));
    json_put(details, "agentId", json_new_string(agent_id));
    json_put(details, "statusText", json_new_string(text.data));
    tool_end_text(call, text.data, text.length, details);
    buf_done(&text);
}

const struct tool tools_session_read[] = {
    {
        .name = "sessions_list",
        .label = "Sessions",
        .summary = "List visible sessions",
        .description =
            "List the sessions (conversations) that are visible from here, newest first, with key, "
            "label, model and activity.",
        .group = TOOL_GROUP_sessions,
        .profiles = TOOL_CODING | TOOL_MESSAGING,
        .params = sessions_list_fields,
        .params_size = sizeof(struct sessions_list),
        .flags = TOOL_PARALLEL,
        .timeout_ms = READ_MS,
        .start = sessions_list_start,
    },
    {
        .name = "session_status",
        .label = "Session Status",
        .summary = "Show a session's model, context and activity",
        .description = "Show the state of this or another session: current time, model, tokens in "
                       "its context, "
                       "whether it runs.",
        .group = TOOL_GROUP_sessions,
        .profiles = TOOL_MINIMAL | TOOL_CODING | TOOL_MESSAGING,
        .params = session_status_fields,
        .params_size = sizeof(struct session_status),
        .flags = TOOL_PARALLEL,
        .timeout_ms = READ_MS,
        .start = session_status_start,
    },
    {
        .name = "agents_list",
        .label = "Agents",
        .summary = "List the configured agents",
        .description = "List the agents of this gateway with their names and models.",
        .group = TOOL_GROUP_agents,
        .params = agents_list_fields,
        .params_size = sizeof(struct agents_list),
        .flags = TOOL_PARALLEL,
        .timeout_ms = READ_MS,
        .start = agents_list_start,
    },
    {0},
};
