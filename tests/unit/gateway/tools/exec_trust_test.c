/* exec: what a yes covers, what is started after it, and what a session may change. */
#include "tests/unit/gateway/tools/exec_kit.h"

#include "gateway/session/session.h"
#include "gateway/tools/call.h"
#include "gateway/tools/exec_policy.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

/* Same file, same length, same time of change: only the kernel's own clock tells. */
T(what_was_rewritten_behind_its_date_does_not_run)
{
    struct tool_rig *t = tool_rig_new(ASK);
    CLEAN(mem_free) char *workspace = mem_format("%s/workspace", t->rig->dir);
    CLEAN(mem_free) char *program = mem_format("%s/tool", workspace);
    struct approval *approval;
    struct stat before;

    (void)mkdir(workspace, 0700);
    put_program(program, "#!/bin/sh\necho good\n");
    t_eq(stat(program, &before), 0);
    approval = ask(t, "{'command':'./tool'}");
    (void)poll(NULL, 0, 30);
    put_program(program, "#!/bin/sh\necho evil\n");
    t_eq(utimensat(AT_FDCWD, program, (struct timespec[]){before.st_atim, before.st_mtim}, 0), 0);
    t_eq(approval_decide(approval, APPROVAL_ALLOW_ONCE, "me"), 0);
    tool_rig_wait(t);
    t_ok(t->is_error);
    t_has(t->text, "has changed");
    tool_rig_free(t);
}

T(the_file_that_was_looked_at_is_what_starts)
{
    struct tool_rig *t = tool_rig_new(FULL);
    CLEAN(mem_free) char *workspace = mem_format("%s/workspace", t->rig->dir);
    CLEAN(mem_free) char *program = mem_format("%s/tool", workspace);
    CLEAN(mem_free) char *link = mem_format("%s/link", workspace);

    (void)mkdir(workspace, 0700);
    put_program(program, "#!/bin/sh\necho \"$0\"\n");
    t_eq(symlink(program, link), 0);
    t_has(tool_rig_run(t, "exec", "{'command':'./link'}"), "space/tool\n");
    tool_rig_free(t);
}

/* As an earlier version, or a wider rule, may have left it. */
static void put_learned(struct tool_rig *t, const char *path)
{
    struct json *row = json_new_object();

    json_put(row, "agentId", json_new_string("main"));
    json_put(row, "path", json_new_string(path));
    json_append(t->rig->gw->tools->exec_learned, row);
}

T(always_is_never_for_what_the_agent_can_rewrite)
{
    struct tool_rig *t = tool_rig_new(ASK);
    CLEAN(mem_free) char *workspace = mem_format("%s/workspace", t->rig->dir);
    CLEAN(mem_free) char *program = mem_format("%s/tool", workspace);
    CLEAN(mem_free) char *link = mem_format("%s/link", workspace);
    char real[4096];
    struct approval *approval;

    (void)mkdir(workspace, 0700);
    put_program(program, "#!/bin/sh\necho ran\n");
    t_eq(symlink("/usr/bin/id", link), 0);
    t_ok(realpath(program, real) != NULL);
    approval = ask(t, "{'command':'./tool'}");
    t_eq(approval_decide(approval, APPROVAL_ALLOW_ALWAYS, "me"), -ERR_DENIED);
    t_eq(approval_decide(approval, APPROVAL_DENY, "me"), 0);
    tool_rig_wait(t);
    put_learned(t, real); /* an old yes is none any more */
    t_eq(approval_decide(ask(t, "{'command':'./tool'}"), APPROVAL_DENY, "me"), 0);
    tool_rig_wait(t);
    t_ok(t->is_error);
    /* Where only the link lies in the workspace, the program is nobody's to rewrite. */
    t_eq(approval_decide(ask(t, "{'command':'./link -u'}"), APPROVAL_ALLOW_ALWAYS, "me"), 0);
    tool_rig_wait(t);
    tool_rig_run(t, "exec", "{'command':'id -u'}");
    t_ok(!t->is_error);
    tool_rig_free(t);
}

T(an_old_yes_to_a_wrapper_is_none)
{
    struct tool_rig *t = tool_rig_new(ASK);
    char real[4096];

    t_ok(realpath("/usr/bin/sed", real) != NULL);
    put_learned(t, real);
    t_eq(approval_decide(ask(t, "{'command':'sed -n p'}"), APPROVAL_DENY, "me"), 0);
    tool_rig_wait(t);
    t_ok(t->is_error);
    tool_rig_free(t);
}

T(always_is_not_for_other_variables)
{
    struct tool_rig *t = tool_rig_new(ASK);

    t_eq(approval_decide(ask(t, "{'command':'echo one'}"), APPROVAL_ALLOW_ALWAYS, "me"), 0);
    tool_rig_wait(t);
    t_eq(approval_decide(ask(t, "{'command':'echo two','env':{'SOME':'x'}}"), APPROVAL_DENY, "me"),
         0);
    tool_rig_wait(t);
    t_ok(t->is_error);
    t_has(tool_rig_run(t, "exec", "{'command':'echo three','env':{}}"), "three\n");
    tool_rig_free(t);
}

T(programs_that_run_others_are_known)
{
    static const char *const shells[] = {"taskset",
                                         "chrt",
                                         "setarch",
                                         "x86_64",
                                         "capsh",
                                         "sg",
                                         "start-stop-daemon",
                                         "run-parts",
                                         "systemd-inhibit",
                                         "dbus-run-session",
                                         "ssh-agent",
                                         "bwrap",
                                         "fakeroot",
                                         "tmux",
                                         "screen",
                                         "torsocks",
                                         "proxychains4",
                                         "coreutils",
                                         "prlimit",
                                         "setpriv",
                                         "linux32",
                                         "linux64",
                                         "i386",
                                         "choom",
                                         "uclampset",
                                         "systemd-nspawn",
                                         "firejail",
                                         "numactl",
                                         "xvfb-run"};
    static const char *const interpreters[] = {"nvim",      "yarn",     "pnpm",      "uv",
                                               "pipx",      "cargo",    "go",        "bundle",
                                               "vim.basic", "vim.tiny", "python3.11"};
    static const char *const neither[] = {"/usr/bin/id", "/usr/bin/echo", "gofmt", "screenfetch"};

    for (size_t i = 0; i < COUNT(shells); i++) {
        CLEAN(mem_free) char *path = mem_format("/usr/bin/%s", shells[i]);

        if (!exec_is_shell(path))
            t_fail(__FILE__, __LINE__, "%s runs other programs", path);
    }
    for (size_t i = 0; i < COUNT(interpreters); i++) {
        CLEAN(mem_free) char *path = mem_format("/usr/bin/%s", interpreters[i]);

        if (!exec_is_interpreter(path))
            t_fail(__FILE__, __LINE__, "%s runs what it is told", path);
    }
    for (size_t i = 0; i < COUNT(neither); i++)
        t_ok(!exec_is_shell(neither[i]) && !exec_is_interpreter(neither[i]));
}

/* ---- a session's own rules ---- */

static void set_session(struct tool_rig *t, const char *security, const char *how_to_ask)
{
    struct fault fault = {0};
    struct session *session = session_ensure(t->rig->gw, "agent:main:main", &fault);

    t_ok(session != NULL);
    json_put(session->entry, "execSecurity", json_new_string(security));
    json_put(session->entry, "execAsk", json_new_string(how_to_ask));
}

T(a_session_makes_it_stricter)
{
    struct tool_rig *t = tool_rig_new(FULL);

    set_session(t, "deny", "off");
    t_has(tool_rig_run(t, "exec", "{'command':'echo ran'}"), "not permitted");
    t_ok(t->is_error);
    set_session(t, "allowlist", "off");
    t_has(tool_rig_run(t, "exec", "{'command':'echo ran'}"), "not on the list");
    set_session(t, "allowlist", "on-miss");
    t_eq(approval_decide(ask(t, "{'command':'echo ran'}"), APPROVAL_DENY, "me"), 0);
    tool_rig_wait(t);
    set_session(t, "full", "always");
    t_eq(approval_decide(ask(t, "{'command':'echo ran'}"), APPROVAL_ALLOW_ONCE, "me"), 0);
    tool_rig_wait(t);
    t_has(t->text, "ran\n");
    tool_rig_free(t);
}

T(a_session_makes_it_no_looser)
{
    struct tool_rig *t = tool_rig_new(NULL);

    set_session(t, "full", "off");
    t_has(tool_rig_run(t, "exec", "{'command':'true'}"), "not permitted");
    tool_rig_free(t);
    t = tool_rig_new(ASK);
    set_session(t, "full", "off");
    t_eq(approval_decide(ask(t, "{'command':'true'}"), APPROVAL_DENY, "me"), 0);
    tool_rig_wait(t);
    tool_rig_free(t);
    t = tool_rig_new(LISTED); /* what is refused is not made a question either */
    set_session(t, "full", "always");
    t_has(tool_rig_run(t, "exec", "{'command':'id'}"), "not on the list");
    t_eq(approval_decide(ask(t, "{'command':'true'}"), APPROVAL_ALLOW_ONCE, "me"), 0);
    tool_rig_wait(t);
    t_ok(!t->is_error);
    tool_rig_free(t);
}
