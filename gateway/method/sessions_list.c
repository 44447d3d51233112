/* sessions.list, preview, resolve, describe: all from the memory table, but for preview's texts, which
 * are read one session after the other. protocol.md 4.1, 4.3. */
#include "gateway/method/sessions.h"

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/session/row.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LIST_DEFAULT_V4 100
#define LIST_MAX        1000 /* rows of one answer; v3 has no paging and gets the newest */

/* ---- sessions.list ---- */

static const char *const list_sorts[] = {"updatedAt", "lastInteractionAt", "activity", NULL};
static const char *const archived_names[] = {"all", NULL};
const struct field sessions_list_fields[] = {
    K_INT(sessions_list, "limit", limit, OPTIONAL, 1, 1e9, 0),
    K_INT(sessions_list, "offset", offset, OPTIONAL, 0, 1e9, 0),
    K_INT(sessions_list, "activeMinutes", active_minutes, OPTIONAL, 1, 1e9, 0),
    K_BOOL(sessions_list, "includeGlobal", include_global, false),
    K_BOOL(sessions_list, "includeUnknown", include_unknown, false),
    K_BOOL(sessions_list, "configuredAgentsOnly", configured_only, false),
    K_BOOL(sessions_list, "includeDerivedTitles", titles, false),
    K_BOOL(sessions_list, "includeLastMessage", last, false),
    K_BOOL(sessions_list, "hasBoard", has_board, false),
    K_BOOL(sessions_list, "excludeSubagents", no_subagents, false),
    K_ENUM(sessions_list, "sortBy", sort, list_sorts, 0),
    K_STR(sessions_list, "label", label, FIELD_NONEMPTY, SESSION_LABEL_MAX),
    K_STR(sessions_list, "spawnedBy", spawned_by, FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_list, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_list, "search", search, OPTIONAL, 1000),
    K_CHOICE(sessions_list, "archived", archived, archived_names),
    F_END,
};
static const struct field row_fields[] = {R_STR("key", REQUIRED), R_STR("kind", REQUIRED), F_END};
static const struct field defaults_fields[] = {
    R_STR("modelProvider", FIELD_NULLABLE),
    R_STR("model", FIELD_NULLABLE),
    R_INT("contextTokens", FIELD_NULLABLE),
    F_END,
};
const struct field sessions_list_reply[] = {
    R_INT("ts", REQUIRED),
    R_STR("path", REQUIRED),
    R_INT("count", REQUIRED),
    R_OBJECT("defaults", REQUIRED, defaults_fields),
    R_OBJECTS("sessions", REQUIRED, row_fields),
    R_INT("totalCount", OPTIONAL),
    R_INT("limitApplied", OPTIONAL),
    R_INT("nextOffset", FIELD_NULLABLE),
    R_BOOL("hasMore", OPTIONAL),
    R_ARRAY("owners", OPTIONAL),
    F_END,
};

static bool list_contains(const char *text, const char *part)
{
    return text && strcasestr(text, part);
}

static bool list_found(const struct session *s, const char *search)
{
    static const char *const names[] = {"displayName", "subject", "derivedTitle", "channel"};

    if (list_contains(s->key, search) || list_contains(s->label, search) ||
        list_contains(s->session_id, search))
        return true;
    for (size_t i = 0; i < COUNT(names); i++) {
        if (list_contains(session_text(s, names[i], NULL), search))
            return true;
    }
    return false;
}

static bool list_archived(const struct session *s, const struct json *wanted)
{
    if (json_kind(wanted) == JSON_STRING && strcmp(json_string(wanted, ""), "all") == 0)
        return true;
    return session_flag(s, "archived") == json_boolean(wanted, false);
}

static bool list_matches(struct gateway *gw, const struct session *s, const struct sessions_list *p)
{
    int64_t since = p->active_minutes ? loop_wall(gw->loop) - p->active_minutes * 60000 : INT64_MIN;

    if (p->has_board) /* no session has one: there are no boards here */
        return false;
    if (p->no_subagents && strstr(s->key, ":subagent:"))
        return false;
    if (s->updated_at < since || !list_archived(s, p->archived))
        return false;
    if ((strcmp(s->key, "global") == 0 && !p->include_global) ||
        (strcmp(s->key, "unknown") == 0 && !p->include_unknown))
        return false;
    if (p->agent_id && strcasecmp(s->agent_id, p->agent_id) != 0)
        return false;
    if (p->configured_only && !agent_exists(gw, s->agent_id))
        return false;
    if (p->label && (!s->label || strcmp(s->label, p->label) != 0))
        return false;
    if (p->spawned_by && strcmp(session_text(s, "spawnedBy", ""), p->spawned_by) != 0)
        return false;
    return !p->search || !*p->search || list_found(s, p->search);
}

static int list_by_interaction(const void *a, const void *b)
{
    int64_t x = session_number(*(const struct session *const *)a, "lastInteractionAt", 0);
    int64_t y = session_number(*(const struct session *const *)b, "lastInteractionAt", 0);

    return x < y ? 1 : x > y ? -1 : 0;
}

struct list_page {
    const struct session **all;
    size_t total, first, count;
};

static void list_select(struct gateway *gw, const struct sessions_list *p, int version,
                        struct list_page *page)
{
    size_t limit = p->limit ? (size_t)p->limit : version >= 4 ? LIST_DEFAULT_V4 : LIST_MAX;

    page->all = mem_array(session_count(gw) + 1, sizeof(*page->all));
    for (const struct session *s = session_newest(gw); s; s = s->older) {
        if (list_matches(gw, s, p))
            page->all[page->total++] = s;
    }
    if (p->sort > 0)
        qsort(page->all, page->total, sizeof(*page->all), list_by_interaction);
    page->first = (size_t)p->offset < page->total ? (size_t)p->offset : page->total;
    page->count = page->total - page->first;
    if (limit > LIST_MAX)
        limit = LIST_MAX;
    if (page->count > limit)
        page->count = limit;
}

static void list_write_paging(const struct sessions_list *p, const struct list_page *page,
                              struct json_writer *w)
{
    bool more = page->first + page->count < page->total;

    jw_kint(w, "totalCount", (int64_t)page->total);
    jw_kint(w, "limitApplied",
            p->limit && p->limit < LIST_MAX ? p->limit
            : p->limit                      ? LIST_MAX
                                            : LIST_DEFAULT_V4);
    if (more)
        jw_kint(w, "nextOffset", (int64_t)(page->first + page->count));
    else
        jw_knull(w, "nextOffset"); /* protocol.md 4.3: number or null */
    jw_kbool(w, "hasMore", more);
    jw_karray(w, "owners");
    jw_array_end(w);
}

int sessions_list_run(struct call *call, const void *params)
{
    const struct sessions_list *p = params;
    struct gateway *gw = call_gateway(call);
    struct row_options options = {
        .version = call_version(call), .title = p->titles, .last = p->last};
    CLEAN(mem_free) char *path = row_store_path(gw);
    struct list_page page = {0};
    struct json_writer *w = call_reply(call);

    list_select(gw, p, options.version, &page);
    jw_object(w);
    jw_kint(w, "ts", loop_wall(gw->loop));
    jw_kstr(w, "path", path);
    jw_kint(w, "count", (int64_t)page.count);
    if (options.version >= 4)
        list_write_paging(p, &page, w);
    jw_key(w, "defaults");
    row_write_defaults(gw, options.version, w);
    jw_karray(w, "sessions");
    for (size_t i = 0; i < page.count; i++)
        row_write(gw, page.all[page.first + i]->key, page.all[page.first + i], &options, w);
    jw_array_end(w);
    jw_object_end(w);
    mem_free(page.all);
    return call_send(call);
}

/* ---- sessions.describe ---- */

const struct field sessions_describe_fields[] = {
    K_STR(sessions_describe, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_BOOL(sessions_describe, "includeDerivedTitles", titles, false),
    K_BOOL(sessions_describe, "includeLastMessage", last, false),
    F_END,
};
const struct field sessions_describe_reply[] = {
    {.key = "session",
     .kind = FIELD_OBJECT,
     .flags = FIELD_REQUIRED | FIELD_NULLABLE,
     .set_at = FIELD_NO_SET,
     .sub = row_fields},
    F_END,
};

int sessions_describe_run(struct call *call, const void *params)
{
    const struct sessions_describe *p = params;
    struct gateway *gw = call_gateway(call);
    struct row_options options = {.version = 4, .title = p->titles, .last = p->last};
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};
    struct session *session;
    struct json_writer *w;

    if (session_canonical(gw, p->key, NULL, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    session = session_find(gw, key);
    w = call_reply(call);
    jw_object(w);
    jw_key(w, "session");
    if (session)
        row_write(gw, key, session, &options, w);
    else
        jw_null(w);
    jw_object_end(w);
    return call_send(call);
}

/* ---- sessions.resolve ---- */

const struct field sessions_resolve_fields[] = {
    K_STR(sessions_resolve, "key", key, OPTIONAL, KEY_CAP),
    K_STR(sessions_resolve, "sessionId", session_id, OPTIONAL, 128),
    K_STR(sessions_resolve, "label", label, OPTIONAL, SESSION_LABEL_MAX),
    K_STR(sessions_resolve, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_resolve, "spawnedBy", spawned_by, FIELD_NONEMPTY, KEY_CAP),
    K_BOOL(sessions_resolve, "includeGlobal", include_global, false),
    K_BOOL(sessions_resolve, "includeUnknown", include_unknown, false),
    K_BOOL(sessions_resolve, "allowMissing", allow_missing, false),
    F_END,
};
const struct field sessions_resolve_reply[] = {
    R_BOOL("ok", REQUIRED),
    R_STR("key", OPTIONAL),
    R_STR("agentId", OPTIONAL),
    F_END,
};

static bool resolve_matches(const struct session *s, const struct sessions_resolve *p)
{
    if (p->agent_id && strcasecmp(s->agent_id, p->agent_id) != 0)
        return false;
    if (p->spawned_by && strcmp(session_text(s, "spawnedBy", ""), p->spawned_by) != 0)
        return false;
    if (p->session_id)
        return strcmp(s->session_id, p->session_id) == 0;
    return s->label && strcmp(s->label, p->label) == 0;
}

static int resolve_by_key(struct gateway *gw, const struct sessions_resolve *p,
                          const struct session **ret, struct fault *fault)
{
    char key[SESSION_KEY_MAX + 1];
    int r = session_canonical(gw, p->key, p->agent_id, key, fault);

    if (r == 0)
        *ret = session_find(gw, key);
    return r;
}

int sessions_resolve_run(struct call *call, const void *params)
{
    const struct sessions_resolve *p = params;
    const char *asked = p->key ? p->key : p->session_id ? p->session_id : p->label;
    struct gateway *gw = call_gateway(call);
    const struct session *found = NULL;
    struct fault fault = {0};
    struct json_writer *w;

    if (!asked)
        return call_fail(call, WIRE_INVALID_REQUEST, "Either key, sessionId, or label is required");
    if ((p->key != NULL) + (p->session_id != NULL) + (p->label != NULL) > 1)
        return call_fail(call, WIRE_INVALID_REQUEST,
                         "Provide either key, sessionId, or label (not multiple)");
    if (p->key && resolve_by_key(gw, p, &found, &fault) < 0)
        return call_fail_fault(call, &fault);
    for (const struct session *s = p->key ? NULL : session_newest(gw); s; s = s->older) {
        if (!resolve_matches(s, p))
            continue;
        if (found)
            return call_fail(call, WIRE_INVALID_REQUEST,
                             "Multiple sessions found for %s: %s (%s, %s)",
                             p->session_id ? "sessionId" : "label", asked, found->key, s->key);
        found = s;
    }
    if (!found && !p->allow_missing)
        return call_fail(call, WIRE_INVALID_REQUEST, "No session found: %s", asked);
    w = call_reply(call);
    jw_object(w);
    jw_kbool(w, "ok", found != NULL);
    jw_kstr(w, "key", found ? found->key : NULL);
    if (call_version(call) >= 4)
        jw_kstr(w, "agentId", found ? found->agent_id : NULL);
    jw_object_end(w);
    return call_send(call);
}
