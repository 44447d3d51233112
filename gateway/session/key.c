/* Session keys. The path: key_canonical copies in lower case, splits off "agent:<id>:", replaces the
 * main aliases, puts the prefix back. Pure: no gateway, no allocation. protocol.md 6.4. */
#include "gateway/session/key.h"

#include <stdio.h>
#include <string.h>

static const char key_prefix[] = "agent:";

static char key_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Copies without surrounding blanks, in lower case. Control characters have no place in a key. */
static int key_copy(const char *key, char out[SESSION_KEY_MAX + 1], struct fault *fault)
{
    size_t length;

    while (*key == ' ')
        key++;
    length = strlen(key);
    while (length > 0 && key[length - 1] == ' ')
        length--;
    if (length == 0)
        return fault_set(fault, -ERR_INVALID, "session key is empty");
    if (length > SESSION_KEY_MAX)
        return fault_set(fault, -ERR_INVALID, "session key is longer than %d bytes",
                         SESSION_KEY_MAX);
    for (size_t i = 0; i < length; i++) {
        if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f)
            return fault_set(fault, -ERR_INVALID, "session key has a control character at byte %zu",
                             i);
        out[i] = key_lower(key[i]);
    }
    out[length] = '\0';
    return 0;
}

void key_agent_id(const char *id, size_t length, char out[AGENT_ID_MAX + 1])
{
    size_t n = 0;

    for (size_t i = 0; i < length && n < AGENT_ID_MAX; i++) {
        char c = key_lower(id[i]);
        bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';

        if (!plain)
            c = '-';
        if (n == 0 && (c == '-' || c == '_')) /* the first one must be a letter or digit */
            continue;
        out[n++] = c;
    }
    out[n] = '\0';
    if (n == 0)
        memcpy(out, "main", sizeof("main"));
}

/* The parts of "agent:<id>:<rest>"; false when the key has another form. */
static bool key_split(const char *key, char agent[AGENT_ID_MAX + 1], const char **ret_rest)
{
    const char *id, *colon;

    if (strncmp(key, key_prefix, sizeof(key_prefix) - 1) != 0)
        return false;
    id = key + sizeof(key_prefix) - 1;
    colon = strchr(id, ':');
    if (!colon)
        return false;
    key_agent_id(id, (size_t)(colon - id), agent);
    *ret_rest = colon + 1;
    return true;
}

int key_canonical(const struct key_rules *rules, const char *key, const char *agent_id,
                  char out[SESSION_KEY_MAX + 1], struct fault *reterr_fault)
{
    char given[SESSION_KEY_MAX + 1], agent[AGENT_ID_MAX + 1], asked[AGENT_ID_MAX + 1];
    const char *rest = given;
    int n, r;

    r = key_copy(key, given, reterr_fault);
    if (r < 0)
        return r;
    if (strcmp(given, "global") == 0 || strcmp(given, "unknown") == 0) {
        memcpy(out, given, strlen(given) + 1);
        return 0;
    }

    key_agent_id(agent_id ? agent_id : rules->default_agent,
                 strlen(agent_id ? agent_id : rules->default_agent), asked);
    if (!key_split(given, agent, &rest))
        memcpy(agent, asked, sizeof(agent));
    else if (agent_id && strcmp(agent, asked) != 0)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "agent \"%s\" does not match session key agent \"%s\"", asked, agent);
    if (!*rest)
        return fault_set(reterr_fault, -ERR_INVALID, "session key \"%s\" ends after the agent",
                         given);

    if (strcmp(rest, "main") == 0)
        rest = rules->main_key;
    if (rules->global && strcmp(rest, rules->main_key) == 0) {
        memcpy(out, "global", sizeof("global"));
        return 0;
    }
    n = snprintf(out, SESSION_KEY_MAX + 1, "%s%s:%s", key_prefix, agent, rest);
    if (n < 0 || n > SESSION_KEY_MAX)
        return fault_set(reterr_fault, -ERR_INVALID, "session key is longer than %d bytes",
                         SESSION_KEY_MAX);
    return 0;
}

void key_agent(const struct key_rules *rules, const char *canonical, char out[AGENT_ID_MAX + 1])
{
    const char *rest;

    if (!key_split(canonical, out, &rest))
        key_agent_id(rules->default_agent, strlen(rules->default_agent), out);
}

const char *key_rest(const char *canonical)
{
    char agent[AGENT_ID_MAX + 1];
    const char *rest;

    return key_split(canonical, agent, &rest) ? rest : canonical;
}

bool key_is_main(const struct key_rules *rules, const char *canonical)
{
    if (rules->global)
        return strcmp(canonical, "global") == 0;
    return key_rest(canonical) != canonical && strcmp(key_rest(canonical), rules->main_key) == 0;
}

const char *key_kind(const char *canonical)
{
    if (strcmp(canonical, "global") == 0 || strcmp(canonical, "unknown") == 0)
        return canonical[0] == 'g' ? "global" : "unknown";
    return strstr(canonical, ":group:") || strstr(canonical, ":channel:") ? "group" : "direct";
}

const char *key_classification(const struct key_rules *rules, const char *canonical)
{
    static const struct {
        const char *start, *name;
    } rows[] = {
        {"dashboard:", "dashboard"},
        {"subagent:", "subagent"},
        {"cron:", "cron"},
        {"hook:", "hook"},
    };
    const char *rest = key_rest(canonical);

    if (key_is_main(rules, canonical))
        return "main";
    for (size_t i = 0; i < COUNT(rows); i++) {
        if (strncmp(rest, rows[i].start, strlen(rows[i].start)) == 0)
            return rows[i].name;
    }
    return strcmp(key_kind(canonical), "group") == 0 ? "group" : "direct";
}
