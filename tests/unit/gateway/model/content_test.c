/* An answer's parts: order, tool calls in pieces as servers send them, and what is never told. */
#include "gateway/model/content.h"

#include "base/mem.h"
#include "tests/t.h"

static struct content content;

static void begin(void)
{
    content_init(&content, 1u << 20);
}

static void piece(int64_t index, const char *id, const char *name, const char *text)
{
    t_eq(content_call(
             &content,
             &(struct content_piece){
                 .index = index, .id = id, .name = name, .text = text, .length = strlen(text)}),
         0);
}

static void expect(const char *expected)
{
    struct fault fault = {0};
    struct json *parts = content_take(&content, false, &fault);
    char *text;

    if (parts == NULL)
        t_fail(__FILE__, __LINE__, "%s", fault.text);
    text = json_print(parts, false);
    t_json(text, expected);
    mem_free(text);
    json_free(parts);
    content_done(&content);
}

static void expect_fault(bool reached_limit, const char *part)
{
    struct fault fault = {0};

    t_ok(content_take(&content, reached_limit, &fault) == NULL);
    t_eq(fault.code, -ERR_INVALID);
    t_has(fault.text, part);
    content_done(&content);
}

T(parts_in_their_order)
{
    begin();
    t_eq(content_thinking(&content, "h", 1), 0);
    t_eq(content_thinking(&content, "m", 1), 0);
    t_eq(content_signature(&content, "si", 2, false), 0);
    t_eq(content_signature(&content, "g", 1, false), 0);
    t_eq(content_signature(&content, "secret", 6, true), 0);
    t_eq(content_text(&content, "one ", 4), 0);
    t_eq(content_text(&content, "two", 3), 0);
    content_break(&content);
    t_eq(content_text(&content, "three", 5), 0);
    piece(0, "a", "f", "{\"x\":1}");
    expect("[{'type':'thinking','thinking':'hm','thinkingSignature':'sig'},"
           "{'type':'thinking','thinking':'','thinkingSignature':'secret','redacted':true},"
           "{'type':'text','text':'one two'},{'type':'text','text':'three'},"
           "{'type':'toolCall','id':'a','name':'f','arguments':{'x':1}}]");
}

T(calls_by_index)
{
    begin();
    piece(0, "a", "f", "");
    piece(1, "b", "g", "{");
    piece(0, NULL, NULL, "{\"x\":");
    piece(1, "", "", "}");
    piece(0, NULL, NULL, "[1]}");
    expect("[{'id':'a','name':'f','arguments':{'x':[1]}},{'id':'b','name':'g','arguments':{}}]");
}

/* Every call has the number 0. */
T(calls_by_id)
{
    begin();
    piece(0, "a", "f", "{}");
    piece(0, "b", "f", "{\"y\":2}");
    expect("[{'id':'a'},{'id':'b','arguments':{'y':2}}]");
}

T(calls_without_numbers)
{
    begin();
    piece(CONTENT_NO_INDEX, "a", "f", "{");
    piece(CONTENT_NO_INDEX, NULL, NULL, "}");
    piece(CONTENT_NO_INDEX, "b", "f", "");
    expect("[{'id':'a','arguments':{}},{'id':'b','arguments':{}}]");
}

T(ids_are_made_where_they_are_missing_or_twice_there)
{
    struct json *parts;
    const char *a, *b, *c;

    begin();
    piece(0, "same", "f", "");
    piece(1, "same", "f", "");
    piece(2, NULL, "f", "");
    parts = content_take(&content, false, NULL);
    a = json_string(json_get(json_at(parts, 0), "id"), "");
    b = json_string(json_get(json_at(parts, 1), "id"), "");
    c = json_string(json_get(json_at(parts, 2), "id"), "");
    t_str(a, "same");
    t_ok(strncmp(b, "call_", 5) == 0 && strncmp(c, "call_", 5) == 0 && strcmp(b, c) != 0);
    json_free(parts);
    content_done(&content);
}

T(half_a_call_is_never_told)
{
    static const char *const halves[] = {"{\"path\":\"/tm",  "{", "{\"a\":1}x", "[1]", "7",
                                         "{\"a\":1,\"a\":2}"};

    for (size_t i = 0; i < COUNT(halves); i++) {
        begin();
        piece(0, "a", "whole", "{}");
        piece(1, "b", "half", halves[i]);
        expect_fault(false, "\"half\"");
    }
    begin();
    piece(0, "a", NULL, "{}");
    expect_fault(false, "which");
    begin();
    piece(0, "a", "f", ""); /* would pass for {} */
    expect_fault(true, "length limit");
}

T(ceilings)
{
    content_init(&content, 10);
    t_eq(content_text(&content, "12345", 5), 0);
    t_eq(content_thinking(&content, "12345", 5), 0);
    t_eq(content_text(&content, "x", 1), -ERR_TOO_LARGE);
    content_clear(&content);
    t_eq(content_text(&content, "1234567890", 10), 0);
    content_clear(&content);
    for (int i = 0; i < CONTENT_PARTS_MAX; i++)
        piece(i, NULL, "f", "");
    t_eq(content_call(&content, &(struct content_piece){.index = 9999}), -ERR_TOO_LARGE);
    content_done(&content);
}
