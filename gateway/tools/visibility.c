/* One rule for every tool that reaches another session. Pure questions to the configuration and the session
 * table. */
#include "gateway/tools/visibility.h"

#include "gateway/config/config.h"
#include "gateway/gateway.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* tools.agentToAgent.allow names both agents, or all of them by "*"; no list: every agent. */
static bool agents_may_meet(struct gateway *gw, const char *from, const char *to)
{
    const struct json *allow = config_node(gw->config, "tools.agentToAgent.allow");
    bool has_from = !allow, has_to = !allow;

    if (!config_bool(gw->config, KNOB_tools_agent_to_agent))
        return false;
    json_each (item, allow) {
        const char *name = json_string(item, "");

        has_from = has_from || strcmp(name, "*") == 0 || strcasecmp(name, from) == 0;
        has_to = has_to || strcmp(name, "*") == 0 || strcasecmp(name, to) == 0;
    }
    return has_from && has_to;
}

static bool is_own_main(struct gateway *gw, const struct tool_request *request)
{
    struct key_rules rules = session_rules(gw);

    return request->session_key && key_is_main(&rules, request->session_key);
}

/* Nothing of ours spawns sessions, so the tree of a session is itself; that of the main session is its
 * agent's, as in OpenClaw. */
bool visibility_allows(struct gateway *gw, const struct tool_request *request,
                       const char *canonical_key)
{
    struct key_rules rules = session_rules(gw);
    const char *level = config_str(gw->config, KNOB_tools_sessions_visibility);
    char owner[AGENT_ID_MAX + 1];

    if (request->session_key && strcmp(request->session_key, canonical_key) == 0)
        return true;
    key_agent(&rules, canonical_key, owner);
    if (strcmp(owner, request->agent_id) == 0)
        return strcmp(level, "self") != 0 &&
               (strcmp(level, "tree") != 0 || is_own_main(gw, request));
    return strcmp(level, "all") == 0 && agents_may_meet(gw, request->agent_id, owner);
}

static struct session *find_by_name(struct gateway *gw, const char *name)
{
    struct session *labelled = session_by_label(gw, name);

    if (labelled)
        return labelled;
    for (struct session *s = session_newest(gw); s; s = s->older) {
        if (strcasecmp(s->session_id, name) == 0)
            return s;
    }
    return NULL;
}

int visibility_find(struct gateway *gw, const struct tool_request *request, const char *name,
                    char ret_key[SESSION_KEY_MAX + 1], struct session **ret_session,
                    struct fault *reterr_fault)
{
    struct session *session = NULL;

    if (!name || !*name || strcmp(name, "current") == 0)
        name = request->session_key ? request->session_key : "main";
    if (session_canonical(gw, name, strchr(name, ':') ? NULL : request->agent_id, ret_key,
                          reterr_fault) < 0)
        return -ERR_INVALID;
    session = session_find(gw, ret_key);
    if (!session && (session = find_by_name(gw, name)))
        snprintf(ret_key, SESSION_KEY_MAX + 1, "%s", session->key);
    if (!visibility_allows(gw, request, ret_key))
        return fault_set(
            reterr_fault, -ERR_DENIED,
            "the session \"%.80s\" is not visible from here: tools.sessions.visibility "
            "is \"%s\"",
            name, config_str(gw->config, KNOB_tools_sessions_visibility));
    *ret_session = session;
    return 0;
}
