/* Command lines as words. */
#include "gateway/tools/words.h"

#include "base/buf.h"
#include "base/mem.h"
#include "tests/t.h"

T(splits)
{
    static const struct {
        const char *line, *words; /* "|" between words */
    } cases[] = {
        {"ls", "ls"},
        {"  ls   -l\t/tmp ", "ls|-l|/tmp"},
        {"echo 'a b' \"c d\"", "echo|a b|c d"},
        {"echo a\\ b 'it'\\''s'", "echo|a b|it's"},
        {"echo '' \"\"", "echo||"},
        {"echo '$HOME' '*' 'a|b' \"a;b\"", "echo|$HOME|*|a|b|a;b"},
        {"echo a#b a~b a=b", "echo|a#b|a~b|a=b"},
        {"printf \"a\\\"b\"", "printf|a\"b"},
        {"x \"a\\nb\"", "x|a\\nb"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct fault fault = {0};
        char **words = NULL;
        struct buf b;

        buf_init(&b, 4096);
        t_eq(words_split(cases[i].line, &words, &fault), 0);
        for (char **at = words; at && *at; at++)
            buf_addf(&b, "%s%s", at == words ? "" : "|", *at);
        t_str(b.data, cases[i].words);
        buf_done(&b);
        words_free(words);
    }
}

T(needs_a_shell)
{
    static const char *const lines[] = {
        "a | b",      "a; b",          "a && b",     "a &",     "a > f",  "a < f",
        "echo $HOME", "echo `id`",     "echo $(id)", "ls *.c",  "ls a?",  "ls [ab]",
        "~/x",        "# comment",     "! true",     "A=b env", "(cd x)", "echo \"$X\"",
        "a\nb",       "echo \"`id`\"", "{ a",        "x=1",     "a 2>&1", "cat <<EOF",
    };

    for (size_t i = 0; i < COUNT(lines); i++) {
        struct fault fault = {0};
        char **words = NULL;

        if (words_split(lines[i], &words, &fault) != 1)
            t_fail(__FILE__, __LINE__, "%s needs a shell", lines[i]);
        t_ok(words == NULL);
    }
}

T(refuses)
{
    static const char *const lines[] = {"", "   ", "echo 'a", "echo \"a", "echo a\\"};
    CLEAN(mem_free) char *many = NULL;
    struct fault fault = {0};
    char **words = NULL;
    struct buf b;

    for (size_t i = 0; i < COUNT(lines); i++)
        t_eq(words_split(lines[i], &words, &fault), -ERR_INVALID);
    buf_init(&b, 1 << 16);
    for (int i = 0; i <= WORDS_MAX; i++)
        buf_add_str(&b, "x ");
    many = buf_take(&b);
    t_eq(words_split(many, &words, &fault), -ERR_INVALID);
    t_has(fault.text, "more than");
}

T(joins_into_what_splits_the_same)
{
    static const char *const lines[] = {"ls -l", "echo 'a b' '' 'it'\\''s' '$X' '*'"};

    for (size_t i = 0; i < COUNT(lines); i++) {
        struct fault fault = {0};
        char **words = NULL, **again = NULL;

        t_eq(words_split(lines[i], &words, &fault), 0);
        CLEAN(mem_free) char *line = words_join(words);
        t_eq(words_split(line, &again, &fault), 0);
        for (size_t w = 0; words[w] || again[w]; w++)
            t_str(again[w], words[w]);
        words_free(words);
        words_free(again);
    }
}
