/* Ollama on this machine: found when it answers, gone when it does not, never looked for where the
 * configuration says so. A knock takes one connection of the server before each look. */
#include "gateway/model/discover.h"
#include "tests/rig/model_rig.h"

#include <stdlib.h>

#define JSON(body) "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" body
#define KNOCK      "@wait"
#define TAGS                                                                                       \
    JSON("{\"models\":[{\"name\":\"qwen3:8b\",\"digest\":\"d1\"},{\"name\":\"llava:7b\","          \
         "\"digest\":"                                                                             \
         "\"d2\"}]}")
#define SHOW_THINKING                                                                              \
    JSON("{\"capabilities\":[\"completion\",\"tools\",\"thinking\"],\"model_info\":{\"general."    \
         "architecture\":\"qwen3\",\"qwen3.context_length\":40960}}")
#define SHOW_VISION                                                                                \
    JSON("{\"capabilities\":[\"completion\",\"vision\"],\"model_info\":{\"llama.context_length\":" \
         "4096}}")
#define CONFIG "{models:{providers:{ollama:{baseUrl:\"http://127.0.0.1:%d\"}}}}"

static char *list_of(struct model_rig *rig)
{
    struct json_writer w;
    struct buf out;

    buf_init(&out, 1u << 20);
    jw_init(&w, &out);
    models_write(&rig->gw, &w);
    return buf_take(&out);
}

static void expect_list(struct model_rig *rig, const char *expected)
{
    CLEAN(mem_free) char *list = list_of(rig);

    t_json(list, expected);
}

static void look(struct model_rig *rig, int64_t ms)
{
    loop_advance(rig->gw.loop, ms);
    model_rig_settle(rig);
}

T(found_with_what_its_models_can_do)
{
    static const char *const scripts[] = {KNOCK, TAGS, SHOW_THINKING, SHOW_VISION, NULL};
    struct model_rig *rig = model_rig_new(CONFIG, scripts);

    expect_list(rig, "[{'id':'echo'}]"); /* nothing has been looked at yet */
    t_eq(rig->server->requests, 0);
    look(rig, DISCOVER_FIRST_MS);
    expect_list(rig, "[{'id':'qwen3:8b','provider':'ollama','available':true,'local':true,"
                     "'contextWindow':40960,'reasoning':true,'input':['text'],'thinkingLevels':["
                     "{'id':'off'},{'id':'minimal'},{'id':'low'},{'id':'medium'},{'id':'high'}]},"
                     "{'id':'llava:7b','contextWindow':4096,'reasoning':false,'input':['text',"
                     "'image'],'thinkingLevels':[{'id':'off'}]},{'id':'echo'}]");
    t_eq(rig->server->requests, 3);
    t_eq(model_context_window(&rig->gw, "ollama", "qwen3:8b"), 40960);
    model_rig_free(rig);
}

/* A model that is known is not asked about again; one that went is not listed any more. */
T(looked_at_again)
{
    static const char *const scripts[] = {
        KNOCK,       TAGS,       SHOW_THINKING,
        SHOW_VISION, KNOCK,      JSON("{\"models\":[{\"name\":\"llava:7b\",\"digest\":\"d2\"}]}"),
        KNOCK,       JSON("[]"), NULL};
    struct model_rig *rig = model_rig_new(CONFIG, scripts);

    look(rig, DISCOVER_FIRST_MS);
    look(rig, DISCOVER_EVERY_MS);
    t_eq(rig->server->requests, 4);
    expect_list(rig, "[{'id':'llava:7b','contextWindow':4096},{'id':'echo'}]");
    look(rig, DISCOVER_EVERY_MS);
    expect_list(rig, "[{'id':'echo'}]"); /* that was no list: nobody we know answers there */
    model_rig_free(rig);
}

T(gone_when_it_does_not_answer)
{
    static const char *const scripts[] = {KNOCK, TAGS, SHOW_THINKING, SHOW_VISION, NULL};
    struct model_rig *rig = model_rig_new(
        "{agents:{defaults:{model:{primary:\"ollama/qwen3:8b\"}}},models:{providers:{ollama:{"
        "baseUrl:\"http://127.0.0.1:%d\"}}}}",
        scripts);

    expect_list(rig, "[{'id':'qwen3:8b','available':false},{'id':'echo'}]"); /* not known yet */
    look(rig, DISCOVER_FIRST_MS);
    expect_list(rig, "[{'id':'qwen3:8b','reasoning':true,'available':true},{'id':'llava:7b'},{'id':"
                     "'echo'}]");
    script_server_free(TAKE(rig->server));
    look(rig, DISCOVER_EVERY_MS);
    expect_list(rig, "[{'id':'qwen3:8b','available':false},{'id':'echo'}]");

    model_rig_start_messages(rig, "ollama/qwen3:8b", "[]",
                             1000); /* and asked, it says what to do */
    model_rig_end(rig, 500);
    t_eq(rig->result, -ERR_CONNECT);
    t_has(rig->fault.text, "whether the server runs");
    model_rig_free(rig);
}

static void on_refreshed(struct op *op, int result)
{
    t_eq(result, 0);
    (*(int *)(void *)((char *)op + sizeof(struct models_refresh)))++;
}

T(a_refresh_waits_for_the_answer)
{
    static const char *const scripts[] = {KNOCK, TAGS, SHOW_THINKING, SHOW_VISION, NULL};
    struct model_rig *rig = model_rig_new(CONFIG, scripts);
    struct {
        struct models_refresh refresh;
        int ends;
    } asked[2] = {0};

    for (int i = 0; i < 2; i++) {
        op_init(&asked[i].refresh.op, rig->gw.loop, on_refreshed, 5000);
        models_refresh(&rig->gw, &asked[i].refresh);
    }
    op_drop(&asked[1].refresh.op);
    t_eq(asked[0].ends, 0);
    while (asked[0].ends == 0)
        model_rig_settle(rig);
    t_eq(rig->server->requests, 3);
    t_eq(asked[1].ends, 0);
    expect_list(rig, "[{'id':'qwen3:8b'},{'id':'llava:7b'},{'id':'echo'}]");
    model_rig_free(rig);
}

T(not_looked_for)
{
    static const char *const configs[] = {
        "{models:{providers:{ollama:{enabled:false,baseUrl:\"http://127.0.0.1:%d\"}}}}",
        "{models:{providers:{ollama:{baseUrl:\"http://127.0.0.1:%d\",models:[{id:\"mine\"}]}}}}",
        ("{models:{providers:{ollama:{api:\"openai-completions\",baseUrl:\"http://127.0.0.1:%d/"
         "v1\"}}}}"),
    };
    static const char *const scripts[] = {KNOCK, NULL};

    for (size_t i = 0; i < COUNT(configs); i++) {
        struct model_rig *rig = model_rig_new(configs[i], scripts);

        look(rig, DISCOVER_FIRST_MS);
        look(rig, 2 * DISCOVER_EVERY_MS);
        t_eq(rig->server->taken, 0);
        t_eq(rig->server->conns[0] != NULL, false);
        expect_list(rig,
                    i == 1 ? "[{'id':'mine','available':true},{'id':'echo'}]" : "[{'id':'echo'}]");
        model_rig_free(rig);
    }
}

T(the_environment_moves_it)
{
    static const char *const scripts[] = {KNOCK, TAGS, SHOW_THINKING, SHOW_VISION, NULL};
    struct model_rig *rig = model_rig_new("{models:{providers:{ollama:{enabled:false}}}}", scripts);
    char *port = mem_format("%d", rig->server->port);
    char *host = mem_format("127.0.0.1:%s", port);
    struct model_rig *other;

    setenv("OLLAMA_HOST", host, 1);
    other = model_rig_new("{}", NULL);
    for (int i = 0; i < 300 && rig->server->requests < 3; i++) {
        look(other, 10);
        look(rig, 1);
    }
    look(other, 1);
    expect_list(other, "[{'id':'qwen3:8b'},{'id':'llava:7b'},{'id':'echo'}]");
    setenv("OLLAMA_HOST", "127.0.0.1:1", 1);
    model_rig_free(other);
    model_rig_free(rig);
    mem_free(host);
    mem_free(port);
}

T(addresses_as_ollama_writes_them)
{
    static const struct {
        const char *text, *url;
    } rows[] = {
        {"", "http://127.0.0.1:11434"},        {"0.0.0.0", "http://127.0.0.1:11434"},
        {"0.0.0.0:99", "http://127.0.0.1:99"}, {":99", "http://127.0.0.1:99"},
        {"box", "http://box:11434"},           {"box:99", "http://box:99"},
        {"[::1]", "http://[::1]:11434"},       {"[::1]:99", "http://[::1]:99"},
        {"https://box", "https://box"},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        char *url;

        setenv("OLLAMA_HOST", rows[i].text, 1);
        url = discovery_usual_url();
        t_str(url, rows[i].url);
        mem_free(url);
    }
    setenv("OLLAMA_HOST", "127.0.0.1:1", 1);
}
