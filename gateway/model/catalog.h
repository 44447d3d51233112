/* Which providers and models the configuration names, with their keys: a table made at start and again
 * when the configuration changes. protocol.md 10.4 (models.providers, agents.defaults). Keys stay in
 * here and in the requests; they are never printed. */
#pragma once

#include "base/json.h"
#include "gateway/model/known.h"

#define CATALOG_PROVIDERS_MAX 64
#define CATALOG_MODELS_MAX    256 /* per provider */

struct gateway;
struct model_ops;

/* US dollars per million tokens. */
struct model_price {
    double input, output, cache_read, cache_write;
};

/* What a model can do: as configured, else as known of its family. */
struct model_facts {
    int64_t context_window, max_tokens; /* 0: not told */
    bool reasoning, images;
    enum thinking_style style;
};

struct model_entry {
    char *id, *name, *alias;
    struct model_facts facts;
    int64_t max_tokens; /* configured; 0: not, and facts says what is possible */
    struct model_price cost;
    bool priced; /* cost is told */
    bool primary;
    bool found; /* told by the server itself, not by the configuration */
};

struct model_provider {
    char *id;
    const struct model_ops *ops; /* NULL: unknown api; fault says so */
    char *base_url;
    char *key;            /* NULL: none; wiped when freed */
    char *key_env;        /* the variable it came from; NULL: the configuration's text */
    struct json *headers; /* extra request headers; NULL: none */
    int64_t idle_ms;      /* timeoutSeconds: how long the model may be silent */
    int64_t max_tokens;   /* of models that do not tell; 0: not told */
    bool usage_in_stream; /* compat.supportsUsageInStreaming; true unless switched off */
    bool
        auth_header; /* authHeader: the key goes into Authorization, whatever the API's own header */
    bool discovered; /* its models are those that it tells (discover.c), not the configuration's */
    bool absent;     /* … and it does not answer */
    struct fault fault; /* why it cannot be used; code 0: it can */
    struct model_entry *entries;
    size_t count;
};

struct catalog {
    struct model_provider *providers;
    size_t count;
};

struct found_model;

/* Reads the configuration and the environment: at start and on reload. */
void catalog_load(struct catalog *catalog, struct gateway *gw);
void catalog_done(struct catalog *catalog);
const struct model_provider *catalog_find(const struct catalog *catalog, const char *id);
const struct model_entry *catalog_entry(const struct model_provider *provider, const char *model);
/* Of any model, listed or not. */
struct model_facts catalog_facts(const struct model_provider *provider, const char *model);
/* How long an answer may be: what the request, the model and the provider say, in this order; 0: nobody
 * says. */
int64_t catalog_max_tokens(const struct model_provider *provider, const char *model,
                           int64_t requested);
/* The provider whose models are to be asked for, or NULL. */
const struct model_provider *catalog_discovered(const struct catalog *catalog);
/* What it told; answers false: nobody is there. */
void catalog_add_found(struct catalog *catalog, const struct found_model *models, size_t count,
                       bool answers);
void catalog_write(const struct catalog *catalog, struct json_writer *w);
void catalog_write_auth(const struct catalog *catalog, int64_t now, struct json_writer *w);

/* catalog_key.c: fills key and key_env from the provider's node (NULL: only the environment). No key is
 * fine: 0. Negative: provider->fault says what is wrong with it. */
int catalog_key_load(struct model_provider *provider, const struct json *node);
