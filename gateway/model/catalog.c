/* The table of configured model providers: who they are, where, with which key, which models.
 *
 * Path: catalog_load walks models.providers, then adds what agents.defaults names and the built-in
 * echo; catalog_key.c finds the key; each back end's check() has the last word on its providers. A
 * provider that cannot be used stays in the table with the reason, which is what the person is told
 * when it is asked for. */
#include "gateway/model/catalog.h"

#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/model/discover.h"
#include "gateway/model/ops.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LOG_SUBSYSTEM "model"
#include "base/log.h"

static const struct model_ops *const model_table[] = {
#define MODEL(name) &model_##name,
#include "gateway/model/models.def"
#undef MODEL
};

#define API_DEFAULT "openai-completions"

static const struct model_ops *ops_find(const char *api)
{
    for (size_t i = 0; i < COUNT(model_table); i++)
        if (strcmp(model_table[i]->api, api) == 0)
            return model_table[i];
    return NULL;
}

/* ---- loading ---- */

static struct model_facts facts_known(const char *model)
{
    const struct family *family = family_of(model);

    return (struct model_facts){
        .context_window = family->context_window,
        .max_tokens = family->max_tokens,
        .reasoning = family->reasoning,
        .images = family->images,
        .style = family->style,
    };
}

static struct model_entry *entry_add(struct model_provider *p, const char *id)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->entries[i].id, id) == 0)
            return &p->entries[i];
    if (p->count >= CATALOG_MODELS_MAX)
        return NULL;
    p->entries = mem_grow(p->entries, p->count + 1, sizeof *p->entries);
    p->entries[p->count] = (struct model_entry){
        .id = mem_string(id), .name = mem_string(id), .facts = facts_known(id)};
    return &p->entries[p->count++];
}

static void entry_facts(struct model_facts *facts, const struct json *node)
{
    const struct json *input = json_get(node, "input");

    facts->context_window = json_integer(json_get(node, "contextWindow"), facts->context_window);
    facts->max_tokens = json_integer(json_get(node, "maxTokens"), facts->max_tokens);
    facts->reasoning = json_boolean(json_get(node, "reasoning"), facts->reasoning);
    if (input != NULL)
        facts->images = false;
    json_each (kind, input)
        facts->images |= strcmp(json_string(kind, ""), "image") == 0;
}

static void entry_price(struct model_entry *entry, const struct json *cost)
{
    if (json_kind(cost) != JSON_OBJECT)
        return;
    entry->priced = true;
    entry->cost = (struct model_price){
        .input = json_number(json_get(cost, "input"), 0),
        .output = json_number(json_get(cost, "output"), 0),
        .cache_read = json_number(json_get(cost, "cacheRead"), 0),
        .cache_write = json_number(json_get(cost, "cacheWrite"), 0),
    };
}

static void entry_load(struct model_provider *p, const struct json *node)
{
    const char *id = json_string(json_get(node, "id"), NULL);
    const char *name = json_string(json_get(node, "name"), NULL);
    struct model_entry *entry;

    if (id == NULL || *id == '\0' || (entry = entry_add(p, id)) == NULL)
        return;
    if (name != NULL && *name != '\0') {
        mem_free(entry->name);
        entry->name = mem_string(name);
    }
    entry_facts(&entry->facts, node);
    entry->max_tokens = json_integer(json_get(node, "maxTokens"), 0);
    entry_price(entry, json_get(node, "cost"));
}

static struct model_provider *provider_add(struct catalog *catalog, const char *id, const char *api)
{
    struct model_provider *p;

    if (catalog->count >= CATALOG_PROVIDERS_MAX)
        return NULL;
    catalog->providers = mem_grow(catalog->providers, catalog->count + 1, sizeof *p);
    p = &catalog->providers[catalog->count++];
    *p = (struct model_provider){.id = mem_string(id), .ops = ops_find(api)};
    if (p->ops == NULL)
        fault_set(&p->fault, -ERR_UNSUPPORTED,
                  "models.providers.%.80s.api: \"%.80s\" is not supported; \"" API_DEFAULT
                  "\" works with any server that offers Chat Completions",
                  id, api);
    return p;
}

/* On this machine: embedded, or a server at a loopback address. */
static bool provider_is_local(const struct model_provider *p)
{
    static const char *const here[] = {"localhost", "127.", "[::1]"};
    const char *host = p->base_url != NULL ? strstr(p->base_url, "://") : NULL;

    for (size_t i = 0; host != NULL && i < COUNT(here); i++)
        if (strncasecmp(host + 3, here[i], strlen(here[i])) == 0)
            return true;
    return p->ops == &model_echo;
}

/* Plain http to another machine shows the key to everyone on the way. */
static bool key_in_the_open(const struct model_provider *p)
{
    return p->key != NULL && p->base_url != NULL && !provider_is_local(p) &&
           strncasecmp(p->base_url, "http://", 7) == 0;
}

static void provider_check(struct model_provider *p)
{
    if (p->fault.code == 0 && p->ops->check != NULL)
        (void)p->ops->check(p, &p->fault);
    if (p->fault.code == 0 && key_in_the_open(p))
        log_warn("models.providers.%s: the key goes over plain http to another machine; use https",
                 p->id);
}

static void provider_settings(struct model_provider *p, const struct json *node)
{
    p->max_tokens = json_integer(json_get(node, "maxTokens"), 0);
    p->auth_header = json_boolean(json_get(node, "authHeader"), false);
    p->usage_in_stream = json_boolean(json_path(node, "compat.supportsUsageInStreaming"), true);
    p->idle_ms = json_integer(json_get(node, "timeoutSeconds"), 300) * 1000;
    if (p->idle_ms < 1000 || p->idle_ms > 86400000)
        p->idle_ms = 300000;
    if (json_kind(json_get(node, "headers")) == JSON_OBJECT)
        p->headers = json_copy(json_get(node, "headers"));
    json_each (model, json_get(node, "models"))
        entry_load(p, model);
}

static struct model_provider *provider_load(struct catalog *catalog, const char *id,
                                            const struct json *node)
{
    const struct vendor *vendor = vendor_find(id);
    const char *usual = strcmp(id, "echo") == 0                 ? "echo"
                        : vendor != NULL && vendor->api != NULL ? vendor->api
                                                                : API_DEFAULT;
    const char *api = json_string(json_get(node, "api"), usual);
    const char *base_url = json_string(json_get(node, "baseUrl"), NULL);
    struct model_provider *p = provider_add(catalog, id, api);

    if (p == NULL)
        return NULL;
    if (base_url == NULL && vendor != NULL)
        base_url = vendor->base_url;
    p->base_url =
        base_url == NULL && p->ops == &model_ollama ? discovery_usual_url() : mem_string(base_url);
    provider_settings(p, node);
    p->discovered = p->ops == &model_ollama && strcmp(id, "ollama") == 0 && p->count == 0;
    if (p->fault.code == 0)
        (void)catalog_key_load(p, node);
    provider_check(p);
    return p;
}

static struct model_provider *provider_edit(struct catalog *catalog, const char *id, size_t length)
{
    for (size_t i = 0; i < catalog->count; i++) {
        struct model_provider *p = &catalog->providers[i];

        if (strlen(p->id) == length && strncasecmp(p->id, id, length) == 0)
            return p;
    }
    return NULL;
}

/* A "provider/model" that the agents' settings name. */
static struct model_entry *catalog_add_name(struct catalog *catalog, const char *name)
{
    const char *slash = name != NULL ? strchr(name, '/') : NULL;
    struct model_provider *p;

    if (slash == NULL || slash[1] == '\0')
        return NULL;
    p = provider_edit(catalog, name, (size_t)(slash - name));
    return p != NULL ? entry_add(p, slash + 1) : NULL;
}

static void catalog_add_agents(struct catalog *catalog, const struct config *config)
{
    struct model_entry *entry;

    json_each (row, config_node(config, "agents.defaults.models")) {
        const char *alias = json_string(json_get(row, "alias"), NULL);

        entry = catalog_add_name(catalog, json_key(row));
        if (entry != NULL && alias != NULL && entry->alias == NULL)
            entry->alias = mem_string(alias);
    }
    entry = catalog_add_name(catalog, config_str(config, KNOB_agent_model));
    if (entry != NULL)
        entry->primary = true;
}

/* Without configuration: whose key is in the environment, and who needs none because he is here. */
static bool vendor_is_wanted(const struct config *config, const struct vendor *vendor)
{
    json_each (node, config_node(config, "models.providers"))
        if (strcasecmp(json_key(node), vendor->id) == 0)
            return false; /* configured, or switched off */
    return vendor->host == NULL || getenv(vendor->variable) != NULL;
}

void catalog_load(struct catalog *catalog, struct gateway *gw)
{
    struct model_entry *echo;

    *catalog = (struct catalog){0};
    json_each (node, config_node(gw->config, "models.providers"))
        if (json_boolean(json_get(node, "enabled"), true))
            (void)provider_load(catalog, json_key(node), node);
    for (const struct vendor *v = vendor_next(NULL); v != NULL; v = vendor_next(v))
        if (vendor_is_wanted(gw->config, v) && catalog_find(catalog, v->id) == NULL)
            (void)provider_load(catalog, v->id, NULL);
    if (catalog_find(catalog, "echo") == NULL)
        (void)provider_add(catalog, "echo", "echo");
    echo = catalog_add_name(catalog, "echo/echo");
    if (echo != NULL) {
        mem_free(echo->name);
        echo->name = mem_string("Echo (embedded, repeats what you say)");
    }
    catalog_add_agents(catalog, gw->config);
}

const struct model_provider *catalog_discovered(const struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++)
        if (catalog->providers[i].discovered && catalog->providers[i].fault.code == 0)
            return &catalog->providers[i];
    return NULL;
}

void catalog_add_found(struct catalog *catalog, const struct found_model *models, size_t count,
                       bool answers)
{
    for (size_t i = 0; i < catalog->count; i++) {
        struct model_provider *p = &catalog->providers[i];

        if (!p->discovered)
            continue;
        p->absent = !answers;
        for (size_t m = 0; m < count; m++) {
            struct model_entry *entry = entry_add(p, models[m].id);

            if (entry == NULL)
                continue;
            entry->facts = models[m].facts;
            entry->found = true;
        }
    }
}

void catalog_done(struct catalog *catalog)
{
    for (size_t i = 0; i < catalog->count; i++) {
        struct model_provider *p = &catalog->providers[i];

        for (size_t m = 0; m < p->count; m++) {
            mem_free(p->entries[m].id);
            mem_free(p->entries[m].name);
            mem_free(p->entries[m].alias);
        }
        mem_free(p->entries);
        mem_free(p->id);
        mem_free(p->base_url);
        mem_free(p->key_env);
        json_free(p->headers);
        if (p->key != NULL)
            mem_wipe_free(p->key, strlen(p->key));
    }
    mem_free(catalog->providers);
    *catalog = (struct catalog){0};
}

/* ---- reading ---- */

const struct model_provider *catalog_find(const struct catalog *catalog, const char *id)
{
    for (size_t i = 0; i < catalog->count; i++)
        if (strcasecmp(catalog->providers[i].id, id) == 0)
            return &catalog->providers[i];
    return NULL;
}

const struct model_entry *catalog_entry(const struct model_provider *provider, const char *model)
{
    for (size_t i = 0; i < provider->count; i++)
        if (strcmp(provider->entries[i].id, model) == 0)
            return &provider->entries[i];
    return NULL;
}

struct model_facts catalog_facts(const struct model_provider *provider, const char *model)
{
    const struct model_entry *entry = catalog_entry(provider, model);
    struct model_facts facts = entry != NULL ? entry->facts : facts_known(model);

    if (entry == NULL && facts.context_window == 0)
        facts.images = true; /* nobody knows: let the server say no */
    return facts;
}

int64_t catalog_max_tokens(const struct model_provider *provider, const char *model,
                           int64_t requested)
{
    const struct model_entry *entry = catalog_entry(provider, model);

    if (requested > 0)
        return requested;
    if (entry != NULL && entry->max_tokens > 0)
        return entry->max_tokens;
    return provider->max_tokens;
}

/* What a picker offers; THINKING_XHIGH is for those who type it. */
static void thinking_write(const struct model_entry *entry, struct json_writer *w)
{
    static const char *const levels[] = {"off", "minimal", "low", "medium", "high"};
    size_t count = entry->facts.reasoning ? COUNT(levels) : 1;

    jw_karray(w, "thinkingLevels");
    for (size_t i = 0; i < count; i++) {
        jw_object(w);
        jw_kstr(w, "id", levels[i]);
        jw_kstr(w, "label", levels[i]);
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_kstr(w, "thinkingDefault", "off");
}

static void entry_write(const struct model_provider *p, const struct model_entry *entry,
                        struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "id", entry->id);
    jw_kstr(w, "name", entry->name);
    jw_kstr(w, "provider", p->id);
    jw_kstr(w, "alias", entry->alias);
    jw_kbool(w, "available", p->fault.code == 0 && !p->absent);
    if (p->fault.code == -ERR_AUTH)
        jw_kstr(w, "unavailableReason", "missing-auth");
    if (entry->facts.context_window > 0)
        jw_kint(w, "contextWindow", entry->facts.context_window);
    jw_kbool(w, "local", provider_is_local(p));
    jw_kbool(w, "reasoning", entry->facts.reasoning);
    thinking_write(entry, w);
    jw_karray(w, "input");
    jw_str(w, "text");
    if (entry->facts.images)
        jw_str(w, "image");
    jw_array_end(w);
    jw_karray(w, "tags");
    if (entry->primary)
        jw_str(w, "default");
    jw_array_end(w);
    jw_object_end(w);
}

void catalog_write(const struct catalog *catalog, struct json_writer *w)
{
    jw_array(w);
    for (size_t i = 0; i < catalog->count; i++)
        for (size_t m = 0; m < catalog->providers[i].count; m++)
            entry_write(&catalog->providers[i], &catalog->providers[i].entries[m], w);
    jw_array_end(w);
}

static void auth_write(const struct model_provider *p, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "provider", p->id);
    jw_kstr(w, "authProvider", p->id);
    jw_kstr(w, "displayName", p->id);
    jw_kstr(w, "status", p->key != NULL ? "static" : "missing");
    jw_karray(w, "profiles");
    jw_array_end(w);
    if (p->key != NULL) {
        jw_kobject(w, "apiKey");
        jw_kstr(w, "source", p->key_env != NULL ? "env" : "config");
        jw_kstr(w, "envVar", p->key_env);
        jw_object_end(w);
    }
    jw_object_end(w);
}

/* Providers that have a key or need one; a local server without a key has no auth to show. */
void catalog_write_auth(const struct catalog *catalog, int64_t now, struct json_writer *w)
{
    jw_object(w);
    jw_kint(w, "ts", now);
    jw_karray(w, "providers");
    for (size_t i = 0; i < catalog->count; i++) {
        const struct model_provider *p = &catalog->providers[i];

        if (p->key != NULL || p->fault.code == -ERR_AUTH)
            auth_write(p, w);
    }
    jw_array_end(w);
    jw_object_end(w);
}
