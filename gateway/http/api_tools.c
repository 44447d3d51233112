/* Tools that the client runs itself, what it asks of them, and the form it asks of the answer. */
#include "base/mem.h"
#include "gateway/http/api_request.h"

#include <string.h>

#define NAME_MAX_BYTES 64

static const char *text_of(const struct json *object, const char *key)
{
    return json_string(json_get(object, key), NULL);
}

static bool is_tool_name(const char *name)
{
    size_t length = 0;

    for (; name[length]; length++) {
        char c = name[length];
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
              c == '_' || c == '-'))
            return false;
    }
    return length > 0 && length <= NAME_MAX_BYTES;
}

static bool is_given(const struct json *tools, const char *name)
{
    json_each (tool, tools)
        if (strcmp(json_string(json_get(tool, "name"), ""), name) == 0)
            return true;
    return false;
}

/* {type:"function", function:{…}} of chat completions, {type:"function", name, …} of responses. */
static int add_tool(struct json *tools, const struct json *item, size_t n, struct fault *fault)
{
    const struct json *nested = json_get(item, "function");
    const struct json *function = nested ? nested : item;
    const struct json *parameters = json_get(function, "parameters");
    const char *type = text_of(item, "type"), *name = text_of(function, "name");

    if (!type || strcmp(type, "function") != 0)
        return fault_set(fault, -ERR_INVALID, "tools[%zu]: only function tools are supported", n);
    if (!name || !is_tool_name(name))
        return fault_set(fault, -ERR_INVALID,
                         "tools[%zu]: a function needs a name of 1 to %d letters, digits, _ and -",
                         n, NAME_MAX_BYTES);
    if (is_given(tools, name))
        return fault_set(fault, -ERR_INVALID, "tools[%zu]: there are two functions %s", n, name);
    if (parameters && json_kind(parameters) != JSON_OBJECT && json_kind(parameters) != JSON_NULL)
        return fault_set(fault, -ERR_INVALID, "tools[%zu]: parameters must be a JSON Schema object",
                         n);

    struct json *tool = json_new_object();
    json_put(tool, "name", json_new_string(name));
    json_put(tool, "description",
             json_new_string(json_string(json_get(function, "description"), "")));
    if (json_kind(parameters) == JSON_OBJECT)
        json_put(tool, "parameters", json_copy(parameters));
    else {
        static const char empty[] = "{\"type\":\"object\",\"properties\":{}}";
        json_put(tool, "parameters", json_parse(empty, sizeof(empty) - 1, NULL));
    }
    json_append(tools, tool);
    return 0;
}

int api_tools(const struct json *tools, struct api_request *request, struct fault *reterr_fault)
{
    size_t n = 0;

    if (json_kind(tools) == JSON_NULL || (json_kind(tools) == JSON_ARRAY && !json_count(tools)))
        return 0;
    if (json_kind(tools) != JSON_ARRAY || json_count(tools) > API_TOOLS_MAX)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "tools must be an array of at most %d functions", API_TOOLS_MAX);
    request->tools = json_new_array();
    json_each (item, tools) {
        int r = add_tool(request->tools, item, n++, reterr_fault);
        if (r < 0)
            return r;
    }
    return 0;
}

/* ---- tool_choice ---- */

static const struct {
    const char *word;
    enum api_choice choice;
} choice_words[] = {{"auto", CHOICE_AUTO}, {"none", CHOICE_NONE}, {"required", CHOICE_REQUIRED}};

static int read_choice(const struct json *choice, struct api_request *request, struct fault *fault)
{
    const char *word = json_string(choice, NULL), *type = text_of(choice, "type");

    for (size_t i = 0; word && i < COUNT(choice_words); i++) {
        if (strcmp(word, choice_words[i].word) != 0)
            continue;
        request->choice = choice_words[i].choice;
        return 0;
    }
    if (json_kind(choice) != JSON_OBJECT || !type || strcmp(type, "function") != 0)
        return fault_set(fault, -ERR_INVALID,
                         "tool_choice must be auto, none, required or one function");
    const struct json *nested = json_get(choice, "function");
    const char *name = text_of(nested ? nested : choice, "name");
    if (!name)
        return fault_set(fault, -ERR_INVALID, "tool_choice names no function");
    request->choice = CHOICE_NAMED;
    request->choice_name = mem_string(name);
    return 0;
}

static void keep_only(struct api_request *request, const char *name)
{
    struct json *kept = json_new_array();

    json_each (tool, request->tools)
        if (strcmp(json_string(json_get(tool, "name"), ""), name) == 0)
            json_append(kept, json_copy(tool));
    json_free(request->tools);
    request->tools = kept;
}

int api_tool_choice(const struct json *choice, struct api_request *request,
                    struct api_prompt *prompt, struct fault *reterr_fault)
{
    if (json_kind(choice) == JSON_NULL)
        return 0;
    int r = read_choice(choice, request, reterr_fault);
    if (r < 0)
        return r;
    if (request->choice == CHOICE_NONE)
        request->tools = json_free(request->tools);
    if (request->choice < CHOICE_REQUIRED)
        return 0;
    if (request->choice == CHOICE_NAMED) {
        if (!is_given(request->tools, request->choice_name))
            return fault_set(reterr_fault, -ERR_INVALID,
                             "tool_choice names %s, which is not among tools",
                             request->choice_name);
        keep_only(request, request->choice_name);
    } else if (!request->tools)
        return fault_set(reterr_fault, -ERR_INVALID, "tool_choice is required, but tools is empty");
    CLEAN(mem_free)
    char *told = request->choice == CHOICE_NAMED
                     ? mem_format("Before you answer, call the tool %s.", request->choice_name)
                     : mem_string("Before you answer, call one of the caller's tools.");
    api_prompt_system(prompt, told);
    return 0;
}

const char *api_choice_missed(const struct api_request *request, const struct json *calls)
{
    if (request->choice == CHOICE_REQUIRED && json_count(calls) == 0)
        return "tool_choice asks for a call of a tool, and the agent made none";
    if (request->choice == CHOICE_NAMED && !is_given(calls, request->choice_name))
        return "tool_choice asks for a call of one function, and the agent did not make it";
    return NULL;
}

/* ---- the form of the answer ---- */

int api_format(const struct json *format, struct api_prompt *prompt, struct fault *reterr_fault)
{
    const char *type = text_of(format, "type");

    if (json_kind(format) == JSON_NULL || (type && strcmp(type, "text") == 0))
        return 0;
    if (type && strcmp(type, "json_object") == 0) {
        api_prompt_system(prompt, "Answer with one JSON object and nothing else.");
        return 0;
    }
    if (!type || strcmp(type, "json_schema") != 0)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "the answer's format must be text, json_object or json_schema");
    const struct json *nested = json_get(format, "json_schema");
    const struct json *schema = json_get(nested ? nested : format, "schema");
    CLEAN(mem_free) char *text = schema ? json_print(schema, false) : mem_string("{}");
    CLEAN(mem_free)
    char *told = mem_format(
        "Answer with one JSON value and nothing else. It must fit this JSON Schema: %s", text);
    api_prompt_system(prompt, told);
    return 0;
}
