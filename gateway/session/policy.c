/* Send policy and reset by age. Both read the configuration each time; owns nothing. */
#include "gateway/session/policy.h"

#include "gateway/config/config.h"
#include "gateway/gateway.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define PART_MAX     64
#define IDLE_MINUTES 60 /* of mode idle that does not say how long */

/* ---- what kind of chat it is ---- */

/* "discord:group:123", "discord:channel:9": the channel the key names; "" when it names none. */
static void key_channel(const char *canonical, char out[PART_MAX])
{
    const char *rest = key_rest(canonical);
    size_t length = strcspn(rest, ":");
    const char *next = rest + length;
    static const char *const kinds[] = {":group:", ":channel:", ":dm:", ":direct:"};

    out[0] = '\0';
    for (size_t i = 0; i < COUNT(kinds) && length < PART_MAX; i++) {
        if (strncmp(next, kinds[i], strlen(kinds[i])) == 0)
            snprintf(out, PART_MAX, "%.*s", (int)length, rest);
    }
}

static const char *key_chat_type(const char *canonical)
{
    if (strstr(canonical, ":thread:") || strstr(canonical, ":topic:"))
        return "thread";
    if (strstr(canonical, ":channel:"))
        return "channel";
    return strstr(canonical, ":group:") ? "group" : "direct";
}

/* ---- send policy ---- */

static bool rule_has(const struct json *match, const char *name, const char *value)
{
    const char *wanted = json_string(json_get(match, name), NULL);

    return !wanted || strcasecmp(wanted, value) == 0;
}

static bool rule_matches(const struct json *rule, const char *key, const struct session *session)
{
    const struct json *match = json_get(rule, "match");
    const char *prefix = json_string(json_get(match, "keyPrefix"), NULL);
    const char *type = key_chat_type(key);
    char channel[PART_MAX];

    key_channel(key, channel);
    if (strcmp(type, "thread") == 0) /* of a group or of a channel */
        type = strstr(key, ":channel:") ? "channel" : strstr(key, ":group:") ? "group" : "direct";
    if (prefix && strncasecmp(key, prefix, strlen(prefix)) != 0 &&
        strncasecmp(key_rest(key), prefix, strlen(prefix)) != 0)
        return false;
    return rule_has(match, "channel",
                    session ? session_text(session, "channel", channel) : channel) &&
           rule_has(match, "chatType", session ? session_text(session, "chatType", type) : type);
}

bool policy_allows(struct gateway *gw, const char *canonical_key, const struct session *session)
{
    const char *own = session ? session_text(session, "sendPolicy", NULL) : NULL;
    bool allowed = false;

    if (own)
        return strcmp(own, "deny") != 0;
    json_each (rule, config_node(gw->config, "session.sendPolicy.rules")) {
        if (!rule_matches(rule, canonical_key, session))
            continue;
        if (strcmp(json_string(json_get(rule, "action"), ""), "deny") == 0)
            return false;
        allowed = true;
    }
    return allowed || strcmp(json_string(config_node(gw->config, "session.sendPolicy.default"), ""),
                             "deny") != 0;
}

/* ---- reset by age ---- */

struct reset_rules {
    const char *mode;
    int64_t hour, idle_minutes; /* idle_minutes 0: not told */
};

static void reset_take(const struct json *node, struct reset_rules *ret)
{
    ret->mode = json_string(json_get(node, "mode"), ret->mode);
    ret->hour = json_integer(json_get(node, "atHour"), ret->hour);
    ret->idle_minutes = json_integer(json_get(node, "idleMinutes"), ret->idle_minutes);
}

/* The channel's rule, else the type's, else everybody's; session.idleMinutes is the older spelling of an
 * idle rule. */
static struct reset_rules reset_rules_of(struct gateway *gw, const struct session *session)
{
    const struct json *types = config_node(gw->config, "session.resetByType");
    const char *type = key_chat_type(session->key);
    struct reset_rules rules = {
        .mode = config_str(gw->config, KNOB_session_reset_mode),
        .hour = config_int(gw->config, KNOB_session_reset_hour),
        .idle_minutes = config_int(gw->config, KNOB_session_reset_idle),
    };
    char channel[PART_MAX];
    const struct json *own;

    key_channel(session->key, channel);
    own = json_get(config_node(gw->config, "session.resetByChannel"),
                   session_text(session, "channel", channel));
    if (!own)
        own = json_get(types, strcmp(type, "channel") == 0 ? "group" : type);
    if (!own && strcmp(type, "direct") == 0)
        own = json_get(types, "dm");
    if (own)
        reset_take(own, &rules);
    if (strcmp(rules.mode, "none") == 0 && config_int(gw->config, KNOB_session_idle) > 0) {
        rules.mode = "idle";
        rules.idle_minutes = config_int(gw->config, KNOB_session_idle);
    }
    return rules;
}

int64_t policy_hour_before(int64_t wall_ms, int hour)
{
    time_t now = (time_t)(wall_ms / 1000), at;
    struct tm local;

    localtime_r(&now, &local);
    local.tm_hour = hour;
    local.tm_min = local.tm_sec = 0;
    local.tm_isdst = -1;
    at = mktime(&local);
    if (at > now) {
        local.tm_mday--;
        local.tm_hour = hour;
        local.tm_isdst = -1;
        at = mktime(&local);
    }
    return (int64_t)at * 1000;
}

bool policy_stale(struct gateway *gw, const struct session *session)
{
    struct reset_rules rules = reset_rules_of(gw, session);
    int64_t now = loop_wall(gw->loop);
    int64_t began = session_number(session, "sessionStartedAt", session->created_at);
    int64_t spoken = session_number(session, "lastInteractionAt", began);

    if (session->message_count == 0 || strcmp(rules.mode, "none") == 0)
        return false;
    if (rules.idle_minutes == 0 && strcmp(rules.mode, "idle") == 0)
        rules.idle_minutes = IDLE_MINUTES;
    if (rules.idle_minutes > 0 && now - spoken >= rules.idle_minutes * 60000)
        return true;
    return strcmp(rules.mode, "daily") == 0 && began < policy_hour_before(now, (int)rules.hour);
}
