/* tools.catalog and tools.effective: what tools there are, and what an agent may use of them. Of version 4;
 * older clients do not ask. protocol.md 4.3. */
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/keys.h"
#include "gateway/method/method.h"
#include "gateway/tools/tool.h"

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

extern const struct method methods_tools[];
const struct method methods_tools[] = {
    M("tools.catalog", OPERATOR, READ, READ, tools_catalog, tools_catalog_reply, tools_catalog_run),
    M("tools.effective", OPERATOR, READ, READ, tools_effective, tools_effective_reply,
      tools_effective_run),
    {0},
};
