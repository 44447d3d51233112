/* The registry and the life of a call. */
#include "tests/unit/gateway/tools/kit.h"

T(every_tool_is_whole)
{
    for (size_t i = 0; tool_at(i); i++) {
        const struct tool *tool = tool_at(i);

        t_ok(tool->label && tool->summary && tool->description && tool->params && tool->start);
        t_ok(tool->timeout_ms > 0);
        t_ok(tool_find(tool->name) == tool);
        for (size_t j = 0; j < i; j++)
            t_ok(strcmp(tool_at(j)->name, tool->name) != 0);
        for (const struct field *f = tool->params; f->kind != FIELD_END; f++)
            t_ok(f->help != NULL); /* the model reads it */
    }
    t_ok(tool_find("nothing") == NULL);
}

T(a_good_call)
{
    struct tool_rig *t = tool_rig_new(NULL);

    t_has(tool_rig_run(t, "session_status", "{}"), "Model: echo/echo");
    t_eq(t->result, 0);
    t_ok(!t->is_error);
    t_str(json_string(json_get(t->details, "sessionKey"), ""), "agent:main:main");
    tool_rig_free(t);
}

T(refusals_come_by_the_end)
{
    struct tool_rig *t = tool_rig_new(NULL);

    t_has(tool_rig_run(t, "no_such_tool", "{}"), "there is no tool");
    t_ok(t->result == -ERR_NOT_FOUND && t->is_error);
    t_has(tool_rig_run(t, "sessions_list", "{'limit':'many'}"), "/limit");
    t_ok(t->result == -ERR_INVALID && t->is_error);
    tool_rig_free(t);
}

T(a_cancelled_call_ends_once)
{
    struct tool_rig *t = tool_rig_new(NULL);

    tool_rig_start(t, (struct tool_request){.name = "session_status"}, NULL);
    tool_cancel(t->call); /* had ended already: that stands */
    tool_rig_wait(t);
    t_eq(t->result, 0);
    tool_rig_start(t, (struct tool_request){.name = "session_status"}, NULL);
    tool_drop(t->call);
    tool_drop(NULL);
    rig_advance(t->rig, 1000);
    t_eq(t->ends, 0);
    tool_rig_free(t);
}

T(there_is_a_ceiling)
{
    struct tool_rig *t = tool_rig_new(NULL);
    struct tool_rig many[TOOL_CALLS_MAX];
    static const struct tool_events events = {tool_rig_on_update, tool_rig_on_end};
    struct tool_request request = {.name = "session_status", .agent_id = "main"};

    memset(many, 0, sizeof(many));
    for (size_t i = 0; i < COUNT(many); i++)
        many[i].call = tool_start(t->rig->gw, &request, &events, &many[i]);
    t_has(tool_rig_run(t, "session_status", "{}"), "running already");
    t_eq(t->result, -ERR_BUSY);
    for (size_t i = 0; i < COUNT(many); i++) {
        t_eq(many[i].result, 0);
        t_eq(many[i].ends, 1);
        tool_rig_clear(&many[i]);
    }
    tool_rig_free(t);
}
