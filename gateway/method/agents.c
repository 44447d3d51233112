/* agents.list, agent.identity.get. protocol.md 4.1. An identity may stand in the workspace's IDENTITY.md, which
 * is read in the pool. */
#include "base/io/work.h"
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/agent/identity_file.h"
#include "gateway/agent/list.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/keys.h"
#include "gateway/method/method.h"

#include <stdio.h>
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
    R_STR("emoji", OPTIONAL),
    F_END,
};

#define IDENTITY_MS 5000

/* One question; the pool sees workspace and file alone. */
struct identity_look {
    struct op op;
    struct call *call;
    char agent_id[AGENT_ID_MAX + 1];
    char *workspace;
    struct identity_file file;
};

static void identity_look_free(void *arg)
{
    struct identity_look *look = arg;

    mem_free(look->workspace);
    mem_free(look);
}

static int identity_look_work(void *arg, struct fault *fault)
{
    struct identity_look *look = arg;

    (void)fault;
    identity_read(look->workspace, &look->file);
    return 0;
}

static void identity_look_done(struct op *op, int result)
{
    struct identity_look *look = CONTAINER(op, struct identity_look, op);
    static const struct identity_file nothing;

    call_on_gone(look->call, NULL, NULL);
    agent_identity_write(call_gateway(look->call), look->agent_id,
                         result == 0 ? &look->file : &nothing, call_version(look->call),
                         call_reply(look->call));
    call_send(look->call);
}

static void identity_look_gone(void *arg)
{
    struct identity_look *look = arg;

    op_cancel(&look->op);
}

static void identity_look_begin(struct call *call, const char *agent_id)
{
    struct gateway *gw = call_gateway(call);
    struct identity_look *look = NEW(struct identity_look);

    look->call = call;
    snprintf(look->agent_id, sizeof(look->agent_id), "%s", agent_id);
    look->workspace = agent_workspace_path(gw, agent_id);
    op_init(&look->op, gw->loop, identity_look_done, IDENTITY_MS);
    call_on_gone(call, identity_look_gone, look);
    work_run(&look->op, identity_look_work, look, identity_look_free);
}

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
    identity_look_begin(call, agent);
    return 0;
}

const struct method methods_agents[] = {
    M("agents.list", OPERATOR, READ, READ, no_params, agents_list_reply, agents_list_run),
    M("agent.identity.get", OPERATOR, READ, READ, agent_identity_get, agent_identity_reply,
      agent_identity_get_run),
    {0},
};
