/* Owns its session from the open to the end. */
#include "tunnel/attempt.h"

#include "base/mem.h"

#define ATTEMPT_MAGIC 0x61747470u

struct attempt {
    uint32_t magic;
    const struct link_config *config;
    const struct attempt_events *events;
    void *arg;
    struct op op;
    struct ssh *ssh;
    struct ssh_policy policy;
    int64_t began, moved; /* loop_now; moved: when it last got on */
    enum ssh_step step;
    bool asking; /* a person has a question of it */
};

static void attempt_on_step(void *arg, enum ssh_step step, const char *detail)
{
    struct attempt *attempt = arg;
    bool reached = attempt->step <= SSH_STEP_CONNECT && step > SSH_STEP_CONNECT;

    (void)detail;
    attempt->step = step;
    attempt->moved = loop_now(attempt->config->loop);
    if (reached && attempt->events->reached)
        attempt->events->reached(attempt->arg, attempt);
}

static void attempt_on_notice(void *arg, const char *text)
{
    const struct link_config *config = ((struct attempt *)arg)->config;
    config->events->notice(config->arg, text);
}

static void attempt_on_ask(void *arg, struct ssh_question *question)
{
    struct attempt *attempt = arg;

    attempt->asking = true;
    attempt->config->events->ask(attempt->config->arg, question);
}

static void attempt_on_end(struct op *op, int result)
{
    struct attempt *attempt = CONTAINER(op, struct attempt, op);

    CHECK(attempt, ATTEMPT_MAGIC);
    if (result >= 0) {
        attempt->events->ready(attempt->arg, attempt);
        return;
    }
    struct fault why = op->fault;
    if (!why.code)
        fault_set(&why, result, "%s", err_text(result));
    attempt->events->refused(attempt->arg, attempt, &why);
}

static void attempt_on_lost(void *arg, const struct fault *why)
{
    struct attempt *attempt = arg;

    CHECK(attempt, ATTEMPT_MAGIC);
    attempt->events->lost(attempt->arg, attempt, why);
}

static void attempt_on_arrived(void *arg, struct ssh_channel *channel,
                               const struct ssh_arrival *arrival)
{
    const struct link_config *config = ((struct attempt *)arg)->config;
    config->events->arrived(config->arg, channel, arrival);
}

static const struct ssh_events attempt_ssh_events = {attempt_on_lost, attempt_on_arrived};

struct attempt *attempt_new(const struct link_config *config, int64_t deadline_ms,
                            const struct attempt_events *events, void *arg)
{
    struct attempt *attempt = NEW(struct attempt);

    attempt->magic = ATTEMPT_MAGIC;
    attempt->config = config;
    attempt->events = events;
    attempt->arg = arg;
    attempt->began = attempt->moved = loop_now(config->loop);
    attempt->policy = (struct ssh_policy){
        .accept_new = config->accept_new,
        .password = config->password,
        .allow_child = config->allow_child,
        .secrets = config->secrets,
        .arg = attempt,
        .step = attempt_on_step,
        .notice = attempt_on_notice,
        .ask = config->events->ask ? attempt_on_ask : NULL,
    };
    op_init(&attempt->op, config->loop, attempt_on_end, deadline_ms);
    config->ssh->open(&attempt->op, config->target, config->options, &attempt->policy,
                      &attempt_ssh_events, attempt, &attempt->ssh);
    return attempt;
}

struct attempt *attempt_free(struct attempt *attempt)
{
    if (!attempt)
        return NULL;
    CHECK(attempt, ATTEMPT_MAGIC);
    op_drop(&attempt->op);
    attempt->config->ssh->close(attempt->ssh);
    attempt->magic = 0;
    return mem_free(attempt);
}

struct ssh *attempt_ssh(const struct attempt *attempt)
{
    return attempt->ssh;
}

enum ssh_step attempt_step(const struct attempt *attempt)
{
    return attempt->step;
}

int64_t attempt_age(const struct attempt *attempt)
{
    return loop_now(attempt->config->loop) - attempt->began;
}

bool attempt_is_asking(const struct attempt *attempt)
{
    return attempt->asking;
}

bool attempt_gets_on(const struct attempt *attempt)
{
    int64_t still = loop_now(attempt->config->loop) - attempt->moved;

    return attempt->asking || (attempt->step > SSH_STEP_CONNECT && still < LINK_STALLED_MS);
}
