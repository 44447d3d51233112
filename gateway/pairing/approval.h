/* Approvals: somebody with the approvals scope is asked whether a command or an agent's action may happen.
 * exec.approval.* methods and events, protocol.md 4.1, 4.3, 5.2. A request ends exactly once: decided,
 * timed out (deny), or withdrawn by who asked. Loop thread only. */
#pragma once

#include "base/json.h"

struct gateway;
struct approvals;
struct approval;

#define APPROVALS_MAX        256 /* pending; one more is denied with the reason */
#define APPROVAL_TIMEOUT_MS  120000
#define APPROVAL_COMMAND_MAX 65536

enum approval_decision { APPROVAL_DENY, APPROVAL_ALLOW_ONCE, APPROVAL_ALLOW_ALWAYS };

/* Borrowed for the call. */
struct approval_request {
    const char *id;          /* NULL: one is made */
    const char *command;     /* what is asked, for a person */
    const char *const *argv; /* NULL: it is no command */
    const char *cwd, *host, *security, *ask, *agent_id, *session_key, *run_id, *tool_call_id,
        *resolved_path; /* each NULL: not told */
    bool no_always; /* "allow always" makes no sense here: shells, agents without such an option */
    int64_t timeout_ms; /* 0: APPROVAL_TIMEOUT_MS */
};

/* Once, from the loop, never from inside approval_ask. result 0: decided; -ERR_TIMEOUT: nobody did, the
 * decision is APPROVAL_DENY. resolved_by may be NULL. */
typedef void approval_fn(void *arg, int result, enum approval_decision decision,
                         const char *resolved_by);

struct approvals *approvals_new(struct gateway *gw) MUSTCHECK;
struct approvals *approvals_free(
    struct approvals *approvals); /* fn of what is pending is not called */

/* NULL with a fault: full, id taken, or nobody could ever answer (the fault says what to do). */
struct approval *approval_ask(struct gateway *gw, const struct approval_request *request,
                              approval_fn *fn, void *arg, struct fault *reterr_fault);
/* Who asked does not want it any more: exec.approval.resolved is told, fn is not called. NULL ok. */
void approval_withdraw(struct approval *approval);
