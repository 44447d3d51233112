/* Canonical session keys as a table: protocol.md 6.4. */
#include "gateway/session/key.h"

#include "tests/t.h"

static const struct key_rules plain = {.default_agent = "main", .main_key = "main"};
static const struct key_rules renamed = {.default_agent = "ops", .main_key = "home"};
static const struct key_rules global = {
    .default_agent = "main", .main_key = "main", .global = true};

static const struct {
    const struct key_rules *rules;
    const char *key, *agent, *expected; /* expected NULL: refused */
} rows[] = {
    {&plain, "main", NULL, "agent:main:main"},
    {&plain, "MAIN", NULL, "agent:main:main"},
    {&plain, "  main ", NULL, "agent:main:main"},
    {&plain, "agent:main:main", NULL, "agent:main:main"},
    {&plain, "Agent:Main:Foo", NULL, "agent:main:foo"},
    {&plain, "foo", NULL, "agent:main:foo"},
    {&plain, "foo", "ops", "agent:ops:foo"},
    {&plain, "main", "ops", "agent:ops:main"},
    {&plain, "agent:ops:x", "ops", "agent:ops:x"},
    {&plain, "agent:ops:x", "main", NULL},
    {&plain, "agent:My Agent:x", NULL, "agent:my-agent:x"},
    {&plain, "agent::x", NULL, "agent:main:x"},
    {&plain, "agent:main:", NULL, NULL},
    {&plain, "cron:42", NULL, "agent:main:cron:42"},
    {&plain, "agent:main:telegram:group:-1:topic:7", NULL, "agent:main:telegram:group:-1:topic:7"},
    {&plain, "global", NULL, "global"},
    {&plain, "unknown", NULL, "unknown"},
    {&plain, "", NULL, NULL},
    {&plain, "   ", NULL, NULL},
    {&plain, "a\nb", NULL, NULL},
    {&renamed, "main", NULL, "agent:ops:home"},
    {&renamed, "home", NULL, "agent:ops:home"},
    {&renamed, "agent:x:main", NULL, "agent:x:home"},
    {&global, "main", NULL, "global"},
    {&global, "agent:main:main", NULL, "global"},
    {&global, "foo", NULL, "agent:main:foo"},
};

T(canonical_table)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        char out[SESSION_KEY_MAX + 1] = "", again[SESSION_KEY_MAX + 1] = "";
        struct fault fault = {0};
        int r = key_canonical(rows[i].rules, rows[i].key, rows[i].agent, out, &fault);

        if (!rows[i].expected) {
            t_eq(r, -ERR_INVALID);
            t_ok(fault.text[0] != '\0');
            continue;
        }
        t_eq(r, 0);
        t_str(out, rows[i].expected);
        t_eq(key_canonical(rows[i].rules, out, NULL, again, &fault), 0);
        t_str(again, out); /* canonical keys map to themselves */
    }
}

T(too_long)
{
    char key[SESSION_KEY_MAX + 2], out[SESSION_KEY_MAX + 1];
    struct fault fault;

    memset(key, 'k', sizeof(key) - 1);
    key[sizeof(key) - 1] = '\0';
    t_eq(key_canonical(&plain, key, NULL, out, &fault), -ERR_INVALID);
    key[SESSION_KEY_MAX - 3] = '\0'; /* fits, but not with its prefix */
    t_eq(key_canonical(&plain, key, NULL, out, &fault), -ERR_INVALID);
}

T(parts)
{
    char agent[AGENT_ID_MAX + 1];

    key_agent(&plain, "agent:ops:dm:1", agent);
    t_str(agent, "ops");
    key_agent(&renamed, "global", agent);
    t_str(agent, "ops");
    t_str(key_rest("agent:ops:dm:1"), "dm:1");
    t_str(key_rest("global"), "global");
    t_ok(key_is_main(&plain, "agent:x:main"));
    t_ok(!key_is_main(&plain, "main"));
    t_ok(key_is_main(&global, "global"));
    t_str(key_kind("agent:main:discord:channel:9"), "group");
    t_str(key_kind("agent:main:main"), "direct");
    t_str(key_classification(&plain, "agent:main:dashboard:1"), "dashboard");
    t_str(key_classification(&plain, "agent:main:main"), "main");
}
