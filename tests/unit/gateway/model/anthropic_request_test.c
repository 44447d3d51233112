/* A transcript in the shape of Anthropic Messages. */
#include "gateway/model/anthropic_parts.h"

#include "base/mem.h"
#include "tests/t.h"

static char text_url[] = "https://api.anthropic.com", text_id[] = "anthropic";

static char *written(const struct model_request *asked, const char *messages)
{
    const struct model_provider provider = {.id = text_id, .base_url = text_url};
    struct json *list = json_parse(messages, strlen(messages), NULL);
    struct model_request request = *asked;
    struct buf out;

    t_ok(list != NULL);
    request.messages = list;
    if (request.model == NULL)
        request.model = "claude-sonnet-4-5";
    buf_init(&out, 1u << 20);
    anthropic_write_request(&out, &provider, &request);
    t_ok(!out.bad);
    json_free(list);
    return buf_take(&out);
}

static void expect(const struct model_request *asked, const char *messages, const char *expected)
{
    CLEAN(mem_free) char *text = written(asked, messages);

    t_json(text, expected);
}

static void expect_not(const struct model_request *asked, const char *messages, const char *part)
{
    CLEAN(mem_free) char *text = written(asked, messages);

    if (strstr(text, part) != NULL)
        t_fail(__FILE__, __LINE__, "%s is in %s", part, text);
}

#define HI "{\"role\":\"user\",\"content\":\"hi\"}"
#define CALL(thought)                                                                              \
    "{\"role\":\"assistant\",\"content\":[" thought                                                \
    "{\"type\":\"toolCall\",\"id\":\"call.1|x\",\"name\":\"f\",\"arguments\":{\"a\":[1]}}]}"
#define THOUGHT "{\"type\":\"thinking\",\"thinking\":\"hm\",\"thinkingSignature\":\"abc=\"},"
#define HIDDEN                                                                                     \
    "{\"type\":\"thinking\",\"thinking\":\"\",\"thinkingSignature\":\"xyz\",\"redacted\":true},"
#define RESULT                                                                                     \
    "{\"role\":\"toolResult\",\"toolCallId\":\"call.1|x\",\"isError\":true,\"content\":[{"         \
    "\"type\":"                                                                                    \
    "\"text\",\"text\":\"no\"},{\"type\":\"image\",\"data\":\"QUJD\",\"mimeType\":\"image/"        \
    "png\"}]}"

T(settings_system_and_marks_of_the_cache)
{
    expect(&(struct model_request){.system = "Be brief.", .max_tokens = 99}, "[" HI "]",
           "{'model':'claude-sonnet-4-5','stream':true,'max_tokens':99,'system':[{'type':'text',"
           "'text':'Be brief.','cache_control':{'type':'ephemeral'}}],'messages':[{'role':'user',"
           "'content':[{'type':'text','text':'hi','cache_control':{'type':'ephemeral'}}]}]}");
    expect(&(struct model_request){0}, "[" HI "]", "{'max_tokens':32000}");
    expect(&(struct model_request){.model = "claude-3-haiku-x"}, "[" HI "]", "{'max_tokens':4096}");
    expect(&(struct model_request){.model = "unheard-of"}, "[" HI "]", "{'max_tokens':8192}");
}

T(tools)
{
    static const char text[] = "[{\"name\":\"a\"},{\"name\":\"b\",\"description\":\"B.\","
                               "\"parameters\":{\"type\":\"object\"}}]";
    struct json *list = json_parse(text, strlen(text), NULL);

    t_ok(list != NULL);
    expect(&(struct model_request){.tools = list}, "[" HI "]",
           "{'tools':[{'name':'a','input_schema':{'type':'object','properties':{}}},{'name':'b',"
           "'description':'B.','input_schema':{'type':'object'},'cache_control':{'type':"
           "'ephemeral'}}]}");
    json_free(list);
}

/* Thinking goes back as it came, ids become what the API takes, results come first in their message. */
T(a_round_of_tools)
{
    expect(&(struct model_request){.thinking = THINKING_LOW},
           "[" HI "," CALL(THOUGHT HIDDEN) "," RESULT "," HI "]",
           "{'thinking':{'type':'enabled','budget_tokens':4096},'messages':[{'role':'user'},"
           "{'role':'assistant','content':[{'type':'thinking','thinking':'hm','signature':'abc='},"
           "{'type':'redacted_thinking','data':'xyz'},"
           "{'type':'tool_use','id':'call_1_x','name':'f','input':{'a':[1]}}]},"
           "{'role':'user','content':[{'type':'tool_result','tool_use_id':'call_1_x','is_error':"
           "true,'content':[{'type':'text','text':'no'},{'type':'image','source':{'type':'base64',"
           "'media_type':'image/png','data':'QUJD'}}]},{'type':'text','text':'hi'}]}]}");
}

/* Another model began this round: its calls came without thinking that we could show. */
T(no_thinking_in_a_round_begun_without)
{
    expect_not(&(struct model_request){.thinking = THINKING_HIGH},
               "[" HI "," CALL("") "," RESULT "]", "\"thinking\"");
    expect(&(struct model_request){.thinking = THINKING_HIGH},
           "[" HI "," CALL("") "," RESULT "," HI "]", "{'thinking':{'type':'enabled'}}");
    expect_not(&(struct model_request){.model = "claude-3-haiku-x", .thinking = THINKING_HIGH},
               "[" HI "]", "\"thinking\"");
}

T(budgets_stay_below_the_limit)
{
    static const struct {
        enum model_thinking level;
        int64_t max_tokens;
        const char *expected;
    } rows[] = {
        {THINKING_MINIMAL, 1000, "{'max_tokens':2024,'thinking':{'budget_tokens':1024}}"},
        {THINKING_HIGH, 8000, "{'max_tokens':32576,'thinking':{'budget_tokens':24576}}"},
        {THINKING_XHIGH, 60000, "{'max_tokens':64000,'thinking':{'budget_tokens':32768}}"},
        {THINKING_XHIGH, 64000, "{'max_tokens':64000,'thinking':{'budget_tokens':32768}}"},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        expect(&(struct model_request){.thinking = rows[i].level, .max_tokens = rows[i].max_tokens},
               "[" HI "]", rows[i].expected);
}

T(newer_models_are_told_an_effort)
{
    expect(&(struct model_request){.model = "claude-opus-4-6", .thinking = THINKING_MEDIUM},
           "[" HI "]", "{'thinking':{'type':'adaptive'},'output_config':{'effort':'medium'}}");
}

T(what_the_api_refuses_is_not_sent)
{
    expect(&(struct model_request){0},
           "[{\"role\":\"assistant\",\"content\":\"cut off\"},{\"role\":\"user\",\"content\":[{"
           "\"type\":\"text\",\"text\":\"\"},{\"type\":\"text\",\"text\":\"a\"}]}," HI "]",
           "{'messages':[{'role':'user'},{'role':'assistant','content':[{'type':'text','text':'cut "
           "off'}]},{'role':'user','content':[{'text':'a'},{'text':'hi'}]}]}");
}
