/* Who may use which tool. */
#include "tests/unit/gateway/tools/kit.h"

#include "gateway/tools/pattern.h"

struct question {
    const char *config, *agent, *tool;
    bool http, expected;
};

static const struct question questions[] = {
    /* by default all but exec */
    {"{}", "main", "read", false, true},
    {"{}", "main", "web_fetch", false, true},
    {"{}", "main", "exec", false, false},
    {"{}", "main", "no_such_tool", false, false},
    /* profiles */
    {"{tools:{profile:'minimal'}}", "main", "session_status", false, true},
    {"{tools:{profile:'minimal'}}", "main", "read", false, false},
    {"{tools:{profile:'messaging'}}", "main", "sessions_list", false, true},
    {"{tools:{profile:'messaging'}}", "main", "write", false, false},
    {"{tools:{profile:'coding'}}", "main", "write", false, true},
    {"{tools:{profile:'minimal',alsoAllow:['group:fs']}}", "main", "read", false, true},
    {"{tools:{profile:'minimal',alsoAllow:['group:fs'],deny:['write']}}", "main", "write", false,
     false},
    /* lists */
    {"{tools:{allow:['read']}}", "main", "read", false, true},
    {"{tools:{allow:['read']}}", "main", "write", false, false},
    {"{tools:{allow:['READ']}}", "main", "read", false, true},
    {"{tools:{allow:['group:sessions']}}", "main", "sessions_list", false, true},
    {"{tools:{allow:['group:sessions']}}", "main", "web_fetch", false, false},
    {"{tools:{allow:['sessions_*']}}", "main", "sessions_history", false, true},
    {"{tools:{allow:['sessions_*']}}", "main", "session_status", false, false},
    {"{tools:{allow:['*']}}", "main", "read", false, true},
    {"{tools:{allow:['*'],deny:['read']}}", "main", "read", false, false}, /* deny wins */
    {"{tools:{deny:['group:fs']}}", "main", "edit", false, false},
    {"{tools:{deny:['group:web']}}", "main", "web_fetch", false, false},
    {"{tools:{deny:['group:openclaw']}}", "main", "sessions_list", false, false},
    {"{tools:{deny:['group:openclaw']}}", "main", "read", false, true},
    {"{tools:{deny:['*']}}", "main", "session_status", false, false},
    {"{tools:{exec:{security:'full'},deny:['bash']}}", "main", "exec", false,
     false}, /* by its other name */
    /* exec's own switch */
    {"{tools:{exec:{security:'full'}}}", "main", "exec", false, true},
    {"{tools:{exec:{security:'full'}}}", "main", "bash", false, true},
    {"{tools:{exec:{mode:'ask'}}}", "main", "exec", false, true},
    {"{tools:{exec:{security:'full',mode:'deny'}}}", "main", "exec", false, false},
    {"{tools:{allow:['exec']}}", "main", "exec", false, false},
    /* an agent's own */
    {"{agents:{list:[{id:'a',tools:{deny:['read']}},{id:'b'}]}}", "a", "read", false, false},
    {"{agents:{list:[{id:'a',tools:{deny:['read']}},{id:'b'}]}}", "b", "read", false, true},
    {"{agents:{list:[{id:'a',tools:{allow:['read']}}]}}", "a", "write", false, false},
    {"{tools:{deny:['read']},agents:{list:[{id:'a',tools:{allow:['read']}}]}}", "a", "read", false,
     false},
    {"{tools:{profile:'full'},agents:{list:[{id:'a',tools:{profile:'minimal'}}]}}", "a", "read",
     false, false},
    {"{agents:{list:[{id:'a',tools:{profile:'minimal',alsoAllow:['read']}}]}}", "a", "read", false,
     true},
    {"{agents:{list:[{id:'a',tools:{exec:{security:'full'}}},{id:'b'}]}}", "a", "exec", false,
     true},
    {"{agents:{list:[{id:'a',tools:{exec:{security:'full'}}},{id:'b'}]}}", "b", "exec", false,
     false},
    /* over HTTP */
    {"{}", "main", "read", true, true},
    {"{}", "main", "sessions_list", true, true},
    {"{}", "main", "write", true, false},
    {"{}", "main", "edit", true, false},
    {"{}", "main", "sessions_send", true, false},
    {"{tools:{exec:{security:'full'}}}", "main", "exec", true, false},
    {"{tools:{exec:{security:'full'}},gateway:{tools:{allow:['exec']}}}", "main", "exec", true,
     true},
    {"{gateway:{tools:{allow:['exec']}}}", "main", "exec", true, false},
    {"{gateway:{tools:{allow:['fs_write']}}}", "main", "write", true, true},
    {"{gateway:{tools:{allow:['write'],deny:['write']}}}", "main", "write", true, false},
    {"{gateway:{tools:{deny:['group:fs']}}}", "main", "read", true, false},
    {"{gateway:{tools:{deny:['read']}}}", "main", "read", false, true}, /* of HTTP alone */
};

T(decisions)
{
    for (size_t i = 0; i < COUNT(questions); i++) {
        const struct question *q = &questions[i];
        struct rig *rig = rig_new(q->config);
        struct fault fault = {0};
        int r = tool_policy(rig->gw, q->agent, "agent:main:main", q->tool, q->http, &fault);

        if ((r == 0) != q->expected)
            t_fail(__FILE__, __LINE__, "%s: %s for %s%s: %s", q->config, q->tool, q->agent,
                   q->http ? " over HTTP" : "", r == 0 ? "permitted" : fault.text);
        t_ok(r == 0 || fault.text[0] != '\0');
        rig_free(rig);
    }
}

T(patterns)
{
    t_ok(pattern_fits("", "") && !pattern_fits("", "a") && pattern_fits("*", ""));
    t_ok(pattern_fits("a*c", "ABC") && pattern_fits("*b*", "abc") && !pattern_fits("a*b", "abc"));
    t_ok(pattern_fits("**a**", "bab") && !pattern_fits("a", "ab") && !pattern_fits("ab", "a"));
    t_ok(!pattern_fits("*a*a*a*a*a*a*a*a*a*b",
                       "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"));
    t_ok(pattern_fits_path("/usr/bin/*", "/usr/bin/id") &&
         !pattern_fits_path("/usr/*", "/usr/bin/id"));
    t_ok(!pattern_fits_path("/usr/bin/ID", "/usr/bin/id") &&
         !pattern_fits_path("/usr/bin*", "/usr/bin/id"));
}
