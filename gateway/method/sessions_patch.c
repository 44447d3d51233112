/* sessions.patch: one row per setting says what it may be, what is said when it is not, and whether a v4
 * client needs admin for it (protocol.md 3.3). Everything is checked before anything is changed.
 * protocol.md 4.1 Sessions. */
#include "gateway/method/sessions.h"

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/session/level.h"
#include "gateway/session/queue.h"
#include "gateway/session/row.h"
#include "gateway/session/turn.h"

#include <string.h>
#include <strings.h>

/* clang-format off */
const struct field sessions_patch_fields[] = {
    K_STR(sessions_patch, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_patch, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_patch, "expectedSessionId", session_id, FIELD_NONEMPTY, 128),
#define ROW(name) {.key = #name, .kind = FIELD_ANY, .flags = FIELD_NULLABLE, .at = offsetof(struct sessions_patch, name.value), .set_at = offsetof(struct sessions_patch, name.set)},
    PATCH_KEYS(ROW)
#undef ROW
    F_END,
};
/* clang-format on */
const struct field sessions_patch_reply[] = {
    R_BOOL("ok", REQUIRED),   R_STR("path", REQUIRED),     R_STR("key", REQUIRED),
    R_ANY("entry", REQUIRED), R_ANY("resolved", OPTIONAL), F_END,
};

/* ---- rows ---- */

struct patch_row;
/* 0, or -ERR_INVALID with the sentence. value is not null. */
typedef int patch_check_fn(const struct patch_row *row, struct gateway *gw,
                           const struct session *session, const struct json *value,
                           struct fault *fault);

struct patch_row {
    const char *name;
    size_t at;
    bool admin; /* v4: needs operator.admin; else write is enough */
    patch_check_fn *check;
    const char *const *allowed;               /* NULL-terminated */
    const char *off;                          /* this value is the same as clearing; NULL: none */
    const char *(*spelled)(const char *text); /* how it is kept; NULL: as given or in the list */
    int64_t low, high;                        /* of a number */
};

static int patch_invalid(const struct patch_row *row, struct fault *fault)
{
    struct buf b;

    buf_init(&b, 256);
    for (size_t i = 0; row->allowed && row->allowed[i]; i++)
        buf_addf(&b, "%s\"%s\"", i ? "|" : "", row->allowed[i]);
    fault_set(fault, -ERR_INVALID, "invalid %s (use %s)", row->name, b.data ? b.data : "text");
    buf_done(&b);
    return -ERR_INVALID;
}

static int check_allowed(const struct patch_row *row, struct gateway *gw,
                         const struct session *session, const struct json *value,
                         struct fault *fault)
{
    (void)gw;
    (void)session;
    for (size_t i = 0; row->allowed[i]; i++) {
        if (strcasecmp(json_string(value, ""), row->allowed[i]) == 0)
            return 0;
    }
    return patch_invalid(row, fault);
}

static int check_spelled(const struct patch_row *row, struct gateway *gw,
                         const struct session *session, const struct json *value,
                         struct fault *fault)
{
    (void)gw;
    (void)session;
    return row->spelled(json_string(value, "")) ? 0 : patch_invalid(row, fault);
}

static int check_number(const struct patch_row *row, struct gateway *gw,
                        const struct session *session, const struct json *value,
                        struct fault *fault)
{
    int64_t number = json_integer(value, row->low - 1);

    (void)gw;
    (void)session;
    if (number >= row->low && number <= row->high)
        return 0;
    return fault_set(fault, -ERR_INVALID, "invalid %s (use a number from %lld to %lld)", row->name,
                     (long long)row->low, (long long)row->high);
}

static int check_text(const struct patch_row *row, struct gateway *gw,
                      const struct session *session, const struct json *value, struct fault *fault)
{
    const char *text = json_string(value, "");

    (void)gw;
    (void)session;
    size_t characters = 0;

    for (const char *at = text; *at; at++)
        characters += ((unsigned char)*at & 0xc0) != 0x80;
    if (characters < 1 || characters > SESSION_LABEL_MAX)
        return fault_set(fault, -ERR_INVALID, "invalid %s: expected 1 to %d characters", row->name,
                         SESSION_LABEL_MAX);
    return 0;
}

static int check_flag(const struct patch_row *row, struct gateway *gw,
                      const struct session *session, const struct json *value, struct fault *fault)
{
    (void)gw;
    (void)session;
    if (json_kind(value) == JSON_BOOL)
        return 0;
    return fault_set(fault, -ERR_INVALID, "invalid %s (use true|false)", row->name);
}

static int check_fast_mode(const struct patch_row *row, struct gateway *gw,
                           const struct session *session, const struct json *value,
                           struct fault *fault)
{
    (void)gw;
    (void)session;
    if (json_kind(value) == JSON_BOOL || strcmp(json_string(value, ""), "auto") == 0)
        return 0;
    return fault_set(fault, -ERR_INVALID, "invalid %s (use true|false|\"auto\")", row->name);
}

static int check_label(const struct patch_row *row, struct gateway *gw,
                       const struct session *session, const struct json *value, struct fault *fault)
{
    const char *text = json_string(value, "");
    const struct session *other = session_by_label(gw, text);

    if (check_text(row, gw, session, value, fault) < 0)
        return -ERR_INVALID;
    if (other && other != session)
        return fault_set(fault, -ERR_INVALID, "label already in use: %s", text);
    return 0;
}

static int check_model(const struct patch_row *row, struct gateway *gw,
                       const struct session *session, const struct json *value, struct fault *fault)
{
    const char *text = json_string(value, "");
    struct model_name ref;

    (void)row;
    (void)session;
    if (strspn(text, " \t") == strlen(text))
        return fault_set(fault, -ERR_INVALID, "invalid model: empty");
    return model_choose(gw, text, &ref, fault);
}

static int check_spawned_by(const struct patch_row *row, struct gateway *gw,
                            const struct session *session, const struct json *value,
                            struct fault *fault)
{
    const char *already = session_text(session, "spawnedBy", NULL);

    (void)row;
    (void)gw;
    if (strncmp(key_rest(session->key), "subagent:", 9) != 0)
        return fault_set(fault, -ERR_INVALID,
                         "spawnedBy is only supported for subagent:* sessions");
    if (already && strcmp(already, json_string(value, "")) != 0)
        return fault_set(fault, -ERR_INVALID, "spawnedBy cannot be changed once set");
    return 0;
}

static const char *const levels_trace[] = {"off", "on", NULL};
static const char *const levels_usage[] = {"off", "tokens", "full", "on", NULL};
static const char *const levels_elevated[] = {"on", "off", "ask", "full", NULL};
static const char *const exec_hosts[] = {"sandbox", "gateway", "node", NULL};
static const char *const exec_securities[] = {"deny", "allowlist", "full", NULL};
static const char *const exec_asks[] = {"off", "on-miss", "always", NULL};
static const char *const permission_modes[] = {"read-only", "guarded", "workspace", "full", NULL};
static const char *const policies[] = {"allow", "deny", NULL};
static const char *const activations[] = {"mention", "always", NULL};

#define AT(name_) .name = #name_, .at = offsetof(struct sessions_patch, name_)
static const struct patch_row patch_rows[] = {
    {AT(label), .check = check_label},
    {AT(icon), .check = check_text},
    {AT(color), .check = check_text},
    {AT(category), .check = check_text},
    {AT(statusNote), .check = check_text},
    {AT(displayName), .check = check_text, .admin = true},
    {AT(archived), .check = check_flag},
    {AT(pinned), .check = check_flag},
    {AT(unread), .check = check_flag},
    {AT(model), .check = check_model},
    {AT(thinkingLevel), .check = check_spelled, .allowed = level_thinking,
     .spelled = level_thinking_spelled},
    {AT(fastMode), .check = check_fast_mode},
    {AT(permissionMode), .check = check_allowed, .allowed = permission_modes},
    {AT(verboseLevel), .check = check_spelled, .allowed = level_verbose,
     .spelled = level_verbose_spelled, .admin = true},
    {AT(traceLevel), .check = check_allowed, .allowed = levels_trace, .admin = true},
    {AT(reasoningLevel), .check = check_allowed, .allowed = level_reasoning, .admin = true,
     .off = "off"},
    {AT(responseUsage), .check = check_allowed, .allowed = levels_usage, .admin = true,
     .off = "off"},
    {AT(elevatedLevel), .check = check_allowed, .allowed = levels_elevated, .admin = true},
    {AT(execHost), .check = check_allowed, .allowed = exec_hosts, .admin = true},
    {AT(execSecurity), .check = check_allowed, .allowed = exec_securities, .admin = true},
    {AT(execAsk), .check = check_allowed, .allowed = exec_asks, .admin = true},
    {AT(execNode), .check = check_text, .admin = true},
    {AT(spawnedBy), .check = check_spawned_by, .admin = true},
    {AT(sendPolicy), .check = check_allowed, .allowed = policies, .admin = true},
    {AT(queueMode), .check = check_spelled, .allowed = queue_modes, .spelled = queue_mode_spelled},
    {AT(queueDrop), .check = check_spelled, .allowed = queue_drops, .spelled = queue_drop_spelled},
    {AT(queueDebounceMs), .check = check_number, .low = 0, .high = QUEUE_DEBOUNCE_MAX_MS},
    {AT(queueCap), .check = check_number, .low = 1, .high = TURN_QUEUE_MAX},
    {AT(groupActivation), .check = check_allowed, .allowed = activations, .admin = true},
};

/* ---- applying ---- */

static const struct patch_value *patch_value(const struct sessions_patch *p,
                                             const struct patch_row *row)
{
    return (const struct patch_value *)(const void *)((const char *)p + row->at);
}

/* v4: permissionMode full is admin's too, and so is clearing what only admin may set. */
static bool patch_needs_admin(const struct sessions_patch *p)
{
    for (size_t i = 0; i < COUNT(patch_rows); i++) {
        if (patch_rows[i].admin && patch_value(p, &patch_rows[i])->set.given)
            return true;
    }
    return strcasecmp(json_string(p->permissionMode.value, ""), "full") == 0;
}

static int patch_check(const struct sessions_patch *p, struct gateway *gw,
                       const struct session *session, struct fault *fault)
{
    for (size_t i = 0; i < COUNT(patch_rows); i++) {
        const struct patch_value *v = patch_value(p, &patch_rows[i]);

        if (v->set.given && !v->set.null &&
            patch_rows[i].check(&patch_rows[i], gw, session, v->value, fault) < 0)
            return -ERR_INVALID;
    }
    if (p->spawnedBy.set.null && session_text(session, "spawnedBy", NULL))
        return fault_set(fault, -ERR_INVALID, "spawnedBy cannot be changed once set");
    return 0;
}

int sessions_set_label(struct gateway *gw, struct session *session, const char *label,
                       struct fault *reterr_fault)
{
    struct session *other = label ? session_by_label(gw, label) : NULL;

    if (other && other != session)
        return fault_set(reterr_fault, -ERR_INVALID, "label already in use: %s", label);
    mem_free(session->label);
    session->label = mem_string(label);
    return 0;
}

static void patch_set(struct gateway *gw, struct session *session, const struct patch_row *row,
                      const struct patch_value *v)
{
    const char *text = v->set.null ? NULL : json_string(v->value, NULL);

    if (strcmp(row->name, "label") == 0) {
        sessions_set_label(gw, session, text, NULL); /* checked */
        return;
    }
    if (strcmp(row->name, "model") == 0) {
        session_set_model(gw, session, text, NULL);
        return;
    }
    if (v->set.null || (row->off && text && strcasecmp(text, row->off) == 0)) {
        json_remove(session->entry, row->name);
        return;
    }
    if (row->spelled)
        text = row->spelled(text);
    for (size_t i = 0; row->allowed && text && row->allowed[i]; i++) {
        if (strcasecmp(text, row->allowed[i]) == 0)
            text = row->allowed[i]; /* as the table spells it */
    }
    json_put(session->entry, row->name, text ? json_new_string(text) : json_copy(v->value));
}

static void patch_apply(const struct sessions_patch *p, struct gateway *gw, struct session *session)
{
    int64_t now = loop_wall(gw->loop);

    for (size_t i = 0; i < COUNT(patch_rows); i++) {
        const struct patch_value *v = patch_value(p, &patch_rows[i]);

        if (v->set.given)
            patch_set(gw, session, &patch_rows[i], v);
    }
    if (p->archived.set.given)
        session_flag(session, "archived") ? session_set_number(session, "archivedAt", now)
                                          : json_remove(session->entry, "archivedAt");
    if (p->pinned.set.given)
        session_flag(session, "pinned") ? session_set_number(session, "pinnedAt", now)
                                        : json_remove(session->entry, "pinnedAt");
}

int sessions_patch_run(struct call *call, const void *params)
{
    const struct sessions_patch *p = params;
    struct gateway *gw = call_gateway(call);
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};
    struct session *session, *made = NULL;
    struct store_batch *batch;

    if (call_version(call) >= 4 && patch_needs_admin(p) && !call_require(call, SCOPE_ADMIN))
        return 0;
    if (session_canonical(gw, p->key, p->agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    session = session_find(gw, key);
    if (p->session_id && (!session || strcmp(session->session_id, p->session_id) != 0))
        return call_fail(call, WIRE_INVALID_REQUEST,
                         "session changed since it was read; reload it and try again");
    if (!session)
        session = made = session_ensure(gw, key, &fault);
    if (!session)
        return call_fail_fault(call, &fault);

    batch = store_batch(gw->store);
    if (patch_check(p, gw, session, &fault) < 0) {
        if (made) /* a refused patch leaves nothing behind */
            session_remove(gw, made, batch);
        store_batch_free(batch);
        return call_fail_fault(call, &fault);
    }
    patch_apply(p, gw, session);
    session_put(gw, session, batch, true);
    row_emit_changed(gw, batch, session, "patch", NULL, NULL);
    sessions_commit(gw, sessions_change_new(call, key, sessions_reply_entry), batch);
    return 0;
}
