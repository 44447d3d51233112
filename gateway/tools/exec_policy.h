/* Whether a command may run on the gateway host: tools.exec.{mode,security,ask,allowlist}, the agent's own
 * over the gateway's, and what people allowed for good. Loop thread only. */
#pragma once

#include "gateway/tools/exec_plan.h"

struct gateway;
struct tools;

#define EXEC_LEARNED_MAX                                                                           \
    1000 /* programs allowed for good, all agents together; one more: the oldest goes */

enum exec_security { EXEC_DENY, EXEC_ALLOWLIST, EXEC_FULL };
enum exec_ask { EXEC_ASK_OFF, EXEC_ASK_ON_MISS, EXEC_ASK_ALWAYS };
struct exec_rules {
    enum exec_security security;
    enum exec_ask ask;
    bool closed;        /* configured so that a miss is refused: no session makes it a question */
    int64_t timeout_ms; /* of one command */
};
/* The session's execSecurity and execAsk only make them stricter; session_key NULL: without one. */
void exec_rules_of(struct gateway *gw, const char *agent_id, const char *session_key,
                   struct exec_rules *ret);
const char *exec_security_name(enum exec_security security);
const char *exec_ask_name(enum exec_ask ask);

enum exec_verdict { EXEC_RUN, EXEC_ASK, EXEC_REFUSE };
/* The plan is worked out. REFUSE fills the fault. */
enum exec_verdict exec_decide(struct gateway *gw, const char *agent_id, const char *session_key,
                              const struct exec_plan *plan, struct fault *reterr_fault);
/* May "always" be answered for it? Not for shells, interpreters and what the agent can rewrite. */
bool exec_may_learn(const struct exec_plan *plan);
/* From now on the agent may run this program; kept over restarts. */
void exec_learn(struct gateway *gw, const char *agent_id, const struct exec_plan *plan);

/* What was: [{agentId, path, at}], borrowed. */
const struct json *exec_learned_list(const struct gateway *gw);
/* tool.c's: what was learned, at the start and at the end. */
struct json *exec_learned_load(struct gateway *gw) MUSTCHECK;
