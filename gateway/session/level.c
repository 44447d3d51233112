/* The levels as rows: sessions.patch, the slash commands and the turns read the same. Owns nothing. */
#include "gateway/session/level.h"

#include "gateway/agent/agent.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"

#include <string.h>
#include <strings.h>

const char *const level_thinking[] = {"off", "minimal", "low", "medium", "high", "xhigh", NULL};
const char *const level_verbose[] = {"off", "on", "full", NULL};
const char *const level_reasoning[] = {"on", "off", "stream", NULL};

const struct level_row level_rows[LEVEL_COUNT] = {
    [LEVEL_THINKING] = {"thinkingLevel", "thinkingDefault", level_thinking},
    [LEVEL_VERBOSE] = {"verboseLevel", "verboseDefault", level_verbose},
    [LEVEL_REASONING] = {"reasoningLevel", "reasoningDefault", level_reasoning},
};

/* What people write besides; protocol.md 4.1 leaves room for it. */
static const struct {
    enum level level;
    const char *said, *meant;
} level_others[] = {
    {LEVEL_THINKING, "on", "low"},          {LEVEL_THINKING, "min", "minimal"},
    {LEVEL_THINKING, "mid", "medium"},      {LEVEL_THINKING, "med", "medium"},
    {LEVEL_THINKING, "adaptive", "medium"}, {LEVEL_THINKING, "highest", "high"},
    {LEVEL_THINKING, "max", "xhigh"},       {LEVEL_THINKING, "ultra", "xhigh"},
    {LEVEL_THINKING, "x-high", "xhigh"},    {LEVEL_VERBOSE, "all", "full"},
    {LEVEL_VERBOSE, "everything", "full"},
};

const char *level_spelled(enum level level, const char *text)
{
    for (const char *const *at = level_rows[level].allowed; text && *at; at++) {
        if (strcasecmp(text, *at) == 0)
            return *at;
    }
    for (size_t i = 0; text && i < COUNT(level_others); i++) {
        if (level_others[i].level == level && strcasecmp(text, level_others[i].said) == 0)
            return level_others[i].meant;
    }
    return NULL;
}

const char *level_thinking_spelled(const char *text)
{
    return level_spelled(LEVEL_THINKING, text);
}

const char *level_verbose_spelled(const char *text)
{
    return level_spelled(LEVEL_VERBOSE, text);
}

static const char *level_standard(struct gateway *gw, enum level level)
{
    switch (level) {
    case LEVEL_THINKING: return config_str(gw->config, KNOB_agent_thinking);
    case LEVEL_VERBOSE: return config_str(gw->config, KNOB_agent_verbose);
    case LEVEL_REASONING: return config_str(gw->config, KNOB_agent_reasoning);
    case LEVEL_COUNT: break;
    }
    return "off";
}

const char *level_of(struct gateway *gw, const struct session *session, const char *agent_id,
                     enum level level)
{
    const struct level_row *row = &level_rows[level];
    const char *own = session ? session_text(session, row->name, NULL) : NULL;

    if (!own)
        own = json_string(json_get(agent_node(gw, agent_id), row->fallback), NULL);
    return own ? own : level_standard(gw, level);
}
