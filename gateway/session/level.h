/* Levels: how much a turn thinks, and how much is told of its tools and of its thoughts. A session's own
 * level, else the agent's default, else everybody's. protocol.md 4.1 (sessions.patch), 6.6. */
#pragma once

#include "gateway/session/session.h"

enum level { LEVEL_THINKING, LEVEL_VERBOSE, LEVEL_REASONING, LEVEL_COUNT };

struct level_row {
    const char *name;           /* of the session's member: "thinkingLevel" */
    const char *fallback;       /* of the agent's setting: "thinkingDefault" */
    const char *const *allowed; /* NULL-terminated */
};
extern const char *const level_thinking[], *const level_verbose[], *const level_reasoning[];
extern const struct level_row level_rows[LEVEL_COUNT];

/* As the table spells it ("HIGH" → "high"); NULL: no such level. */
const char *level_spelled(enum level level, const char *text);
const char *level_thinking_spelled(const char *text);
const char *level_verbose_spelled(const char *text);
/* Never NULL. session NULL: of the agent. Borrowed until the session or the configuration changes. */
const char *level_of(struct gateway *gw, const struct session *session, const char *agent_id,
                     enum level level);
