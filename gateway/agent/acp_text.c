/* What is shown of a program's stderr, of its end, and of what its tools put out. Pure. */
#include "gateway/agent/acp.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define SECRET_MIN 6 /* shorter values of the environment are words, not secrets */
#define LINE_MAX   4096

/* Beginnings of tokens that people know by sight. */
static const char *const token_beginnings[] = {"sk-",  "sk_",  "pk_",     "ghp_", "gho_",
                                               "ghs_", "ghu_", "github_", "xox",  "glpat-",
                                               "eyJ",  "AKIA", "AIza",    "ya29."};
/* Names behind which "=" or ":" brings one. */
static const char *const secret_names[] = {"token", "secret",        "password", "passwd",
                                           "key",   "authorization", "bearer",   "credential"};

static bool is_token_char(char c)
{
    return isalnum((unsigned char)c) || strchr("-_.+/=~", c);
}

/* The length of the word at text that looks like a token; 0: it does not. */
static size_t token_length(const char *text)
{
    for (size_t i = 0; i < COUNT(token_beginnings); i++) {
        size_t length = strlen(token_beginnings[i]);
        if (strncmp(text, token_beginnings[i], length) != 0)
            continue;
        while (text[length] && is_token_char(text[length]))
            length++;
        return length >= 12 ? length : 0;
    }
    return 0;
}

/* Of the value that follows "api_key=", "Bearer ", "token: ": where it begins; NULL: no such name here. */
static const char *secret_value(const char *text)
{
    for (size_t i = 0; i < COUNT(secret_names); i++) {
        const char *at = text + strlen(secret_names[i]);

        if (strncasecmp(text, secret_names[i], strlen(secret_names[i])) != 0)
            continue;
        while (*at == '"' || *at == '\'')
            at++;
        if (*at != '=' && *at != ':' && !(*at == ' ' && strcmp(secret_names[i], "bearer") == 0))
            continue;
        while (*at && strchr("=: \"'", *at))
            at++;
        return strncasecmp(at, "bearer ", 7) == 0 ? at + 7 : at;
    }
    return NULL;
}

static size_t value_length(const char *text)
{
    size_t length = 0;

    while (text[length] && is_token_char(text[length]))
        length++;
    return length >= SECRET_MIN ? length : 0;
}

/* The length of a configured value that begins here. */
static size_t known_length(const struct acp_program *program, const char *text)
{
    if (!program->envp)
        return 0;
    for (char *const *at = program->envp + program->inherited; *at; at++) {
        const char *value = strchr(*at, '=');
        size_t length = value ? strlen(++value) : 0;

        if (length >= SECRET_MIN && strncmp(text, value, length) == 0)
            return length;
    }
    return 0;
}

static bool word_begins(const char *text, const char *start)
{
    return text == start || !isalnum((unsigned char)text[-1]);
}

static void clean_line(const struct acp_program *program, const char *line, struct buf *b)
{
    for (const char *at = line; *at && !b->bad;) {
        size_t hidden = known_length(program, at);
        const char *value = word_begins(at, line) ? secret_value(at) : NULL;

        if (hidden == 0 && word_begins(at, line))
            hidden = token_length(at);
        if (hidden == 0 && value && value_length(value) > 0) {
            buf_add(b, at, (size_t)(value - at));
            at = value;
            hidden = value_length(value);
        }
        if (hidden > 0) {
            buf_add_str(b, "***");
            at += hidden;
        } else {
            buf_add_char(b, (unsigned char)*at < ' ' || *at == 0x7f ? ' ' : *at);
            at++;
        }
    }
}

void acp_text_clean(const struct acp_program *program, const char *text, size_t length, char *out,
                    size_t size)
{
    CLEAN(mem_free) char *line = mem_slice(text, length < LINE_MAX ? length : LINE_MAX);
    struct buf b;

    buf_init(&b, 2 * LINE_MAX + 16);
    clean_line(program, line, &b);
    snprintf(out, size, "%s", b.data ? b.data : "");
    for (size_t end = strlen(out); end > 0 && !json_is_utf8(out, end); end--)
        out[end - 1] = '\0'; /* no half a character */
    buf_done(&b);
}

void acp_text_end(int status, int signal, char *out, size_t size)
{
    const char *name = signal ? sigabbrev_np(signal) : NULL;

    if (name)
        snprintf(out, size, "killed by SIG%s", name);
    else if (signal)
        snprintf(out, size, "killed by signal %d", signal);
    else
        snprintf(out, size, "exit status %d", status);
}

/* ---- a call's output as text ---- */

static void output_item(struct buf *b, const struct json *item)
{
    const char *type = json_string(json_get(item, "type"), "");
    const char *text = json_string(json_path(item, "content.text"), NULL);

    if (b->length > 0)
        buf_add_char(b, '\n');
    if (strcmp(type, "diff") == 0)
        buf_addf(b, "%s %s", json_get(item, "oldText") ? "changed" : "wrote",
                 json_string(json_get(item, "path"), "a file"));
    else if (text)
        buf_add_str(b, text);
    else
        buf_addf(b, "[%s]", json_string(json_path(item, "content.type"), type));
}

static size_t character_start(const char *text, size_t at)
{
    while (at > 0 && ((unsigned char)text[at] & 0xc0) == 0x80)
        at--;
    return at;
}

/* The beginning says what it is and the end how it ended: the middle goes. */
static char *output_cap(const char *text, size_t length)
{
    size_t head, tail;

    if (length <= ACP_TOOL_TEXT_MAX)
        return mem_slice(text, length);
    head = character_start(text, ACP_TOOL_TEXT_MAX / 2);
    tail = character_start(text, length - ACP_TOOL_TEXT_MAX / 2);
    return mem_format("%.*s\n[… %zu bytes were left out here …]\n%s", (int)head, text, tail - head,
                      text + tail);
}

char *acp_text_output(const struct json *update)
{
    const struct json *content = json_get(update, "content"), *raw = json_get(update, "rawOutput");
    CLEAN(buf_done) struct buf b;

    buf_init(&b, 32u << 20);
    json_each (item, json_kind(content) == JSON_ARRAY ? content : NULL)
        output_item(&b, item);
    if (b.length == 0 && !b.bad && raw && json_kind(raw) != JSON_NULL) {
        CLEAN(mem_free) char *printed = json_print(raw, false);
        buf_add_str(&b, json_string(raw, printed));
    }
    return b.length > 0 ? output_cap(b.data, b.length) : NULL;
}
