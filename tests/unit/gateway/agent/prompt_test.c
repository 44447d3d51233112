/* From rows to messages, and where they are cut. */
#include "gateway/agent/prompt.h"

#include "base/mem.h"
#include "gateway/agent/budget.h"
#include "tests/t.h"

/* Rows as "seq run json", single quotes for double ones; run "-": none. */
struct rows {
    struct store_row rows[64];
    size_t count;
};

static void row(struct rows *rows, int64_t seq, const char *run, const char *message)
{
    char *text = mem_string(message);

    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    rows->rows[rows->count++] =
        (struct store_row){.seq = seq, .run_id = run ? mem_string(run) : NULL, .message = text};
}

static struct json *parse(const char *text)
{
    return json_parse(text, strlen(text), NULL);
}

static void rows_free(struct rows *rows)
{
    for (size_t i = 0; i < rows->count; i++) {
        mem_free(rows->rows[i].run_id);
        mem_free(rows->rows[i].message);
    }
}

#define USER(text) "{'role':'user','content':'" text "'}"
#define SAID(text) "{'role':'assistant','content':[{'type':'text','text':'" text "'}]}"
#define CALLS(...) "{'role':'assistant','content':[" __VA_ARGS__ "]}"
#define CALL(id)   "{'type':'toolCall','id':'" id "','name':'look','arguments':{}}"
#define RESULT(id)                                                                                 \
    "{'role':'toolResult','toolCallId':'" id                                                       \
    "','toolName':'look','content':[{'type':'text','text':'r'}],'isError':false}"

static void loads(struct rows *rows, int64_t user_seq, const char *expected)
{
    struct prompt prompt;

    prompt_init(&prompt);
    prompt_load(&prompt, rows->rows, rows->count, user_seq);
    CLEAN(mem_free) char *text = json_print(prompt.messages, false);
    t_json(text, expected);
    t_eq(prompt.count, json_count(prompt.messages));
    prompt_done(&prompt);
    rows_free(rows);
}

T(each_answer_stands_behind_its_question)
{
    struct rows rows = {0};

    row(&rows, 1, "a", USER("one"));
    row(&rows, 2, "b", USER("two"));
    row(&rows, 3, "a", SAID("first"));
    row(&rows, 4, "c", USER("three"));
    row(&rows, 5, NULL, SAID("later")); /* belongs to no run: chat.inject */
    loads(
        &rows, 2,
        "[{'content':'one'},{'role':'assistant','content':[{'text':'first'}]},{'content':'two'}]");
}

T(results_follow_their_calls)
{
    struct rows rows = {0};

    row(&rows, 1, "a", USER("one"));
    row(&rows, 2, "a", CALLS(CALL("x") "," CALL("y")));
    row(&rows, 3, "a", USER("steered"));
    row(&rows, 4, "a", RESULT("x"));
    row(&rows, 5, "a", RESULT("y"));
    row(&rows, 6, "a", SAID("done"));
    row(&rows, 7, "b", USER("two"));
    loads(
        &rows, 7,
        "[{'content':'one'},{'role':'assistant'},{'toolCallId':'x'},{'toolCallId':'y'},{'content':"
        "'steered'},{'role':'assistant','content':[{'text':'done'}]},{'content':'two'}]");
}

T(a_result_without_its_call_is_left_out)
{
    struct rows rows = {0};

    row(&rows, 8, "a", RESULT("x")); /* its call lies before what was read */
    row(&rows, 9, "a", SAID("done"));
    row(&rows, 10, "b", USER("two"));
    loads(&rows, 10, "[{'role':'assistant'},{'content':'two'}]");
}

/* A call that never got a result (interrupted): what was said after it is not lost. */
T(a_call_without_a_result_holds_nothing_back)
{
    struct rows rows = {0};

    row(&rows, 1, "a", USER("one"));
    row(&rows, 2, "a", CALLS(CALL("x")));
    row(&rows, 3, "a", USER("steered"));
    row(&rows, 4, "b", USER("two"));
    loads(&rows, 4,
          "[{'content':'one'},{'role':'assistant'},{'content':'steered'},{'content':'two'}]");
}

/* A client's tool result comes with the next request. */
T(a_result_may_come_with_the_next_run)
{
    struct rows rows = {0};

    row(&rows, 1, "a", USER("one"));
    row(&rows, 2, "a", CALLS(CALL("x")));
    row(&rows, 3, "b", RESULT("x"));
    row(&rows, 4, "b", USER("go on"));
    loads(&rows, 4,
          "[{'content':'one'},{'role':'assistant'},{'toolCallId':'x'},{'content':'go on'}]");
}

T(what_says_nothing_is_left_out)
{
    struct rows rows = {0};

    row(&rows, 1, "a", USER("one"));
    row(&rows, 2, "a", "{'role':'assistant','content':[],'errorMessage':'x'}");
    row(&rows, 3, "a", "{'role':'system','content':[{'type':'text','text':'note'}]}");
    row(&rows, 4, "a", "{'role':'assistant','content':''}");
    row(&rows, 5, "b", "not json");
    row(&rows, 6, "b", USER("two"));
    loads(&rows, 6, "[{'content':'one'},{'content':'two'}]");
}

T(a_summary_stands_for_what_it_covers)
{
    struct rows rows = {0};
    CLEAN(mem_free)
    char *old = prompt_compaction_entry(
        &(struct prompt_compaction){.summary = "older", .through_seq = 1, .at = 1});
    CLEAN(mem_free)
    char *entry = prompt_compaction_entry(
        &(struct prompt_compaction){.summary = "They \"spoke\".", .through_seq = 3, .at = 1});

    row(&rows, 1, "a", USER("one"));
    row(&rows, 2, NULL, old);
    row(&rows, 3, "a", SAID("first"));
    row(&rows, 4, "b", USER("two"));
    row(&rows, 5, NULL, entry);
    row(&rows, 6, "b", SAID("second"));
    row(&rows, 7, "c", USER("three"));

    struct prompt prompt;
    prompt_init(&prompt);
    prompt_load(&prompt, rows.rows, rows.count, 7);
    CLEAN(mem_free) char *text = json_print(prompt.messages, false);
    t_json(text, "[{'role':'user'},{'content':'two'},{'content':[{'text':'second'}]},{'content':"
                 "'three'}]");
    t_has(text, "They \\\"spoke\\\".");
    t_ok(!strstr(text, "older"));
    t_ok(prompt.summarized);
    prompt_done(&prompt);
    rows_free(&rows);
}

/* ---- cutting ---- */

static void fill(struct prompt *prompt, const char *const *messages, int64_t user_seq)
{
    struct rows rows = {0};
    int64_t seq = 0;

    for (; *messages; messages++)
        row(&rows, ++seq, "r", *messages);
    prompt_init(prompt);
    prompt_load(prompt, rows.rows, rows.count, user_seq ? user_seq : seq);
    prompt->question_seq = prompt->question_first = user_seq;
    rows_free(&rows);
}

/* Wherever the cut is asked for, it lies before a user's message or a call, never between call and result. */
T(pairs_are_never_split)
{
    static const char *const messages[] = {
        USER("q1"),
        CALLS(CALL("a") "," CALL("b")),
        RESULT("a"),
        RESULT("b"),
        SAID("s1"),
        USER("q2"),
        CALLS(CALL("c")),
        RESULT("c"),
        CALLS(CALL("d")),
        RESULT("d"),
        SAID("s2"),
        USER("q3"),
        CALLS(CALL("e") "," CALL("f") "," CALL("g")),
        RESULT("e"),
        RESULT("f"),
        RESULT("g"),
        NULL,
    };
    struct prompt prompt;

    for (size_t keep = 0; keep < 400; keep++) {
        fill(&prompt, messages, 0);
        size_t cut = prompt_cut(&prompt, keep);

        t_ok(cut < prompt.count);
        if (cut > 0)
            t_ok(prompt.items[cut].kind != PROMPT_RESULT);
        prompt_replace(&prompt, cut, "summary");
        t_eq(prompt.items[0].kind, PROMPT_USER);
        for (size_t i = 1; i < prompt.count; i++) {
            if (prompt.items[i].kind == PROMPT_RESULT)
                t_ok(prompt.items[i - 1].kind != PROMPT_USER);
        }
        prompt_done(&prompt);
    }
}

T(a_cut_prefers_a_users_message)
{
    static const char *const messages[] = {USER("q1"), SAID("s1"), USER("q2"),
                                           SAID("s2"), USER("q3"), NULL};
    struct prompt prompt;

    fill(&prompt, messages, 0);
    t_eq(prompt_cut(&prompt, prompt.items[4].tokens + prompt.items[3].tokens), 4);
    t_eq(prompt_cut(&prompt,
                    prompt.items[4].tokens + prompt.items[3].tokens + prompt.items[2].tokens),
         2);
    t_eq(prompt_cut(&prompt, 0), 4);
    t_eq(prompt_through(&prompt, 4), 4);
    t_eq(prompt_through(&prompt, 2), 2);
    prompt_done(&prompt);
}

T(there_is_nothing_to_cut_of_one_message)
{
    static const char *const one[] = {USER("q1"), NULL};
    struct prompt prompt;

    fill(&prompt, one, 0);
    t_eq(prompt_cut(&prompt, 0), 0);
    prompt_add(&prompt, json_copy(json_at(prompt.messages, 0)), 0);
    t_eq(prompt_cut(&prompt, 0), 1);
    prompt_replace(&prompt, 1, "summary");
    t_eq(prompt.count, 2);
    t_eq(prompt_cut(&prompt, 0), 0); /* the summary alone is nothing to summarise */
    prompt_done(&prompt);
}

/* In the middle of a long run the message to answer stays, whatever is cut. */
T(the_question_stays)
{
    static const char *const messages[] = {USER("old"),      SAID("old"), USER("question"),
                                           CALLS(CALL("a")), RESULT("a"), CALLS(CALL("b")),
                                           RESULT("b"),      NULL};
    struct prompt prompt;
    size_t cut;

    fill(&prompt, messages, 3);
    prompt_add(&prompt, parse("{\"role\":\"assistant\",\"content\":\"x\"}"), 0);
    cut = prompt_cut(&prompt,
                     prompt.items[7].tokens + prompt.items[6].tokens + prompt.items[5].tokens);
    t_eq(cut, 5);
    t_eq(prompt_through(&prompt, cut), 2); /* the transcript shows the whole run again */
    prompt_replace(&prompt, cut, "summary");
    CLEAN(mem_free) char *text = json_print(prompt.messages, false);
    t_json(text, "[{'role':'user'},{'content':'question'},{'role':'assistant'},{'toolCallId':'b'},{"
                 "'content':'x'}]");
    prompt_done(&prompt);
}

/* Several messages may be answered together: each of them stays. */
T(all_questions_of_a_turn_stay)
{
    static const char *const messages[] = {
        USER("old"),      SAID("old"), USER("first"), USER("second"),
        CALLS(CALL("a")), RESULT("a"), SAID("x"),     NULL};
    struct prompt prompt;

    fill(&prompt, messages, 4);
    prompt.question_first = 3;
    t_eq(prompt_through(&prompt, 6), 2);
    prompt_replace(&prompt, 6, "summary");
    CLEAN(mem_free) char *text = json_print(prompt.messages, false);
    t_json(text,
           "[{'role':'user'},{'content':'first'},{'content':'second'},{'content':[{'text':'x'}]}]");
    prompt_done(&prompt);
}

T(old_results_are_shortened_before_anything_else)
{
    struct prompt prompt;
    size_t before;

    prompt_init(&prompt);
    for (int i = 0; i < 4; i++) {
        struct json *message = parse("{\"role\":\"toolResult\",\"content\":[{\"type\":\"text\"}]}");
        char *text = mem_new(20001);

        memset(text, 'x', 20000);
        memcpy(text + 2047, "é", 2); /* a character over the cut */
        json_put(json_edit_at(json_edit(message, "content"), 0), "text", json_new_string(text));
        mem_free(text);
        prompt_add(&prompt, message, i + 1);
    }
    before = prompt.tokens;
    prompt_shorten(&prompt, 1, 2);
    t_ok(prompt.tokens < before * 2 / 3);
    t_ok(prompt.items[0].tokens < 1000 && prompt.items[1].tokens < 1000);
    t_ok(prompt.items[2].tokens > 4000 && prompt.items[3].tokens > 4000);
    CLEAN(mem_free) char *first = json_print(json_at(prompt.messages, 0), false);
    t_ok(json_is_utf8(first, strlen(first)));
    t_has(first, "left out");
    prompt_done(&prompt);
}

/* ---- estimates ---- */

T(estimates)
{
    struct budget budget;

    t_eq(budget_text("abcdefgh", 8), 2);
    t_eq(budget_text("日本", 6), 3);
    t_eq(budget_text("", 0), 0);
    budget_init(&budget, 0);
    t_eq(budget.window, 200000);
    budget_init(&budget, 8000);
    t_eq(budget.reserve, 2000);
    t_ok(budget_fits(&budget, 6000) && !budget_fits(&budget, 6001));
    budget_learn(&budget, 1000, 2000); /* our estimate was half of it */
    t_ok(budget_fits(&budget, 3000) && !budget_fits(&budget, 3001));
    budget_learn(&budget, 1000, -1); /* not told: nothing learned */
    t_eq(budget_room(&budget), 3000);
    budget_learn(&budget, 1, 1000000); /* nonsense is bounded */
    t_eq(budget_room(&budget), 1500);

    CLEAN(json_free)
    struct json *image = json_parse("{\"role\":\"user\",\"content\":[{\"type\":\"image\",\"data\":"
                                    "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}]}",
                                    84, NULL);
    t_ok(image && budget_message(image) > 1000);
}
