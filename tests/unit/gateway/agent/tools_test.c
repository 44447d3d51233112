/* The tool loop of the built-in agent: what is run, in which order, what is told and kept, and where it
 * ends. */
#include "tests/unit/gateway/agent/kit.h"

T(one_tool_and_the_answer)
{
    struct agent_rig *ar = kit_new(NULL);

    agent_rig_start(ar, "What is in a?");
    until_asked(ar, 0);
    t_json(agent_rig_print(asked[0].tools),
           "[{'name':'look'},{'name':'change'},{'name':'forbidden'}]");
    say(0, "Let me look.");
    call_tool(0, "c1", "look", "{'text':'a'}");
    done(0);
    until_begun(ar, 0);
    t_json(streams_of(ar, "tool"),
           "[{'phase':'start','name':'look','toolCallId':'c1','args':{'text':'a'}}]");
    answer_tool(0, "AAA");
    until_asked(ar, 1);
    t_json(
        asked_messages(1),
        "[{'role':'user','content':'What is in a?'},{'role':'assistant','content':[{'type':'text',"
        "'text':'Let me look.'},{'type':'toolCall','id':'c1','name':'look','arguments':{'text':"
        "'a'}}]},{'role':'toolResult','toolCallId':'c1','toolName':'look','isError':false,"
        "'content':[{'type':'text','text':'AAA'}]}]");
    say(1, "It says A.");
    done(1);
    until_ended(ar);
    t_eq(ar->result, 0);
    t_str(ar->stop_reason, "stop");
    t_str(ar->text.data, "Let me look.It says A.");
    t_json(agent_rig_print(ar->content), "[{'type':'text','text':'It says A.'}]");
    t_eq(ar->usage.input, 20);
    t_eq(ar->usage.output, 10);
    t_eq(ar->usage.cache_read, 2);
    t_json(agent_rig_print(ar->messages),
           "[{'role':'assistant','stopReason':'toolUse','provider':'echo','usage':{'input':10}},"
           "{'role':'toolResult','toolCallId':'c1','toolName':'look','isError':false}]");
    t_json(streams_of(ar, "tool"),
           "[{'phase':'start'},{'phase':'result','name':'look','toolCallId':'c1','isError':false,"
           "'result':{'content':[{'type':'text','text':'AAA'}]}}]");
    kit_free(ar);
}

/* Tools that change nothing run side by side; results are told in the order of the calls. */
T(parallel_tools_run_together_and_are_told_in_order)
{
    struct agent_rig *ar = kit_new(NULL);

    agent_rig_start(ar, "go");
    until_asked(ar, 0);
    for (int i = 0; i < 3; i++) {
        CLEAN(mem_free) char *id = mem_format("c%d", i);
        call_tool(0, id, "look", "{}");
    }
    done(0);
    until_begun(ar, 2);
    answer_tool(2, "third");
    answer_tool(0, "first");
    agent_rig_settle(ar);
    t_eq(json_count(ar->messages), 2); /* the answer and the first result */
    t_eq(asked_count, 1);
    answer_tool(1, "second");
    until_asked(ar, 1);
    t_json(agent_rig_print(ar->messages),
           "[{'role':'assistant'},{'toolCallId':'c0','content':[{'text':'first'}]},{'toolCallId':"
           "'c1','content':[{'text':'second'}]},{'toolCallId':'c2','content':[{'text':'third'}]}]");
    done(1);
    until_ended(ar);
    kit_free(ar);
}

T(no_more_than_eight_at_once)
{
    struct agent_rig *ar = kit_new(NULL);

    agent_rig_start(ar, "go");
    until_asked(ar, 0);
    for (int i = 0; i < 12; i++) {
        CLEAN(mem_free) char *id = mem_format("c%d", i);
        call_tool(0, id, "look", "{}");
    }
    done(0);
    until_begun(ar, 7);
    agent_rig_settle(ar);
    t_eq(begun_count, 8);
    answer_tool(5, "x");
    until_begun(ar, 8);
    agent_rig_settle(ar);
    t_eq(begun_count, 9);
    kit_free(ar);
}

/* look, look, change, look: the third waits for the first two, the last for the third. */
T(a_tool_that_changes_things_runs_alone)
{
    struct agent_rig *ar = kit_new(NULL);

    agent_rig_start(ar, "go");
    until_asked(ar, 0);
    call_tool(0, "c0", "look", "{}");
    call_tool(0, "c1", "look", "{}");
    call_tool(0, "c2", "change", "{}");
    call_tool(0, "c3", "look", "{}");
    done(0);
    until_begun(ar, 1);
    agent_rig_settle(ar);
    t_eq(begun_count, 2);
    answer_tool(0, "x");
    agent_rig_settle(ar);
    t_eq(begun_count, 2);
    answer_tool(1, "x");
    until_begun(ar, 2);
    agent_rig_settle(ar);
    t_eq(begun_count, 3);
    t_str(begun[2].id, "c2");
    answer_tool(2, "x");
    until_begun(ar, 3);
    answer_tool(3, "x");
    until_asked(ar, 1);
    kit_free(ar);
}

/* What goes wrong with a tool is the model's to read, not the run's end. */
T(failing_unknown_and_denied_tools_are_told_to_the_model)
{
    struct agent_rig *ar = kit_new("{tools:{" KIT_TOOLS ",deny:['forbidden']}}");

    agent_rig_start(ar, "go");
    until_asked(ar, 0);
    t_json(agent_rig_print(asked[0].tools), "[{'name':'look'},{'name':'change'}]");
    call_tool(0, "c0", "look", "{}");
    call_tool(0, "c1", "nonsense", "{}");
    call_tool(0, "c2", "forbidden", "{}");
    call_tool(0, "c3", "look", "{'text':7}");
    done(0);
    until_begun(ar, 0);
    fail_tool(0, "the disk is gone");
    until_asked(ar, 1);
    t_eq(begun_count, 1);
    t_json(
        agent_rig_print(ar->messages),
        "[{'role':'assistant'},{'toolCallId':'c0','isError':true,'content':[{'text':'the disk is "
        "gone'}]},{'toolCallId':'c1','isError':true,'content':'*'},{'toolCallId':'c2','isError':"
        "true,'content':'*'},{'toolCallId':'c3','isError':true,'content':'*'}]");
    CLEAN(mem_free) char *third = json_print(json_at(ar->messages, 3), false);
    t_has(third, "forbidden");
    say(1, "It did not work.");
    done(1);
    until_ended(ar);
    t_eq(ar->result, 0);
    kit_free(ar);
}

/* Arguments that were cut are never run: the answer fails. */
T(calls_cut_in_the_middle_never_run)
{
    static const char *const reasons[] = {"stop", "length"};

    for (size_t i = 0; i < COUNT(reasons); i++) {
        struct agent_rig *ar = kit_new(NULL);

        agent_rig_start(ar, "go");
        until_asked(ar, 0);
        t_eq(content_call(model_run_content(asked[0].run),
                          &(struct content_piece){.index = 0,
                                                  .id = "c0",
                                                  .name = "change",
                                                  .text = "{\"text\":\"rm -r",
                                                  .length = 13}),
             0);
        done_with(0, reasons[i], 10);
        until_ended(ar);
        t_ok(ar->result < 0);
        t_ok(ar->fault.text[0] != '\0');
        t_eq(begun_count, 0);
        kit_free(ar);
    }
}

T(output_on_the_way_is_told_now_and_then)
{
    struct agent_rig *ar = kit_new(NULL);

    agent_rig_start(ar, "go");
    until_asked(ar, 0);
    call_tool(0, "c0", "look", "{}");
    done(0);
    until_begun(ar, 0);
    for (int i = 0; i < 50; i++)
        tool_update(begun[0].call, "línea\n", 7);
    rig_advance(ar->rig, 300);
    tool_update(begun[0].call, "last", 4);
    rig_advance(ar->rig, 300);
    answer_tool(0, "all");
    until_asked(ar, 1);
    t_json(streams_of(ar, "tool"),
           "[{'phase':'start'},{'phase':'update','name':'look','toolCallId':'c0','partialResult':{"
           "'content':[{'type':'text'}]}},{'phase':'update'},{'phase':'result'}]");
    CLEAN(mem_free)
    char *second = mem_string(agent_rig_print(json_path(json_at(ar->streams, 2), "data")));
    t_has(second, "last");
    kit_free(ar);
}

/* ---- stopping ---- */

T(cancel_reaches_every_tool)
{
    struct agent_rig *ar = kit_new(NULL);

    agent_rig_start(ar, "go");
    until_asked(ar, 0);
    call_tool(0, "c0", "look", "{}");
    call_tool(0, "c1", "look", "{}");
    call_tool(0, "c2", "change", "{}");
    done(0);
    until_begun(ar, 1);
    ar->kind->cancel(ar->run);
    t_ok(begun[0].stopped && begun[1].stopped);
    t_eq(ar->ends, 0);
    until_ended(ar);
    t_eq(ar->result, -ERR_CANCELLED);
    t_eq(begun_count, 2);
    t_eq(asked_count, 1);
    kit_free(ar);
}

T(cancel_reaches_the_model)
{
    struct agent_rig *ar = kit_new(NULL);

    agent_rig_start(ar, "go");
    until_asked(ar, 0);
    say(0, "I ");
    ar->kind->cancel(ar->run);
    t_ok(asked[0].run == NULL);
    until_ended(ar);
    t_eq(ar->result, -ERR_CANCELLED);
    kit_free(ar);
}

/* Cancel and drop inside each kind of event leave nothing behind (the sanitizer says so). */
T(cancel_and_drop_inside_any_event)
{
    static const char *const events[] = {"text", "message", "tool"};

    for (size_t i = 0; i < COUNT(events); i++) {
        for (int act = ACT_CANCEL; act <= ACT_DROP; act++) {
            struct agent_rig *ar = kit_new(NULL);

            tools_answer = true;
            ar->act = (enum agent_act)act;
            ar->act_at = events[i];
            agent_rig_start(ar, "go");
            until_asked(ar, 0);
            if (strcmp(events[i], "text") == 0) {
                t_ok(model_run_text(asked[0].run, "x", 1) < 0);
            } else {
                call_tool(0, "c0", "look", "{}");
                call_tool(0, "c1", "change", "{}");
                done(0);
            }
            agent_rig_acted(ar);
            t_eq(ar->ends, act == ACT_CANCEL ? 1 : 0);
            t_eq(asked_count, 1);
            kit_free(ar);
        }
    }
}

/* ---- messages that come meanwhile ---- */

T(a_message_joins_before_the_next_request)
{
    struct agent_rig *ar = kit_new(NULL);

    agent_rig_start(ar, "go");
    until_asked(ar, 0);
    call_tool(0, "c0", "look", "{}");
    call_tool(0, "c1", "change", "{}");
    done(0);
    until_begun(ar, 0);
    t_ok(ar->kind->steer(ar->run, 7, "No, look at b.", NULL));
    answer_tool(0, "x");
    until_asked(ar, 1);
    t_eq(begun_count, 1); /* the second was not begun any more */
    t_json(asked_messages(1),
           "[{'role':'user'},{'role':'assistant'},{'role':'toolResult','toolCallId':'c0','isError':"
           "false},{'role':'toolResult','toolCallId':'c1','isError':true},{'role':'user','content':"
           "'No, look at b.'}]");
    t_json(streams_of(ar, "tool"),
           "[{'phase':'start','toolCallId':'c0'},{'phase':'result','toolCallId':'c0'},{'phase':"
           "'start','toolCallId':'c1'},{'phase':'result','toolCallId':'c1','isError':true}]");
    done(1);
    until_ended(ar);
    kit_free(ar);
}

/* The answer is complete when the message comes: it is kept, and the message answered after it. */
T(a_message_that_comes_during_the_answer_is_answered_too)
{
    struct agent_rig *ar = kit_new(NULL);

    agent_rig_start(ar, "go");
    until_asked(ar, 0);
    say(0, "First.");
    t_ok(ar->kind->steer(ar->run, 7, "And b?",
                         "[{\"type\":\"image\",\"data\":\"eA==\",\"mimeType\""
                         ":\"image/png\"}]"));
    done(0);
    until_asked(ar, 1);
    t_json(asked_messages(1),
           "[{'role':'user'},{'role':'assistant','content':[{'text':'First.'}]},{'role':'user',"
           "'content':[{'type':'text','text':'And b?'},{'type':'image','mimeType':'image/png'}]}]");
    say(1, "Second.");
    done(1);
    until_ended(ar);
    t_json(agent_rig_print(ar->messages), "[{'role':'assistant','stopReason':'stop'}]");
    t_json(agent_rig_print(ar->content), "[{'text':'Second.'}]");
    kit_free(ar);
}

T(too_late_or_too_many_messages_are_refused)
{
    struct agent_rig *ar = kit_new(NULL);
    int taken = 0;

    agent_rig_start(ar, "go");
    until_asked(ar, 0);
    while (taken < 100 && ar->kind->steer(ar->run, 7, "x", NULL))
        taken++;
    t_eq(taken, 16);
    ar->kind->cancel(ar->run);
    t_ok(!ar->kind->steer(ar->run, 7, "x", NULL));
    until_ended(ar);
    kit_free(ar);
}

/* ---- the client's own tools ---- */

static const char client_tools[] =
    "[{\"name\":\"weather\",\"description\":\"d\",\"parameters\":{}},"
    "{\"name\":\"look\",\"description\":\"mine\",\"parameters\":{}}]";

static void start_with_client_tools(struct agent_rig *ar)
{
    CLEAN(json_free)
    struct json *tools = json_parse(client_tools, sizeof(client_tools) - 1, NULL);
    struct agent_request request = agent_rig_request(ar, "go");

    request.client_tools = tools;
    agent_rig_start_as(ar, &request);
    until_asked(ar, 0);
}

T(a_call_of_the_clients_tool_ends_the_run)
{
    struct agent_rig *ar = kit_new(NULL);

    start_with_client_tools(ar);
    t_json(agent_rig_print(asked[0].tools),
           "[{'name':'weather'},{'name':'look','description':'mine'},{'name':'change'},{'name':"
           "'forbidden'}]");
    say(0, "Asking.");
    call_tool(0, "c0", "weather", "{'city':'x'}");
    call_tool(0, "c1", "look", "{}");
    done(0);
    until_ended(ar);
    t_eq(ar->result, 0);
    t_str(ar->stop_reason, "toolUse");
    t_eq(begun_count, 0);
    t_eq(json_count(ar->messages), 0);
    t_json(agent_rig_print(ar->content),
           "[{'type':'text'},{'type':'toolCall','name':'weather','arguments':{'city':'x'}},{'type':"
           "'toolCall','name':'look'}]");
    kit_free(ar);
}

T(our_own_tools_of_the_same_answer_run_before)
{
    struct agent_rig *ar = kit_new(NULL);

    start_with_client_tools(ar);
    call_tool(0, "c0", "weather", "{}");
    call_tool(0, "c1", "change", "{}");
    done(0);
    until_begun(ar, 0);
    answer_tool(0, "changed");
    until_ended(ar);
    t_str(ar->stop_reason, "toolUse");
    t_json(agent_rig_print(ar->messages),
           "[{'role':'assistant','content':[{'type':'toolCall','id':'c1'}]},{'role':'toolResult',"
           "'toolCallId':'c1'}]");
    t_json(agent_rig_print(ar->content), "[{'type':'toolCall','id':'c0'}]");
    t_eq(ar->usage.input, 10);
    kit_free(ar);
}

/* ---- models ---- */

T(fallbacks_answer_unless_the_model_was_chosen)
{
    static const char config[] =
        "{agents:{defaults:{model:{primary:'nowhere/at-all',fallbacks:['echo/second']}}}}";

    for (int chosen = 0; chosen < 2; chosen++) {
        struct agent_rig *ar = kit_new(config);
        struct agent_request request = agent_rig_request(ar, "go");

        request.model_chosen = chosen;
        request.thinking = THINKING_HIGH;
        agent_rig_start_as(ar, &request);
        if (!chosen) {
            until_asked(ar, 0);
            t_str(asked[0].name, "echo/second");
            t_eq(asked[0].thinking, THINKING_HIGH);
            done(0);
        }
        until_ended(ar);
        t_eq(ar->result == 0, !chosen);
        t_str(ar->model, chosen ? "at-all" : "second");
        kit_free(ar);
    }
}

T(an_agents_own_fallbacks_go_first)
{
    struct agent_rig *ar = kit_new(
        "{agents:{defaults:{model:{primary:'echo/echo',fallbacks:['echo/wrong']}},list:[{id:"
        "'main',model:{primary:'nowhere/x',fallbacks:['nowhere/y','echo/right']}}]}}");

    agent_rig_start(ar, "go");
    until_asked(ar, 0);
    t_str(asked[0].name, "echo/right");
    done(0);
    until_ended(ar);
    kit_free(ar);
}
