/* Where a run of the built-in agent ends that would not end by itself. */
#include "tests/unit/gateway/agent/kit.h"

#include "gateway/agent/guard.h"

static int rounds_each;

static void answer_with_call(int number)
{
    CLEAN(mem_free) char *text = mem_format("{'text':'%d'}", number);

    for (int i = 0; i < rounds_each; i++) {
        CLEAN(mem_free) char *id = mem_format("c%d-%d", number, i);
        call_tool(number, id, "look", text);
    }
    done(number);
}

static void answer_alike(int number)
{
    CLEAN(mem_free) char *id = mem_format("c%d", number);

    call_tool(number, id, "look", "{'text':'same'}");
    done(number);
}

T(requests_of_one_run_have_a_limit)
{
    struct agent_rig *ar = kit_new(NULL);

    tools_answer = true;
    rounds_each = 1;
    on_asked = answer_with_call;
    agent_rig_start(ar, "go");
    until_ended(ar);
    t_eq(ar->result, -ERR_FULL);
    t_has(ar->fault.text, "64 requests");
    t_has(ar->fault.text, "ask again");
    t_eq(asked_count, 64);
    t_eq(begun_count, 64);
    kit_free(ar);
}

T(calls_of_one_run_have_a_limit)
{
    struct agent_rig *ar = kit_new(NULL);

    tools_answer = true;
    rounds_each = 20;
    on_asked = answer_with_call;
    agent_rig_start(ar, "go");
    until_ended(ar);
    t_eq(ar->result, -ERR_FULL);
    t_has(ar->fault.text, "256");
    t_eq(begun_count, 260);
    kit_free(ar);
}

T(calls_of_one_answer_have_a_limit)
{
    struct agent_rig *ar = kit_new(NULL);

    tools_answer = true;
    agent_rig_start(ar, "go");
    until_asked(ar, 0);
    for (int i = 0; i < 40; i++) {
        CLEAN(mem_free) char *id = mem_format("c%d", i);
        call_tool(0, id, "look", "{}");
    }
    done(0);
    until_asked(ar, 1);
    t_eq(begun_count, 32);
    t_eq(json_count(ar->messages), 41);
    t_json(agent_rig_print(json_at(ar->messages, 40)), "{'toolCallId':'c39','isError':true}");
    kit_free(ar);
}

T(the_same_call_again_and_again_is_told_then_ended)
{
    struct agent_rig *ar = kit_new(NULL);

    tools_answer = true;
    on_asked = answer_alike;
    agent_rig_start(ar, "go");
    until_ended(ar);
    t_eq(ar->result, -ERR_FULL);
    t_has(ar->fault.text, "look");
    t_eq(begun_count, GUARD_END);
    t_eq(json_count(json_get(json_at(ar->messages, 3), "content")), 1);
    t_eq(json_count(json_get(json_at(ar->messages, 5), "content")), 2); /* the third result */
    kit_free(ar);
}

T(loop_detection_can_be_turned_off)
{
    struct agent_rig *ar = kit_new("{tools:{loopDetection:{enabled:false}}}");

    tools_answer = true;
    on_asked = answer_alike;
    agent_rig_start(ar, "go");
    until_ended(ar);
    t_has(ar->fault.text, "64 requests");
    kit_free(ar);
}

T(the_time_of_a_run_ends_its_tools)
{
    struct agent_rig *ar = kit_new(NULL);
    struct agent_request request = agent_rig_request(ar, "go");

    request.timeout_ms = 5000;
    agent_rig_start_as(ar, &request);
    until_asked(ar, 0);
    call_tool(0, "c0", "look", "{}");
    done(0);
    until_begun(ar, 0);
    rig_advance(ar->rig, 5001);
    until_ended(ar);
    t_eq(ar->result, -ERR_TIMEOUT);
    t_eq(ar->error_kind, MODEL_ERROR_TIMEOUT);
    t_ok(begun[0].stopped);
    t_has(ar->fault.text, "timeoutSeconds");
    kit_free(ar);
}
