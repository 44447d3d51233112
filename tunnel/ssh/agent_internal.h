/* Readers of an agent's answers, behind its message type. Pure; for the tests too. 0 or -ERR_INVALID. */
#pragma once

#include "tunnel/ssh/agent.h"
#include "tunnel/ssh/wire.h"

int agent_keys_read(struct wire *answer, struct agent_keys *ret);
int agent_signature_read(struct wire *answer, struct buf *ret);
