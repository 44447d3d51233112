/* The commands that really work, as rows. */
#include "gateway/session/command.h"

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/session/turn.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

/* ---- handlers ---- */

static void command_new(struct gateway *gw, struct session *session, struct store_batch *batch,
                        struct buf *answer)
{
    store_messages_drop(batch, session->session_id, INT64_MAX, true, loop_wall(gw->loop));
    session_renew(gw, session);
    buf_add_str(answer, "New session started.");
}

static void command_status(struct gateway *gw, struct session *session, struct store_batch *batch,
                           struct buf *answer)
{
    int64_t up = (loop_now(gw->loop) - gw->started_mono) / 1000;
    struct model_name model;

    (void)batch;
    agent_model(gw, session, session->agent_id, &model);
    buf_addf(answer, "Culvert %s, up %lld h %lld min\n", CULVERT_VERSION, (long long)(up / 3600),
             (long long)(up / 60 % 60));
    buf_addf(answer, "Session %s, %lld messages\n", session->key,
             (long long)session->message_count);
    buf_addf(answer, "Model %s/%s, tokens %lld in, %lld out\n", model.provider, model.model,
             (long long)session_number(session, "inputTokens", 0),
             (long long)session_number(session, "outputTokens", 0));
    buf_addf(answer, "%zu turns running, %zu sessions", turn_count(gw), session_count(gw));
}

static void command_help(struct gateway *gw, struct session *session, struct store_batch *batch,
                         struct buf *answer)
{
    (void)gw;
    (void)session;
    (void)batch;
    for (const struct command *c = commands; c->name; c++)
        buf_addf(answer, "%s/%s: %s", c == commands ? "" : "\n", c->name, c->description);
}

/* ---- rows ---- */

const struct command commands[] = {
    {"help", {"/commands"}, "Show the commands.", "status", false, command_help},
    {"status",
     {NULL},
     "Show the session, its model and this gateway.",
     "status",
     false,
     command_status},
    {"stop", {"/abort"}, "Stop the answer that is being written.", "session", false, NULL},
    {"new",
     {NULL},
     "Start the session anew; the old transcript is archived.",
     "session",
     true,
     command_new},
    {"reset",
     {NULL},
     "Start the session anew; the old transcript is archived.",
     "session",
     true,
     command_new},
    {0},
};

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
        jw_kbool(w, "acceptsArgs", c->resets);
        jw_object_end(w);
    }
    jw_array_end(w);
}

/* protocol.md 6.2 */
static const char *const stop_words[] = {"stop", "esc", "abort", "wait", "exit", "interrupt"};

/* ---- recognising ---- */

/* The message without blanks around it and one trailing ':'. */
static size_t command_trim(const char **message)
{
    size_t length;

    *message += strspn(*message, " \t\r\n");
    length = strlen(*message);
    while (length > 0 && strchr(" \t\r\n:", (*message)[length - 1]))
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
    size_t length = command_trim(&message), word = strcspn(message, " \t\r\n:");

    if (ret_rest)
        *ret_rest = "";
    if (length < 2 || *message != '/')
        return NULL;
    if (word >= length)
        return command_named(message, length);
    c = command_named(message, word);
    if (!c || !c->resets)
        return NULL;
    if (ret_rest)
        *ret_rest = message + word + strspn(message + word, " \t\r\n:");
    return c;
}

bool command_is_stop(const char *message)
{
    const struct command *c = command_of(message, NULL);
    size_t length;

    if (c)
        return strcmp(c->name, "stop") == 0;
    length = command_trim(&message);
    for (size_t i = 0; i < COUNT(stop_words); i++) {
        if (command_spells(message, length, stop_words[i]))
            return true;
    }
    return false;
}
