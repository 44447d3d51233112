/* A transcript in the shape Chat Completions knows. */
#include "gateway/model/openai_parts.h"

#include "base/mem.h"
#include "tests/t.h"

static char text_url[] = "http://127.0.0.1/v1", text_openai[] = "https://api.openai.com/v1";
static char text_model[] = "m", text_id[] = "p";

static void expect(const struct model_provider *provider, const char *messages,
                   const char *expected)
{
    struct json *list = json_parse(messages, strlen(messages), NULL);
    struct model_request request = {.model = "m", .messages = list};
    struct buf out;

    t_ok(list != NULL);
    buf_init(&out, 64u << 20);
    openai_write_request(&out, provider, &request);
    t_json(out.data, expected);
    buf_done(&out);
    json_free(list);
}

T(roles_and_parts)
{
    struct model_provider p = {.id = text_id, .base_url = text_url};

    expect(&p,
           "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":\"text\","
           "\"text\":"
           "\"b\"}],\"timestamp\":1},"
           "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\"},{"
           "\"type\":"
           "\"text\",\"text\":\"c\"}],\"stopReason\":\"stop\"},"
           "{\"role\":\"assistant\",\"content\":[]},"
           "{\"role\":\"system-note\",\"content\":\"x\"},"
           "{\"role\":\"user\",\"content\":\"d\"}]",
           "{'messages':[{'role':'user','content':'ab'},{'role':'assistant','content':'c'},{'role':"
           "'user',"
           "'content':'d'}]}");
}

T(tools)
{
    struct model_provider p = {.id = text_id, .base_url = text_url};

    expect(
        &p,
        "[{\"role\":\"assistant\",\"content\":[{\"type\":\"toolCall\",\"id\":\"t1\",\"name\":\"f\","
        "\"arguments\":{\"x\":1}}]},"
        "{\"role\":\"toolResult\",\"toolCallId\":\"t1\",\"toolName\":\"f\",\"content\":[{\"type\":"
        "\"text\","
        "\"text\":\"42\"}]}]",
        "{'messages':[{'role':'assistant','tool_calls':[{'id':'t1','type':'function','function':{'"
        "name':"
        "'f','arguments':'{\\\"x\\\":1}'}}]},{'role':'tool','tool_call_id':'t1','content':'42'}]}");
}

T(images_only_where_the_model_takes_them)
{
    static const char message[] =
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"see\"},"
        "{\"type\":\"image\",\"data\":\"QUJD\",\"mimeType\":\"image/jpeg\"}]}]";
    struct model_entry entry = {.id = text_model, .facts.images = true};
    struct model_provider p = {.id = text_id, .base_url = text_url, .entries = &entry, .count = 1};

    expect(
        &p, message,
        "{'messages':[{'role':'user','content':[{'type':'text','text':'see'},{'type':'image_url',"
        "'image_url':{'url':'data:image/jpeg;base64,QUJD'}}]}]}");
    entry.facts.images = false;
    expect(
        &p, message,
        "{'messages':[{'role':'user','content':'see\\n(an image, which this model cannot see)'}]}");
}

/* A result is text alone in this API; what it showed comes behind the whole round. */
T(images_of_results)
{
    expect(&(struct model_provider){.id = text_id, .base_url = text_url},
           "[{\"role\":\"assistant\",\"content\":[{\"type\":\"toolCall\",\"id\":\"1\",\"name\":"
           "\"f\"},{\"type\":\"toolCall\",\"id\":\"2\",\"name\":\"f\"}]},"
           "{\"role\":\"toolResult\",\"toolCallId\":\"1\",\"content\":[{\"type\":\"image\","
           "\"data\":\"QUJD\"}]},"
           "{\"role\":\"toolResult\",\"toolCallId\":\"2\",\"content\":[{\"type\":\"text\","
           "\"text\":\"b\"}]},{\"role\":\"user\",\"content\":\"so?\"}]",
           "{'messages':[{'role':'assistant'},{'role':'tool','tool_call_id':'1','content':''},"
           "{'role':'tool','tool_call_id':'2','content':'b'},{'role':'user','content':[{'type':"
           "'text'},{'type':'image_url'}]},{'role':'user','content':'so?'}]}");
}

T(longest_answer)
{
    struct model_entry entry = {.id = text_model, .max_tokens = 100};
    struct model_provider p = {
        .id = text_id, .base_url = text_url, .max_tokens = 5, .entries = &entry, .count = 1};

    expect(&p, "[]", "{'max_tokens':100}");
    entry.max_tokens = 0;
    p.base_url = text_openai;
    expect(&p, "[]", "{'max_completion_tokens':5}");
}

/* Some servers refuse what they do not know. */
T(usage_can_be_left_out)
{
    struct model_provider p = {.id = text_id, .base_url = text_url};
    struct model_request request = {.model = "m"};
    struct buf out;

    buf_init(&out, 1000);
    openai_write_request(&out, &p, &request);
    t_ok(strstr(out.data, "stream_options") == NULL);
    p.usage_in_stream = true;
    buf_clear(&out);
    openai_write_request(&out, &p, &request);
    t_json(out.data, "{'messages':[],'stream':true,'stream_options':{'include_usage':true}}");
    buf_done(&out);
}

T(ceiling)
{
    struct model_provider p = {.id = text_id, .base_url = text_url};
    struct json *list = json_parse("[{\"role\":\"user\",\"content\":\"0123456789\"}]", 42, NULL);
    struct model_request request = {.model = "m", .messages = list};
    struct buf out;

    buf_init(&out, 20);
    openai_write_request(&out, &p, &request);
    t_ok(out.bad);
    buf_done(&out);
    json_free(list);
}
