/* Which sessions a tool may see and touch: tools.sessions.visibility and tools.agentToAgent, as OpenClaw spells
 * them. Ours keep an agent to its own sessions unless the configuration says more. */
#pragma once

#include "gateway/session/session.h"
#include "gateway/tools/tool.h"

/* True when the request's agent may see the session of that canonical key. */
bool visibility_allows(struct gateway *gw, const struct tool_request *request,
                       const char *canonical_key);
/* The session that a tool's argument names: a key as anybody writes it, "current", a session id or a label
 * ("" or NULL: the request's own). -ERR_NOT_FOUND, -ERR_DENIED or -ERR_INVALID with a fault. *ret_session may be
 * NULL: the key is good, nothing was said there yet. */
int visibility_find(struct gateway *gw, const struct tool_request *request, const char *name,
                    char ret_key[SESSION_KEY_MAX + 1], struct session **ret_session,
                    struct fault *reterr_fault);
