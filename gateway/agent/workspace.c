/* Where an agent's files are: its workspace folder, from the configuration, made when it is not there.
 * Nothing is kept: every question reads the configuration in use. Opening files below it is the business
 * of gateway/tools/workspace.h. */
#include "gateway/agent/agent.h"

#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_SUBSYSTEM "agent"
#include "base/log.h"

/* What a person wrote, absolute: "~" is the home folder, anything else that does not begin at the root
 * lies in the state directory. */
static char *workspace_resolve(struct gateway *gw, const char *text)
{
    const char *home = getenv("HOME");

    if (text[0] == '/')
        return mem_string(text);
    if (text[0] == '~' && (text[1] == '/' || !text[1]) && home && home[0] == '/')
        return mem_format("%s%s", home, text + 1);
    return mem_format("%s/%s", gw->state_dir, text);
}

char *agent_workspace_path(struct gateway *gw, const char *agent_id)
{
    const char *own = json_string(json_get(agent_node(gw, agent_id), "workspace"), "");
    const char *shared = config_str(gw->config, KNOB_agent_workspace);
    bool first = strcmp(agent_at(gw, 0), agent_id) == 0;

    if (*own)
        return workspace_resolve(gw, own);
    if (shared && *shared) {
        CLEAN(mem_free) char *root = workspace_resolve(gw, shared);
        return first ? TAKE(root) : mem_format("%s/%s", root, agent_id);
    }
    return first ? mem_format("%s/workspace", gw->state_dir)
                 : mem_format("%s/workspace-%s", gw->state_dir, agent_id);
}

/* Every folder of the path that is missing, ours alone. What is there stays as it is, links too: the path
 * is the operator's. */
static int workspace_make(char *path)
{
    for (char *at = strchr(path + 1, '/');; at = strchr(at + 1, '/')) {
        int r;

        if (at)
            *at = '\0';
        r = mkdir(path, 0700) < 0 ? errno : 0;
        if (at)
            *at = '/';
        if (r != 0 && r != EEXIST)
            return r;
        if (!at)
            break;
    }
    return 0;
}

char *agent_workspace(struct gateway *gw, const char *agent_id, struct fault *reterr_fault)
{
    CLEAN(mem_free) char *path = agent_workspace_path(gw, agent_id);
    struct stat st;
    int r = 0;

    if (stat(path, &st) < 0) {
        r = workspace_make(path);
        if (r == 0 && stat(path, &st) < 0)
            r = errno;
        if (r == 0)
            log_info("made the workspace %s of agent %s", path, agent_id);
    }
    if (r == 0 && S_ISDIR(st.st_mode))
        return TAKE(path);
    fault_set(reterr_fault, -ERR_IO,
              "the workspace %s of agent %s cannot be used: %s; make it, or name another in "
              "agents.list[].workspace or agents.defaults.workspace",
              path, agent_id, strerror(r ? r : ENOTDIR));
    return NULL;
}
