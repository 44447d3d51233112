/* Commands that show and change what a session is set to: the same members that sessions.patch sets. */
#include "gateway/session/command.h"

#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/session/level.h"
#include "gateway/session/policy.h"
#include "gateway/session/queue.h"
#include "gateway/session/turn.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BLANKS " \t\r\n"

/* "default", "reset", "inherit": back to what is configured. */
static bool says_default(const char *argument)
{
    static const char *const words[] = {"default", "reset", "inherit", "clear"};

    for (size_t i = 0; i < COUNT(words); i++) {
        if (strcasecmp(argument, words[i]) == 0)
            return true;
    }
    return false;
}

/* ---- model ---- */

void command_models(const struct command_call *c)
{
    CLEAN(json_free) struct json *models = NULL;
    struct json_writer w;
    struct buf b;

    buf_init(&b, 1024 * 1024);
    jw_init(&w, &b);
    models_write(c->gw, &w);
    models = b.bad ? NULL : json_parse(b.data, b.length, NULL);
    buf_done(&b);
    buf_add_str(c->answer, json_count(models) > 0 ? "Models:" : "No models are configured.");
    json_each (model, models) {
        const char *alias = json_string(json_get(model, "alias"), NULL);

        buf_addf(c->answer, "\n%s/%s%s%s%s", json_string(json_get(model, "provider"), ""),
                 json_string(json_get(model, "id"), ""), alias ? " (" : "", alias ? alias : "",
                 alias ? ")" : "");
        if (!json_boolean(json_get(model, "available"), true))
            buf_add_str(c->answer, ", not available");
    }
}

static void model_show(const struct command_call *c)
{
    bool own = session_text(c->session, "providerOverride", NULL) != NULL;
    struct model_name model;

    agent_model(c->gw, c->session, c->session->agent_id, &model);
    buf_addf(c->answer, "Model %s/%s%s.", model.provider, model.model,
             own ? " (chosen for this session; /model default goes back)" : "");
}

void command_model(const struct command_call *c)
{
    struct fault fault = {0};

    if (!*c->argument || strcasecmp(c->argument, "status") == 0) {
        model_show(c);
        buf_add_str(c->answer, " /model list shows what there is.");
    } else if (strcasecmp(c->argument, "list") == 0) {
        command_models(c);
    } else if (session_set_model(c->gw, c->session, says_default(c->argument) ? NULL : c->argument,
                                 &fault) < 0) {
        buf_addf(c->answer, "%s", fault.text);
    } else {
        model_show(c);
    }
}

/* ---- levels ---- */

static void command_level(const struct command_call *c, enum level level, const char *title)
{
    const struct level_row *row = &level_rows[level];
    const char *spelled = level_spelled(level, c->argument);

    if (says_default(c->argument))
        session_set_text(c->session, row->name, NULL);
    else if (spelled)
        session_set_text(c->session, row->name, spelled);
    else if (*c->argument)
        buf_addf(c->answer, "There is no level \"%.40s\". ", c->argument);
    buf_addf(c->answer, "%s: %s (", title,
             level_of(c->gw, c->session, c->session->agent_id, level));
    for (const char *const *name = row->allowed; *name; name++)
        buf_addf(c->answer, "%s%s", name == row->allowed ? "" : ", ", *name);
    buf_add_str(c->answer, ").");
}

void command_think(const struct command_call *c)
{
    command_level(c, LEVEL_THINKING, "Thinking");
}

void command_verbose(const struct command_call *c)
{
    command_level(c, LEVEL_VERBOSE, "Verbose");
}

void command_reasoning(const struct command_call *c)
{
    command_level(c, LEVEL_REASONING, "Reasoning");
}

/* ---- queue ---- */

/* "500", "0.5s", "2m": milliseconds; -1: none. */
static int64_t queue_duration(const char *text)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    char *end;
    double number = strtod(text, &end);

    for (size_t i = 0; end != text && number >= 0 && i < COUNT(units); i++) {
        if (strcasecmp(end, units[i].unit) == 0 && number * units[i].ms <= QUEUE_DEBOUNCE_MAX_MS)
            return (int64_t)(number * units[i].ms);
    }
    return -1;
}

/* One word of the argument; false: it means nothing. */
static bool queue_take(const struct command_call *c, const char *word)
{
    const char *value = strchr(word, ':');
    const char *mode = queue_mode_spelled(word);
    int64_t number = value ? queue_duration(value + 1) : -1;

    if (mode) {
        session_set_text(c->session, "queueMode", mode);
    } else if (value && strncasecmp(word, "debounce:", 9) == 0 && number >= 0) {
        session_set_number(c->session, "queueDebounceMs", number);
    } else if (value && strncasecmp(word, "cap:", 4) == 0 && number >= 1 &&
               number <= TURN_QUEUE_MAX) {
        session_set_number(c->session, "queueCap", number);
    } else if (value && strncasecmp(word, "drop:", 5) == 0 && queue_drop_spelled(value + 1)) {
        session_set_text(c->session, "queueDrop", queue_drop_spelled(value + 1));
    } else {
        return false;
    }
    return true;
}

static void queue_clear(struct session *session)
{
    static const char *const names[] = {"queueMode", "queueDebounceMs", "queueCap", "queueDrop"};

    for (size_t i = 0; i < COUNT(names); i++)
        json_remove(session->entry, names[i]);
}

void command_queue(const struct command_call *c)
{
    struct queue_rules rules;
    char word[64];

    if (says_default(c->argument)) {
        queue_clear(c->session);
    } else {
        for (const char *at = c->argument; *at; at += strspn(at, BLANKS)) {
            size_t length = strcspn(at, BLANKS);

            snprintf(word, sizeof(word), "%.*s", (int)(length < 63 ? length : 63), at);
            if (!queue_take(c, word))
                buf_addf(c->answer, "\"%s\" means nothing here. ", word);
            at += length;
        }
    }
    rules = queue_rules_of(c->gw, c->session);
    buf_addf(c->answer, "Queue: %s, debounce %lld ms, cap %lld, drop %s.", queue_modes[rules.mode],
             (long long)rules.debounce_ms, (long long)rules.cap, queue_drops[rules.drop]);
}

/* ---- send policy ---- */

void command_send(const struct command_call *c)
{
    static const char *const yes[] = {"on", "allow"}, *const no[] = {"off", "deny"};

    for (size_t i = 0; i < COUNT(yes); i++) {
        if (strcasecmp(c->argument, yes[i]) == 0)
            session_set_text(c->session, "sendPolicy", "allow");
        if (strcasecmp(c->argument, no[i]) == 0)
            session_set_text(c->session, "sendPolicy", "deny");
    }
    if (says_default(c->argument))
        session_set_text(c->session, "sendPolicy", NULL);
    buf_addf(c->answer, "Messages to this session: %s.",
             policy_allows(c->gw, c->session->key, c->session) ? "allowed" : "refused");
}
