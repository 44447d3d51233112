/* The supervisor of model runs: one request becomes one or more attempts of a back end, and exactly
 * one end.
 *
 * Path: model_start makes the run and lets the back end take what it needs; model_on_attempt begins an
 * attempt on a later turn; the back end tells model_run_text and model_run_end; a failure that may be
 * repeated goes through model_retry_wait back to model_on_attempt, everything else to model_finish,
 * which calls the owner's end() from the loop and frees the run.
 *
 * Owns: the runs, their timers, the catalog. Retry policy: providers.md 8.5. */
#include "gateway/model/model.h"

#include "base/backoff.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/model/catalog.h"
#include "gateway/model/ops.h"

#include <inttypes.h>
#include <string.h>
#include <strings.h>

#define LOG_SUBSYSTEM "model"
#include "base/log.h"

#define RUN_MAGIC             0x6d72756eu
#define RATE_ATTEMPTS_MAX     10
#define TRANSIENT_RETRIES_MAX 8
#define TRANSIENT_WINDOW_MS   90000
#define BACKOFF_FIRST_MS      1000
#define BACKOFF_CAP_MS        30000
#define TIMEOUT_MS            600000

struct models {
    struct gateway *gw;
    struct catalog catalog;
    struct model_run *first;
    size_t count;
};

struct model_run {
    uint32_t magic;
    struct gateway *gw;
    struct model_run *next, **link;
    const struct model_ops *ops; /* NULL: refused before a back end was found */
    void *state;
    struct model_events events;
    void *arg;
    char *name;           /* "provider/model" for the log */
    struct timer timer;   /* the next attempt */
    struct timer timeout; /* over all of them */
    struct defer finish;
    struct model_outcome outcome;
    size_t said; /* bytes given to text() */
    int attempts, transients;
    int64_t window_began; /* of transient failures; loop_now() */
    int64_t deadline;
    bool active;    /* an attempt runs */
    bool finishing; /* finish is queued */
    bool telling;   /* inside text(): free later */
    bool dropped;
};

static void model_on_attempt(void *arg);
static void model_finish(struct model_run *run);
static void model_on_finish(void *arg);

/* ---- names ---- */

static const char *const error_kind_names[] = {
    [MODEL_ERROR_NONE] = NULL,
    [MODEL_ERROR_AUTH] = "unknown",
    [MODEL_ERROR_RATE_LIMIT] = "rate_limit",
    [MODEL_ERROR_OVERLOADED] = "unknown",
    [MODEL_ERROR_TIMEOUT] = "timeout",
    [MODEL_ERROR_CONTEXT] = "context_length",
    [MODEL_ERROR_REFUSAL] = "refusal",
    [MODEL_ERROR_UNKNOWN] = "unknown",
};

const char *model_error_kind_name(enum model_error_kind kind)
{
    return error_kind_names[kind];
}

enum model_thinking model_thinking_of(const char *level)
{
    static const char *const levels[] = {
        [THINKING_OFF] = "off",       [THINKING_MINIMAL] = "minimal", [THINKING_LOW] = "low",
        [THINKING_MEDIUM] = "medium", [THINKING_HIGH] = "high",       [THINKING_XHIGH] = "xhigh"};

    for (size_t i = 0; level != NULL && i < COUNT(levels); i++)
        if (strcmp(levels[i], level) == 0)
            return (enum model_thinking)i;
    return THINKING_OFF;
}

/* agents.defaults.models: {"provider/model": {alias}}. */
static const char *model_unalias(const struct config *config, const char *text)
{
    json_each (row, config_node(config, "agents.defaults.models")) {
        const char *alias = json_string(json_get(row, "alias"), NULL);

        if (alias != NULL && strcasecmp(alias, text) == 0)
            return json_key(row);
    }
    return text;
}

/* A model's id alone: the first provider that lists it. */
static bool model_by_id(struct gateway *gw, const char *text, struct model_name *ret)
{
    const struct catalog *catalog = &gw->models->catalog;

    for (size_t i = 0; i < catalog->count; i++) {
        const struct model_provider *p = &catalog->providers[i];

        if (catalog_entry(p, text) == NULL || strlen(p->id) >= sizeof ret->provider ||
            strlen(text) >= sizeof ret->model)
            continue;
        memcpy(ret->provider, p->id, strlen(p->id) + 1);
        memcpy(ret->model, text, strlen(text) + 1);
        return true;
    }
    return false;
}

int model_choose(struct gateway *gw, const char *text, struct model_name *ret,
                 struct fault *reterr_fault)
{
    const struct model_provider *p;
    int r = model_resolve(gw, text, ret, reterr_fault);

    if (r < 0)
        return r;
    p = catalog_find(&gw->models->catalog, ret->provider);
    if (p == NULL)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "Unknown provider \"%.80s\"; models.list names those of this gateway",
                         ret->provider);
    memcpy(ret->provider, p->id, strlen(p->id) + 1); /* as the configuration spells it */
    return 0;
}

const char *model_api(struct gateway *gw, const char *provider)
{
    const struct model_provider *p = catalog_find(&gw->models->catalog, provider);

    return p != NULL && p->ops != NULL ? p->ops->api : provider;
}

int model_resolve(struct gateway *gw, const char *text, struct model_name *ret,
                  struct fault *reterr_fault)
{
    const char *slash;
    size_t length;

    if (text == NULL)
        text = config_str(gw->config, KNOB_agent_model);
    if (text == NULL)
        text = "echo/echo";
    text = model_unalias(gw->config, text);
    slash = strchr(text, '/');
    if (slash == NULL && gw->models != NULL && model_by_id(gw, text, ret))
        return 0;
    if (slash == NULL || slash == text || slash[1] == '\0')
        return fault_set(reterr_fault, -ERR_INVALID,
                         "\"%.80s\" is not a model: write provider/model, or an alias from "
                         "agents.defaults.models",
                         text);
    length = (size_t)(slash - text);
    if (length >= sizeof ret->provider || strlen(slash + 1) >= sizeof ret->model)
        return fault_set(reterr_fault, -ERR_INVALID, "the model's name is longer than %d bytes",
                         MODEL_NAME_MAX - 1);
    memcpy(ret->provider, text, length);
    ret->provider[length] = '\0';
    memcpy(ret->model, slash + 1, strlen(slash + 1) + 1);
    return 0;
}

int64_t model_context_window(struct gateway *gw, const char *provider, const char *model)
{
    const struct model_provider *p = catalog_find(&gw->models->catalog, provider);
    const struct model_entry *entry = p != NULL ? catalog_entry(p, model) : NULL;

    return entry != NULL ? entry->context_window : 0;
}

/* ---- the module ---- */

static void models_on_config(void *arg)
{
    struct models *models = arg;

    catalog_done(&models->catalog);
    catalog_load(&models->catalog, models->gw);
}

struct models *models_new(struct gateway *gw)
{
    struct models *models = NEW(struct models);

    models->gw = gw;
    catalog_load(&models->catalog, gw);
    config_watch(gw->config, models_on_config, models);
    return models;
}

struct models *models_free(struct models *models)
{
    if (models == NULL)
        return NULL;
    while (models->first != NULL) {
        struct model_run *run = models->first;

        if (!run->finishing) {
            if (run->active)
                run->ops->close(run);
            run->outcome = model_outcome_none();
            fault_set(&run->outcome.fault, -ERR_CANCELLED, "the gateway is stopping");
        }
        model_on_finish(run);
    }
    config_unwatch(models->gw->config, models_on_config, models);
    catalog_done(&models->catalog);
    mem_free(models);
    return NULL;
}

void models_write(struct gateway *gw, struct json_writer *w)
{
    catalog_write(&gw->models->catalog, w);
}

void models_write_auth(struct gateway *gw, struct json_writer *w)
{
    catalog_write_auth(&gw->models->catalog, loop_wall(gw->loop), w);
}

/* ---- start ---- */

static struct model_run *run_new(struct gateway *gw, const struct model_events *events, void *arg)
{
    struct model_run *run = NEW(struct model_run);
    struct models *models = gw->models;

    run->magic = RUN_MAGIC;
    run->gw = gw;
    run->events = *events;
    run->arg = arg;
    run->outcome = model_outcome_none();
    run->next = models->first;
    run->link = &models->first;
    if (run->next != NULL)
        run->next->link = &run->next;
    models->first = run;
    models->count++;
    return run;
}

static void run_free(struct model_run *run)
{
    struct models *models = run->gw->models;

    if (run->ops != NULL && run->state != NULL)
        run->ops->fini(run);
    timer_stop(run->gw->loop, &run->timer);
    timer_stop(run->gw->loop, &run->timeout);
    defer_stop(run->gw->loop, &run->finish);
    *run->link = run->next;
    if (run->next != NULL)
        run->next->link = run->link;
    models->count--;
    mem_free(run->state);
    mem_free(run->name);
    run->magic = 0;
    mem_free(run);
}

/* Finds the provider and lets its back end take the request. */
static int run_prepare(struct model_run *run, const struct model_request *request)
{
    struct fault *fault = &run->outcome.fault;
    struct model_request resolved = *request;
    const struct model_provider *provider;
    struct model_name name;
    int r;

    if (run->gw->models->count > MODEL_RUNS_MAX)
        return fault_set(fault, -ERR_BUSY, "%d model requests are running already", MODEL_RUNS_MAX);
    if (request->provider == NULL) {
        r = model_resolve(run->gw, request->model, &name, fault);
        if (r < 0)
            return r;
        resolved.provider = name.provider;
        resolved.model = name.model;
    }
    run->name = mem_format("%s/%s", resolved.provider, resolved.model);
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

static void model_on_timeout(void *arg)
{
    struct model_run *run = arg;

    CHECK(run, RUN_MAGIC);
    if (run->active)
        run->ops->close(run);
    run->outcome.error_kind = MODEL_ERROR_TIMEOUT;
    fault_set(&run->outcome.fault, -ERR_TIMEOUT, "%s did not finish in the time this turn has",
              run->name);
    model_finish(run);
}

struct model_run *model_start(struct gateway *gw, const struct model_request *request,
                              const struct model_events *events, void *arg)
{
    struct model_run *run = run_new(gw, events, arg);
    int64_t timeout_ms = request->timeout_ms > 0 ? request->timeout_ms : TIMEOUT_MS;

    run->deadline = loop_now(gw->loop) + timeout_ms;
    if (run_prepare(run, request) < 0) {
        run->outcome.error_kind =
            run->outcome.fault.code == -ERR_AUTH ? MODEL_ERROR_AUTH : MODEL_ERROR_UNKNOWN;
        model_finish(run);
        return run;
    }
    timer_start(gw->loop, &run->timeout, timeout_ms, /* every_ms= */ 0, model_on_timeout, run);
    timer_start(gw->loop, &run->timer, 0, /* every_ms= */ 0, model_on_attempt, run);
    return run;
}

static void model_on_attempt(void *arg)
{
    struct model_run *run = arg;

    CHECK(run, RUN_MAGIC);
    run->attempts++;
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

int model_run_text(struct model_run *run, const char *delta, size_t length)
{
    CHECK(run, RUN_MAGIC);
    if (length == 0)
        return 0;
    if (run->said + length > MODEL_TEXT_MAX)
        return -ERR_TOO_LARGE;
    run->said += length;
    run->telling = true;
    run->events.text(run->arg, delta, length);
    run->telling = false;
    /* Cancelled inside: the end is queued. Dropped inside: it is queued too, without a call. */
    return run->finishing ? -ERR_CANCELLED : 0;
}

/* How long to wait before this failure is tried again; -1: it is not. */
static int64_t model_retry_wait(struct model_run *run, const struct model_outcome *outcome)
{
    int64_t now = loop_now(run->gw->loop), wait;
    struct backoff backoff;
    unsigned failures;

    if (outcome->retry == MODEL_RETRY_NEVER || run->said > 0)
        return -1;
    if (outcome->retry == MODEL_RETRY_RATE) {
        if (run->attempts >= RATE_ATTEMPTS_MAX)
            return -1;
        failures = (unsigned)run->attempts - 1;
    } else {
        if (run->transients == 0)
            run->window_began = now;
        if (run->transients >= TRANSIENT_RETRIES_MAX ||
            now - run->window_began > TRANSIENT_WINDOW_MS)
            return -1;
        failures = (unsigned)run->transients++;
    }
    backoff_init(&backoff, BACKOFF_FIRST_MS, BACKOFF_CAP_MS);
    backoff.attempt = failures;
    wait = backoff_next(&backoff, (double)crypto_random_below(1u << 20) / (1u << 20));
    return outcome->retry_after_ms > wait ? outcome->retry_after_ms : wait;
}

void model_run_end(struct model_run *run, const struct model_outcome *outcome)
{
    int64_t wait;

    CHECK(run, RUN_MAGIC);
    if (fails(run->active) || run->finishing)
        return;
    run->active = false;
    run->outcome = *outcome;
    wait = outcome->fault.code < 0 ? model_retry_wait(run, outcome) : -1;
    if (wait >= 0 && loop_now(run->gw->loop) + wait < run->deadline) {
        log_info("%s: %s; attempt %d follows in %" PRId64 " ms", run->name, outcome->fault.text,
                 run->attempts + 1, wait);
        timer_start(run->gw->loop, &run->timer, wait, /* every_ms= */ 0, model_on_attempt, run);
        return;
    }
    model_finish(run);
}

/* ---- the end ---- */

static void model_finish(struct model_run *run)
{
    run->active = false;
    run->finishing = true;
    timer_stop(run->gw->loop, &run->timer);
    timer_stop(run->gw->loop, &run->timeout);
    defer_start(run->gw->loop, &run->finish, model_on_finish, run);
}

static void model_on_finish(void *arg)
{
    struct model_run *run = arg;
    const struct model_outcome outcome = run->outcome;
    struct model_events events = run->events;
    bool tell = !run->dropped;
    void *owner = run->arg;
    struct model_result result = {
        .stop_reason = outcome.fault.code < 0 ? NULL : outcome.stop_reason,
        .usage = outcome.usage,
        .error_kind = outcome.error_kind,
        .fault = outcome.fault.code < 0 ? &outcome.fault : NULL,
    };

    CHECK(run, RUN_MAGIC);
    run_free(run);
    if (tell)
        events.end(owner, outcome.fault.code, &result);
}

void model_cancel(struct model_run *run)
{
    CHECK(run, RUN_MAGIC);
    if (run->finishing)
        return;
    if (run->active)
        run->ops->close(run);
    run->outcome = model_outcome_none();
    fault_set(&run->outcome.fault, -ERR_CANCELLED, "cancelled");
    model_finish(run);
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
