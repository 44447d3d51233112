/* agents.list and who an agent is, as clients see it. protocol.md 4.1. */
#pragma once

#include "base/json.h"

struct gateway;

void agent_list_write(struct gateway *gw, int version, struct json_writer *w);
/* {agentId, name, nameSource (v4), avatar}. */
void agent_identity_write(struct gateway *gw, const char *agent_id, int version,
                          struct json_writer *w);
