/* An agent run in front of tests/tool/acp_agent.py, and a reviewer who answers approvals. */
#pragma once

#include "gateway/pairing/approval.h"
#include "tests/rig/agent_rig.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define ACP_KEY "agent:main:main"

/* options: of the program, JSON5 strings with commas behind; more: members of acpx.config; top: of the whole. Caller owns. */
static inline char *acp_config(const char *options, const char *more, const char *top)
{
    CLEAN(mem_free) char *here = getcwd(NULL, 0);

    return mem_format("{agents:{list:[{id:'main',runtime:{type:'acp',acp:{agent:'script'}}}]},"
                      "plugins:{entries:{acpx:{config:{%s agents:{script:{command:'python3',"
                      "env:{MY_KEY:'very-secret-value'},"
                      "args:['%s/tests/tool/acp_agent.py',%s]}}}}}},%s}",
                      more, here, options, top);
}

static inline struct agent_rig *acp_rig_as(const char *options, const char *more, const char *top)
{
    CLEAN(mem_free) char *config = acp_config(options, more, top);

    return agent_rig_new(config, ACP_KEY);
}

static inline struct agent_rig *acp_rig(void)
{
    return acp_rig_as("", "", "");
}

/* One message, to its end. */
static inline const char *acp_say(struct agent_rig *ar, const char *message)
{
    agent_rig_start(ar, message);
    agent_rig_end(ar, 20);
    return ar->text.length > 0 ? ar->text.data : "";
}

/* Turns and moves the clock until an approval is pending; its id ("" when the run ended before). */
static inline const char *acp_pending(struct agent_rig *ar, struct peer *reviewer)
{
    static char id[64];

    for (int i = 0; i < 2000 && ar->ends == 0; i++) {
        const char *text;

        agent_rig_settle(ar);
        text = peer_call(reviewer, "exec.approval.list", "{}");
        CLEAN(json_free) struct json *reply = json_parse(text, strlen(text), NULL);
        const struct json *first = json_at(json_get(reply, "payload"), 0);
        if (first) {
            (void)snprintf(id, sizeof(id), "%s", json_string(json_get(first, "id"), ""));
            return id;
        }
    }
    return "";
}

static inline void acp_decide(struct peer *reviewer, const char *id, const char *decision)
{
    CLEAN(mem_free) char *params = mem_format("{'id':'%s','decision':'%s'}", id, decision);

    t_json(peer_call(reviewer, "exec.approval.resolve", params), "{'ok':true}");
}

/* A zombie counts as dead. Waits two seconds of real time at most. */
static inline bool acp_dies(struct agent_rig *ar, int pid)
{
    for (int i = 0; i < 400; i++) {
        char path[64], text[512] = "";
        const char *state;
        FILE *file;

        if (ar)
            agent_rig_settle(ar);
        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        if (!(file = fopen(path, "r")))
            return true;
        (void)!fread(text, 1, sizeof(text) - 1, file);
        (void)fclose(file);
        state = strrchr(text, ')');
        if (!state || state[2] == 'Z' || state[2] == 'X')
            return true;
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return false;
}
