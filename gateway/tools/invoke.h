/* One tool, by somebody who is no agent: POST /tools/invoke and tools.invoke share how its words are read.
 * protocol.md 8.6. */
#pragma once

#include "gateway/session/session.h"
#include "gateway/tools/tool.h"

struct invoke {
    char agent_id[AGENT_ID_MAX + 1], key[SESSION_KEY_MAX + 1];
    struct tool_request request; /* points into this struct and into what it was made of */
    struct json *arguments;      /* args, with action where the tool has such a parameter */
};

/* body: {tool|name, args?, action?, sessionKey?, agentId?, idempotencyKey?}, borrowed until invoke_done; name wins
 * over tool. 0; -ERR_NOT_FOUND: no such tool, or not offered here (the fault is "Tool not available: …"); or -ERR_INVALID
 * with the fault's sentence. invoke_done in any case. */
int invoke_read(struct gateway *gw, const struct json *body, struct invoke *ret,
                struct fault *reterr_fault);
void invoke_done(struct invoke *invoke);
