/* Our handler goes into a serve-config and out of it; everything else stays. */
#include "base/mem.h"
#include "gateway/tailnet/serve_config.h"
#include "tests/t.h"

#include <string.h>

static struct json *tree(const char *json5)
{
    return json5_parse(json5, strlen(json5), NULL);
}

#define HOST   "gw.tail1.ts.net"
#define TARGET "unix:/run/culvert/proxy.sock"
#define OURS                                                                                       \
    "TCP:{'443':{HTTPS:true}},Web:{'gw.tail1.ts.net:443':{Handlers:{'/':{Proxy:"                   \
    "'unix:/run/culvert/proxy.sock'}}}}"
#define OTHERS                                                                                     \
    "TCP:{'8443':{HTTPS:true},'22':{TCPForward:'127.0.0.1:22'}},Web:{'gw.tail1.ts.net:8443':"      \
    "{Handlers:{'/':{Proxy:'http://127.0.0.1:3000',AcceptAppCaps:['a.com/x']},'/f':{Path:'/srv'}}" \
    "}},Services:{'svc:a':{TCP:{'443':{HTTPS:true}}}},Unknown:{n:1.5},AllowFunnel:{"               \
    "'gw.tail1.ts.net:8443':true}"

static const struct {
    const char *before, *session, *after; /* after NULL: refused */
    bool funnel;
    const char *why;
} additions[] = {
    {NULL, "s1", "{Foreground:{s1:{" OURS "}}}", false, NULL},
    {"null", "s1", "{Foreground:{s1:{" OURS "}}}", false, NULL},
    {"{}", NULL, "{" OURS "}", false, NULL},
    {"{}", NULL, "{" OURS ",AllowFunnel:{'gw.tail1.ts.net:443':true}}", true, NULL},
    {"{" OTHERS "}", "s1", "{" OTHERS ",Foreground:{s1:{" OURS "}}}", false, NULL},
    /* another one's session stays beside ours */
    {"{Foreground:{x:{TCP:{'8443':{HTTPS:true}}}}}", "s1",
     "{Foreground:{x:{TCP:{'8443':{HTTPS:true}}},s1:{" OURS "}}}", false, NULL},
    /* ours already: the same again */
    {"{Foreground:{s1:{" OURS "}}}", "s1", "{Foreground:{s1:{" OURS "}}}", false, NULL},
    /* of a bus that is gone, and tailscaled does not know it yet */
    {"{Foreground:{old:{" OURS "},x:{}}}", "s1", "{Foreground:{x:{},s1:{" OURS "}}}", false, NULL},
    /* the port is somebody's */
    {"{TCP:{'443':{HTTPS:true}},Web:{'gw.tail1.ts.net:443':{Handlers:{'/app':{Proxy:'http://"
     "127.0.0.1:3000'}}}}}",
     "s1", NULL, false, "/app -> http://127.0.0.1:3000"},
    {"{TCP:{'443':{TCPForward:'127.0.0.1:22'}}}", NULL, NULL, false, "TCP -> 127.0.0.1:22"},
    {"{TCP:{'443':{HTTPS:true}}}", "s1", NULL, false, "a listener without a handler"},
    {"{Foreground:{x:{TCP:{'443':{HTTPS:true}},Web:{'gw.tail1.ts.net:443':{Handlers:{'/':{Proxy:"
     "'http://127.0.0.1:3000'}}}}}}}",
     "s1", NULL, false, "in the foreground"},
    {"{AllowFunnel:{'gw.tail1.ts.net:443':true}}", "s1", NULL, false, "would be public"},
    {"{TCP:[1]}", "s1", NULL, false, "TCP is array"},
    {"{Foreground:{x:7}}", "s1", NULL, false, "not what we know"},
    {"[]", "s1", NULL, false, "not what we know"},
};

T(additions_keep_what_is_others)
{
    for (size_t i = 0; i < COUNT(additions); i++) {
        struct serve_claim claim = {.host = HOST,
                                    .target = TARGET,
                                    .session = additions[i].session,
                                    .funnel = additions[i].funnel};
        struct json *config = additions[i].before ? tree(additions[i].before) : NULL;
        CLEAN(json_free) struct json *before = json_copy(config);
        CLEAN(json_free) struct json *after = tree(additions[i].after ? additions[i].after : "{}");
        struct fault fault = {0};
        int r = serve_config_add(&config, &claim, &fault);

        if (additions[i].after) {
            t_eq(r, 0);
            t_ok(json_equal(config, after));
            t_ok(serve_config_has(config, &claim));
        } else {
            t_ok(r < 0);
            t_ok(json_equal(config, before));
            t_ok(strstr(fault.text, additions[i].why) != NULL);
        }
        json_free(config);
    }
}

static const struct {
    const char *before, *session, *after;
    bool changed;
} removals[] = {
    {"{" OURS "}", NULL, "{}", true},
    {"{" OURS ",AllowFunnel:{'gw.tail1.ts.net:443':true}}", NULL, "{}", true},
    {"{Foreground:{s1:{" OURS "}}," OTHERS "}", "s1", "{" OTHERS "}", true},
    {"{Foreground:{x:{},s1:{" OURS "}}}", "s1", "{Foreground:{x:{}}}", true},
    /* not ours any more: left alone */
    {"{Web:{'gw.tail1.ts.net:443':{Handlers:{'/':{Proxy:'http://127.0.0.1:9'}}}}}", NULL,
     "{Web:{'gw.tail1.ts.net:443':{Handlers:{'/':{Proxy:'http://127.0.0.1:9'}}}}}", false},
    {"{" OTHERS "}", NULL, "{" OTHERS "}", false},
    {"{" OTHERS "}", "s1", "{" OTHERS "}", false},
    /* somebody has put a path beside it: the listener stays */
    {"{TCP:{'443':{HTTPS:true}},Web:{'gw.tail1.ts.net:443':{Handlers:{'/':{Proxy:'" TARGET
     "'},'/b':{Text:'x'}}}}}",
     NULL, "{TCP:{'443':{HTTPS:true}},Web:{'gw.tail1.ts.net:443':{Handlers:{'/b':{Text:'x'}}}}}",
     true},
};

T(removals_take_ours_only)
{
    for (size_t i = 0; i < COUNT(removals); i++) {
        struct serve_claim claim = {.host = HOST, .target = TARGET, .session = removals[i].session};
        CLEAN(json_free) struct json *config = tree(removals[i].before);
        CLEAN(json_free) struct json *after = tree(removals[i].after);

        t_eq(serve_config_remove(config, &claim), removals[i].changed);
        t_ok(json_equal(config, after));
        t_ok(!serve_config_has(config, &claim));
    }
}

/* gateway.tailscale.resetOnExit: whatever leads to our port. */
T(removal_by_port)
{
    CLEAN(json_free)
    struct json *config =
        tree("{TCP:{'443':{HTTPS:true},'8443':{HTTPS:true}},Web:{'a:443':{Handlers:{'/':{Proxy:'"
             "18789'},'/x':{Proxy:'http://localhost:18789/'},'/y':{Proxy:'http://127.0.0.1:187891'}"
             "}},'a:8443':{Handlers:{'/':{Proxy:'http://127.0.0.1:18789'}}}}}");
    CLEAN(json_free)
    struct json *after =
        tree("{TCP:{'443':{HTTPS:true}},Web:{'a:443':{Handlers:{'/y':{Proxy:'http:/"
             "/127.0.0.1:187891'}}}}}");

    t_ok(serve_config_remove_port(config, 18789));
    t_ok(json_equal(config, after));
    t_ok(!serve_config_remove_port(config, 18789));
}
