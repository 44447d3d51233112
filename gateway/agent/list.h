/* agents.list and who an agent is, as clients see it. protocol.md 4.1. */
#pragma once

#include "base/json.h"

struct gateway;

void agent_list_write(struct gateway *gw, int version, struct json_writer *w);
/* {agentId, name, nameSource (v4), avatar, emoji (v4)}: the configuration's word first, then the file's. */
struct identity_file;
void agent_identity_write(struct gateway *gw, const char *agent_id,
                          const struct identity_file *file, int version, struct json_writer *w);
