/* The commands as rows, and how a message is recognised as one. What they do is in command_session.c and
 * command_setting.c. */
#include "gateway/session/command.h"

#include "gateway/session/level.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* clang-format off */
const struct command commands[] = {
    {"help", {"/commands"}, "Show the commands.", "status", .run = command_help},
    {"status", {NULL}, "Show the session, its model and this gateway.", "status", .run = command_status},
    {"usage", {NULL}, "Show what the session has used; tokens or full: under every answer, where a client shows it.",
     "status", .argument = "[off|tokens|full]", .admin = true, .run = command_usage},
    {"stop", {"/abort"}, "Stop the answer that is being written.", "session", .run = NULL},
    {"new", {NULL}, "Start the session anew; the old transcript is archived.", "session", .argument = "[message]",
     .resets = true, .run = command_new},
    {"reset", {NULL}, "Start the session anew; the old transcript is archived.", "session", .argument = "[message]",
     .resets = true, .run = command_new},
    {"compact", {NULL}, "Summarise the older part of the session; the transcript keeps every message.", "session",
     .argument = "[what to keep in mind]", .start = command_compact},
    {"model", {NULL}, "Show or choose the session's model; default goes back to the agent's.", "options",
     .argument = "[list|default|name]", .run = command_model},
    {"models", {NULL}, "List the configured models.", "options", .run = command_models},
    {"think", {"/thinking", "/t"}, "How much the model thinks; with a message behind it for that one alone.", "options",
     .argument = "[level] [message]", .run = command_think},
    {"verbose", {"/v"}, "How much is told of tools.", "options", .argument = "[on|full|off]", .admin = true,
     .run = command_verbose},
    {"reasoning", {"/reason"}, "Whether clients show what the model thought.", "options",
     .argument = "[on|off|stream]", .admin = true, .run = command_reasoning},
    {"queue", {NULL}, "What becomes of messages while an answer is being written.", "options",
     .argument = "[steer|followup|collect|interrupt|default] [debounce:2s] [cap:20] [drop:summarize|old|new]",
     .run = command_queue},
    {"send", {NULL}, "Whether this session may send; inherit goes back to the rules.", "options",
     .argument = "[on|off|inherit]", .admin = true, .run = command_send},
    {0},
};
/* clang-format on */

void commands_write(struct json_writer *w)
{
    jw_array(w);
    for (const struct command *c = commands; c->name; c++) {
        char slash[32];

        snprintf(slash, sizeof(slash), "/%s", c->name);
        jw_object(w);
        jw_kstr(w, "name", c->name);
        jw_kstr(w, "nativeName", c->name);
        jw_karray(w, "textAliases");
        jw_str(w, slash);
        for (size_t i = 0; i < COUNT(c->aliases) && c->aliases[i]; i++)
            jw_str(w, c->aliases[i]);
        jw_array_end(w);
        jw_kstr(w, "description", c->description);
        jw_kstr(w, "category", c->category);
        jw_kstr(w, "source", "native");
        jw_kstr(w, "scope", "both");
        jw_kbool(w, "acceptsArgs", c->argument != NULL);
        jw_object_end(w);
    }
    jw_array_end(w);
}

/* ---- recognising ---- */

#define BLANKS " \t\r\n"

/* The message without blanks around it and one trailing ':'. */
static size_t command_trim(const char **message)
{
    size_t length;

    *message += strspn(*message, BLANKS);
    length = strlen(*message);
    while (length > 0 && strchr(BLANKS ":", (*message)[length - 1]))
        length--;
    return length;
}

static bool command_spells(const char *text, size_t length, const char *name)
{
    return length == strlen(name) && strncasecmp(text, name, length) == 0;
}

static const struct command *command_named(const char *text, size_t length)
{
    for (const struct command *c = commands; c->name; c++) {
        if (command_spells(text + 1, length - 1, c->name))
            return c;
        for (size_t i = 0; i < COUNT(c->aliases) && c->aliases[i]; i++) {
            if (command_spells(text, length, c->aliases[i]))
                return c;
        }
    }
    return NULL;
}

const struct command *command_of(const char *message, const char **ret_rest)
{
    const struct command *c;
    size_t length = command_trim(&message), word = strcspn(message, BLANKS ":");

    if (ret_rest)
        *ret_rest = "";
    if (length < 2 || *message != '/')
        return NULL;
    if (word >= length)
        return command_named(message, length);
    c = command_named(message, word);
    if (!c || !c->argument)
        return NULL;
    if (ret_rest)
        *ret_rest = message + word + strspn(message + word, BLANKS ":");
    return c;
}

bool command_thinks(const char **message, const char **ret_level)
{
    const char *rest;
    const struct command *c = command_of(*message, &rest);
    size_t word = strcspn(rest, BLANKS), gap = strspn(rest + word, BLANKS);
    char level[32];

    if (!c || c->run != command_think || gap == 0 || !rest[word + gap] || word >= sizeof(level))
        return false;
    memcpy(level, rest, word);
    level[word] = '\0';
    *ret_level = level_spelled(LEVEL_THINKING, level);
    if (!*ret_level)
        return false;
    *message = rest + word + gap;
    return true;
}

/* ---- stopping ---- */

/* What people say to make it stop, alone; protocol.md 6.2 and what the published gateway has added. */
static const char *const stop_words[] = {
    "stop",        "esc",         "abort",       "wait",     "exit",       "interrupt",
    "halt",        "please stop", "stop please", "stop run", "stop agent", "stop the agent",
    "stop action", "detente",     "deten",       "detén",    "arrete",     "arrête",
    "pare",        "stopp",       "anhalten",    "aufhören", "стоп",       "остановись",
    "停止",        "停下来",      "暂停",        "やめて",   "止めて",     "रुको",
    "توقف"};

bool command_is_stop(const char *message)
{
    const struct command *c = command_of(message, NULL);
    size_t length;

    if (c)
        return strcmp(c->name, "stop") == 0;
    length = command_trim(&message);
    while (length > 0 && strchr(".!?,;)", message[length - 1]))
        length--;
    for (size_t i = 0; i < COUNT(stop_words); i++) {
        if (command_spells(message, length, stop_words[i]))
            return true;
    }
    return false;
}
