/* The programs of acp agents: one per session, started when a run needs it, kept while it is used, stopped
 * when idle or when another one needs its place.
 *
 * Path: acp_child_get -> (backoff) child_spawn -> acp_open -> acp_child_ready -> acp_child_release -> idle ->
 * acp_child_stop -> child_on_ended. A failure anywhere: acp_child_fail.
 *
 * Owns: the table, the processes, the backoff of each agent. */
#include "gateway/agent/acp.h"

#define LOG_SUBSYSTEM "acp"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"

#include <stdio.h>
#include <string.h>

#define NOISE_MINUTE_MS 60000

/* An agent whose program ends badly is started again with growing patience. */
struct acp_failure {
    struct acp_failure *next;
    char *agent_id;
    struct backoff backoff;
    int64_t not_before; /* loop_now() */
};

static void child_spawn(void *arg);
static void child_on_line(void *arg, const char *text, size_t length);
static void child_on_noise(void *arg, const char *text, size_t length);
static void child_on_ended(void *arg, int status, int signal, int result);
static void child_on_idle(void *arg);
static void child_on_found(void *arg);
static void child_reap(void *arg);

/* ---- table ---- */

struct acp *acp_new(struct gateway *gw)
{
    struct acp *acp = NEW(struct acp);

    acp->gw = gw;
    return acp;
}

static void child_free(struct acp_child *child)
{
    struct acp_child **slot = &child->acp->children;

    while (*slot != child)
        slot = &(*slot)->next;
    *slot = child->next;
    timer_stop(child->acp->gw->loop, &child->timer);
    acp_program_done(&child->program);
    json_free(child->auth_methods);
    mem_free(child->agent_id);
    mem_free(child->session_key);
    mem_free(child->acp_session);
    child->magic = 0;
    mem_free(child);
}

struct acp *acp_free(struct acp *acp)
{
    if (!acp)
        return NULL;
    while (acp->children) {
        struct acp_child *child = acp->children;

        acp_child_stop(child, /* grace_ms= */ 0);
        child_drop(TAKE(child->process), /* grace_ms= */ 0);
        child_free(child);
    }
    while (acp->failures) {
        struct acp_failure *failure = acp->failures;

        acp->failures = failure->next;
        mem_free(failure->agent_id);
        mem_free(failure);
    }
    return mem_free(acp);
}

static struct acp_failure *failure_of(struct acp *acp, const char *agent_id)
{
    struct acp_failure *failure = acp->failures;

    while (failure && strcmp(failure->agent_id, agent_id) != 0)
        failure = failure->next;
    if (failure)
        return failure;
    failure = NEW(struct acp_failure); /* at most one per configured agent */
    failure->agent_id = mem_string(agent_id);
    backoff_init(&failure->backoff, ACP_BACKOFF_MS, ACP_BACKOFF_CAP_MS);
    failure->next = acp->failures;
    return acp->failures = failure;
}

static void failure_count(struct acp_child *child)
{
    struct acp_failure *failure = failure_of(child->acp, child->agent_id);
    uint32_t random;

    crypto_random(&random, sizeof(random));
    failure->not_before = loop_now(child->acp->gw->loop) +
                          backoff_next(&failure->backoff, (double)random / 4294967296.0);
}

/* ---- getting one ---- */

static bool child_serves(const struct acp_child *child, const struct agent_run *run,
                         const struct acp_program *program)
{
    return strcmp(child->session_id, run->session_id) == 0 &&
           strcmp(child->program.mark, program->mark) == 0;
}

/* The session's program as it should be; one that answers to another configuration or to the session before a
 * reset is let go. */
static struct acp_child *child_find(struct acp *acp, const struct agent_run *run,
                                    const struct acp_program *program)
{
    for (struct acp_child *child = acp->children; child; child = child->next) {
        if (child->state == ACP_STOPPING || strcmp(child->session_key, run->session_key) != 0)
            continue;
        if (fails(!child->run)) /* turns of a session are one after the other */
            acp_child_fail(child, -ERR_CONFLICT, "another turn of the session took its program");
        else if (child_serves(child, run, program))
            return child;
        else
            acp_child_stop(child, ACP_STOP_MS);
        return NULL;
    }
    return NULL;
}

/* Stops the program that has been idle longest when there is no place left. */
static int make_place(struct acp *acp, struct fault *fault)
{
    int64_t most = config_int(acp->gw->config, KNOB_acp_sessions), count = 0;
    struct acp_child *oldest = NULL;

    for (struct acp_child *child = acp->children; child; child = child->next) {
        if (child->state == ACP_STOPPING)
            continue;
        count++;
        if (!child->run && (!oldest || child->used_at < oldest->used_at))
            oldest = child;
    }
    if (count < most)
        return 0;
    if (!oldest)
        return fault_set(fault, -ERR_BUSY,
                         "%lld programs of agents are at work already: wait for one, or raise "
                         "acp.maxConcurrentSessions",
                         (long long)most);
    acp_child_stop(oldest, ACP_STOP_MS);
    return 0;
}

static struct acp_child *child_new(struct acp *acp, const struct agent_run *run,
                                   struct acp_program *program)
{
    struct acp_child *child = NEW(struct acp_child);

    child->magic = ACP_CHILD_MAGIC;
    child->acp = acp;
    child->program = *program;
    *program = (struct acp_program){0};
    child->agent_id = mem_string(run->agent_id);
    child->session_key = mem_string(run->session_key);
    snprintf(child->session_id, sizeof(child->session_id), "%s", run->session_id);
    child->next = acp->children;
    return acp->children = child;
}

struct acp_child *acp_child_get(struct agent_run *run, struct fault *reterr_fault)
{
    struct gateway *gw = run->gw;
    struct acp *acp = gw->acp;
    struct acp_program program;
    struct acp_child *child;
    int64_t wait;

    if (acp_program_find(gw, run->agent_id, &program, reterr_fault) < 0)
        return NULL;
    child = child_find(acp, run, &program);
    if (!child && make_place(acp, reterr_fault) < 0) {
        acp_program_done(&program);
        return NULL;
    }
    if (!child) {
        child = child_new(acp, run, &program);
        child->state = ACP_WAITING;
        wait = failure_of(acp, child->agent_id)->not_before - loop_now(gw->loop);
        timer_start(gw->loop, &child->timer, wait > 0 ? wait : 0, 0, child_spawn, child);
    } else if (child->state == ACP_READY) {
        timer_start(gw->loop, &child->timer, 0, 0, child_on_found, child);
    } /* else a run that was cancelled had it started: it will be ready */
    child->run = run;
    acp_program_done(&program);
    return child;
}

/* It stood ready: the run hears of it on a later turn. */
static void child_on_found(void *arg)
{
    acp_child_ready(arg);
}

/* ---- its process ---- */

static int child_write_line(void *arg, const char *line, size_t length)
{
    struct acp_child *child = arg;

    return child->process ? child_write(child->process, line, length) : -ERR_CLOSED;
}

static void child_on_request(void *arg, const char *id, const char *method,
                             const struct json *params)
{
    static const struct {
        const char *method;
        void (*run)(struct acp_child *child, const char *id, const struct json *params);
    } requests[] = {
        {"session/request_permission", acp_permission_ask},
        {"fs/read_text_file", acp_file_read},
        {"fs/write_text_file", acp_permission_write},
    };
    struct acp_child *child = arg;

    CHECK(child, ACP_CHILD_MAGIC);
    for (size_t i = 0; i < COUNT(requests); i++) {
        if (strcmp(requests[i].method, method) == 0) {
            requests[i].run(child, id, params);
            return;
        }
    }
    log_debug("%s asked for %.64s: not offered", child->program.name, method);
    (void)rpc_reply_error(&child->rpc, id, RPC_METHOD_NOT_FOUND, "Method not found");
}

static void child_on_notification(void *arg, const char *method, const struct json *params)
{
    struct acp_child *child = arg;
    const char *session = json_string(json_get(params, "sessionId"), "");

    CHECK(child, ACP_CHILD_MAGIC);
    if (strcmp(method, "session/update") != 0 || !child->run || !child->acp_session ||
        strcmp(session, child->acp_session) != 0)
        return; /* of a kind we do not know, or the replay of a session that is being loaded */
    if (child->run->state == ACP_RUN_PROMPTING || child->run->state == ACP_RUN_CANCELLING)
        acp_update(child->run, json_get(params, "update"));
}

static void child_on_garbage(void *arg, const char *why)
{
    struct acp_child *child = arg;

    CHECK(child, ACP_CHILD_MAGIC);
    if (child->garbage++ == 0)
        log_warn("%s for %s told a line that is no message: %s", child->program.name,
                 child->session_key, why);
    if (child->garbage > ACP_GARBAGE_MAX)
        acp_child_fail(child, -ERR_CORRUPT,
                       "the agent's program %s does not speak the Agent Client Protocol: %u lines "
                       "of its output were no messages (%s)",
                       child->program.name, child->garbage, why);
}

static void child_spawn(void *arg)
{
    struct acp_child *child = arg;
    struct gateway *gw = child->acp->gw;
    const struct rpc_owner owner = {
        .write = child_write_line,
        .request = child_on_request,
        .notification = child_on_notification,
        .garbage = child_on_garbage,
        .arg = child,
    };
    const struct child_config config = {
        .argv = (const char *const *)child->program.argv,
        .envp = (const char *const *)child->program.envp,
        .directory = child->program.cwd,
        .leash = true,
        .input_max = ACP_INPUT_MAX,
        .arg = child,
        .line = child_on_line,
        .noise = child_on_noise,
        .ended = child_on_ended,
    };
    struct fault fault = {0};

    CHECK(child, ACP_CHILD_MAGIC);
    rpc_init(&child->rpc, gw->loop, &owner);
    child->state = ACP_OPENING;
    if (child_start(gw->loop, &config, &child->process, &fault) < 0) {
        acp_child_fail(child, fault.code, "%s", fault.text);
        return;
    }
    log_info("%s started for %s: pid %d", child->program.name, child->session_key,
             child_pid(child->process));
    acp_open(child);
}

static void child_on_line(void *arg, const char *text, size_t length)
{
    struct acp_child *child = arg;

    CHECK(child, ACP_CHILD_MAGIC);
    if (child->state == ACP_STOPPING)
        return;
    child->bytes += length;
    if (child->bytes > ACP_RUN_BYTES_MAX) {
        acp_child_fail(child, -ERR_TOO_LARGE,
                       "the agent's program %s told more than %u MiB in one turn; it was stopped",
                       child->program.name, ACP_RUN_BYTES_MAX >> 20);
        return;
    }
    rpc_line(&child->rpc, text, length);
}

/* stderr: free text, for the log only. */
static void child_on_noise(void *arg, const char *text, size_t length)
{
    struct acp_child *child = arg;
    int64_t now = loop_now(child->acp->gw->loop);
    char clean[sizeof(child->noise)];

    CHECK(child, ACP_CHILD_MAGIC);
    acp_text_clean(&child->program, text, length, clean, sizeof(clean));
    if (clean[strspn(clean, " ")] == '\0')
        return;
    memcpy(child->noise, clean, sizeof(clean));
    if (now - child->noise_minute >= NOISE_MINUTE_MS) {
        child->noise_minute = now;
        child->noise_lines = 0;
    }
    if (child->noise_lines++ < ACP_NOISE_LINES)
        log_debug("%s says: %s", child->program.name, clean);
}

/* ---- ready, idle ---- */

void acp_child_ready(struct acp_child *child)
{
    CHECK(child, ACP_CHILD_MAGIC);
    timer_stop(child->acp->gw->loop, &child->timer);
    child->state = ACP_READY;
    child->bytes = 0;
    if (child->run)
        acp_run_ready(child->run);
    else
        acp_child_release(child);
}

static void child_wait_idle(struct acp_child *child)
{
    struct gateway *gw = child->acp->gw;

    timer_start(gw->loop, &child->timer, config_int(gw->config, KNOB_acp_idle_minutes) * 60000, 0,
                child_on_idle, child);
}

void acp_child_release(struct acp_child *child)
{
    struct gateway *gw = child->acp->gw;

    child->run = NULL;
    if (child->state != ACP_READY)
        return;
    child->used_at = loop_now(gw->loop);
    failure_of(child->acp, child->agent_id)->not_before = 0;
    backoff_reset(&failure_of(child->acp, child->agent_id)->backoff);
    if (child->program.oneshot)
        acp_child_stop(child, ACP_STOP_MS);
    else
        timer_start(gw->loop, &child->timer, config_int(gw->config, KNOB_acp_idle_minutes) * 60000,
                    0, child_on_idle, child);
}

/* Is there still a conversation that it serves as it is? */
static bool child_wanted(const struct acp_child *child)
{
    struct gateway *gw = child->acp->gw;
    const struct session *session = session_find(gw, child->session_key);
    struct acp_program program;
    struct fault fault = {0};
    bool same;

    if (!session || strcmp(session->session_id, child->session_id) != 0 ||
        acp_program_find(gw, child->agent_id, &program, &fault) < 0)
        return false;
    same = strcmp(program.mark, child->program.mark) == 0;
    acp_program_done(&program);
    return same;
}

static void child_on_idle(void *arg)
{
    struct acp_child *child = arg;

    CHECK(child, ACP_CHILD_MAGIC);
    if (!child->can_load && !child->can_resume && child_wanted(child)) {
        child_wait_idle(child); /* it would forget: it stays while it may */
        return;
    }
    log_info("%s for %s had nothing to do for a while: stopped", child->program.name,
             child->session_key);
    acp_child_stop(child, ACP_STOP_MS);
}

/* ---- the end ---- */

void acp_child_stop(struct acp_child *child, int64_t grace_ms)
{
    bool waiting = child->state == ACP_WAITING;

    timer_stop(child->acp->gw->loop, &child->timer);
    if (child->state != ACP_STOPPING) {
        child->state = ACP_STOPPING;
        child->run = NULL;
        acp_permissions_cancel(child);
        acp_files_drop(child);
        if (!waiting)
            rpc_close(&child->rpc, -ERR_CLOSED);
    }
    if (child->process) {
        child_close_input(child->process); /* the polite word; the signal follows */
        child_stop(child->process, grace_ms);
    } else { /* nothing to wait for */
        timer_start(child->acp->gw->loop, &child->timer, 0, 0, child_reap, child);
    }
}

static void child_reap(void *arg)
{
    child_free(arg);
}

void acp_child_fail(struct acp_child *child, int code, const char *format, ...)
{
    struct agent_run *run = child->run;
    struct fault fault = {0};
    char text[FAULT_TEXT_MAX];
    va_list args;

    if (child->state == ACP_STOPPING)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fault_set(&fault, code, "%s", text);
    log_warn("%s for %s: %s", child->program.name, child->session_key, text);
    failure_count(child);
    acp_child_stop(child, ACP_STOP_MS);
    if (run)
        acp_run_lost(run, code, &fault);
}

static void child_on_ended(void *arg, int status, int signal, int result)
{
    struct acp_child *child = arg;
    bool expected = child->state == ACP_STOPPING;
    char how[64];

    CHECK(child, ACP_CHILD_MAGIC);
    child->process = NULL;
    acp_text_end(status, signal, how, sizeof(how));
    if (expected) {
        log_debug("%s for %s ended: %s", child->program.name, child->session_key, how);
        child_free(child);
        return;
    }
    if (!child->run && status == 0 && signal == 0) {
        log_info("%s for %s ended by itself", child->program.name, child->session_key);
        acp_child_stop(child, 0);
        child_free(child);
        return;
    }
    if (result == -ERR_TOO_LARGE)
        acp_child_fail(child, result,
                       "the agent's program %s told a line of more than 16 MiB; it was stopped",
                       child->program.name);
    else
        acp_child_fail(
            child, -ERR_CLOSED, "the agent's program %s ended %s: %s%s%s", child->program.name,
            child->run && child->acp_session ? "in the middle of the turn" : "before it was ready",
            how, child->noise[0] ? "; its last words: " : "", child->noise);
}
