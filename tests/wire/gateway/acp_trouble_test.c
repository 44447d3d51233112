/* ACP agents that crash, hang, flood, send garbage, answer what was not asked and leave processes behind: the
 * turn ends once with a sentence that says how, nothing is left, and the next turn works. */
#include "tests/rig/acp_rig.h"

#include "gateway/agent/acp.h"

static bool goes_on(struct agent_rig *ar)
{
    return strstr(acp_say(ar, "hello again"), "you said again") && ar->result == 0;
}

/* ---- ends before its time ---- */

T(a_crash_says_how_and_keeps_secrets)
{
    struct agent_rig *ar = acp_rig();

    agent_rig_start(ar, "crash");
    agent_rig_end(ar, 20);
    t_eq(ar->result, -ERR_CLOSED);
    t_str(ar->text.data, "I am about to");
    t_has(ar->fault.text, "script ended in the middle of the turn: exit status 3");
    t_has(ar->fault.text, "its last words: Traceback: api_key=*** was refused");
    t_str(ar->model, "script");
    t_ok(goes_on(ar));
    agent_rig_free(ar);
}

T(a_signal_has_its_name)
{
    struct agent_rig *ar = acp_rig();

    agent_rig_start(ar, "signal");
    agent_rig_end(ar, 20);
    t_has(ar->fault.text, "killed by SIGSEGV");
    t_ok(goes_on(ar));
    agent_rig_free(ar);
}

/* The second start waits its second, the third two: a program that cannot run is not started in a circle. */
T(starts_again_with_patience)
{
    struct agent_rig *ar = acp_rig_as("'--exit-init','7'", "", "");
    int64_t waits[3];

    for (size_t i = 0; i < COUNT(waits); i++) {
        int64_t begin = loop_now(ar->rig->gw->loop);

        agent_rig_start(ar, "hello");
        agent_rig_end(ar, 20);
        waits[i] = loop_now(ar->rig->gw->loop) - begin;
        t_has(ar->fault.text, "ended before it was ready: exit status 7");
        t_has(ar->fault.text, "cannot find my model");
    }
    t_ok(waits[1] >= 500 && waits[2] >= 1000);
    agent_rig_free(ar);
}

T(what_does_not_start)
{
    static const struct {
        const char *options, *more, *top, *said;
    } cases[] = {
        {"'--version','2'", "", "",
         "speaks version 2 of the Agent Client Protocol, this gateway 1"},
        {"'--hang-init'", "timeoutSeconds:1,", "", "did not start: no answer in time"},
        {"", "", "acp:{enabled:false}", "acp.enabled is false"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct agent_rig *ar = acp_rig_as(cases[i].options, cases[i].more, cases[i].top);

        agent_rig_start(ar, "hello");
        agent_rig_end(ar, 20);
        t_ok(ar->result < 0);
        t_has(ar->fault.text, cases[i].said);
        agent_rig_free(ar);
    }
}

T(a_program_that_is_not_there)
{
    struct agent_rig *ar = agent_rig_new(
        "{agents:{list:[{id:'main',runtime:{type:'acp',acp:{agent:'x'}}}]},plugins:{entries:{acpx:{"
        "config:{agents:{x:{command:'no-such-program-here'}}}}}}}",
        ACP_KEY);

    agent_rig_start(ar, "hello");
    agent_rig_end(ar, 20);
    t_has(ar->fault.text, "cannot start no-such-program-here");
    agent_rig_free(ar);
}

T(signs_in_when_asked)
{
    struct agent_rig *ar = acp_rig_as("'--auth'", "", "");

    t_ok(goes_on(ar));
    agent_rig_free(ar);
}

/* ---- does not end ---- */

T(one_that_hangs_is_stopped_after_the_cancel)
{
    struct agent_rig *ar = acp_rig_as("'--deaf'", "", "");
    int pid = 0, other = 0;

    agent_rig_start(ar, "grandchild hang");
    while (!strstr(ar->text.length ? ar->text.data : "", "Wait") && ar->ends == 0)
        agent_rig_settle(ar);
    t_eq(sscanf(ar->text.data, "pids %d %d", &pid, &other), 2);
    ar->kind->cancel(ar->run);
    agent_rig_settle(ar);
    t_eq(ar->ends, 0); /* it has its time to answer */
    loop_advance(ar->rig->gw->loop, ACP_CANCEL_MS + 1);
    agent_rig_end(ar, 20);
    t_eq(ar->result, -ERR_CANCELLED);
    loop_advance(ar->rig->gw->loop, ACP_STOP_MS + 1); /* SIGTERM it ignores */
    t_ok(acp_dies(ar, pid) && acp_dies(ar, other));
    t_ok(goes_on(ar));
    agent_rig_free(ar);
}

T(nothing_is_left_of_a_crashed_group)
{
    struct agent_rig *ar = acp_rig();
    int pid = 0, other = 0;

    t_eq(sscanf(acp_say(ar, "grandchild crash"), "pids %d %d", &pid, &other), 2);
    t_has(ar->fault.text, "exit status 5");
    t_ok(acp_dies(ar, pid) && acp_dies(ar, other));
    agent_rig_free(ar);
}

T(nothing_is_left_when_the_gateway_goes)
{
    struct agent_rig *ar = acp_rig_as("'--deaf'", "", "");
    int pid = 0, other = 0;

    t_eq(sscanf(acp_say(ar, "grandchild"), "pids %d %d", &pid, &other), 2);
    agent_rig_free(ar);
    t_ok(acp_dies(NULL, pid) && acp_dies(NULL, other));
}

/* ---- says too much, or nonsense ---- */

T(a_flood_of_small_updates_starves_nobody)
{
    struct agent_rig *ar = acp_rig();
    struct loop_delay delay;

    acp_say(ar, "hello");
    loop_delay_take(ar->rig->gw->loop, &delay);
    agent_rig_start(ar, "flood 50000");
    agent_rig_end(ar, 20);
    loop_delay_take(ar->rig->gw->loop, &delay);
    t_eq(ar->result, 0);
    t_eq(ar->text.length, 500000);
    /* One piece of 16 KiB per turn; with sanitizers on a busy machine this is far above the release's. */
    t_ok(delay.p99_us < 50000);
    printf("flood: turns %llu, p99 %lld us, max %lld us\n", (unsigned long long)delay.turns,
           (long long)delay.p99_us, (long long)delay.max_us);
    agent_rig_free(ar);
}

/* Of plans only the newest counts: few are told, and the last one always. */
T(a_flood_of_plans_is_thinned)
{
    struct agent_rig *ar = acp_rig();

    acp_say(ar, "plans 3000");
    t_eq(ar->result, 0);
    t_ok(json_count(ar->streams) >= 2 && json_count(ar->streams) < 500);
    t_has(agent_rig_print(ar->streams), "step 2999");
    t_has(agent_rig_print(ar->streams), "\"contextTokens\":2999");
    agent_rig_free(ar);
}

T(what_is_too_much_ends_it)
{
    static const char *const cases[][2] = {
        {"flood-bytes", "told more than 64 MiB in one turn"},
        {"huge", "told a line of more than 16 MiB"},
        {"garbage-many", "does not speak the Agent Client Protocol"},
        {"tools-many", "called more than 512 tools in one turn"},
    };
    struct agent_rig *ar = acp_rig();

    for (size_t i = 0; i < COUNT(cases); i++) {
        agent_rig_start(ar, cases[i][0]);
        agent_rig_end(ar, 20);
        t_ok(ar->result < 0);
        t_has(ar->fault.text, cases[i][1]);
    }
    t_ok(goes_on(ar));
    agent_rig_free(ar);
}

T(some_garbage_is_borne)
{
    struct agent_rig *ar = acp_rig();

    t_str(acp_say(ar, "garbage 10"), "still here");
    t_eq(ar->result, 0);
    t_ok(goes_on(ar));
    agent_rig_free(ar);
}

T(answers_to_nothing_are_ignored)
{
    struct agent_rig *ar = acp_rig();

    t_str(acp_say(ar, "ids"), "code -32601 for True"); /* it may use our ids: they are its own */
    t_eq(ar->result, 0);
    t_str(acp_say(ar, "twice"), "once");
    t_eq(ar->result, 0);
    t_ok(goes_on(ar));
    agent_rig_free(ar);
}

T(other_ends_of_a_turn)
{
    static const char *const cases[][2] = {
        {"bad-stop", "for a reason this gateway does not know"},
        {"refuse", "the agent refused to go on"},
        {"fail", "failed: the model is gone, token: *** (-32603)"},
    };
    struct agent_rig *ar = acp_rig();

    for (size_t i = 0; i < COUNT(cases); i++) {
        agent_rig_start(ar, cases[i][0]);
        agent_rig_end(ar, 20);
        t_ok(ar->result < 0);
        t_has(ar->fault.text, cases[i][1]);
    }
    t_has(acp_say(ar, "memory x"), "4 things"); /* the program was none the worse for it */
    agent_rig_free(ar);
}
