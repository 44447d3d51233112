/* Commands that show a session or start it anew. */
#include "gateway/session/command.h"

#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/session/level.h"
#include "gateway/session/queue.h"
#include "gateway/session/turn.h"

#include <string.h>
#include <strings.h>

void command_new(const struct command_call *c)
{
    session_restart(c->gw, c->session, c->batch);
    buf_add_str(c->answer, "New session started.");
}

static void say_tokens(const struct command_call *c)
{
    struct model_name model;
    int64_t window, total = session_number(c->session, "totalTokens", 0);
    double cost = json_number(json_get(c->session->entry, "estimatedCostUsd"), -1);

    agent_model(c->gw, c->session, c->session->agent_id, &model);
    window = model_context_window(c->gw, model.provider, model.model);
    buf_addf(c->answer, "tokens %lld in, %lld out",
             (long long)session_number(c->session, "inputTokens", 0),
             (long long)session_number(c->session, "outputTokens", 0));
    if (window > 0 && total > 0)
        buf_addf(c->answer, "; context %lld of %lld (%lld %%)", (long long)total, (long long)window,
                 (long long)(total * 100 / window));
    if (cost >= 0)
        buf_addf(c->answer, "; about $%.4f", cost);
}

void command_status(const struct command_call *c)
{
    struct queue_rules rules = queue_rules_of(c->gw, c->session);
    int64_t up = (loop_now(c->gw->loop) - c->gw->started_mono) / 1000;
    const char *agent = c->session->agent_id;
    struct model_name model;

    agent_model(c->gw, c->session, agent, &model);
    buf_addf(c->answer, "Culvert %s, up %lld h %lld min\n", CULVERT_VERSION, (long long)(up / 3600),
             (long long)(up / 60 % 60));
    buf_addf(c->answer, "Session %s, %lld messages\n", c->session->key,
             (long long)c->session->message_count);
    buf_addf(c->answer, "Model %s/%s, ", model.provider, model.model);
    say_tokens(c);
    buf_addf(c->answer, "\nThinking %s, verbose %s, reasoning %s; queue %s\n",
             level_of(c->gw, c->session, agent, LEVEL_THINKING),
             level_of(c->gw, c->session, agent, LEVEL_VERBOSE),
             level_of(c->gw, c->session, agent, LEVEL_REASONING), queue_modes[rules.mode]);
    buf_addf(c->answer, "%zu turns running, %zu sessions", turn_count(c->gw), session_count(c->gw));
}

void command_usage(const struct command_call *c)
{
    static const char *const modes[] = {"off", "tokens", "full"};

    for (size_t i = 0; *c->argument && i < COUNT(modes); i++) {
        if (strcasecmp(c->argument, modes[i]) != 0)
            continue;
        session_set_text(c->session, "responseUsage", i > 0 ? modes[i] : NULL);
        buf_addf(c->answer, "Usage under answers: %s.", modes[i]);
        return;
    }
    if (*c->argument)
        buf_add_str(c->answer, "Say /usage off, tokens or full. ");
    buf_add_str(c->answer, "This session: ");
    say_tokens(c);
    buf_addf(c->answer, ". Under answers: %s.", session_text(c->session, "responseUsage", "off"));
}

void command_help(const struct command_call *c)
{
    for (const struct command *row = commands; row->name; row++)
        buf_addf(c->answer, "%s/%s%s%s: %s", row == commands ? "" : "\n", row->name,
                 row->argument ? " " : "", row->argument ? row->argument : "", row->description);
}
