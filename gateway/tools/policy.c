/* Who may use which tool: the one place that decides. A tool passes the profile, then the lists of the whole
 * gateway, then those of the agent, then what the tool itself asks of the configuration, and over HTTP the
 * list of what is not offered there. Denying wins. Entries are names, "*" wildcards and "group:<id>", case
 * does not matter. protocol.md 8.6; keys as OpenClaw spells them. */
#include "gateway/tools/ops.h"

#include "gateway/agent/agent.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/tools/pattern.h"

#include <string.h>
#include <strings.h>

/* Names of OpenClaw's HTTP deny list for what ours are called. */
static const struct {
    const char *entry, *name;
} http_names[] = {
    {"fs_write", "write"}, {"fs_write", "edit"}, {"spawn", "exec"},
    {"shell", "exec"},     {"bash", "exec"},
};

/* ---- entries ---- */

static bool entry_fits(const char *entry, const struct tool *tool)
{
    if (strncasecmp(entry, "group:", 6) == 0)
        return strcasecmp(entry + 6, tool_group_id(tool->group)) == 0 ||
               (strcasecmp(entry + 6, "openclaw") == 0 && tool->group != TOOL_GROUP_fs &&
                tool->group != TOOL_GROUP_runtime);
    for (size_t i = 0; i < COUNT(http_names); i++) {
        if (strcasecmp(entry, http_names[i].entry) == 0 &&
            strcmp(http_names[i].name, tool->name) == 0)
            return true;
    }
    return pattern_fits(entry, tool->name);
}

static bool list_has(const struct json *list, const struct tool *tool)
{
    json_each (item, list) {
        const char *entry = json_string(item, NULL);

        if (entry && entry_fits(entry, tool))
            return true;
    }
    return false;
}

/* ---- the layers ---- */

static const struct json *agent_tools(struct gateway *gw, const char *agent_id)
{
    return json_get(agent_node(gw, agent_id), "tools");
}

const char *tool_profile(struct gateway *gw, const char *agent_id)
{
    return json_string(json_get(agent_tools(gw, agent_id), "profile"),
                       config_str(gw->config, KNOB_tools_profile));
}

static bool profile_has(struct gateway *gw, const char *agent_id, const struct tool *tool)
{
    const struct json *agent = agent_tools(gw, agent_id);
    const char *profile = tool_profile(gw, agent_id);
    unsigned held = strcmp(profile, "minimal") == 0     ? TOOL_MINIMAL
                    : strcmp(profile, "coding") == 0    ? TOOL_CODING
                    : strcmp(profile, "messaging") == 0 ? TOOL_MESSAGING
                                                        : 0;

    return held == 0 || tool->profiles & held ||
           list_has(config_node(gw->config, "tools.alsoAllow"), tool) ||
           list_has(json_get(agent, "alsoAllow"), tool);
}

static int check_lists(const struct json *allow, const struct json *deny, const char *where,
                       const struct tool *tool, struct fault *fault)
{
    if (list_has(deny, tool))
        return fault_set(fault, -ERR_DENIED, "%s is not permitted: %sdeny names it", tool->name,
                         where);
    if (json_count(allow) > 0 && !list_has(allow, tool))
        return fault_set(fault, -ERR_DENIED, "%s is not permitted: %sallow does not name it",
                         tool->name, where);
    return 0;
}

static int check_http(struct gateway *gw, const struct tool *tool, struct fault *fault)
{
    if (list_has(config_node(gw->config, "gateway.tools.deny"), tool))
        return fault_set(fault, -ERR_DENIED,
                         "%s is not offered over HTTP: gateway.tools.deny names it", tool->name);
    if (tool->flags & TOOL_DENIED_HTTP &&
        !list_has(config_node(gw->config, "gateway.tools.allow"), tool))
        return fault_set(fault, -ERR_DENIED,
                         "%s is not offered over HTTP unless gateway.tools.allow names it",
                         tool->name);
    return 0;
}

static int check_tool(struct gateway *gw, const char *agent_id, const struct tool *tool, bool http,
                      struct fault *fault)
{
    const struct json *agent = agent_tools(gw, agent_id);
    int r;

    if (!profile_has(gw, agent_id, tool))
        return fault_set(fault, -ERR_DENIED,
                         "%s is not permitted: it is not in the profile \"%s\" (tools.profile, "
                         "tools.alsoAllow)",
                         tool->name, tool_profile(gw, agent_id));
    if ((r = check_lists(config_node(gw->config, "tools.allow"),
                         config_node(gw->config, "tools.deny"), "tools.", tool, fault)) < 0 ||
        (r = check_lists(json_get(agent, "allow"), json_get(agent, "deny"), "the agent's tools.",
                         tool, fault)) < 0 ||
        (tool->allowed && (r = tool->allowed(gw, agent_id, fault)) < 0))
        return r;
    return http ? check_http(gw, tool, fault) : 0;
}

int tool_policy(struct gateway *gw, const char *agent_id, const char *session_key, const char *name,
                bool http, struct fault *reterr_fault)
{
    const struct tool *tool = tool_find(name);

    (void)session_key; /* no rule of ours looks at it yet */
    if (!tool)
        return fault_set(reterr_fault, -ERR_NOT_FOUND, "there is no tool \"%.64s\"", name);
    return check_tool(gw, agent_id, tool, http, reterr_fault);
}
