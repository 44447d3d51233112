/* A transcript in the shape of OpenAI Responses. */
#include "gateway/model/openai_parts.h"

#include "base/mem.h"
#include "tests/t.h"

static char text_url[] = "https://api.openai.com/v1", text_id[] = "openai";

static void expect(const struct model_request *asked, const char *messages, const char *expected)
{
    const struct model_provider provider = {.id = text_id, .base_url = text_url};
    struct json *list = json_parse(messages, strlen(messages), NULL);
    struct model_request request = *asked;
    struct buf out;

    t_ok(list != NULL);
    request.messages = list;
    buf_init(&out, 1u << 20);
    responses_write_request(&out, &provider, &request);
    t_json(out.data, expected);
    buf_done(&out);
    json_free(list);
}

#define ITEM                                                                                       \
    "{\\\"type\\\":\\\"reasoning\\\",\\\"id\\\":\\\"r\\\",\\\"encrypted_content\\\":\\\"e\\\"}"
#define CALL(signature)                                                                            \
    "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\","             \
    "\"thinkingSignature\":\"" signature "\"},{\"type\":\"text\",\"text\":\"so\"},{\"type\":"      \
    "\"toolCall\",\"id\":\"c1\",\"name\":\"f\",\"arguments\":{\"x\":1}}]}"
#define RESULT(more)                                                                               \
    "{\"role\":\"toolResult\",\"toolCallId\":\"c1\",\"content\":[{\"type\":\"text\",\"text\":\"42" \
    "\"}" more "]}"

T(items_and_nothing_stored)
{
    expect(
        &(struct model_request){
            .model = "gpt-5", .system = "Be brief.", .max_tokens = 50, .thinking = THINKING_LOW},
        "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"a\"},{\"type\":"
        "\"image\",\"data\":\"QUJD\",\"mimeType\":\"image/gif\"}]}," CALL(ITEM) "," RESULT("") "]",
        "{'model':'gpt-5','instructions':'Be brief.','stream':true,'store':false,"
        "'max_output_tokens':50,'reasoning':{'effort':'low','summary':'auto'},"
        "'include':['reasoning.encrypted_content'],'input':["
        "{'type':'message','role':'user','content':[{'type':'input_text','text':'a'},{'type':"
        "'input_image','image_url':'data:image/gif;base64,QUJD'}]},"
        "{'type':'reasoning','id':'r','encrypted_content':'e'},"
        "{'type':'message','role':'assistant','content':[{'type':'output_text','text':'so'}]},"
        "{'type':'function_call','call_id':'c1','name':'f','arguments':'{\\\"x\\\":1}'},"
        "{'type':'function_call_output','call_id':'c1','output':'42'}]}");
}

/* A reasoning item goes back as it came, or not at all. */
T(no_reasoning_of_somebody_else)
{
    expect(
        &(struct model_request){.model = "gpt-5"}, "[" CALL("abc=") "," RESULT("") "]",
        "{'input':[{'type':'message'},{'type':'function_call'},{'type':'function_call_output'}]}");
    expect(
        &(struct model_request){.model = "gpt-5"}, "[" CALL("{broken") "," RESULT("") "]",
        "{'input':[{'type':'message'},{'type':'function_call'},{'type':'function_call_output'}]}");
}

T(images_in_results)
{
    expect(&(struct model_request){.model = "gpt-5"},
           "[" CALL("x") "," RESULT(",{\"type\":\"image\",\"data\":\"QUJD\"}") "]",
           "{'input':[{'type':'message'},{'type':'function_call'},{'type':'function_call_output',"
           "'output':[{'type':'input_text','text':'42'},{'type':'input_image'}]}]}");
    expect(&(struct model_request){.model = "o3-mini"}, "[]", "{'input':[]}");
}

T(tools_and_models_that_do_not_reason)
{
    static const char text[] = "[{\"name\":\"f\",\"parameters\":{\"type\":\"object\"}}]";
    struct json *tools = json_parse(text, strlen(text), NULL);

    t_ok(tools != NULL);
    expect(&(struct model_request){.model = "gpt-4o", .tools = tools, .thinking = THINKING_HIGH},
           "[]",
           "{'tools':[{'type':'function','name':'f','parameters':{'type':'object'},'strict':false}]"
           "}");
    json_free(tools);
}
