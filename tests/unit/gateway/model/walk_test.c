/* A transcript in the order that models' APIs insist on. */
#include "gateway/model/walk.h"

#include "base/mem.h"
#include "tests/t.h"

#define CALL(id)   "{\"type\":\"toolCall\",\"id\":\"" id "\",\"name\":\"f\",\"arguments\":{}}"
#define USER(text) "{\"role\":\"user\",\"content\":\"" text "\"}"
#define CALLS(ids) "{\"role\":\"assistant\",\"content\":[" ids "]}"
#define RESULT(id, text)                                                                           \
    "{\"role\":\"toolResult\",\"toolCallId\":\"" id                                                \
    "\",\"content\":[{\"type\":\"text\",\"text\":\"" text "\"}]}"

/* The steps as one line: u:text a:text r:text, errors with !. */
static void expect(const char *messages, const char *expected)
{
    static const char letters[] = {[WALK_USER] = 'u', [WALK_ASSISTANT] = 'a', [WALK_RESULT] = 'r'};
    struct json *list = json_parse(messages, strlen(messages), NULL);
    struct walk walk;
    struct walk_step step;
    struct buf line, text;

    t_ok(list != NULL);
    buf_init(&line, 4096);
    buf_init(&text, 4096);
    walk_init(&walk, list);
    while (walk_next(&walk, &step)) {
        walk_result_text(&step, &text);
        buf_addf(&line, "%s%c%s:%s", line.length > 0 ? " " : "", letters[step.role],
                 step.is_error ? "!" : "", text.data != NULL ? text.data : "");
    }
    t_str(line.data != NULL ? line.data : "", expected);
    buf_done(&line);
    buf_done(&text);
    json_free(list);
}

T(as_it_came)
{
    expect("[" USER("a") "," CALLS("{\"type\":\"text\",\"text\":\"b\"}," CALL("1")) "," RESULT(
               "1", "c") "," USER("d") "]",
           "u:a a:b r:c u:d");
}

T(a_result_for_every_call)
{
    expect("[" CALLS(CALL("1") "," CALL("2")) "," RESULT("2", "two") "," USER("x") "]",
           "a: r!:no result: interrupted r:two u:x");
}

T(results_in_the_order_of_the_calls)
{
    expect("[" CALLS(CALL("1") "," CALL("2")) "," USER("steer") "," RESULT("2", "two") "," RESULT(
               "1", "one") "]",
           "a: r:one r:two u:steer");
}

/* Some servers number the calls of each answer from one. */
T(an_id_used_twice)
{
    expect("[" CALLS(CALL("1")) "," CALLS(CALL("1")) "," RESULT("1", "second") "]",
           "a: r!:no result: interrupted a: r:second");
}

T(what_says_nothing_is_left_out)
{
    expect("[{\"role\":\"assistant\",\"content\":[]},{\"role\":\"assistant\",\"content\":\"\"},"
           "{\"role\":\"assistant\",\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\"}]},"
           "{\"role\":\"custom\",\"content\":\"x\"}," RESULT("9", "nobody asked") "," USER("a") "]",
           "u:a");
    expect("{}", "");
}

T(thoughts_go_back_to_who_thought_them)
{
    static const struct {
        const char *message, *api, *model;
        bool replayed;
    } rows[] = {
        {"{\"content\":[{\"type\":\"thinking\",\"thinkingSignature\":\"abc\"}]}",
         "anthropic-messages", "m", true},
        {"{\"content\":[{\"type\":\"thinking\",\"thinkingSignature\":\"abc\"}]}",
         "openai-responses", "m", false},
        {"{\"content\":[{\"type\":\"thinking\",\"thinkingSignature\":\"{}\"}]}", "openai-responses",
         "m", true},
        {"{\"content\":[{\"type\":\"thinking\",\"thinkingSignature\":\"{}\"}]}",
         "anthropic-messages", "m", false},
        {"{\"content\":[{\"type\":\"thinking\",\"thinking\":\"hm\"}]}", "anthropic-messages", "m",
         false},
        {"{\"model\":\"m\",\"api\":\"anthropic-messages\",\"content\":[{\"type\":\"thinking\","
         "\"thinkingSignature\":\"abc\"}]}",
         "anthropic-messages", "m", true},
        {"{\"model\":\"other\",\"content\":[{\"type\":\"thinking\",\"thinkingSignature\":\"abc\"}]"
         "}",
         "anthropic-messages", "m", false},
        {"{\"api\":\"ollama\",\"content\":[{\"type\":\"thinking\",\"thinkingSignature\":\"abc\"}]}",
         "anthropic-messages", "m", false},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct json *message = json_parse(rows[i].message, strlen(rows[i].message), NULL);
        const struct json *part = json_at(json_get(message, "content"), 0);

        t_eq(walk_thought(message, part, rows[i].api, rows[i].model) != NULL, rows[i].replayed);
        json_free(message);
    }
}
