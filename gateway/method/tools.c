/* tools.catalog, tools.effective, tools.invoke: what tools there are, what an agent may use of them, and one of
 * them for a client, within the limits of POST /tools/invoke. Of version 4; older clients do not ask.
 * protocol.md 4.3, 8.6. */
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/keys.h"
#include "gateway/method/method.h"
#include "gateway/tools/invoke.h"
#include "gateway/tools/tool.h"

#include <stdio.h>
#include <string.h>

static const struct field profile_rows[] = {
    R_STR("id", REQUIRED),
    R_STR("label", REQUIRED),
    F_END,
};
static const struct field catalog_entry_rows[] = {
    R_STR("id", REQUIRED),
    R_STR("label", REQUIRED),
    R_STR("description", REQUIRED),
    R_STR("source", REQUIRED),
    R_STRS("defaultProfiles", REQUIRED),
    F_END,
};
static const struct field catalog_group_rows[] = {
    R_STR("id", REQUIRED),
    R_STR("label", REQUIRED),
    R_STR("source", REQUIRED),
    R_OBJECTS("tools", REQUIRED, catalog_entry_rows),
    F_END,
};
static const struct field tools_catalog_reply[] = {
    R_STR("agentId", REQUIRED),
    R_OBJECTS("profiles", REQUIRED, profile_rows),
    R_OBJECTS("groups", REQUIRED, catalog_group_rows),
    F_END,
};

struct tools_catalog {
    const char *agent_id;
    bool plugins;
};
static const struct field tools_catalog_fields[] = {
    K_STR(tools_catalog, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_BOOL(tools_catalog, "includePlugins", plugins, true),
    F_END,
};

/* The agent a caller names, in its normal form; false: there is none, the call has been answered. */
static bool agent_named(struct call *call, const char *name, char out[AGENT_ID_MAX + 1])
{
    struct gateway *gw = call_gateway(call);

    key_agent_id(name, strlen(name), out);
    if (agent_exists(gw, out))
        return true;
    call_fail(call, WIRE_INVALID_REQUEST, "unknown agent id \"%s\"", name);
    return false;
}

static int tools_catalog_run(struct call *call, const void *params)
{
    const struct tools_catalog *p = params;
    struct gateway *gw = call_gateway(call);
    char agent[AGENT_ID_MAX + 1];

    if (!agent_named(call, p->agent_id ? p->agent_id : session_default_agent(gw), agent))
        return 0;
    tools_write_catalog(gw, agent, call_reply(call));
    return call_send(call);
}

static const struct field effective_entry_rows[] = {
    R_STR("id", REQUIRED),          R_STR("label", REQUIRED),
    R_STR("description", REQUIRED), R_STR("rawDescription", REQUIRED),
    R_STR("source", REQUIRED),      F_END,
};
static const struct field effective_group_rows[] = {
    R_STR("id", REQUIRED),
    R_STR("label", REQUIRED),
    R_STR("source", REQUIRED),
    R_OBJECTS("tools", REQUIRED, effective_entry_rows),
    F_END,
};
static const struct field tools_effective_reply[] = {
    R_STR("agentId", REQUIRED),
    R_STR("profile", REQUIRED),
    R_OBJECTS("groups", REQUIRED, effective_group_rows),
    F_END,
};

struct tools_effective {
    const char *agent_id, *session_key;
};
static const struct field tools_effective_fields[] = {
    K_STR(tools_effective, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(tools_effective, "sessionKey", session_key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    F_END,
};

static int tools_effective_run(struct call *call, const void *params)
{
    const struct tools_effective *p = params;
    struct gateway *gw = call_gateway(call);
    struct key_rules rules = session_rules(gw);
    char key[SESSION_KEY_MAX + 1], agent[AGENT_ID_MAX + 1];
    struct fault fault = {0};

    if (p->agent_id && !agent_named(call, p->agent_id, agent))
        return 0;
    if (session_canonical(gw, p->session_key, p->agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    if (!session_find(gw, key))
        return call_fail(call, WIRE_INVALID_REQUEST, "unknown session key \"%s\"", p->session_key);
    key_agent(&rules, key, agent);
    tools_write_effective(gw, agent, key, call_reply(call));
    return call_send(call);
}

/* ---- tools.invoke ---- */

struct tools_invoke {
    const char *name, *session_key, *agent_id, *idempotency_key, *origin;
    const struct json *args;
    bool confirm;
};
static const struct field tools_invoke_fields[] = {
    K_STR(tools_invoke, "name", name, REQUIRED | FIELD_NONEMPTY, 128),
    {.key = "args",
     .kind = FIELD_MAP,
     .at = offsetof(struct tools_invoke, args),
     .set_at = FIELD_NO_SET},
    K_STR(tools_invoke, "sessionKey", session_key, FIELD_NONEMPTY, KEY_CAP),
    K_STR(tools_invoke, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(tools_invoke, "idempotencyKey", idempotency_key, FIELD_NONEMPTY, 256),
    K_STR(tools_invoke, "conversationReadOrigin", origin, OPTIONAL, 64),
    K_BOOL(tools_invoke, "confirm", confirm, false),
    F_END,
};
static const struct field invoke_error_rows[] = {
    R_STR("code", REQUIRED),
    R_STR("message", REQUIRED),
    F_END,
};
static const struct field tools_invoke_reply[] = {
    R_BOOL("ok", REQUIRED),
    R_STR("toolName", REQUIRED),
    R_ANY("output", OPTIONAL),
    R_STR("source", OPTIONAL),
    R_OBJECT("error", OPTIONAL, invoke_error_rows),
    F_END,
};

/* An open one: the tool's call while it runs. */
struct invocation {
    struct call *call;
    struct tool_call *tool;
    char name[129];
};

static int invoke_answer(struct call *call, const char *name, const char *code, const char *message,
                         const struct tool_result *out)
{
    struct json_writer *w = call_reply(call);

    jw_object(w);
    jw_kbool(w, "ok", !code);
    jw_kstr(w, "toolName", name);
    if (code) {
        jw_kobject(w, "error");
        jw_kstr(w, "code", code);
        jw_kstr(w, "message", message && *message ? message : "the tool failed");
        jw_object_end(w);
    } else {
        jw_kobject(w, "output");
        jw_ktree(w, "content", out->content);
        jw_ktree(w, "details", out->details);
        jw_object_end(w);
        jw_kstr(w, "source", "core");
    }
    jw_object_end(w);
    return call_send(call);
}

/* Nobody waits any more: the tool is stopped, and its end answers into the void. */
static void invoke_on_gone(void *arg)
{
    struct invocation *invocation = arg;

    if (invocation->tool)
        tool_cancel(invocation->tool);
}

static void invoke_on_end(void *arg, int result, const struct tool_result *out)
{
    struct invocation *invocation = arg;

    (void)result;
    invocation->tool = NULL;
    call_on_gone(invocation->call, NULL, NULL);
    invoke_answer(invocation->call, invocation->name, out->is_error ? "tool_error" : NULL,
                  json_string(json_get(json_first(out->content), "text"), NULL), out);
    mem_free(invocation);
}

static struct json *invoke_body(const struct tools_invoke *p)
{
    struct json *body = json_new_object();

    json_put(body, "name", json_new_string(p->name));
    if (p->args)
        json_put(body, "args", json_copy(p->args));
    if (p->session_key)
        json_put(body, "sessionKey", json_new_string(p->session_key));
    if (p->agent_id)
        json_put(body, "agentId", json_new_string(p->agent_id));
    if (p->idempotency_key)
        json_put(body, "idempotencyKey", json_new_string(p->idempotency_key));
    return body;
}

static int tools_invoke_run(struct call *call, const void *params)
{
    static const struct tool_events events = {.end = invoke_on_end};
    const struct tools_invoke *p = params;
    CLEAN(json_free) struct json *body = invoke_body(p);
    struct invocation *invocation;
    struct fault fault = {0};
    struct invoke invoke;
    int r = invoke_read(call_gateway(call), body, &invoke, &fault);

    if (r < 0) {
        invoke_done(&invoke);
        return r == -ERR_NOT_FOUND ? invoke_answer(call, p->name, "not_found", fault.text, NULL)
                                   : call_fail_fault(call, &fault);
    }
    invocation = NEW(struct invocation);
    invocation->call = call;
    snprintf(invocation->name, sizeof(invocation->name), "%s", p->name);
    invocation->tool = tool_start(call_gateway(call), &invoke.request, &events, invocation);
    call_on_gone(call, invoke_on_gone, invocation);
    invoke_done(&invoke);
    return 0;
}

extern const struct method methods_tools[];
const struct method methods_tools[] = {
    M("tools.catalog", OPERATOR, READ, READ, tools_catalog, tools_catalog_reply, tools_catalog_run),
    M("tools.effective", OPERATOR, READ, READ, tools_effective, tools_effective_reply,
      tools_effective_run),
    M("tools.invoke", OPERATOR, WRITE, WRITE, tools_invoke, tools_invoke_reply, tools_invoke_run),
    {0},
};
