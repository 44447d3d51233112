/* Agents: who answers a turn. A kind is a vtable, one file each, one row in agents.def; which agents
 * exist, their names and models comes from the configuration (agents.list, agents.defaults).
 * design.md section 8. Loop thread only. */
#pragma once

#include "gateway/model/model.h"
#include "gateway/session/session.h"

struct agent_run;

/* A message of the run that is not its last: an assistant's that calls tools, or a tool's result. All
 * borrowed. */
struct agent_message {
    const char *role; /* "assistant", "toolResult" */
    const char *text; /* what lists show of it; NULL: nothing */
    const char *json; /* the message, protocol.md 6.6, without ids: the transcript gives those */
};

/* What a run tells its owner; all from the loop, never from inside agent_start. The owner may cancel or
 * drop the run inside any of them. */
struct agent_events {
    void (*text)(void *arg, const char *delta, size_t length);     /* whole UTF-8 characters */
    void (*thinking)(void *arg, const char *delta, size_t length); /* likewise */
    /* One event of the `agent` streams other than lifecycle, assistant and thinking: "tool", "compaction",
     * "plan", "approval", … with its data as JSON text (protocol.md 6.3). */
    void (*stream)(void *arg, const char *stream, const char *data);
    /* To be kept: goes into the transcript, in this order. An assistant's message holds the text told so
     * far; what text() says next begins a new one. */
    void (*message)(void *arg, const struct agent_message *message);
    /* Once, last; the run is gone afterwards. result 0 or negative as in model.h; out->content is the last
     * message's content, out->usage the whole run's. */
    void (*end)(void *arg, int result, const struct model_result *out);
};

/* Borrowed for the call. */
struct agent_request {
    const char *session_key, *session_id, *agent_id, *run_id;
    int64_t user_seq;  /* transcript seq of the message to answer, the last of them */
    int64_t first_seq; /* the first, where several were collected into one turn; else the same */
    const char *extra_system; /* NULL: none */
    const char *provider, *model;
    bool model_chosen; /* by the session: fallbacks do not apply */
    enum model_thinking thinking;
    int64_t max_tokens; /* of each answer of the model; 0: the model's own */
    /* Tools the caller runs itself (/v1/chat/completions, /v1/responses), as in model_request.tools; NULL: none.
     * An answer that calls one ends the run with stop_reason "toolUse" and the calls in content. */
    const struct json *client_tools;
    int64_t timeout_ms;
};

struct agent_kind {
    const char *name;
    /* Never NULL: a refused start is reported by end() on a later turn. */
    struct agent_run *(*start)(struct gateway *gw, const struct agent_request *request,
                               const struct agent_events *events, void *arg);
    void (*cancel)(struct agent_run *run); /* end() comes with -ERR_CANCELLED, on a later turn */
    void (*drop)(struct agent_run *run);   /* its owner goes away: nothing is called any more */
    /* Queue mode "steer": a user's message (transcript row user_seq, text, images as in turn_request) joins the
     * run before its next request to the model. False: too late, it becomes a turn of its own. NULL:
     * always. */
    bool (*steer)(struct agent_run *run, int64_t user_seq, const char *text, const char *images);
    /* Who answers, for kinds that do not ask our models. NULL: session and configuration say. */
    void (*model)(struct gateway *gw, const char *agent_id, struct model_name *ret);
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

/* The agent's workspace folder, absolute: agents.list[].workspace; for the default agent
 * agents.defaults.workspace, else <state>/workspace; for another one its id below agents.defaults.workspace, else
 * <state>/workspace-<id>. Caller owns. */
char *agent_workspace_path(struct gateway *gw, const char *agent_id) MUSTCHECK;
/* The same, and made when it is not there. NULL with a fault. */
char *agent_workspace(struct gateway *gw, const char *agent_id, struct fault *reterr_fault)
    MUSTCHECK;

/* What answers instead when the model cannot: agents.list[].model.fallbacks, where the agent has a model of its
 * own, else agents.defaults.model.fallbacks. Fills ret, NULL-terminated; borrowed until the next reload. */
#define AGENT_FALLBACKS_MAX 16
void agent_fallbacks(struct gateway *gw, const char *agent_id,
                     const char *ret[AGENT_FALLBACKS_MAX + 1]);

/* The model of a session (NULL: of the agent): the session's override, the agent's, the default. */
void agent_model(struct gateway *gw, const struct session *session, const char *agent_id,
                 struct model_name *ret);
