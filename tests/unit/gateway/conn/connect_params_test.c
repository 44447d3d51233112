/* Connect parameters: the field tables, every id and mode of both versions, version, role, scopes. */
#include "gateway/conn/connect_params.h"

#include "base/mem.h"
#include "tests/unit/gateway/conn/kit.h"

#define HEAD   "{'minProtocol':4,'maxProtocol':4,"
#define CLIENT "'client':{'id':'cli','version':'1','platform':'linux','mode':'cli'}"

static int decode(const char *text, struct json **tree, struct connect_params *params,
                  struct fault *fault)
{
    *tree = kit_json(text);
    return connect_params_decode(*tree, params, fault);
}

T(bad_parameters_are_told_in_the_reference_words)
{
    static const struct {
        const char *text, *fault;
    } cases[] = {
        {"[]", "must be object"},
        {"7", "must be object"},
        {"{}", "must have required property 'minProtocol'"},
        {HEAD "'x':1}", "must have required property 'client'"},
        {HEAD "'client':{'id':'zzz','version':'1','platform':'l','mode':'cli'}}",
         "at /client/id: must be equal to one of the allowed values"},
        {HEAD "'client':{'id':'cli','version':'1','platform':'l','mode':'boss'}}",
         "at /client/mode: must be equal to one of the allowed values"},
        {HEAD "'client':{'id':'cli','platform':'l','mode':'cli'}}",
         "at /client: must have required property 'version'"},
        {"{'minProtocol':0,'maxProtocol':4," CLIENT "}", "at /minProtocol: must be >= 1"},
        {"{'minProtocol':'4','maxProtocol':4," CLIENT "}", "at /minProtocol: must be integer"},
        {HEAD CLIENT ",'device':{'id':'a'}}",
         "at /device: must have required property 'publicKey'"},
        {HEAD CLIENT ",'auth':{'token':7}}", "at /auth/token: must be string"},
        {HEAD CLIENT ",'scopes':'admin'}", "at /scopes: must be array"},
        {HEAD CLIENT ",'permissions':{'a':1}}", "at /permissions/a: must be boolean"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct connect_params params;
        struct fault fault = {0};
        CLEAN(json_free) struct json *tree = NULL;

        t_eq(decode(cases[i].text, &tree, &params, &fault), -ERR_INVALID);
        t_str(fault.text, cases[i].fault);
    }
}

T(unknown_keys_are_ignored_everywhere)
{
    struct connect_params params;
    struct fault fault = {0};
    CLEAN(json_free) struct json *tree = NULL;

    t_eq(decode(HEAD
                "'zzz':1,'client':{'id':'cli','version':'1','platform':'l','mode':'cli','x':2},"
                "'auth':{'token':'T','y':3},'workerRuns':{},'modelCatalog':{}}",
                &tree, &params, &fault),
         0);
    t_str(params.auth.token, "T");
    t_ok(!params.device.id);
}

T(ids_of_every_era)
{
    static const struct {
        const char *id;
        enum connect_kind kind;
    } cases[] = {
        {"cli", CLIENT_CLI},
        {"webchat-ui", CLIENT_WEBCHAT},
        {"webchat", CLIENT_WEBCHAT},
        {"moltbot-control-ui", CLIENT_CONTROL_UI},
        {"clawdbot-control-ui", CLIENT_CONTROL_UI},
        {"openclaw-control-ui", CLIENT_CONTROL_UI},
        {"openclaw-browser-copilot", CLIENT_CONTROL_UI},
        {"openclaw-tui", CLIENT_UI},
        {"gateway-client", CLIENT_OTHER},
        {"moltbot-macos", CLIENT_APP},
        {"moltbot-ios", CLIENT_APP},
        {"moltbot-android", CLIENT_APP},
        {"clawdbot-macos", CLIENT_APP},
        {"openclaw-macos", CLIENT_APP},
        {"openclaw-linux", CLIENT_APP},
        {"openclaw-ios", CLIENT_APP},
        {"openclaw-watchos", CLIENT_APP},
        {"openclaw-android", CLIENT_APP},
        {"node-host", CLIENT_NODE},
        {"openclaw-worker", CLIENT_OTHER},
        {"test", CLIENT_OTHER},
        {"fingerprint", CLIENT_OTHER},
        {"moltbot-probe", CLIENT_PROBE},
        {"clawdbot-probe", CLIENT_PROBE},
        {"openclaw-probe", CLIENT_PROBE},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEAN(mem_free)
        char *text = mem_format(
            HEAD "'client':{'id':'%s','version':'1','platform':'l','mode':'ui'}}", cases[i].id);
        CLEAN(json_free) struct json *tree = NULL;
        struct connect_params params;
        struct fault fault = {0};

        t_eq(decode(text, &tree, &params, &fault), 0);
        t_eq(connect_client_kind(&params), cases[i].kind);
        t_str(connect_client_id(&params), cases[i].id);
    }
}

T(modes)
{
    static const char *const modes[] = {"webchat", "cli",   "ui",   "backend",
                                        "node",    "probe", "test", "worker"};

    for (size_t i = 0; i < COUNT(modes); i++) {
        CLEAN(mem_free)
        char *text = mem_format(
            HEAD "'client':{'id':'cli','version':'1','platform':'l','mode':'%s'}}", modes[i]);
        CLEAN(json_free) struct json *tree = NULL;
        struct connect_params params;
        struct fault fault = {0};

        t_eq(decode(text, &tree, &params, &fault), 0);
        t_str(connect_client_mode(&params), modes[i]);
    }
}

T(version_is_4_where_the_range_has_it)
{
    static const struct {
        int64_t min, max;
        int version;
    } cases[] = {{3, 3, 3}, {4, 4, 4}, {3, 4, 4}, {1, 9, 4}, {1, 3, 3},
                 {1, 2, 0}, {5, 9, 0}, {5, 3, 0}, {4, 3, 0}, {4, 9, 4}};

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct connect_params params = {.min_protocol = cases[i].min, .max_protocol = cases[i].max};
        t_eq(connect_version(&params), cases[i].version);
    }
}

T(roles_and_scopes_left_out)
{
    struct connect_params params = {0};

    t_eq(connect_role(&params), ROLE_OPERATOR);
    t_eq(connect_scopes(&params, 3), SCOPE_ADMIN);
    t_eq(connect_scopes(&params, 4), SCOPE_NONE);
    params.role = "worker";
    t_eq(connect_role(&params), ROLE_NONE);
    params.role = "Operator";
    t_eq(connect_role(&params), ROLE_NONE);
}

/* GHSA-rqpp-rjj8-7wv8: a node that declares operator scopes gets none. */
T(a_node_holds_no_scope)
{
    CLEAN(json_free) struct json *scopes = kit_json("['operator.admin','operator.read']");
    struct connect_params params = {.role = "node", .scopes = scopes};

    t_eq(connect_role(&params), ROLE_NODE);
    t_eq(connect_scopes(&params, 4), SCOPE_NONE);
    params.role = "operator";
    t_eq(connect_scopes(&params, 4), SCOPE_ADMIN | SCOPE_READ);
}
