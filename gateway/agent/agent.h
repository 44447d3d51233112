/* Agents: who answers a turn. A kind is a vtable, one file each, one row in agents.def; which agents
 * exist, their names and models comes from the configuration (agents.list, agents.defaults).
 * design.md section 8. Loop thread only. */
#pragma once

#include "gateway/model/model.h"
#include "gateway/session/session.h"

struct agent_run;

/* What a run tells its owner; all from the loop, never from inside agent_start. */
struct agent_events {
    void (*text)(void *arg, const char *delta, size_t length); /* whole UTF-8 characters */
    /* Once, last; the run is gone afterwards. result 0 or negative as in model.h. */
    void (*end)(void *arg, int result, const struct model_result *out);
};

/* Borrowed for the call. */
struct agent_request {
    const char *session_key, *session_id, *agent_id, *run_id;
    int64_t user_seq;         /* transcript seq of the message to answer */
    const char *extra_system; /* NULL: none */
    const char *provider, *model;
    int64_t timeout_ms;
};

struct agent_kind {
    const char *name;
    /* Never NULL: a refused start is reported by end() on a later turn. */
    struct agent_run *(*start)(struct gateway *gw, const struct agent_request *request,
                               const struct agent_events *events, void *arg);
    void (*cancel)(struct agent_run *run); /* end() comes with -ERR_CANCELLED, on a later turn */
    void (*drop)(struct agent_run *run);   /* its owner goes away: nothing is called any more */
};

/* The kind an agent is configured with ("builtin" when it does not say); NULL: no such kind. */
const struct agent_kind *agent_kind_of(struct gateway *gw, const char *agent_id);

/* Configured agents, default first; NULL past the end. Never empty: without configuration "main".
 * Normalised ids, borrowed until the next reload. */
const char *agent_at(struct gateway *gw, size_t index);
bool agent_exists(struct gateway *gw, const char *agent_id);
/* agents.list entry of the agent; NULL: not listed there. */
const struct json *agent_node(struct gateway *gw, const char *agent_id);
/* Display name; NULL: none was configured. */
const char *agent_name(struct gateway *gw, const char *agent_id);

/* The model of a session (NULL: of the agent): the session's override, the agent's, the default. */
void agent_model(struct gateway *gw, const struct session *session, const char *agent_id,
                 struct model_name *ret);
