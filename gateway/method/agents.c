/* agents.list, agent.identity.get. protocol.md 4.1. */
#include "gateway/agent/agent.h"
#include "gateway/agent/list.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/keys.h"
#include "gateway/method/method.h"

#include <string.h>

static const struct field agent_rows[] = {R_STR("id", REQUIRED), R_STR("name", OPTIONAL), F_END};
static const struct field agents_list_reply[] = {
    R_STR("defaultId", REQUIRED),
    R_STR("mainKey", REQUIRED),
    R_STR("scope", REQUIRED),
    R_OBJECTS("agents", REQUIRED, agent_rows),
    F_END,
};

static int agents_list_run(struct call *call, const void *params)
{
    (void)params;
    agent_list_write(call_gateway(call), call_version(call), call_reply(call));
    return call_send(call);
}

struct agent_identity_get {
    const char *agent_id, *session_key;
};
static const struct field agent_identity_get_fields[] = {
    K_STR(agent_identity_get, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(agent_identity_get, "sessionKey", session_key, OPTIONAL, KEY_CAP),
    F_END,
};
static const struct field agent_identity_reply[] = {
    R_STR("agentId", REQUIRED),
    R_STR("name", OPTIONAL),
    R_STR("avatar", OPTIONAL),
    F_END,
};

static int agent_identity_get_run(struct call *call, const void *params)
{
    const struct agent_identity_get *p = params;
    struct gateway *gw = call_gateway(call);
    struct key_rules rules = session_rules(gw);
    char key[SESSION_KEY_MAX + 1], agent[AGENT_ID_MAX + 1];
    struct fault fault = {0};

    key_agent_id(p->agent_id ? p->agent_id : rules.default_agent,
                 strlen(p->agent_id ? p->agent_id : rules.default_agent), agent);
    if (p->session_key && *p->session_key) {
        if (session_canonical(gw, p->session_key, p->agent_id, key, &fault) < 0) /* they disagree */
            return call_fail(call, WIRE_INVALID_REQUEST, "invalid agent.identity.get params: %s",
                             fault.text);
        key_agent(&rules, key, agent);
    }
    agent_identity_write(gw, agent, call_version(call), call_reply(call));
    return call_send(call);
}

const struct method methods_agents[] = {
    M("agents.list", OPERATOR, READ, READ, no_params, agents_list_reply, agents_list_run),
    M("agent.identity.get", OPERATOR, READ, READ, agent_identity_get, agent_identity_reply,
      agent_identity_get_run),
    {0},
};
