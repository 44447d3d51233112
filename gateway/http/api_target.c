/* Where a request goes: which agent, which session, which model, by `model`, `user` and the x-openclaw-
 * headers. A key that names an inner part of another conversation (a subagent's, a cron job's, an ACP
 * client's) is not taken from outside. protocol.md 8.7. */
#include "base/crypto.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/http/api.h"
#include "gateway/session/command.h"
#include "gateway/session/session.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* The agent that the model's name is, "" for the default one; NULL: it is no such name. */
static const char *agent_of_model(const char *model)
{
    static const char *const families[] = {"openclaw", "moltbot", "clawdbot"};

    if (strncasecmp(model, "agent:", 6) == 0 && model[6])
        return model + 6;
    for (size_t i = 0; i < COUNT(families); i++) {
        size_t n = strlen(families[i]);
        if (strncasecmp(model, families[i], n) != 0)
            continue;
        if (!model[n])
            return "";
        if ((model[n] == '/' || model[n] == ':') && model[n + 1])
            return strcasecmp(model + n + 1, "default") == 0 ? "" : model + n + 1;
    }
    return NULL;
}

static int choose_agent(struct api_run *run, bool *ret_named, struct fault *fault)
{
    struct gateway *gw = run->gw;
    const char *model = run->request.model ? run->request.model : "openclaw";
    const char *by_model = agent_of_model(model);
    const char *header = web_own_header(run->call, "agent-id");
    char id[AGENT_ID_MAX + 1];

    if (!by_model)
        return fault_set(
            fault, -ERR_INVALID,
            "model \"%.100s\" is not one of ours: use openclaw, or openclaw/<agent> as "
            "GET /v1/models lists them; x-openclaw-model names what is behind it",
            model);
    if (!header)
        header = web_own_header(run->call, "agent");
    const char *name = header ? header : by_model;
    *ret_named = *name != '\0';
    if (!*name)
        name = session_default_agent(gw);
    if (strlen(name) > AGENT_ID_MAX)
        return fault_set(fault, -ERR_INVALID, "Unknown agent '%.80s'.", name);
    key_agent_id(name, strlen(name), id);
    if (strcasecmp(id, name) != 0 || !agent_exists(gw, id))
        return fault_set(fault, -ERR_INVALID, "Unknown agent '%.80s'.", name);
    snprintf(run->target.agent_id, sizeof(run->target.agent_id), "%s", id);
    return 0;
}

static bool is_inner(const char *canonical)
{
    static const char *const inner[] = {"subagent:", "cron:", "acp:"};
    const char *rest = key_rest(canonical);

    for (size_t i = 0; i < COUNT(inner); i++)
        if (strncmp(rest, inner[i], strlen(inner[i])) == 0)
            return true;
    return false;
}

static int choose_session(struct api_run *run, bool agent_named, struct fault *fault)
{
    struct api_target *target = &run->target;
    const char *explicit_key = web_own_header(run->call, "session-key");
    const char *user = run->request.user, *agent_id = target->agent_id;
    char key[SESSION_KEY_MAX + 1], id[UUID_TEXT];
    int n;

    if (explicit_key) {
        n = snprintf(key, sizeof(key), "%s", explicit_key);
        agent_id = agent_named ? agent_id : NULL; /* then the key may name one */
    } else if (user && user[strspn(user, " \t\r\n")]) {
        n = snprintf(key, sizeof(key), "agent:%s:%s-user:%s", agent_id, run->shape->session_name,
                     user);
    } else {
        crypto_uuid(id);
        n = snprintf(key, sizeof(key), "agent:%s:%s:%s", agent_id, run->shape->session_name, id);
        target->fresh = true;
    }
    if (n >= (int)sizeof(key))
        return fault_set(fault, -ERR_INVALID, "the session's name is too long");
    int r = session_canonical(run->gw, key, agent_id, target->session_key, fault);
    if (r < 0)
        return r;
    if (explicit_key && is_inner(target->session_key))
        return fault_set(fault, -ERR_INVALID,
                         "x-openclaw-session-key may not name a subagent's, a cron job's or an ACP "
                         "client's session");
    return session_check_agent(run->gw, target->session_key, fault);
}

/* The model behind the agent is its owner's choice: admin. */
static int choose_model(struct api_run *run, int *ret_status, struct fault *fault)
{
    const char *model = web_own_header(run->call, "model");
    struct model_name name;

    if (!model)
        return 0;
    if (!scope_allows(run->call->scopes, SCOPE_ADMIN, 4)) {
        *ret_status = 403;
        return fault_set(fault, -ERR_DENIED, "missing scope: operator.admin");
    }
    run->target.model = model;
    return model_choose(run->gw, model, &name, fault);
}

static int check_policy(struct api_run *run, int *ret_status, struct fault *fault)
{
    const struct session *session = session_find(run->gw, run->target.session_key);
    const struct command *command = command_of(run->request.message, NULL);

    if (session && strcmp(session_text(session, "sendPolicy", ""), "deny") == 0) {
        *ret_status = 403;
        return fault_set(fault, -ERR_DENIED, "send blocked by session policy");
    }
    if (command && command->resets && !scope_allows(run->call->scopes, SCOPE_ADMIN, 4)) {
        *ret_status = 403;
        return fault_set(fault, -ERR_DENIED, "missing scope: operator.admin");
    }
    return 0;
}

int api_target(struct api_run *run, int *ret_status, struct fault *reterr_fault)
{
    bool agent_named = false;
    int r;

    *ret_status = 400;
    if ((r = choose_agent(run, &agent_named, reterr_fault)) < 0 ||
        (r = choose_session(run, agent_named, reterr_fault)) < 0 ||
        (r = choose_model(run, ret_status, reterr_fault)) < 0)
        return r;
    return check_policy(run, ret_status, reterr_fault);
}
