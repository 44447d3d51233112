/* Requests of OpenAI's APIs become prompts: who spoke, what is to be answered, tools, files. */
#include "base/mem.h"
#include "gateway/http/chat.h"
#include "gateway/http/responses.h"
#include "tests/t.h"

typedef int parse_fn(const struct json *body, struct api_request *ret, struct fault *fault);

static struct api_request read_with(parse_fn *parse, const char *text)
{
    CLEAN(json_free) struct json *body = json5_parse(text, strlen(text), NULL);
    struct api_request request = {0};
    struct fault fault = {0};

    t_ok(body != NULL);
    if (parse(body, &request, &fault) < 0)
        t_fail(__FILE__, __LINE__, "%s: %s", text, fault.text);
    return request;
}

T(one_message_is_the_prompt)
{
    struct api_request r = read_with(
        chat_request, "{messages:[{role:'user',content:'hi\\nthere'}],model:'m',user:'u'}");
    t_str(r.message, "hi\nthere");
    t_str(r.model, "m");
    t_str(r.user, "u");
    t_ok(!r.system && !r.images && !r.tools && !r.stream && r.max_tokens == 0);
    api_request_done(&r);
    r = read_with(responses_request,
                  "{input:'hi',instructions:'Be "
                  "kind.',stream:true,max_output_tokens:7,reasoning:{effort:'low'}}");
    t_str(r.message, "hi");
    t_str(r.system, "Be kind.");
    t_str(r.thinking, "low");
    t_ok(r.stream && r.max_tokens == 7);
    api_request_done(&r);
}

T(what_was_said_before_stands_before)
{
    struct api_request r =
        read_with(chat_request, "{messages:[{role:'system',content:'S1'},{role:'user',content:'one'"
                                "},{role:'assistant',content:'uno'},"
                                "{role:'developer',content:'S2'},{role:'user',content:[{type:'text'"
                                ",text:'two'},{type:'text',text:'three'}]},"
                                "{role:'assistant',content:'left out'}]}");
    t_str(
        r.message,
        "[The conversation so far]\nUser: one\nAssistant: uno\n\n[Answer this]\nUser: two\nthree");
    t_str(r.system, "S1\n\nS2");
    api_request_done(&r);
}

T(results_of_tools_are_answered)
{
    struct api_request r =
        read_with(chat_request, "{messages:[{role:'user',content:'q'},{role:'assistant',content:"
                                "null,tool_calls:[{id:'c1',type:'function',"
                                "function:{name:'f',arguments:'{\"a\":1}'}},{id:'c2',type:'"
                                "function',function:{name:'g',arguments:''}}]},"
                                "{role:'tool',tool_call_id:'c1',content:'r1'},{role:'tool',tool_"
                                "call_id:'c2',content:''}]}");
    t_str(r.message, "[The conversation so far]\nUser: q\nAssistant: tool_call id=c1 name=f "
                     "arguments={\"a\":1}\n"
                     "tool_call id=c2 name=g arguments=\nTool:c1: r1\n\n[Answer this]\nTool:c2: ");
    api_request_done(&r);
    r = read_with(responses_request,
                  "{input:[{type:'function_call_output',call_id:'c1',output:'r1'}]}");
    t_str(r.message, "Tool:c1: r1");
    api_request_done(&r);
    r = read_with(responses_request, "{input:[{role:'user',content:'q'},{type:'reasoning',summary:["
                                     "]},{type:'message',role:'assistant',content:"
                                     "[{type:'output_text',text:'a',annotations:[]}]},{type:'"
                                     "function_call',call_id:'c1',name:'f',arguments:'{}'},"
                                     "{type:'function_call_output',call_id:'c1',output:[{type:'"
                                     "input_text',text:'r1'}]},{type:'item_reference',id:'x'}]}");
    t_str(r.message, "[The conversation so far]\nUser: q\nAssistant: a\nAssistant: tool_call id=c1 "
                     "name=f arguments={}\n\n"
                     "[Answer this]\nTool:c1: r1");
    api_request_done(&r);
}

/* Media of earlier messages are not sent again. */
T(only_the_message_to_answer_brings_media)
{
    struct api_request r =
        read_with(chat_request, "{messages:[{role:'user',content:[{type:'image_url',image_url:{url:"
                                "'https://example.com/x.png'}},{type:'text',text:'old'}]},"
                                "{role:'assistant',content:'a'},{role:'user',content:[{type:'image_"
                                "url',image_url:'data:image/png;base64,iVBORw0KGgo='}]}]}");
    t_has(r.message, "User: (an attachment without words)");
    t_has(r.images, "\"mimeType\":\"image/png\"");
    api_request_done(&r);
}

T(tools_of_both_spellings)
{
    struct api_request r =
        read_with(chat_request, "{messages:[{role:'user',content:'x'}],tools:[{type:'function',"
                                "function:{name:'a',description:'d'}},"
                                "{type:'function',function:{name:'b',parameters:{type:'object',"
                                "properties:{q:{type:'string'}}}}}],"
                                "tool_choice:{type:'function',function:{name:'b'}}}");
    t_eq(json_count(r.tools), 1);
    t_str(json_string(json_path(json_at(r.tools, 0), "parameters.properties.q.type"), ""),
          "string");
    t_eq(r.choice, CHOICE_NAMED);
    t_has(r.system, "call the tool b");
    static const char other[] = "[{\"name\":\"a\"}]", right[] = "[{\"name\":\"b\"}]";
    CLEAN(json_free) struct json *wrong = json_parse(other, strlen(other), NULL);
    CLEAN(json_free) struct json *good = json_parse(right, strlen(right), NULL);
    t_ok(api_choice_missed(&r, NULL) && api_choice_missed(&r, wrong) &&
         !api_choice_missed(&r, good));
    api_request_done(&r);
    r = read_with(responses_request,
                  "{input:'x',tools:[{type:'function',name:'a'}],tool_choice:'none'}");
    t_ok(!r.tools && !api_choice_missed(&r, NULL));
    api_request_done(&r);
    r = read_with(responses_request,
                  "{input:'x',tools:[{type:'function',name:'a'}],tool_choice:'required'}");
    t_ok(json_count(r.tools) == 1 && api_choice_missed(&r, NULL) && !api_choice_missed(&r, wrong));
    api_request_done(&r);
}

/* A file cannot know the marks around it, nor may its name break out of its line. */
T(files_stay_between_their_marks)
{
    struct api_request r =
        read_with(responses_request, "{input:[{role:'user',content:[{type:'input_file',filename:'"
                                     "notes\\n.txt',file_data:'aGVsbG8='}]}]}");
    const char *begin = strstr(r.system, "<<<file "), *end = strstr(r.system, "<<<end of file ");
    t_ok(begin && end && strncmp(begin + 8, end + 15, 36) == 0);
    t_has(r.system, "\"notes_.txt\"");
    t_has(r.system, ">>>\nhello\n<<<");
    t_str(r.message, "(an attachment without words)");
    api_request_done(&r);

    struct api_prompt prompt;
    api_prompt_init(&prompt);
    char *big = mem_array(400001, 1);
    for (int i = 0; i < 400000; i += 4)
        memcpy(big + i, "aGVs", 4); /* 300,000 bytes */
    t_eq(api_file(&prompt, "big", NULL, big, NULL), 0);
    t_has(prompt.system.data, "[100000 more bytes were cut]");
    mem_free(big);
    api_prompt_done(&prompt);
}

T(the_form_of_the_answer_is_asked_for)
{
    struct api_request r =
        read_with(chat_request, "{messages:[{role:'user',content:'x'}],response_format:{type:'json_"
                                "schema',json_schema:{name:'n',schema:{type:'object'}}}}");
    t_has(r.system, "JSON Schema: {\"type\":\"object\"}");
    api_request_done(&r);
    r = read_with(responses_request, "{input:'x',text:{format:{type:'json_object'}}}");
    t_has(r.system, "one JSON object");
    api_request_done(&r);
}
