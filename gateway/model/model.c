/* The door of the models: what names mean, what is known of a model, what it costs, what is listed; and
 * the module's life. Runs are in run.c, providers and models in catalog.c.
 *
 * Owns: the catalog, the search for local models, the list of runs. */
#include "gateway/model/model.h"

#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/model/internal.h"
#include "gateway/model/ops.h"

#include <string.h>
#include <strings.h>

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

    return p != NULL ? catalog_facts(p, model).context_window : 0;
}

static double cost_of(int64_t tokens, double per_million)
{
    return tokens > 0 ? (double)tokens * per_million / 1e6 : 0;
}

double model_cost(struct gateway *gw, const char *provider, const char *model,
                  const struct model_usage *usage)
{
    const struct model_provider *p = catalog_find(&gw->models->catalog, provider);
    const struct model_entry *entry = p != NULL ? catalog_entry(p, model) : NULL;

    if (entry == NULL || !entry->priced)
        return -1;
    return cost_of(usage->input, entry->cost.input) + cost_of(usage->output, entry->cost.output) +
           cost_of(usage->cache_read, entry->cost.cache_read) +
           cost_of(usage->cache_write, entry->cost.cache_write);
}

/* ---- the module ---- */

static void models_load(void *arg)
{
    struct models *models = arg;
    const struct model_provider *local;
    const struct found_model *found;
    size_t count;

    catalog_done(&models->catalog);
    catalog_load(&models->catalog, models->gw);
    local = catalog_discovered(&models->catalog);
    discovery_point(models->discovery, local != NULL ? local->base_url : NULL,
                    local != NULL ? local->key : NULL);
    found = discovery_models(models->discovery, &count);
    catalog_add_found(&models->catalog, found, count, discovery_answers(models->discovery));
}

struct models *models_new(struct gateway *gw)
{
    struct models *models = NEW(struct models);

    models->gw = gw;
    models->discovery = discovery_new(gw, models_load, models);
    models_load(models);
    config_watch(gw->config, models_load, models);
    return models;
}

struct models *models_free(struct models *models)
{
    if (models == NULL)
        return NULL;
    while (models->first != NULL)
        run_end_now(models->first);
    config_unwatch(models->gw->config, models_load, models);
    discovery_free(models->discovery);
    catalog_done(&models->catalog);
    mem_free(models);
    return NULL;
}

void models_write(struct gateway *gw, struct json_writer *w)
{
    discovery_look(gw->models->discovery);
    catalog_write(&gw->models->catalog, w);
}

void models_refresh(struct gateway *gw, struct models_refresh *refresh)
{
    discovery_refresh(gw->models->discovery, refresh);
}

void models_write_auth(struct gateway *gw, struct json_writer *w)
{
    catalog_write_auth(&gw->models->catalog, loop_wall(gw->loop), w);
}
