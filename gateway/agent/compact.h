/* Compaction on request: a session that nothing runs in is summarised, alone in its lane, and everybody who
 * watches sessions hears of it. protocol.md 4.1 sessions.compact. Loop thread only. */
#pragma once

#include "gateway/agent/compaction.h"

/* Once, from the loop, never from inside compact_session; also when somebody stops it (-ERR_CANCELLED) and
 * when the gateway goes. result as compaction_fn. */
typedef void compact_fn(void *arg, int result, const struct compaction_result *out,
                        const struct fault *fault);

/* focus: what shall be kept in mind; NULL: nothing special. 0: begun. -ERR_BUSY: a turn runs or waits there;
 * -ERR_UNSUPPORTED: the session's agent keeps its conversation itself; -ERR_NOT_FOUND: no such session, or
 * nothing was said in it; each with a fault. */
int compact_session(struct gateway *gw, const char *session_key, const char *focus, compact_fn *fn,
                    void *arg, struct fault *reterr_fault);

/* The same for a turn that has the lane already (/compact). NULL with a fault: refused. */
struct compact *compact_in_turn(struct gateway *gw, const char *session_key, const char *focus,
                                compact_fn *fn, void *arg, struct fault *reterr_fault) MUSTCHECK;
/* Stops it; fn is not called, watchers hear of the end. NULL ok; returns NULL. */
struct compact *compact_drop(struct compact *compact);
