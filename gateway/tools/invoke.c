/* Reading what was asked: which tool, for which agent and session, with what. */
#include "gateway/tools/invoke.h"

#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/tools/ops.h"

#include <string.h>

static int read_agent(struct gateway *gw, const struct json *body, struct invoke *invoke,
                      struct fault *fault)
{
    const char *name = json_string(json_get(body, "agentId"), NULL);

    if (!name || !*name)
        return 0;
    key_agent_id(name, strlen(name), invoke->agent_id);
    return agent_exists(gw, invoke->agent_id)
               ? 0
               : fault_set(fault, -ERR_INVALID, "Unknown agent id \"%.64s\"", name);
}

/* The session, and whose it is: the agent's main one unless another is named. */
static int read_session(struct gateway *gw, const struct json *body, struct invoke *invoke,
                        struct fault *fault)
{
    const char *name = json_string(json_get(body, "sessionKey"), "main");
    const char *agent = invoke->agent_id[0] ? invoke->agent_id : NULL;
    struct key_rules rules = session_rules(gw);
    char owner[AGENT_ID_MAX + 1];

    if (!*name || strcmp(name, "main") == 0) {
        session_main_key(gw, agent ? agent : session_default_agent(gw), invoke->key);
    } else if (session_canonical(gw, name, NULL, invoke->key, fault) < 0) {
        return -ERR_INVALID;
    }
    key_agent(&rules, invoke->key, owner);
    if (agent && strcmp(agent, owner) != 0 && strchr(name, ':'))
        return fault_set(fault, -ERR_INVALID,
                         "agent \"%s\" does not match session key agent \"%s\"", agent, owner);
    if (agent && strcmp(agent, owner) != 0) /* a plain name is looked up as this agent's */
        return session_canonical(gw, name, agent, invoke->key, fault) < 0 ? -ERR_INVALID : 0;
    if (!agent)
        memcpy(invoke->agent_id, owner, sizeof(owner));
    return agent_exists(gw, invoke->agent_id)
               ? 0
               : fault_set(fault, -ERR_INVALID, "Unknown agent id \"%s\"", invoke->agent_id);
}

/* `action` of the body goes to the tool where the tool knows such a parameter and args do not give it. */
static int read_arguments(const struct json *body, const struct tool *tool, struct invoke *invoke,
                          struct fault *fault)
{
    const struct json *args = json_get(body, "args");
    const char *action = json_string(json_get(body, "action"), NULL);

    if (args && json_kind(args) != JSON_OBJECT && json_kind(args) != JSON_NULL)
        return fault_set(fault, -ERR_INVALID, "args must be an object");
    invoke->arguments = json_kind(args) == JSON_OBJECT ? json_copy(args) : json_new_object();
    for (const struct field *f = tool->params; action && f->kind != FIELD_END; f++) {
        if (strcmp(f->key, "action") == 0 && !json_get(invoke->arguments, "action"))
            json_put(invoke->arguments, "action", json_new_string(action));
    }
    return 0;
}

int invoke_read(struct gateway *gw, const struct json *body, struct invoke *ret,
                struct fault *reterr_fault)
{
    const char *name =
        json_string(json_get(body, "name"), json_string(json_get(body, "tool"), NULL));
    const struct session *session;
    int r;

    *ret = (struct invoke){0};
    if (!name || !*name)
        return fault_set(reterr_fault, -ERR_INVALID, "tools.invoke requires body.tool");
    if ((r = read_agent(gw, body, ret, reterr_fault)) < 0 ||
        (r = read_session(gw, body, ret, reterr_fault)) < 0)
        return r;
    if (tool_policy(gw, ret->agent_id, ret->key, name, /* http= */ true, NULL) < 0)
        return fault_set(reterr_fault, -ERR_NOT_FOUND, "Tool not available: %.100s", name);
    if ((r = read_arguments(body, tool_find(name), ret, reterr_fault)) < 0)
        return r;
    session = session_find(gw, ret->key);
    ret->request = (struct tool_request){
        .agent_id = ret->agent_id,
        .session_key = ret->key,
        .session_id = session ? session->session_id : NULL,
        .call_id = json_string(json_get(body, "idempotencyKey"), NULL),
        .name = name,
        .arguments = ret->arguments,
        .http = true,
    };
    return 0;
}

void invoke_done(struct invoke *invoke)
{
    invoke->arguments = json_free(invoke->arguments);
}
