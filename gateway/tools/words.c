/* The splitter: one pass over the line, a state for the quote it is in. */
#include "gateway/tools/words.h"

#include "base/buf.h"
#include "base/mem.h"

#include <string.h>

struct splitter {
    const char *at;
    char **words;
    size_t count;
    struct buf word;
    bool open; /* a word has begun, perhaps an empty one in quotes */
    bool shell;
};

/* What only a shell gives a meaning, outside of quotes. */
static bool is_special(const char *at, bool word_open)
{
    if (strchr("|&;<>()$`*?[\n\r", *at))
        return true;
    if (word_open)
        return false;
    return *at == '~' || *at == '#' || *at == '!' || (at[0] == '{' && at[1] != '\0');
}

static void word_end(struct splitter *s)
{
    if (!s->open)
        return;
    if (s->count < WORDS_MAX)
        s->words[s->count] = buf_take(&s->word);
    s->count++;
    buf_done(&s->word);
    buf_init(&s->word, 1 << 20);
    s->open = false;
}

/* Behind an opening double quote; false: it is not closed. */
static bool double_quoted(struct splitter *s)
{
    for (; *s->at && *s->at != '"'; s->at++) {
        if (*s->at == '$' || *s->at == '`')
            s->shell = true;
        if (*s->at == '\\' && s->at[1] && strchr("$`\"\\\n", s->at[1]))
            s->at++;
        buf_add_char(&s->word, *s->at);
    }
    return *s->at == '"';
}

static bool single_quoted(struct splitter *s)
{
    for (; *s->at && *s->at != '\''; s->at++)
        buf_add_char(&s->word, *s->at);
    return *s->at == '\'';
}

/* One character, or what it opens; false: a quote stays open. */
static bool split_one(struct splitter *s)
{
    char c = *s->at;

    if (c == ' ' || c == '\t') {
        word_end(s);
        return true;
    }
    if (is_special(s->at, s->open)) {
        s->shell = true;
        return true;
    }
    s->open = true;
    if (c == '"' || c == '\'') {
        s->at++;
        return c == '"' ? double_quoted(s) : single_quoted(s);
    }
    if (c == '\\') {
        if (!s->at[1])
            return false;
        s->at++;
    }
    buf_add_char(&s->word, *s->at);
    return true;
}

/* "A=b cmd" sets a variable: a shell's business as well. */
static bool is_assignment(const char *word)
{
    size_t n = strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");
    return n > 0 && word[n] == '=';
}

int words_split(const char *line, char ***ret_words, struct fault *reterr_fault)
{
    struct splitter s = {.at = line, .words = mem_array(WORDS_MAX + 1, sizeof(char *))};
    bool closed = true;
    int r = 0;

    buf_init(&s.word, 1 << 20);
    for (; *s.at && closed && !s.shell; s.at += closed)
        closed = split_one(&s);
    if (closed && !s.shell)
        word_end(&s);
    buf_done(&s.word);
    if (s.shell || (s.count > 0 && s.count <= WORDS_MAX && is_assignment(s.words[0])))
        r = 1;
    else if (!closed)
        r = fault_set(reterr_fault, -ERR_INVALID, "a quote in the command is not closed");
    else if (s.count == 0)
        r = fault_set(reterr_fault, -ERR_INVALID, "the command is empty");
    else if (s.count > WORDS_MAX)
        r = fault_set(reterr_fault, -ERR_INVALID, "the command has more than %d words", WORDS_MAX);
    if (r != 0)
        words_free(s.words);
    else
        *ret_words = s.words;
    return r;
}

char **words_free(char **words)
{
    for (char **at = words; at && *at; at++)
        mem_free(*at);
    return mem_free(words);
}

char *words_join(char *const *words)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:=,+@%^";
    struct buf b;

    buf_init(&b, 8u << 20);
    for (size_t i = 0; words[i]; i++) {
        const char *word = words[i];

        if (i > 0)
            buf_add_char(&b, ' ');
        if (*word && strspn(word, plain) == strlen(word)) {
            buf_add_str(&b, word);
            continue;
        }
        buf_add_char(&b, '\'');
        for (; *word; word++) {
            if (*word == '\'')
                buf_add_str(&b, "'\\''");
            else
                buf_add_char(&b, *word);
        }
        buf_add_char(&b, '\'');
    }
    return buf_take(&b);
}
