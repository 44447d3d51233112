/* exec: a command on the gateway host.
 *
 * Path: exec_start -> the pool works out the plan -> exec_on_plan decides (exec_policy.c): refuse, run, or ask
 * a person (exec_on_answer), after whose yes the pool works the plan out once more: what was approved is what
 * runs, or nothing (exec_on_second) -> exec_run starts the child -> its output -> exec_on_ended.
 *
 * Owns: the plans, the approval while it is open, the child while it runs, its output. */
#include "gateway/tools/ops.h"

#include "base/io/child.h"
#include "base/io/work.h"
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/pairing/approval.h"
#include "gateway/tools/exec_policy.h"
#include "gateway/tools/output.h"
#include "gateway/tools/words.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define COMMAND_MAX 65536
#define TIMEOUT_MAX 86400 /* s */
#define LINE_MAX_   (4u << 20)
#define GRACE_MS    2000 /* from SIGTERM to SIGKILL, after a timeout */

struct exec {
    const char *command, *workdir;
    const struct json *env;
    int64_t timeout_s;
};
static const struct field exec_env_row[] = {A_STR(exec, "", command, OPTIONAL, 65536, "a value")};
static const struct field exec_fields[] = {
    A_STR(exec, "command", command, REQUIRED | FIELD_NONEMPTY, COMMAND_MAX,
          "The command line. Plain commands run without a shell; pipes, redirections, variables "
          "and patterns need "
          "one, which is asked for or refused."),
    A_STR(exec, "workdir", workdir, OPTIONAL, 4096,
          "The folder to run in, relative to the workspace; absent: the workspace."),
    A_MAP(exec, "env", env, OPTIONAL, exec_env_row, "Variables to set besides the usual ones."),
    A_INT(exec, "timeoutSeconds", timeout_s, OPTIONAL, 0, TIMEOUT_MAX, 0,
          "Longest run in seconds; absent or 0: as configured."),
    {.key = "timeout",
     .kind = FIELD_INT,
     .flags = FIELD_ALIAS,
     .at = offsetof(struct exec, timeout_s),
     .set_at = FIELD_NO_SET,
     .max = TIMEOUT_MAX,
     .help = "The same."},
    F_END,
};

struct exec_state {
    struct op op; /* the pool */
    struct exec_plan *plan;
    struct exec_plan *working; /* the pool's; valid until its done returns */
    struct approval *approval;
    struct child *child;
    struct timer timeout;
    struct output output;
    int64_t timeout_ms, started;
    bool timed_out;
};

static int exec_allowed(struct gateway *gw, const char *agent_id, struct fault *reterr_fault)
{
    struct exec_rules rules;

    exec_rules_of(gw, agent_id, /* session_key= */ NULL, &rules);
    return rules.security == EXEC_DENY
               ? fault_set(reterr_fault, -ERR_DENIED,
                           "exec is not permitted: tools.exec.security is \"deny\"")
               : 0;
}

static void exec_close(struct tool_call *call)
{
    struct exec_state *state = tool_call_state(call);

    op_drop(&state->op);
    approval_withdraw(TAKE(state->approval));
    timer_stop(tool_call_gateway(call)->loop, &state->timeout);
    child_drop(TAKE(state->child), /* grace_ms= */ 0); /* the whole group, at once */
    state->plan = exec_plan_free(state->plan);
    output_done(&state->output);
}

/* ---- the plan ---- */

static int plan_run(void *arg, struct fault *fault)
{
    return exec_plan_work(arg, fault);
}

static void plan_release(void *arg)
{
    exec_plan_free(arg);
}

/* Works a plan out in the pool, which frees it unless done takes it. */
static void exec_work(struct tool_call *call, struct exec_plan *plan, op_done_fn *done)
{
    struct exec_state *state = tool_call_state(call);

    state->working = plan;
    op_init(&state->op, tool_call_gateway(call)->loop, done, /* deadline_ms= */ 0);
    work_run(&state->op, plan_run, plan, plan_release);
}

static void exec_on_plan(struct op *op, int result);

static void exec_start(struct tool_call *call, const void *params)
{
    const struct exec *p = params;
    struct gateway *gw = tool_call_gateway(call);
    const struct tool_request *request = tool_call_request(call);
    struct exec_state *state = tool_call_state(call);
    struct exec_rules rules;
    struct fault fault = {0};
    CLEAN(mem_free) char *workspace = agent_workspace(gw, request->agent_id, &fault);

    output_init(&state->output);
    if (!workspace) {
        tool_end_fault(call, &fault);
        return;
    }
    exec_rules_of(gw, request->agent_id, request->session_key, &rules);
    state->timeout_ms = p->timeout_s > 0 ? p->timeout_s * 1000 : rules.timeout_ms;
    exec_work(call, exec_plan_new(p->command, p->workdir, p->env, workspace, gw->state_dir),
              exec_on_plan);
}

/* The pool's plan for ourselves: what it frees is an empty one. */
static struct exec_plan *take_plan(struct exec_state *state)
{
    struct exec_plan *mine = NEW(struct exec_plan);

    *mine = *state->working;
    *state->working = (struct exec_plan){.cwd_fd = -1};
    state->working = NULL;
    return mine;
}

static void exec_ask(struct tool_call *call);
static void exec_run(struct tool_call *call);

static void exec_on_plan(struct op *op, int result)
{
    struct exec_state *state = CONTAINER(op, struct exec_state, op);
    struct tool_call *call = tool_call_of_state(state);
    struct fault fault = {0};

    if (result < 0) {
        tool_end_fault(call, &op->fault);
        return;
    }
    state->plan = take_plan(state);
    switch (exec_decide(tool_call_gateway(call), tool_call_request(call)->agent_id,
                        tool_call_request(call)->session_key, state->plan, &fault)) {
    case EXEC_RUN: exec_run(call); break;
    case EXEC_ASK: exec_ask(call); break;
    case EXEC_REFUSE: tool_end_fault(call, &fault); break;
    }
}

/* ---- a person is asked ---- */

/* What will run, as a person reads it: with the variables of the call before it. */
static char *command_text(const struct exec_plan *plan)
{
    CLEAN(mem_free) char *line = plan->shell ? mem_string(plan->command) : words_join(plan->argv);
    struct buf b;

    buf_init(&b, APPROVAL_COMMAND_MAX);
    json_each (item, plan->env) {
        char *const pair[] = {mem_format("%s=%s", json_key(item), json_string(item, "")), NULL};
        CLEAN(mem_free) char *word = words_join(pair);

        buf_addf(&b, "%s ", word);
        mem_free(pair[0]);
    }
    buf_add_str(&b, line);
    return buf_take(&b);
}

static void exec_on_answer(void *arg, int result, enum approval_decision decision,
                           const char *resolved_by);

static void exec_ask(struct tool_call *call)
{
    struct exec_state *state = tool_call_state(call);
    const struct tool_request *request = tool_call_request(call);
    struct gateway *gw = tool_call_gateway(call);
    CLEAN(mem_free) char *command = command_text(state->plan);
    struct exec_rules rules;
    struct fault fault = {0};

    if (!command) {
        fault_set(&fault, -ERR_TOO_LARGE, "the command is too long to be shown to a person");
        tool_end_fault(call, &fault);
        return;
    }
    exec_rules_of(gw, request->agent_id, request->session_key, &rules);
    state->approval = approval_ask(gw,
                                   &(struct approval_request){
                                       .command = command,
                                       .argv = (const char *const *)state->plan->argv,
                                       .cwd = state->plan->cwd,
                                       .host = "gateway",
                                       .security = exec_security_name(rules.security),
                                       .ask = exec_ask_name(rules.ask),
                                       .agent_id = request->agent_id,
                                       .session_key = request->session_key,
                                       .session_id = request->session_id,
                                       .run_id = request->run_id,
                                       .tool_call_id = request->call_id,
                                       .resolved_path = state->plan->resolved,
                                       .no_always = !exec_may_learn(state->plan),
                                   },
                                   exec_on_answer, call, &fault);
    if (!state->approval)
        tool_end_fault(call, &fault);
}

static void exec_on_second(struct op *op, int result);

static void exec_on_answer(void *arg, int result, enum approval_decision decision,
                           const char *resolved_by)
{
    struct tool_call *call = arg;
    struct exec_state *state = tool_call_state(call);
    struct fault fault = {0};

    (void)resolved_by;
    state->approval = NULL;
    if (result == 0 && decision != APPROVAL_DENY) {
        if (decision == APPROVAL_ALLOW_ALWAYS)
            exec_learn(tool_call_gateway(call), tool_call_request(call)->agent_id, state->plan);
        exec_work(call, exec_plan_again(state->plan), exec_on_second);
        return;
    }
    if (result == -ERR_TIMEOUT)
        fault_set(&fault, -ERR_DENIED, "the command was not run: nobody approved it in time");
    else if (result < 0)
        fault_set(&fault, result, "the command was not run: the gateway is stopping");
    else
        fault_set(&fault, -ERR_DENIED, "the command was not run: it was denied");
    tool_end_fault(call, &fault);
}

/* While a person thought about it the program, its folder or where its name leads to may have changed. */
static void exec_on_second(struct op *op, int result)
{
    struct exec_state *state = CONTAINER(op, struct exec_state, op);
    struct tool_call *call = tool_call_of_state(state);
    struct fault fault = {0};

    if (result == 0 && strcmp(state->working->print, state->plan->print) == 0) {
        exec_run(call);
        return;
    }
    fault_set(
        &fault, -ERR_CONFLICT,
        "the command was not run: what it would run has changed since it was approved; ask again");
    tool_end_fault(call, &fault);
}

/* ---- it runs ---- */

static void exec_on_output(void *arg, const char *text, size_t length)
{
    struct tool_call *call = arg;
    struct exec_state *state = tool_call_state(call);
    struct buf clean;

    buf_init(&clean, LINE_MAX_ + 2);
    output_clean(text, length, &clean);
    buf_add_char(&clean, '\n');
    output_add(&state->output, clean.data, clean.length);
    tool_update(call, clean.data, clean.length);
    buf_done(&clean);
}

static struct json *exec_details(const struct exec_state *state, const char *status, int code,
                                 int64_t took)
{
    struct json *details = json_new_object();

    json_put(details, "status", json_new_string(status));
    json_put(details, "exitCode", json_new_number(code));
    json_put(details, "durationMs", json_new_number((double)took));
    json_put(details, "cwd", json_new_string(state->plan->cwd));
    return details;
}

static void exec_on_ended(void *arg, int status, int signal, int result)
{
    struct tool_call *call = arg;
    struct exec_state *state = tool_call_state(call);
    int64_t took = loop_now(tool_call_gateway(call)->loop) - state->started;
    CLEAN(mem_free) char *said = output_text(&state->output);
    struct json *details = exec_details(state,
                                        state->timed_out                            ? "timeout"
                                        : status == 0 && signal == 0 && result == 0 ? "completed"
                                                                                    : "failed",
                                        status, took);
    struct buf text;

    state->child = NULL;
    buf_init(&text, 1 << 20);
    buf_add_str(&text, *said ? said : "(no output)\n");
    if (state->timed_out)
        buf_addf(&text, "[stopped: it ran longer than %" PRId64 " s]", state->timeout_ms / 1000);
    else if (result == -ERR_TOO_LARGE)
        buf_addf(&text, "[stopped: it printed a line of more than %u bytes]", LINE_MAX_);
    else if (signal != 0)
        buf_addf(&text, "[ended by signal %d (%s)]", signal, strsignal(signal));
    else if (status != 0)
        buf_addf(&text, "[exit status %d]", status);
    if (status == 0 && signal == 0 && result == 0 && !state->timed_out)
        tool_end_text(call, text.data, text.length, details);
    else
        tool_end_failed(call, text.data, text.length, details);
    buf_done(&text);
}

static void exec_on_timeout(void *arg)
{
    struct tool_call *call = arg;
    struct exec_state *state = tool_call_state(call);

    state->timed_out = true;
    child_stop(state->child, GRACE_MS);
}

/* The approved plan and nothing else. The folder is entered by its descriptor, so it is the one that was
 * looked at. */
static void exec_run(struct tool_call *call)
{
    struct exec_state *state = tool_call_state(call);
    struct gateway *gw = tool_call_gateway(call);
    struct fault fault = {0};
    char folder[64];
    struct child_config config = {
        .argv = (const char *const *)state->plan->argv,
        .file = state->plan->resolved, /* what trust was decided on */
        .envp = (const char *const *)state->plan->envp,
        .directory = folder,
        .line_max = LINE_MAX_,
        .arg = call,
        .line = exec_on_output,
        .noise = exec_on_output,
        .ended = exec_on_ended,
    };

    snprintf(folder, sizeof(folder), "/proc/self/fd/%d", state->plan->cwd_fd);
    if (child_start(gw->loop, &config, &state->child, &fault) < 0) {
        tool_end_fault(call, &fault);
        return;
    }
    child_close_input(state->child);
    state->started = loop_now(gw->loop);
    timer_start(gw->loop, &state->timeout, state->timeout_ms, /* every_ms= */ 0, exec_on_timeout,
                call);
}

const struct tool tools_exec[] = {
    {
        .name = "exec",
        .label = "Exec",
        .summary = "Run a command on the gateway host",
        .description =
            "Run a command in the workspace on the gateway host and wait for it to end. Its output "
            "and exit "
            "status come back. There is no terminal and no input. It may need a person's approval.",
        .group = TOOL_GROUP_runtime,
        .profiles = TOOL_CODING,
        .params = exec_fields,
        .params_size = sizeof(struct exec),
        .flags = TOOL_DENIED_HTTP,
        .timeout_ms = (TIMEOUT_MAX + 600) * (int64_t)1000,
        .state_size = sizeof(struct exec_state),
        .start = exec_start,
        .close = exec_close,
        .allowed = exec_allowed,
    },
    {0},
};
