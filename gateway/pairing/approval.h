/* Approvals: somebody with the approvals scope is asked whether a command or an agent's action may happen.
 * exec.approval.* methods and events, protocol.md 4.1, 4.3, 5.2. A request ends exactly once: decided,
 * timed out (deny), or withdrawn by who asked. In memory only: after a restart nobody waits for the
 * answer any more. Loop thread only. */
#pragma once

#include "base/json.h"

struct gateway;
struct approvals;
struct approval;

#define APPROVALS_MAX           256    /* pending; one more is refused with the reason */
#define APPROVALS_ENDED_MAX     256    /* kept after their end; then the oldest is forgotten */
#define APPROVAL_ENDED_MS       300000 /* how long a repeated answer or a late waiter is still told */
#define APPROVAL_WAITERS_MAX    64     /* of one request */
#define APPROVAL_TIMEOUT_MS     120000
#define APPROVAL_TIMEOUT_MAX_MS 86400000 /* a longer one is cut to it */
#define APPROVAL_COMMAND_MAX    65536    /* bytes of any text of a request */
#define APPROVAL_ID_MAX         128

enum approval_decision { APPROVAL_DENY, APPROVAL_ALLOW_ONCE, APPROVAL_ALLOW_ALWAYS };

/* Borrowed for the call. */
struct approval_request {
    const char *id;          /* NULL: one is made */
    const char *command;     /* what is asked, for a person */
    const char *const *argv; /* NULL: it is no command */
    const char *cwd, *host, *security, *ask, *agent_id, *session_key, *run_id, *tool_call_id,
        *resolved_path;                         /* each NULL: not told */
    const char *warning, *node_id, *session_id; /* likewise */
    bool no_always; /* "allow always" makes no sense here: shells, agents without such an option */
    int64_t timeout_ms; /* 0: APPROVAL_TIMEOUT_MS */
};

/* Once, from the loop, never from inside approval_ask. result 0: decided; -ERR_TIMEOUT: nobody did;
 * -ERR_INTERRUPTED: the gateway stops. The decision is APPROVAL_DENY in the last two. resolved_by may be
 * NULL. */
typedef void approval_fn(void *arg, int result, enum approval_decision decision,
                         const char *resolved_by);

struct approvals *approvals_new(struct gateway *gw) MUSTCHECK;
/* What is still pending ends with -ERR_INTERRUPTED: an owner that goes before withdraws. */
struct approvals *approvals_free(struct approvals *approvals);

/* Everybody who may answer is told (exec.approval.requested). The pointer is good until fn ran or it was
 * withdrawn. NULL with a fault: full (-ERR_FULL), id taken (-ERR_EXISTS), too long (-ERR_TOO_LARGE). */
struct approval *approval_ask(struct gateway *gw, const struct approval_request *request,
                              approval_fn *fn, void *arg, struct fault *reterr_fault);
/* Who asked does not want it any more: exec.approval.resolved is told, fn is not called. NULL ok. */
void approval_withdraw(struct approval *approval);
/* Is a client connected that may answer? except: not counting this connection (0: none). */
bool approval_has_reviewer(struct gateway *gw, uint64_t except_conn);
const char *approval_id(const struct approval *approval);

/* ---- for exec.approval.* ---- */

/* By id or a beginning of it that no other has; what is pending first. -ERR_NOT_FOUND, or -ERR_CONFLICT when
 * several begin so. */
int approval_find(struct gateway *gw, const char *id, struct approval **ret);
bool approval_pending(const struct approval *approval);
/* The asker's fn and the waiters run inside. Repeating the decision that was made is 0. -ERR_DENIED:
 * "allow always" is not offered; -ERR_CONFLICT: decided otherwise before; -ERR_NOT_FOUND: it ended without
 * a decision. */
int approval_decide(struct approval *approval, enum approval_decision decision,
                    const char *resolved_by);
/* fn as in approval_ask; the approval outlives the call. -ERR_FULL past APPROVAL_WAITERS_MAX. */
int approval_wait(struct approval *approval, approval_fn *fn, void *arg);

const char *approval_decision_name(enum approval_decision decision); /* "allow-once" */
bool approval_decision_parse(const char *name, enum approval_decision *ret);
/* Members createdAtMs and expiresAtMs. */
void approval_write_times(const struct approval *approval, struct json_writer *w);
/* {id, decision|null, createdAtMs, expiresAtMs} */
void approval_write_outcome(const struct approval *approval, struct json_writer *w);
void approval_write_detail(const struct approval *approval, struct json_writer *w); /* .get */
void approvals_write(struct gateway *gw, struct json_writer *w); /* array of what is pending */

/* What is shown of text from outside: characters that cannot be seen or that turn the line around stand as
 * \u{202E}. Caller owns. */
char *approval_display(const char *text) MUSTCHECK;
