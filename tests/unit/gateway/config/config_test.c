/* Loading, verdicts, typed reads, reload. */
#include "gateway/config/config.h"

#include "gateway/config/rows.h"
#include "gateway/config/snapshot.h"
#include "tests/unit/gateway/config/kit.h"

static struct config *load(const char *text)
{
    struct config *config = NULL;
    struct fault fault = {0};

    if (config_load(kit_file("culvert.json", text), &config, &fault) < 0)
        t_fail(__FILE__, __LINE__, "refused: %s", fault.text);
    return config;
}

T(absent_file_is_all_defaults)
{
    struct config *c = NULL;
    struct fault fault = {0};
    char path[600];

    snprintf(path, sizeof(path), "%s/none.json", t_tmpdir());
    t_eq(config_load(path, &c, &fault), 0);
    t_eq(config_int(c, KNOB_gateway_port), 18789);
    t_str(config_str(c, KNOB_gateway_bind), "loopback");
    t_eq(config_bool(c, KNOB_pairing_auto_local), true);
    t_ok(config_str(c, KNOB_auth_token) == NULL);
    t_ok(!config_given(c, KNOB_gateway_port));
    t_eq(config_enum(c, KNOB_auth_mode), -1);
    t_str(config_hash(c), "");
    config_free(c);
}

static bool is_unused(const char *path)
{
    for (const char *const *row = unused_rows; *row; row++) {
        size_t length = strlen(*row);
        if (!strncmp(path, *row, length) && (path[length] == '\0' || path[length] == '.'))
            return true;
    }
    return false;
}

T(every_default_is_allowed_by_its_own_row)
{
    for (unsigned knob = 0; knob < KNOB_COUNT; knob++) {
        const struct knob_row *row = &knob_rows[knob];
        int64_t number;
        if (row->otherwise && !knob_parse(row, row->otherwise, &number))
            t_fail(__FILE__, __LINE__, "default of %s", row->path);
        if (is_unused(row->path) || rows_part(row->path))
            t_fail(__FILE__, __LINE__, "%s stands in two tables", row->path);
        for (unsigned other = 0; other < knob; other++) {
            if (!strcmp(row->path, knob_rows[other].path))
                t_fail(__FILE__, __LINE__, "%s twice", row->path);
        }
    }
}

T(json5_values_of_every_kind)
{
    struct config *c =
        load("// comment\n{ gateway: { port: 0x10, bind: '10.0.0.1',\n"
             "  auth: { mode: 'token', token: 'abc' } },\n"
             "  session: { scope: \"global\", }, agents: { defaults: { maxConcurrent: 3 } } }");

    t_eq(config_int(c, KNOB_gateway_port), 16);
    t_str(config_str(c, KNOB_gateway_bind), "10.0.0.1");
    t_eq(config_enum(c, KNOB_gateway_bind), 5);
    t_eq(config_enum(c, KNOB_auth_mode), 0);
    t_str(config_str(c, KNOB_auth_token), "abc");
    t_eq(config_enum(c, KNOB_session_scope), 1);
    t_eq(config_int(c, KNOB_agent_concurrency), 3);
    t_ok(config_given(c, KNOB_agent_concurrency));
    t_eq(strlen(config_hash(c)), 64);
    config_free(c);
}

T(structured_parts_are_nodes)
{
    struct config *c =
        load("{ agents: { list: [{ id: 'a', model: 'x/y' }, { id: 'b', model: {primary:'p/q'} }],"
             " defaults: { model: 'short/form' } },"
             " models: { providers: { 'my.one': { baseUrl: 'http://x', api: 'ollama',"
             " models: [{ id: 'm' }] } } } }");

    t_eq(json_count(config_node(c, "agents.list")), 2);
    t_str(json_string(json_get(json_at(config_node(c, "agents.list"), 1), "id"), ""), "b");
    t_str(config_str(c, KNOB_agent_model), "short/form");
    t_ok(config_node(c, "bindings") == NULL);
    config_free(c);
}

/* One line each: what is written, and what the refusal must say. */
static const struct {
    const char *text, *says;
} refusals[] = {
    {"{\n  gateway: {\n    port: ,\n", "culvert.json: line 3, column"},
    {"{gateway:{port:1},gateway:{}}", "culvert.json: "},
    {"[]", "culvert.json:1: expected an object"},
    {"{\n gateway: {\n  port: 'x' } }",
     "culvert.json:3: gateway.port: expected an integer from 0 to 65535, got string"},
    {"{gateway:{port:65536}}", "gateway.port: expected an integer from 0 to 65535"},
    {"{gateway:{port:1.5}}", "gateway.port: expected an integer"},
    {"{gateway:{port:null}}", "got null"},
    {"{gateway: 5}", "gateway: expected an object, got number"},
    {"{\n\n gateway: { prot: 1 } }",
     "culvert.json:3: gateway.prot: unknown key; the nearest known one is \"port\""},
    {"{gatway: {}}", "gatway: unknown key; the nearest known one is \"gateway\""},
    {"{'gateway.port': 1}", "gateway.port: unknown key"},
    {"{zzzzqqqq: 1}", "zzzzqqqq: unknown key; remove it"},
    {"{gateway:{bind:'lann'}}", "gateway.bind: expected \"loopback\", \"lan\", \"tailnet\", "
                                "\"auto\", \"custom\" or an IP address; the nearest is \"lan\""},
    {"{gateway:{auth:{mode:'trusted'}}}", "gateway.auth.mode: expected \"token\""},
    {"{gateway:{tls:{enabled:'yes'}}}", "gateway.tls.enabled: expected true or false, got string"},
    {"{agents:{list:[{name:'x'}]}}", "agents.list.0: \"id\" is missing"},
    {"{agents:{list:[\n{id:'x'},\n{id:'y',\nmodle:'z'}]}}",
     "culvert.json:4: agents.list.1.modle: unknown key; the nearest known one is \"model\""},
    {"{agents:{list:{}}}", "agents.list: expected a list of objects, got object"},
    {"{agents:{list:[{id:'x',model:7}]}}",
     "agents.list.0.model: expected a string or an object, got number"},
    {"{models:{providers:{a:{api:'olama'}}}}", "models.providers.a.api: expected one of"},
    {"{models:{providers:{a:{api:'olama'}}}}", "the nearest is \"ollama\""},
    {"{models:{providers:{a:{models:[{id:'m',maxTokens:0}]}}}}",
     "models.providers.a.models.0.maxTokens: expected an integer from 1"},
    {"{gateway:{trustedProxies:[1]}}", "gateway.trustedProxies.0: expected a string, got number"},
    {"{channels:{telegrm:{}}}",
     "channels.telegrm: unknown key; the nearest known one is \"telegram\""},
    {"{channels:{telegram:{botTokn:'x'}}}", "nearest known one is \"botToken\""},
    {"{channels:{telegram:{accounts:{a:{dmPolicy:'opne'}}}}}", "the nearest is \"open\""},
    {"{gateway:{auth:{secretScopes:['operator.raed']}}}",
     "gateway.auth.secretScopes.0: expected one of"},
    {"{gateway:{auth:{secretScopes:['operator.raed']}}}", "the nearest is \"operator.read\""},
    {"{agents:{list:[{id:'Big Agent'}]}}", "agents.list.0.id: expected an id"},
    {"{agents:{entries:{'Big Agent':{}}}}", "agents.entries.Big Agent: expected an id"},
    {"{bindings:[{agentId:'a'}]}", "bindings.0: \"match\" is missing"},
    {"{gateway:{prot:1},zzzzqqqq:2}", "(and 1 more)"},
};

T(wrong_is_refused_with_place_and_expectation)
{
    for (size_t i = 0; i < COUNT(refusals); i++) {
        struct config *c = NULL;
        struct fault fault = {0};
        int r = config_load(kit_file("culvert.json", refusals[i].text), &c, &fault);
        if (r != -ERR_INVALID)
            t_fail(__FILE__, __LINE__, "row %zu was accepted: %s", i, refusals[i].text);
        t_has(fault.text, refusals[i].says);
        config_free(c);
    }
}

T(messages_never_quote_values)
{
    struct config *c = NULL;
    struct fault fault = {0};

    t_eq(config_load(kit_file("culvert.json",
                              "{gateway:{bind:'hunter2secret',auth:{mode:'hunter2secret',"
                              "token:{hunter:1}},port:'hunter2secret'}}"),
                     &c, &fault),
         -ERR_INVALID);
    t_ok(!strstr(fault.text, "hunter2secret"));
}

T(agents_by_id_stand_in_the_list)
{
    struct config *c = load("{agents:{list:[{id:'a',name:'A'}],entries:{a:{name:'X'},b:{name:'B',"
                            "runtime:{type:'embedded'}}}}}");
    const struct json *list = config_node(c, "agents.list");

    t_eq(json_count(list), 2);
    t_str(json_string(json_get(json_at(list, 0), "name"), ""), "A");
    t_str(json_string(json_get(json_at(list, 1), "id"), ""), "b");
    t_str(json_string(json_get(json_at(list, 1), "name"), ""), "B");
    t_str(json_string(json_path(json_at(list, 1), "runtime.type"), ""), "builtin");
    config_free(c);
}

T(known_keys_that_we_do_not_use_are_warnings)
{
    const char *text = "{$schema:'x', talk:{voiceId:'v'},\n"
                       "gateway:{remote:{url:'ws://x'}},\n"
                       "channels:{telegram:{network:{}},matrix:{}},\n"
                       "agents:{list:[{id:'a',sandbox:{}}]}}";
    struct snapshot *s = snapshot_build("/tmp/culvert.json", text, strlen(text));

    t_eq(s->issues.count, 0);
    t_eq(s->warnings.count, 6);
    t_str(s->warnings.items[0].path, "talk");
    t_eq(s->warnings.items[0].line, 1);
    t_str(s->warnings.items[1].path, "gateway.remote");
    t_eq(s->warnings.items[1].line, 2);
    t_str(s->warnings.items[5].path, "agents.list.0.sandbox");
    snapshot_free(s);
}

T(overrides_win_and_survive_reload)
{
    struct config *c = load("{gateway:{port:1000}}");
    struct fault fault = {0};

    t_eq(config_override(c, KNOB_gateway_port, "2000"), 0);
    t_eq(config_override(c, KNOB_gateway_port, "70000"), -ERR_INVALID);
    t_eq(config_check(KNOB_gateway_bind, "nowhere", &fault), -ERR_INVALID);
    t_has(fault.text, "gateway.bind: expected");
    t_eq(config_int(c, KNOB_gateway_port), 2000);
    kit_file("culvert.json", "{gateway:{port:3000}}");
    t_eq(config_reload(c, NULL, NULL), 0);
    t_eq(config_int(c, KNOB_gateway_port), 2000);
    config_free(c);
}

struct seen {
    struct config *config;
    int calls;
    bool session, auth;
};

static void on_watch(void *arg)
{
    struct seen *seen = arg;

    seen->calls++;
    seen->session = config_changed(seen->config, "session");
    seen->auth = config_changed(seen->config, "gateway.auth.token");
}

T(reload_hot_restart_and_kept)
{
    struct config *c = load("{gateway:{port:1000},session:{mainKey:'a'}}");
    struct seen seen = {.config = c};
    struct fault fault = {0};
    bool restart = true;

    config_watch(c, on_watch, &seen);
    t_eq(config_reload(c, &restart, &fault), 0);
    t_ok(!restart);
    t_eq(seen.calls, 0); /* nothing changed */

    kit_file("culvert.json", "{gateway:{port:1000},session:{mainKey:'b'}}");
    t_eq(config_reload(c, &restart, &fault), 0);
    t_ok(!restart);
    t_eq(seen.calls, 1);
    t_ok(seen.session && !seen.auth);
    t_str(config_str(c, KNOB_session_main_key), "b");

    kit_file("culvert.json", "{gateway:{port:1001},session:{mainKey:'b'}}");
    t_eq(config_reload(c, &restart, &fault), 0);
    t_ok(restart && config_restart_pending(c));
    t_eq(config_int(c, KNOB_gateway_port), 1000); /* until the restart */

    kit_file("culvert.json", "{gateway:{prt:1001},session:{mainKey:'a'}}");
    t_eq(config_reload(c, &restart, &fault), -ERR_INVALID);
    t_has(fault.text, "unknown key");
    t_str(config_str(c, KNOB_session_main_key), "b"); /* the running one is kept */
    t_eq(seen.calls, 2);

    kit_file("culvert.json", "{gateway:{port:1000}}");
    t_eq(config_reload(c, &restart, &fault), 0);
    t_ok(!restart && !config_restart_pending(c)); /* back where it started */
    config_unwatch(c, on_watch, &seen);
    kit_file("culvert.json", "{}");
    t_eq(config_reload(c, &restart, &fault), 0);
    t_eq(seen.calls, 3);
    config_free(c);
}
