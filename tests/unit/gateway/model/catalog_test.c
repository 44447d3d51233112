/* What the configuration says of models: names, aliases, keys, lists. */
#include "tests/rig/model_rig.h"

#include <stdlib.h>

static char *written(struct model_rig *rig, void (*write)(struct gateway *, struct json_writer *))
{
    struct json_writer w;
    struct buf out;

    buf_init(&out, 1u << 20);
    jw_init(&w, &out);
    write(&rig->gw, &w);
    return buf_take(&out);
}

static void resolves(struct model_rig *rig, const char *text, const char *provider,
                     const char *model)
{
    struct model_name name;
    struct fault fault = {0};

    t_eq(model_resolve(&rig->gw, text, &name, &fault), 0);
    t_str(name.provider, provider);
    t_str(name.model, model);
}

T(a_fresh_gateway_has_echo)
{
    struct model_rig *rig;
    CLEAN(mem_free) char *list = NULL, *auth = NULL;

    unsetenv("OPENAI_API_KEY");
    rig = model_rig_new("{}", NULL);
    resolves(rig, NULL, "echo", "echo");
    list = written(rig, models_write);
    t_json(list, "[{'id':'echo','provider':'echo','name':'*','available':true,'local':true,'tags':["
                 "'default']}]");
    auth = written(rig, models_write_auth);
    t_json(auth, "{'ts':'*','providers':[]}");
    model_rig_free(rig);
}

T(names)
{
    struct model_rig *rig =
        model_rig_new("{agents:{defaults:{model:{primary:\"or/meta/llama\"},models:{\"or/meta/"
                      "llama\":{alias:\"Fast\"}}}},"
                      "models:{providers:{or:{baseUrl:\"http://127.0.0.1:1/v1\",apiKey:\"k\"}}}}",
                      NULL);
    static const char *const bad[] = {"", "x", "/x", "x/", "slow"};
    struct model_name name;
    struct fault fault = {0};
    CLEAN(mem_free) char *list = NULL;

    resolves(rig, NULL, "or", "meta/llama");
    resolves(rig, "fast", "or", "meta/llama");
    resolves(rig, "a/b/c", "a", "b/c");
    for (size_t i = 0; i < COUNT(bad); i++)
        t_eq(model_resolve(&rig->gw, bad[i], &name, &fault), -ERR_INVALID);
    list = written(rig, models_write);
    t_json(list,
           "[{'id':'meta/llama','provider':'or','alias':'Fast','tags':['default']},{'id':'echo'}]");
    model_rig_free(rig);
}

T(lists_and_keys)
{
    struct model_rig *rig;
    CLEAN(mem_free) char *list = NULL, *auth = NULL;

    setenv("TEST_MODEL_KEY", "sk-from-env", 1);
    setenv("GROQ_API_KEY", "sk-groq", 1);
    unsetenv("OPENAI_API_KEY");
    rig = model_rig_new(
        "{models:{providers:{"
        "a:{baseUrl:\"http://127.0.0.1:1/v1\",apiKey:\"sk-in-config\",models:[{id:\"x\",name:\"X\","
        "contextWindow:1000,reasoning:true,input:[\"text\",\"image\"]}]},"
        "b:{baseUrl:\"http://127.0.0.1:1/v1\",apiKey:\"TEST_MODEL_KEY\",models:[{id:\"y\"}]},"
        "groq:{baseUrl:\"http://127.0.0.1:1/v1\"},"
        "openai:{models:[{id:\"gpt\"}]},"
        "local:{baseUrl:\"http://127.0.0.1:1/v1\"},"
        "later:{baseUrl:\"http://127.0.0.1:1\",api:\"bedrock-converse-stream\",models:[{id:\"z\"}]}"
        "}}}",
        NULL);
    list = written(rig, models_write);
    t_json(list, "[{'id':'x','name':'X','provider':'a','contextWindow':1000,'reasoning':true,"
                 "'input':['text','image'],'available':true},"
                 "{'id':'y','provider':'b','available':true},"
                 "{'id':'gpt','provider':'openai','local':false,'available':false,'"
                 "unavailableReason':'missing-auth'},"
                 "{'id':'z','provider':'later','available':false},{'id':'echo'}]");
    auth = written(rig, models_write_auth);
    t_json(auth,
           "{'providers':["
           "{'provider':'a','status':'static','profiles':[],'apiKey':{'source':'config'}},"
           "{'provider':'b','status':'static','apiKey':{'source':'env','envVar':'TEST_MODEL_KEY'}},"
           "{'provider':'groq','apiKey':{'source':'env','envVar':'GROQ_API_KEY'}},"
           "{'provider':'openai','status':'missing'}]}");
    t_ok(strstr(list, "sk-") == NULL && strstr(auth, "sk-") == NULL);
    t_eq(model_context_window(&rig->gw, "a", "x"), 1000);
    t_eq(model_context_window(&rig->gw, "a", "nope"), 0);

    model_rig_start(rig, "openai/gpt");
    model_rig_end(rig, 1);
    t_eq(rig->result, -ERR_AUTH);
    t_eq(rig->out.error_kind, MODEL_ERROR_AUTH);
    model_rig_start(rig, "later/z");
    model_rig_end(rig, 1);
    t_eq(rig->result, -ERR_UNSUPPORTED);
    model_rig_start(rig, "nobody/z");
    model_rig_end(rig, 1);
    t_eq(rig->result, -ERR_NOT_FOUND);
    t_has(rig->fault.text, "models.providers.nobody");
    model_rig_free(rig);
}

T(a_changed_configuration_is_read_again)
{
    struct model_rig *rig = model_rig_new("{}", NULL);
    CLEAN(mem_free) char *list = NULL;
    char *path = mem_string(config_path(rig->gw.config));
    FILE *file = fopen(path, "w");
    struct fault fault = {0};

    (void)fputs("{models:{providers:{a:{baseUrl:\"http://127.0.0.1:1/v1\",models:[{id:\"x\"}]}}}}",
                file);
    (void)fclose(file);
    t_eq(config_reload(rig->gw.config, NULL, &fault), 0);
    list = written(rig, models_write);
    t_json(list, "[{'id':'x','provider':'a'},{'id':'echo'}]");
    mem_free(path);
    model_rig_free(rig);
}

T(echo_in_words)
{
    struct model_rig *rig = model_rig_new("{}", NULL);

    model_rig_start_messages(
        rig, "echo/echo",
        "[{\"role\":\"user\",\"content\":\"old\"},{\"role\":\"assistant\",\"content\":"
        "\"older\"},{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"caf"
        "\xc3\xa9 au lait\"}]}]",
        0);
    model_rig_end(rig, 10);
    t_eq(rig->result, 0);
    t_has(rig->text.data, "embedded echo model");
    t_has(rig->text.data, "\n\ncaf\xc3\xa9 au lait");
    t_ok(strstr(rig->text.data, "old") == NULL);
    t_eq(rig->out.usage.input, 5);
    t_ok(rig->deltas >= 3);
    model_rig_free(rig);
}

/* A long message does not take a long time, nor a character apart. */
T(echo_of_a_long_message)
{
    struct model_rig *rig = model_rig_new("{}", NULL);
    struct buf messages;
    int64_t began;

    buf_init(&messages, 8u << 20);
    buf_add_str(&messages, "[{\"role\":\"user\",\"content\":\"");
    for (int i = 0; i < 100000; i++)
        buf_add_str(&messages, "\xe2\x82\xac\xc3\xa9");
    buf_add_str(&messages, "\"}]");
    began = loop_now(rig->gw.loop);
    model_rig_start_messages(rig, "echo/echo", messages.data, 0);
    model_rig_end(rig, 10);
    t_eq(rig->result, 0);
    t_ok(rig->text.length > 500000);
    t_ok(loop_now(rig->gw.loop) - began < 5000);
    buf_done(&messages);
    model_rig_free(rig);
}

T(prices)
{
    static const struct model_usage usage = {
        .input = 1000000, .output = 2000, .cache_read = 500000, .cache_write = -1};
    struct model_rig *rig = model_rig_new(
        "{models:{providers:{a:{baseUrl:\"http://127.0.0.1:1\",models:[{id:\"x\",cost:{input:3,"
        "output:15,cacheRead:0.3,cacheWrite:3.75}},{id:\"free\",cost:{input:0,output:0}},{id:"
        "\"y\"}]}}}}",
        NULL);
    double cost = model_cost(&rig->gw, "a", "x", &usage);

    t_ok(cost > 3.1799 && cost < 3.1801); /* 3 + 0.03 + 0.15 */
    t_ok(model_cost(&rig->gw, "a", "free", &usage) == 0);
    t_ok(model_cost(&rig->gw, "a", "y", &usage) < 0);
    t_ok(model_cost(&rig->gw, "nobody", "x", &usage) < 0);
    model_rig_free(rig);
}

/* A key in the environment is enough: address, API, window and abilities are known. */
T(what_is_known_without_configuration)
{
    struct model_rig *rig;
    CLEAN(mem_free) char *list = NULL, *auth = NULL;

    setenv("ANTHROPIC_API_KEY", "sk-ant-in-env", 1);
    unsetenv("OPENAI_API_KEY");
    unsetenv("GROQ_API_KEY");
    rig = model_rig_new("{agents:{defaults:{model:{primary:\"anthropic/claude-sonnet-4-5\"}}}}",
                        NULL);
    list = written(rig, models_write);
    t_json(
        list,
        "[{'id':'claude-sonnet-4-5','provider':'anthropic','available':true,'local':false,"
        "'contextWindow':200000,'reasoning':true,'input':['text','image'],'thinkingLevels':[{'id'"
        ":'off','label':'off'},{'id':'minimal'},{'id':'low'},{'id':'medium'},{'id':'high'}],"
        "'thinkingDefault':'off','tags':['default']},{'id':'echo'}]");
    auth = written(rig, models_write_auth);
    t_json(auth, "{'providers':[{'provider':'anthropic','status':'static','apiKey':{'source':'env',"
                 "'envVar':'ANTHROPIC_API_KEY'}}]}");
    t_ok(strstr(list, "sk-ant") == NULL && strstr(auth, "sk-ant") == NULL);
    t_str(model_api(&rig->gw, "anthropic"), "anthropic-messages");
    model_rig_free(rig);

    rig = model_rig_new("{models:{providers:{anthropic:{enabled:false}}}}", NULL);
    model_rig_start(rig, "anthropic/claude-sonnet-4-5");
    model_rig_end(rig, 1);
    t_eq(rig->result, -ERR_NOT_FOUND);
    model_rig_free(rig);

    unsetenv("ANTHROPIC_API_KEY");
    rig = model_rig_new("{models:{providers:{anthropic:{models:[{id:\"claude-x\",maxTokens:5}]}}}}",
                        NULL);
    mem_free(list);
    list = written(rig, models_write);
    t_json(list, "[{'id':'claude-x','available':false,'unavailableReason':'missing-auth'},{'id':'"
                 "echo'}]");
    model_rig_start(rig, "anthropic/claude-x");
    model_rig_end(rig, 1);
    t_eq(rig->result, -ERR_AUTH);
    t_has(rig->fault.text, "ANTHROPIC_API_KEY");
    model_rig_free(rig);
}
