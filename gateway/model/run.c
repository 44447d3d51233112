/* The supervisor of model runs: one request becomes one or more attempts of one or more back ends, and
 * exactly one end.
 *
 * Path: model_start makes the run and lets the back end take what it needs (run_prepare); run_on_attempt
 * begins an attempt on a later turn; the back end tells model_run_text and model_run_end; a failure
 * that may be repeated waits and goes back to run_on_attempt, one that another model may mend goes to
 * run_fall_back, everything else to run_finish, which calls the owner's end() from the loop and frees
 * the run. When either happens is said by retry.c.
 *
 * Owns: the run, its timers, its content, and a copy of the request when there are fallbacks. */
#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/model/internal.h"
#include "gateway/model/ops.h"
#include "gateway/model/retry.h"

#include <inttypes.h>
#include <string.h>

#define LOG_SUBSYSTEM "model"
#include "base/log.h"

#define RUN_MAGIC     0x6d72756eu
#define TIMEOUT_MS    600000
#define FALLBACKS_MAX 16

/* What a fallback will be asked: the caller's request is gone by then. */
struct run_copy {
    struct model_request request; /* borrows from the rest */
    char *system;
    struct json *messages, *tools;
    char *fallbacks[FALLBACKS_MAX];
    size_t count, next;
};

struct model_run {
    uint32_t magic;
    struct gateway *gw;
    struct model_run *next, **link;
    const struct model_ops *ops; /* NULL: refused before a back end was found */
    void *state;
    struct model_events events;
    void *arg;
    struct model_name name; /* who is asked */
    struct run_copy copy;
    struct timer timer;   /* the next attempt */
    struct timer timeout; /* over all of them */
    struct defer finish;
    struct content content; /* of the attempt */
    struct model_outcome outcome;
    struct json *answer; /* the content of a good end */
    struct fault first;  /* what the first model said, when another took over */
    struct retry retry;
    size_t said; /* bytes given to text() */
    int64_t deadline;
    bool thought;   /* an attempt before this one gave something to thinking() */
    bool thinking;  /* this one did */
    bool active;    /* an attempt runs */
    bool finishing; /* finish is queued */
    bool telling;   /* inside text(): free later */
    bool dropped;
};

static void run_on_attempt(void *arg);
static void run_finish(struct model_run *run);
static void run_on_finish(void *arg);

/* ---- life ---- */

static struct model_run *run_new(struct gateway *gw, const struct model_events *events, void *arg)
{
    struct model_run *run = NEW(struct model_run);
    struct models *models = gw->models;

    run->magic = RUN_MAGIC;
    run->gw = gw;
    run->events = *events;
    run->arg = arg;
    run->outcome = model_outcome_none();
    content_init(&run->content, MODEL_TEXT_MAX);
    run->next = models->first;
    run->link = &models->first;
    if (run->next != NULL)
        run->next->link = &run->next;
    models->first = run;
    models->count++;
    return run;
}

/* Lets the back end go. */
static void run_leave(struct model_run *run)
{
    if (run->ops != NULL && run->state != NULL)
        run->ops->fini(run);
    run->ops = NULL;
    run->state = mem_free(run->state);
}

static void copy_done(struct run_copy *copy)
{
    mem_free(copy->system);
    json_free(copy->messages);
    json_free(copy->tools);
    for (size_t i = 0; i < copy->count; i++)
        mem_free(copy->fallbacks[i]);
    *copy = (struct run_copy){0};
}

static void run_free(struct model_run *run)
{
    struct models *models = run->gw->models;

    run_leave(run);
    timer_stop(run->gw->loop, &run->timer);
    timer_stop(run->gw->loop, &run->timeout);
    defer_stop(run->gw->loop, &run->finish);
    *run->link = run->next;
    if (run->next != NULL)
        run->next->link = run->link;
    models->count--;
    copy_done(&run->copy);
    content_done(&run->content);
    json_free(run->answer);
    run->magic = 0;
    mem_free(run);
}

/* ---- start ---- */

static void copy_take(struct run_copy *copy, const struct model_request *request)
{
    const char *const *name = request->fallbacks;

    if (name == NULL || *name == NULL)
        return;
    copy->system = mem_string(request->system);
    copy->messages = request->messages != NULL ? json_copy(request->messages) : NULL;
    copy->tools = request->tools != NULL ? json_copy(request->tools) : NULL;
    copy->request = *request;
    copy->request.provider = copy->request.model = NULL;
    copy->request.fallbacks = NULL;
    copy->request.system = copy->system;
    copy->request.messages = copy->messages;
    copy->request.tools = copy->tools;
    for (; *name != NULL && copy->count < FALLBACKS_MAX; name++)
        copy->fallbacks[copy->count++] = mem_string(*name);
}

static int run_name(struct model_run *run, const struct model_request *request)
{
    struct fault *fault = &run->outcome.fault;

    if (request->provider == NULL)
        return model_resolve(run->gw, request->model, &run->name, fault);
    if (strlen(request->provider) >= sizeof run->name.provider || request->model == NULL ||
        strlen(request->model) >= sizeof run->name.model)
        return fault_set(fault, -ERR_INVALID, "the model's name is longer than %d bytes",
                         MODEL_NAME_MAX - 1);
    memcpy(run->name.provider, request->provider, strlen(request->provider) + 1);
    memcpy(run->name.model, request->model, strlen(request->model) + 1);
    return 0;
}

/* Finds the provider and lets its back end take the request. */
static int run_prepare(struct model_run *run, const struct model_request *request)
{
    struct fault *fault = &run->outcome.fault;
    struct model_request resolved = *request;
    const struct model_provider *provider;
    int r = run_name(run, request);

    if (r < 0)
        return r;
    resolved.provider = run->name.provider;
    resolved.model = run->name.model;
    provider = catalog_find(&run->gw->models->catalog, resolved.provider);
    if (provider == NULL)
        return fault_set(
            fault, -ERR_NOT_FOUND,
            "no model provider \"%.80s\": add models.providers.%.80s (baseUrl, apiKey) "
            "to the configuration or choose another model",
            resolved.provider, resolved.provider);
    if (provider->fault.code < 0) {
        *fault = provider->fault;
        return fault->code;
    }
    run->ops = provider->ops;
    run->state = mem_new(run->ops->size);
    return run->ops->init(run, provider, &resolved, fault);
}

/* A model that could not even be asked. */
static void run_judge_refusal(struct model_run *run)
{
    struct model_outcome *outcome = &run->outcome;

    outcome->error_kind = outcome->fault.code == -ERR_AUTH        ? MODEL_ERROR_AUTH
                          : outcome->fault.code == -ERR_TOO_LARGE ? MODEL_ERROR_CONTEXT
                                                                  : MODEL_ERROR_UNKNOWN;
}

/* The next model of the list that can be asked takes over. False: there is none. */
static bool run_fall_back(struct model_run *run)
{
    struct run_copy *copy = &run->copy;

    while (copy->next < copy->count && retry_may_fall_back(&run->outcome)) {
        log_warn("%s/%s: %s; trying %s", run->name.provider, run->name.model,
                 run->outcome.fault.text, copy->fallbacks[copy->next]);
        if (run->first.code == 0)
            run->first = run->outcome.fault;
        run_leave(run);
        run->retry = (struct retry){0};
        run->outcome = model_outcome_none();
        copy->request.model = copy->fallbacks[copy->next++];
        if (run_prepare(run, &copy->request) >= 0)
            return true;
        run_judge_refusal(run);
    }
    return false;
}

static void run_on_timeout(void *arg)
{
    struct model_run *run = arg;

    CHECK(run, RUN_MAGIC);
    if (run->active)
        run->ops->close(run);
    run->outcome = model_outcome_none();
    run->outcome.error_kind = MODEL_ERROR_TIMEOUT;
    fault_set(&run->outcome.fault, -ERR_TIMEOUT, "%s/%s did not finish in the time this turn has",
              run->name.provider, run->name.model);
    run_finish(run);
}

static void run_attempt_in(struct model_run *run, int64_t wait_ms)
{
    timer_start(run->gw->loop, &run->timer, wait_ms, /* every_ms= */ 0, run_on_attempt, run);
}

struct model_run *model_start(struct gateway *gw, const struct model_request *request,
                              const struct model_events *events, void *arg)
{
    struct model_run *run = run_new(gw, events, arg);
    int64_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : TIMEOUT_MS;

    if (gw->models->count > MODEL_RUNS_MAX) {
        fault_set(&run->outcome.fault, -ERR_BUSY, "%d model requests are running already",
                  MODEL_RUNS_MAX);
        run->outcome.error_kind = MODEL_ERROR_UNKNOWN;
        run_finish(run);
        return run;
    }
    copy_take(&run->copy, request);
    run->deadline = loop_now(gw->loop) + timeout_ms;
    if (run_prepare(run, request) < 0) {
        run_judge_refusal(run);
        if (!run_fall_back(run)) {
            run_finish(run);
            return run;
        }
    }
    timer_start(gw->loop, &run->timeout, timeout_ms, /* every_ms= */ 0, run_on_timeout, run);
    run_attempt_in(run, 0);
    return run;
}

static void run_on_attempt(void *arg)
{
    struct model_run *run = arg;

    CHECK(run, RUN_MAGIC);
    content_clear(&run->content);
    run->thought |= run->thinking;
    run->thinking = false;
    run->active = true;
    run->ops->start(run);
}

/* ---- what the back end tells ---- */

void *model_run_state(struct model_run *run)
{
    return run->state;
}

struct gateway *model_run_gateway(struct model_run *run)
{
    return run->gw;
}

struct content *model_run_content(struct model_run *run)
{
    return &run->content;
}

/* Cancelled inside: the end is queued. Dropped inside: it is queued too, without a call. */
static int run_tell(struct model_run *run, void (*fn)(void *, const char *, size_t),
                    const char *delta, size_t length)
{
    run->telling = true;
    fn(run->arg, delta, length);
    run->telling = false;
    return run->finishing ? -ERR_CANCELLED : 0;
}

int model_run_text(struct model_run *run, const char *delta, size_t length)
{
    int r;

    CHECK(run, RUN_MAGIC);
    if (length == 0)
        return 0;
    r = content_text(&run->content, delta, length);
    if (r < 0)
        return r;
    run->said += length;
    return run_tell(run, run->events.text, delta, length);
}

int model_run_thinking(struct model_run *run, const char *delta, size_t length)
{
    int r;

    CHECK(run, RUN_MAGIC);
    if (length == 0)
        return 0;
    r = content_thinking(&run->content, delta, length);
    if (r < 0 || run->events.thinking == NULL)
        return r;
    if (run->thought && !run->thinking)
        r = run_tell(run, run->events.thinking, "\n\n", 2);
    run->thinking = true;
    return r < 0 ? r : run_tell(run, run->events.thinking, delta, length);
}

/* A good end must also have whole tool calls. */
static void run_take_answer(struct model_run *run)
{
    struct model_outcome *outcome = &run->outcome;
    bool cut = strcmp(outcome->stop_reason != NULL ? outcome->stop_reason : "", "length") == 0;
    bool calls = content_has_calls(&run->content);
    struct fault fault = {0};

    run->answer = content_take(&run->content, cut, &fault);
    if (run->answer == NULL) {
        outcome->error_kind = MODEL_ERROR_UNKNOWN;
        outcome->retry = MODEL_RETRY_NEVER;
        fault_set(&outcome->fault, fault.code, "%.80s: %s", run->name.provider, fault.text);
    } else if (calls) {
        outcome->stop_reason = "toolUse";
    }
}

/* True: the run goes on with another attempt. Nothing that has said text is repeated. */
static bool run_goes_on(struct model_run *run)
{
    const struct model_outcome *outcome = &run->outcome;
    int64_t now = loop_now(run->gw->loop), wait;

    if (outcome->fault.code == 0 || run->said > 0)
        return false;
    wait = retry_wait(&run->retry, outcome, run->copy.next < run->copy.count, now,
                      (double)crypto_random_below(1u << 20) / (1u << 20));
    if (wait >= 0 && now + wait < run->deadline) {
        log_info("%s/%s: %s; attempt %d follows in %" PRId64 " ms", run->name.provider,
                 run->name.model, outcome->fault.text, run->retry.attempts + 1, wait);
        run_attempt_in(run, wait);
        return true;
    }
    if (!run_fall_back(run))
        return false;
    run_attempt_in(run, 0);
    return true;
}

void model_run_end(struct model_run *run, const struct model_outcome *outcome)
{
    CHECK(run, RUN_MAGIC);
    if (fails(run->active) || run->finishing)
        return;
    run->active = false;
    run->outcome = *outcome;
    if (run->outcome.fault.code == 0)
        run_take_answer(run);
    if (!run_goes_on(run))
        run_finish(run);
}

/* ---- the end ---- */

/* With fallbacks the person hears of both ends of the list. */
static void run_say_first(struct model_run *run)
{
    struct fault last = run->outcome.fault;

    if (last.code < 0 && last.code != -ERR_CANCELLED && run->first.code < 0)
        fault_set(&run->outcome.fault, last.code, "%.200s; and the fallback %.60s: %.200s",
                  run->first.text, run->name.model, last.text);
}

static void run_finish(struct model_run *run)
{
    run->active = false;
    run->finishing = true;
    run_say_first(run);
    timer_stop(run->gw->loop, &run->timer);
    timer_stop(run->gw->loop, &run->timeout);
    defer_start(run->gw->loop, &run->finish, run_on_finish, run);
}

static void run_on_finish(void *arg)
{
    struct model_run *run = arg;
    CLEAN(json_free) struct json *answer = TAKE(run->answer);
    const struct model_outcome outcome = run->outcome;
    const struct model_name name = run->name;
    struct model_events events = run->events;
    bool tell = !run->dropped;
    void *owner = run->arg;
    struct model_result result = {
        .stop_reason = outcome.fault.code < 0 ? NULL : outcome.stop_reason,
        .content = outcome.fault.code < 0 ? NULL : answer,
        .usage = outcome.usage,
        .provider = name.provider,
        .model = name.model,
        .error_kind = outcome.error_kind,
        .fault = outcome.fault.code < 0 ? &outcome.fault : NULL,
    };

    CHECK(run, RUN_MAGIC);
    run_free(run);
    if (tell)
        events.end(owner, outcome.fault.code, &result);
}

static void run_stop(struct model_run *run, const char *why)
{
    if (run->finishing)
        return;
    if (run->active)
        run->ops->close(run);
    run->outcome = model_outcome_none();
    fault_set(&run->outcome.fault, -ERR_CANCELLED, "%s", why);
    run_finish(run);
}

void run_end_now(struct model_run *run)
{
    run_stop(run, "the gateway is stopping");
    run_on_finish(run);
}

void model_cancel(struct model_run *run)
{
    CHECK(run, RUN_MAGIC);
    run_stop(run, "cancelled");
}

void model_drop(struct model_run *run)
{
    if (run == NULL)
        return;
    model_cancel(run);
    run->dropped = true;
    if (!run->telling)
        run_free(run);
}
