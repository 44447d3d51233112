/* Session keys: what a caller wrote becomes one canonical spelling. Pure; protocol.md 6.4. */
#pragma once

#include "base/err.h"

#define SESSION_KEY_MAX 512
#define AGENT_ID_MAX    64

/* What the configuration says; strings borrowed. */
struct key_rules {
    const char *default_agent; /* normalised */
    const char *main_key;      /* session.mainKey, lower case */
    bool global; /* session.scope is "global": every main session is the one "global" */
};

/* Lower case, aliases resolved, agent id normalised. agent_id (may be NULL) is whose key it is when
 * the key does not say; -ERR_INVALID with a fault for an empty, over-long or malformed key or when
 * the key names another agent. Canonical keys map to themselves. */
int key_canonical(const struct key_rules *rules, const char *key, const char *agent_id,
                  char out[SESSION_KEY_MAX + 1], struct fault *reterr_fault);
/* "[a-z0-9][a-z0-9_-]{0,63}": lower case, other characters become '-', empty becomes "main". */
void key_agent_id(const char *id, size_t length, char out[AGENT_ID_MAX + 1]);
/* The agent a canonical key belongs to (the default agent for global and unknown). */
void key_agent(const struct key_rules *rules, const char *canonical, char out[AGENT_ID_MAX + 1]);
/* What follows "agent:<id>:"; the key itself where there is no such prefix. */
const char *key_rest(const char *canonical);
bool key_is_main(const struct key_rules *rules, const char *canonical);
/* "global", "unknown", "group" or "direct". */
const char *key_kind(const char *canonical);
/* What v4 lists call it: "main", "dashboard", "subagent", "cron", "hook", "group" or "direct". */
const char *key_classification(const struct key_rules *rules, const char *canonical);
