/* What to start for an acp agent: its program's argv, environment and folder, from the configuration in use.
 * The environment is made anew: what a login has and a program needs, no secret of ours, and what the
 * configuration adds. */
#include "gateway/agent/acp.h"

#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define PROGRAMS "plugins.entries.acpx.config.agents"
#define TYPE_ACP "runtime.acp"

static const char *const inherited[] = {
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "TERM",
    "LC_ALL",
    "LC_CTYPE",
    "COLORTERM",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_CACHE_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
};

static char **program_argv(const struct json *node)
{
    const struct json *args = json_get(node, "args");
    char **argv = mem_array(json_count(args) + 2, sizeof(*argv));
    size_t count = 0;

    argv[count++] = mem_string(json_string(json_get(node, "command"), ""));
    json_each (item, args)
        argv[count++] = mem_string(json_string(item, ""));
    return argv;
}

static char **program_envp(const struct json *node, size_t *ret_inherited)
{
    const struct json *added = json_get(node, "env");
    char **envp = mem_array(COUNT(inherited) + json_count(added) + 1, sizeof(*envp));
    size_t count = 0;

    for (size_t i = 0; i < COUNT(inherited); i++) {
        const char *value = getenv(inherited[i]);
        if (value && !json_get(added, inherited[i]))
            envp[count++] = mem_format("%s=%s", inherited[i], value);
    }
    *ret_inherited = count;
    json_each (item, added)
        envp[count++] = mem_format("%s=%s", json_key(item), json_string(item, ""));
    return envp;
}

/* Absolute. Its own, or the agent's workspace. */
static char *program_cwd(struct gateway *gw, const char *agent_id, const char *own,
                         struct fault *reterr_fault)
{
    const char *home = getenv("HOME");
    CLEAN(mem_free) char *path = NULL;
    struct stat st;

    if (!own || !*own)
        return agent_workspace(gw, agent_id, reterr_fault);
    if (own[0] == '~' && (own[1] == '/' || !own[1]) && home)
        path = mem_format("%s%s", home, own + 1);
    else
        path = mem_string(own);
    if (path[0] == '/' && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return TAKE(path);
    fault_set(reterr_fault, -ERR_INVALID,
              "%.200s, the runtime.acp.cwd of agent %s, is no folder: make it, or give the "
              "absolute path of one",
              path, agent_id);
    return NULL;
}

static void mark_strings(struct buf *b, char *const *strings)
{
    for (; *strings; strings++) {
        buf_add_str(b, *strings);
        buf_add_char(b, '\n');
    }
    buf_add_char(b, '\n');
}

static char *program_mark(const struct acp_program *program)
{
    struct buf b;

    buf_init(&b, 16u << 20);
    mark_strings(&b, program->argv);
    mark_strings(&b, program->envp);
    buf_add_str(&b, program->cwd);
    return buf_take(&b);
}

int acp_program_find(struct gateway *gw, const char *agent_id, struct acp_program *ret,
                     struct fault *reterr_fault)
{
    const struct json *acp = json_path(agent_node(gw, agent_id), TYPE_ACP);
    const char *name = json_string(json_get(acp, "agent"), NULL);
    const struct json *node = name ? json_get(config_node(gw->config, PROGRAMS), name) : NULL;

    *ret = (struct acp_program){0};
    if (!config_bool(gw->config, KNOB_acp_enabled))
        return fault_set(reterr_fault, -ERR_DENIED,
                         "agents of type acp are switched off: acp.enabled is false");
    if (!name)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "agent %s does not say which program answers for it: set its "
                         "runtime.acp.agent to a name of " PROGRAMS,
                         agent_id);
    if (!node)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "agent %s runs \"%.100s\", and there is no such program: add " PROGRAMS
                         ".%.100s with its command and args",
                         agent_id, name, name);
    ret->cwd = program_cwd(gw, agent_id, json_string(json_get(acp, "cwd"), NULL), reterr_fault);
    if (!ret->cwd)
        return reterr_fault->code;
    ret->name = mem_string(name);
    ret->argv = program_argv(node);
    ret->envp = program_envp(node, &ret->inherited);
    ret->auth_method = mem_string(json_string(json_get(node, "authMethod"), NULL));
    ret->mark = program_mark(ret);
    ret->oneshot = strcmp(json_string(json_get(acp, "mode"), ""), "oneshot") == 0;
    return 0;
}

void acp_program_model(struct gateway *gw, const char *agent_id, struct model_name *ret)
{
    const struct json *acp = json_path(agent_node(gw, agent_id), TYPE_ACP);

    snprintf(ret->provider, sizeof(ret->provider), "acp");
    snprintf(ret->model, sizeof(ret->model), "%s", json_string(json_get(acp, "agent"), "unknown"));
}

static char **strings_free(char **strings, bool wipe)
{
    for (char **at = strings; at && *at; at++) {
        if (wipe)
            mem_wipe_free(*at, strlen(*at));
        else
            mem_free(*at);
    }
    return mem_free(strings);
}

void acp_program_done(struct acp_program *program)
{
    program->argv = strings_free(program->argv, false);
    program->envp = strings_free(program->envp, true);
    program->name = mem_free(program->name);
    program->cwd = mem_free(program->cwd);
    program->auth_method = mem_free(program->auth_method);
    if (program->mark)
        program->mark = mem_wipe_free(program->mark, strlen(program->mark));
}
