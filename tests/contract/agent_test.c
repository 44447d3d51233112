/* Every agent kind keeps the same promises (agent.h). One row per row of agents.def. */
#include "tests/rig/agent_rig.h"

#include <unistd.h>

struct row {
    const char *name;    /* as in agents.def */
    const char *config;  /* usable; the session is the default agent's */
    const char *broken;  /* cannot answer, and says why; NULL: leave out */
    const char *message; /* what to say so that it talks for a while */
    const char *said;    /* part of its answer */
};

/* "@" stands for the source tree, where the tests run. */
#define ACP_CONFIG                                                                                 \
    "{agents:{list:[{id:'main',runtime:{type:'acp',acp:{agent:'script'}}}]},plugins:{entries:{"    \
    "acpx:{config:{agents:{script:{command:'python3',args:['@/tests/tool/acp_agent.py']}}}}}}}"

static const struct row rows[] = {
    {
        .name = "builtin",
        .config = "{}",
        .broken = "{agents:{defaults:{model:{primary:'nowhere/at-all'}}}}",
        .message = "one two three four five six seven eight nine ten",
        .said = "eight nine ten",
    },
    {
        .name = "acp",
        .config = ACP_CONFIG,
        .broken = "{agents:{list:[{id:'main',runtime:{type:'acp',acp:{agent:'nowhere'}}}]}}",
        .message = "hello one two three four five six seven eight nine ten",
        .said = "eight nine ten",
    },
};

#define AGENT(name) #name,
static const char *const kinds[] = {
#include "gateway/agent/agents.def"
};
#undef AGENT

#define EACH_ROW(row) for (const struct row *row = rows; row < rows + COUNT(rows); row++)

static struct agent_rig *rig_of(const struct row *row)
{
    const char *hole = strchr(row->config, '@');
    CLEAN(mem_free) char *top = getcwd(NULL, 0);
    CLEAN(mem_free)
    char *config =
        hole ? mem_format("%.*s%s%s", (int)(hole - row->config), row->config, top, hole + 1)
             : mem_string(row->config);

    return agent_rig_new(config, "agent:main:main");
}

T(every_kind_has_its_row)
{
    t_eq(COUNT(rows), COUNT(kinds));
    for (size_t i = 0; i < COUNT(kinds); i++)
        t_str(rows[i].name, kinds[i]);
}

T(answers)
{
    EACH_ROW(row)
    {
        struct agent_rig *ar = rig_of(row);

        agent_rig_start(ar, row->message);
        agent_rig_end(ar, 20);
        t_eq(ar->result, 0);
        t_has(ar->text.data, row->said);
        t_ok(ar->deltas > 1);
        t_str(ar->stop_reason, "stop");
        t_eq(ar->error_kind, MODEL_ERROR_NONE);
        agent_rig_free(ar);
    }
}

T(answers_again_in_the_same_session)
{
    EACH_ROW(row)
    {
        struct agent_rig *ar = rig_of(row);

        for (int i = 0; i < 2; i++) {
            agent_rig_start(ar, row->message);
            agent_rig_end(ar, 20);
            t_eq(ar->result, 0);
            t_has(ar->text.data, row->said);
        }
        agent_rig_free(ar);
    }
}

T(what_it_cannot_do_is_told_once_with_a_reason)
{
    EACH_ROW(row)
    {
        struct agent_rig *ar;

        if (!row->broken)
            continue;
        ar = agent_rig_new(row->broken, "agent:main:main");
        agent_rig_start(ar, row->message);
        agent_rig_end(ar, 20);
        t_ok(ar->result < 0);
        t_ok(ar->fault.text[0] != '\0');
        t_eq(ar->deltas, 0);
        agent_rig_free(ar);
    }
}

T(cancels_before_it_began)
{
    EACH_ROW(row)
    {
        struct agent_rig *ar = rig_of(row);

        agent_rig_start(ar, row->message);
        ar->kind->cancel(ar->run);
        ar->kind->cancel(ar->run); /* again is harmless */
        t_eq(ar->ends, 0);
        agent_rig_end(ar, 1);
        t_eq(ar->result, -ERR_CANCELLED);
        t_eq(ar->deltas, 0);
        agent_rig_free(ar);
    }
}

T(cancels_in_the_middle)
{
    EACH_ROW(row)
    {
        struct agent_rig *ar = rig_of(row);

        agent_rig_start(ar, row->message);
        agent_rig_words(ar);
        ar->kind->cancel(ar->run);
        t_eq(ar->ends, 0);
        agent_rig_end(ar, 20);
        t_eq(ar->result, -ERR_CANCELLED);
        agent_rig_free(ar);
    }
}

T(cancels_inside_an_event)
{
    EACH_ROW(row)
    {
        struct agent_rig *ar = rig_of(row);

        ar->act = ACT_CANCEL;
        ar->act_at = "text";
        agent_rig_start(ar, row->message);
        agent_rig_end(ar, 20);
        t_eq(ar->result, -ERR_CANCELLED);
        t_eq(ar->deltas, 1);
        agent_rig_free(ar);
    }
}

T(dropped_it_tells_nothing_more)
{
    EACH_ROW(row)
    {
        struct agent_rig *ar = rig_of(row);
        int deltas;

        ar->act = ACT_DROP;
        ar->act_at = "text";
        agent_rig_start(ar, row->message);
        agent_rig_words(ar);
        deltas = ar->deltas;
        t_ok(ar->run == NULL);
        loop_advance(ar->rig->gw->loop, 10000);
        agent_rig_settle(ar);
        t_eq(ar->deltas, deltas);
        t_eq(ar->ends, 0);

        agent_rig_start(ar, row->message); /* and from outside, before anything */
        ar->kind->drop(TAKE(ar->run));
        loop_advance(ar->rig->gw->loop, 10000);
        agent_rig_settle(ar);
        t_eq(ar->ends + ar->deltas, 0);
        agent_rig_free(ar);
    }
}

T(ends_in_its_time)
{
    EACH_ROW(row)
    {
        struct agent_rig *ar = rig_of(row);
        struct agent_request request = agent_rig_request(ar, row->message);

        request.timeout_ms = 8;
        agent_rig_start_as(ar, &request);
        agent_rig_settle(ar);
        loop_advance(ar->rig->gw->loop, 9);
        agent_rig_end(ar, 20);
        t_eq(ar->result, -ERR_TIMEOUT);
        t_eq(ar->error_kind, MODEL_ERROR_TIMEOUT);
        t_ok(ar->fault.text[0] != '\0');
        agent_rig_free(ar);
    }
}

/* The gateway goes while a run answers: its owner drops it, as turns_free does. */
T(goes_with_the_gateway)
{
    EACH_ROW(row)
    {
        struct agent_rig *ar = rig_of(row);

        agent_rig_start(ar, row->message);
        agent_rig_words(ar);
        ar->kind->drop(TAKE(ar->run));
        agent_rig_free(ar);
    }
}
