/* exec: what runs, with what, and who says so. Real programs of this machine, all stopped by their group. */
#include "tests/unit/gateway/tools/exec_kit.h"

#include "gateway/config/config.h"
#include "gateway/tools/exec_policy.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

T(denied_by_default)
{
    struct tool_rig *t = tool_rig_new(NULL);

    t_has(tool_rig_run(t, "exec", "{'command':'true'}"), "not permitted");
    t_eq(t->result, -ERR_DENIED);
    tool_rig_free(t);
}

T(runs_and_tells)
{
    struct tool_rig *t = tool_rig_new(FULL);

    t_has(tool_rig_run(t, "exec", "{'command':'echo hello world'}"), "hello world\n");
    t_ok(!t->is_error);
    t_has(t->updates.data, "hello world\n");
    t_eq(json_integer(json_get(t->details, "exitCode"), -1), 0);
    t_str(json_string(json_get(t->details, "status"), ""), "completed");
    t_has(tool_rig_run(t, "exec", "{'command':'false'}"), "[exit status 1]");
    t_ok(t->is_error);
    t_has(tool_rig_run(t, "exec", "{'command':'echo a | tr a b; echo err >&2; exit 3'}"), "b\n");
    t_has(t->text, "err\n");
    t_has(t->text, "[exit status 3]");
    t_has(tool_rig_run(t, "exec", "{'command':'no-such-program-here'}"), "no program");
    t_has(tool_rig_run(t, "exec", "{'command':'kill -9 $$'}"), "signal 9");
    tool_rig_free(t);
}

T(no_shell_where_none_is_needed)
{
    struct tool_rig *t = tool_rig_new(FULL);

    t_has(tool_rig_run(t, "exec", "{'command':'echo \\'$HOME;id\\' a\\\\\\\\ b'}"), "");
    tool_rig_free(t);
}

T(the_environment_is_clean)
{
    struct tool_rig *t = tool_rig_new(FULL);

    setenv("CULVERT_GATEWAY_TOKEN", "tok-secret", 1);
    setenv("OPENAI_API_KEY", "sk-secret", 1);
    setenv("OPENCLAW_GATEWAY_PASSWORD", "pw-secret", 1);
    setenv("LD_LIBRARY_PATH_X", "secret", 1);
    tool_rig_run(t, "exec", "{'command':'/usr/bin/env','env':{'MINE':'yes'}}");
    t_ok(!t->is_error);
    t_has(t->text, "MINE=yes\n");
    t_has(t->text, "PATH=/");
    t_ok(!strstr(t->text, "secret"));
    tool_rig_free(t);
}

T(variables_that_load_code_are_refused)
{
    static const char *const names[] = {
        "PATH", "LD_PRELOAD", "BASH_ENV", "PYTHONPATH", "NODE_OPTIONS", "GIT_SSH_COMMAND",
        "IFS",  "ld_preload", "A B",      "1A",         "A=B"};
    struct tool_rig *t = tool_rig_new(FULL);

    for (size_t i = 0; i < COUNT(names); i++) {
        CLEAN(mem_free)
        char *arguments = mem_format("{'command':'true','env':{'%s':'x'}}", names[i]);

        tool_rig_run(t, "exec", arguments);
        if (!t->is_error)
            t_fail(__FILE__, __LINE__, "%s may be set", names[i]);
    }
    tool_rig_free(t);
}

T(runs_beneath_the_workspace)
{
    struct tool_rig *t = tool_rig_new(FULL);
    CLEAN(mem_free) char *workspace = mem_format("%s/workspace", t->rig->dir);
    CLEAN(mem_free)
    char *sub = mem_format("%s/sub", workspace), *out = mem_format("%s/out", workspace);

    (void)mkdir(workspace, 0700);
    t_ok(mkdir(sub, 0700) == 0 && symlink("/tmp", out) == 0);
    t_has(tool_rig_run(t, "exec", "{'command':'pwd -P'}"), "/workspace\n");
    t_has(tool_rig_run(t, "exec", "{'command':'pwd -P','workdir':'sub'}"), "space/sub\n");
    tool_rig_run(t, "exec", "{'command':'pwd','workdir':'..'}");
    t_ok(t->is_error);
    tool_rig_run(t, "exec", "{'command':'pwd','workdir':'/etc'}");
    t_ok(t->is_error);
    tool_rig_run(t, "exec", "{'command':'pwd','workdir':'out'}");
    t_ok(t->is_error);
    tool_rig_free(t);
}

T(an_allowlist_allows_programs_and_never_shells)
{
    struct tool_rig *t = tool_rig_new(LISTED);

    tool_rig_run(t, "exec", "{'command':'true'}");
    t_ok(!t->is_error);
    t_has(tool_rig_run(t, "exec", "{'command':'id'}"), "not on the list");
    t_has(tool_rig_run(t, "exec", "{'command':'true; id'}"), "needs a shell");
    t_has(tool_rig_run(t, "exec", "{'command':'sh -c id'}"), "needs a shell");
    t_has(tool_rig_run(t, "exec", "{'command':'dash -c id'}"), "needs a shell");
    tool_rig_free(t);
}

T(a_link_does_not_make_a_program_another_one)
{
    struct tool_rig *t = tool_rig_new(LISTED);
    CLEAN(mem_free) char *workspace = mem_format("%s/workspace", t->rig->dir);
    CLEAN(mem_free) char *innocent = mem_format("%s/true", workspace);

    (void)mkdir(workspace, 0700);
    t_ok(symlink("/bin/sh", innocent) == 0);
    tool_rig_run(t, "exec", "{'command':'./true -c id'}"); /* it is a shell whatever it is called */
    t_ok(t->is_error);
    t_ok(!strstr(t->text, "uid="));
    tool_rig_free(t);
}

/* ---- approvals ---- */

T(asks_and_runs_what_was_approved)
{
    struct tool_rig *t = tool_rig_new(ASK);
    struct approval *approval = ask(t, "{'command':'echo asked','env':{'A':'b c'}}");
    CLEAN(json_free) struct json *list = pending(t);
    const struct json *request = json_get(json_first(list), "request");

    t_has(json_string(json_get(request, "command"), ""), "'A=b c' /");
    t_has(json_string(json_get(request, "command"), ""), "/echo asked");
    t_has(json_string(json_get(request, "cwd"), ""), "/workspace");
    t_eq(approval_decide(approval, APPROVAL_ALLOW_ONCE, "me"), 0);
    tool_rig_wait(t);
    t_has(t->text, "asked\n");
    t_ok(!t->is_error);
    approval = ask(t, "{'command':'echo asked'}"); /* once is once */
    t_eq(approval_decide(approval, APPROVAL_DENY, "me"), 0);
    tool_rig_wait(t);
    t_has(t->text, "denied");
    t_ok(t->is_error);
    tool_rig_free(t);
}

T(always_is_for_that_program)
{
    struct tool_rig *t = tool_rig_new(ASK);

    t_eq(approval_decide(ask(t, "{'command':'echo one'}"), APPROVAL_ALLOW_ALWAYS, "me"), 0);
    tool_rig_wait(t);
    t_has(tool_rig_run(t, "exec", "{'command':'echo two'}"), "two\n");
    t_eq(approval_decide(ask(t, "{'command':'true'}"), APPROVAL_DENY, "me"), 0);
    tool_rig_wait(t);
    CLEAN(json_free) struct json *kept = exec_learned_load(t->rig->gw); /* over a restart too */
    t_eq(json_count(kept), 1);
    tool_rig_free(t);
}

T(always_is_never_for_shells_and_interpreters)
{
    static const char *const commands[] = {"echo a | cat", "sh -c id", "env id", "sed -n p",
                                           "bash x"};
    struct tool_rig *t = tool_rig_new(ASK);

    for (size_t i = 0; i < COUNT(commands); i++) {
        CLEAN(mem_free) char *arguments = mem_format("{'command':'%s'}", commands[i]);
        struct approval *approval = ask(t, arguments);

        t_eq(approval_decide(approval, APPROVAL_ALLOW_ALWAYS, "me"), -ERR_DENIED);
        t_eq(approval_decide(approval, APPROVAL_DENY, "me"), 0);
        tool_rig_wait(t);
        t_ok(t->is_error);
    }
    CLEAN(json_free) struct json *kept = exec_learned_load(t->rig->gw);
    t_eq(json_count(kept), 0);
    tool_rig_free(t);
}

T(what_changed_after_the_approval_does_not_run)
{
    struct tool_rig *t = tool_rig_new(ASK);
    CLEAN(mem_free) char *workspace = mem_format("%s/workspace", t->rig->dir);
    CLEAN(mem_free) char *program = mem_format("%s/tool", workspace);
    CLEAN(mem_free) char *fresh = mem_format("%s/tool.new", workspace);
    struct approval *approval;

    (void)mkdir(workspace, 0700);
    put_program(program, "#!/bin/sh\necho harmless\n");
    approval = ask(t, "{'command':'./tool'}");
    put_program(fresh, "#!/bin/sh\necho something else\n");
    t_eq(rename(fresh, program), 0);
    t_eq(approval_decide(approval, APPROVAL_ALLOW_ONCE, "me"), 0);
    tool_rig_wait(t);
    t_ok(t->is_error);
    t_has(t->text, "has changed");
    tool_rig_free(t);
}

T(nobody_answers)
{
    struct tool_rig *t = tool_rig_new(ASK);

    (void)ask(t, "{'command':'echo x'}");
    rig_advance(t->rig, APPROVAL_TIMEOUT_MS + 1000);
    tool_rig_wait(t);
    t_ok(t->is_error);
    t_has(t->text, "nobody approved");
    tool_rig_free(t);
}

T(cancelled_while_it_is_asked)
{
    struct tool_rig *t = tool_rig_new(ASK);

    (void)ask(t, "{'command':'echo x'}");
    tool_cancel(t->call);
    tool_rig_wait(t);
    t_eq(t->result, -ERR_CANCELLED);
    CLEAN(json_free) struct json *list = pending(t);
    t_eq(json_count(list), 0); /* withdrawn */
    tool_rig_free(t);
}

/* ---- ends by force ---- */

static bool has_output(void *arg)
{
    struct tool_rig *t = arg;
    return t->ends > 0 || t->updates.length > 0;
}

/* No such process, or one that is dead and only not yet buried by its new parent. */
static bool is_dead(int pid)
{
    CLEAN(mem_free) char *path = mem_format("/proc/%d/stat", pid);
    FILE *file = fopen(path, "r");
    char text[256] = "", *end;

    if (!file)
        return true;
    if (!fgets(text, sizeof(text), file))
        text[0] = '\0';
    (void)fclose(file);
    end = strrchr(text, ')');
    return !end || end[2] == 'Z' || end[2] == 'X';
}

static bool is_gone(int pid)
{
    for (int i = 0; i < 500 && !is_dead(pid); i++)
        (void)poll(NULL, 0, 10);
    return is_dead(pid);
}

/* The shell tells its own and a grandchild's number, then both stay. */
#define STAYS "{'command':'sleep 60 & echo $$ $!; wait'%s}"

static void start_stays(struct tool_rig *t, const char *more, int pids[2])
{
    CLEAN(mem_free) char *arguments = mem_format(STAYS, more);
    char *rest;

    tool_rig_start(t, (struct tool_request){.name = "exec"}, arguments);
    t_ok(rig_until(t->rig, has_output, t));
    t_eq(t->ends, 0);
    pids[0] = (int)strtol(t->updates.data, &rest, 10);
    pids[1] = (int)strtol(rest, NULL, 10);
    t_ok(pids[0] > 1 && pids[1] > 1);
}

T(a_cancel_kills_the_whole_group)
{
    struct tool_rig *t = tool_rig_new(FULL);
    int pids[2];

    start_stays(t, "", pids);
    tool_cancel(t->call);
    tool_rig_wait(t);
    t_eq(t->result, -ERR_CANCELLED);
    rig_advance(t->rig, 10);
    t_ok(is_gone(pids[1]));
    start_stays(t, "", pids);
    tool_drop(t->call);
    rig_advance(t->rig, 10);
    t_ok(is_gone(pids[1]));
    tool_rig_free(t);
}

T(a_timeout_kills_the_whole_group)
{
    struct tool_rig *t = tool_rig_new(FULL);
    int pids[2];

    start_stays(t, ",'timeoutSeconds':5", pids);
    rig_advance(t->rig, 6000);
    rig_advance(t->rig, 6000);
    tool_rig_wait(t);
    t_ok(t->is_error);
    t_eq(t->result, 0);
    t_has(t->text, "longer than 5 s");
    t_str(json_string(json_get(t->details, "status"), ""), "timeout");
    t_ok(is_gone(pids[1]));
    tool_rig_free(t);
}

T(a_flood_is_capped)
{
    struct tool_rig *t = tool_rig_new(FULL);

    tool_rig_run(t, "exec", "{'command':'seq 1 300000'}");
    t_ok(!t->is_error);
    t_ok(strlen(t->text) <= TOOL_RESULT_MAX);
    t_has(t->text, "300000\n");
    t_has(t->text, "cut out here");
    t_ok(t->updates.length <= TOOL_RESULT_MAX);
    tool_rig_run(t, "exec", "{'command':'head -c 9000000 /dev/zero'}");
    t_ok(t->is_error);
    t_has(t->text, "a line of more than");
    tool_rig_free(t);
}

T(bad_arguments)
{
    static const char *const arguments[] = {
        "{}",
        "{'command':''}",
        "{'command':'a','timeoutSeconds':-1}",
        "{'command':'a','env':[]}",
        "{'command':'a','env':{'X':1}}",
        "{'command':'a','workdir':1}",
    };
    struct tool_rig *t = tool_rig_new(FULL);

    for (size_t i = 0; i < COUNT(arguments); i++) {
        tool_rig_run(t, "exec", arguments[i]);
        t_eq(t->result, -ERR_INVALID);
    }
    t_has(tool_rig_run(t, "exec", "{'command':'echo \\u0022open'}"), "not closed");
    tool_rig_free(t);
}

T(an_agents_own_rules)
{
    struct tool_rig *t = tool_rig_new("{tools:{exec:{mode:\"full\"}},agents:{list:[{id:\"main\"},"
                                      "{id:\"guest\",tools:{exec:{mode:\"deny\"}}}]}}");

    tool_rig_run(t, "exec", "{'command':'true'}");
    t_ok(!t->is_error);
    tool_rig_start(t, (struct tool_request){.name = "exec", .agent_id = "guest"},
                   "{'command':'true'}");
    tool_rig_wait(t);
    t_eq(t->result, -ERR_DENIED);
    tool_rig_free(t);
}
