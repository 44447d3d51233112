/* Model back ends: one vtable, one file each, one row in models.def. A request streams deltas and ends
 * exactly once. providers.md section 8. Loop thread only. */
#pragma once

#include "base/io/http.h"
#include "base/json.h"

struct gateway;
struct models;
struct model_run;

#define MODEL_RUNS_MAX 256        /* at once; one more ends with -ERR_BUSY */
#define MODEL_TEXT_MAX (8u << 20) /* bytes of one answer; more ends it with -ERR_TOO_LARGE */
#define MODEL_NAME_MAX 256        /* of "provider/model" */

struct model_usage {
    int64_t input, output, cache_read,
        cache_write; /* -1: not told. input without what was cached */
};

enum model_error_kind {
    MODEL_ERROR_NONE,
    MODEL_ERROR_AUTH, /* key refused, none given, or nothing left to pay with */
    MODEL_ERROR_RATE_LIMIT,
    MODEL_ERROR_OVERLOADED,
    MODEL_ERROR_TIMEOUT,
    MODEL_ERROR_CONTEXT,
    MODEL_ERROR_REFUSAL,
    MODEL_ERROR_UNKNOWN
};
/* The chat event's errorKind (protocol.md 6.2): "refusal", "timeout", "rate_limit", "context_length" or
 * "unknown"; NULL for NONE. */
const char *model_error_kind_name(enum model_error_kind kind);

struct model_result {
    const char *stop_reason; /* "stop", "length", "toolUse"; NULL on failure */
    /* The whole answer as content parts of a transcript message (protocol.md 6.6), in the order they came:
     * {type:"text",text}, {type:"thinking",thinking,thinkingSignature?,redacted?}, {type:"toolCall",id,
     * name,arguments}. arguments is a complete object: a call whose arguments were cut or are no object fails
     * the answer and is never told. NULL on failure. Borrowed for the call of end(). */
    const struct json *content;
    struct model_usage usage;
    const char *provider, *model; /* who answered: a fallback's names when one did */
    enum model_error_kind error_kind;
    const struct fault *fault;
};

/* What a run tells its owner; all from the loop, never from inside model_start or model_cancel. The
 * owner may call model_cancel or model_drop inside text(). */
struct model_events {
    void (*text)(void *arg, const char *delta, size_t length); /* whole UTF-8 characters */
    /* Likewise; NULL: not wanted. An attempt that is repeated begins again behind an empty line. */
    void (*thinking)(void *arg, const char *delta, size_t length);
    /* Once, last; the run is gone when it returns. result 0 or negative; fault is the sentence for a
     * person. Text that came before a failure stays said: such a run is never repeated silently. */
    void (*end)(void *arg, int result, const struct model_result *out);
};

/* How much a model may think before it answers: the levels of sessions.patch thinkingLevel. A model that
 * cannot think ignores it. */
enum model_thinking {
    THINKING_OFF,
    THINKING_MINIMAL,
    THINKING_LOW,
    THINKING_MEDIUM,
    THINKING_HIGH,
    THINKING_XHIGH
};
/* NULL or unknown: THINKING_OFF. */
enum model_thinking model_thinking_of(const char *level);

/* All strings and messages are borrowed for the call. */
struct model_request {
    /* "openai", "gpt-x". provider NULL: model is looked up as model_resolve does (NULL: the default). */
    const char *provider, *model;
    /* Tried in order, "provider/model", when this one cannot answer and has said nothing yet; NULL-terminated,
     * NULL: none. */
    const char *const *fallbacks;
    const char *system; /* NULL: none */
    /* Array of transcript messages, protocol.md 6.6 shapes, oldest first; the last one is the user's or a
     * toolResult. A toolCall without a result is given one by the back end ("no result: interrupted"). */
    const struct json *messages;
    const struct json
        *tools; /* [{name, description, parameters: JSON Schema}]; NULL or empty: none */
    enum model_thinking thinking;
    int64_t max_tokens; /* of the answer; 0: the model's own */
    int64_t timeout_ms; /* over all attempts; 0: 10 minutes */
};

struct models *models_new(struct gateway *gw) MUSTCHECK; /* gw->config and gw->loop must be there */
/* Ends every run now: end() with -ERR_CANCELLED comes from inside. NULL ok; returns NULL. */
struct models *models_free(struct models *models);

/* What a name means: "provider/model", an alias of agents.defaults.models, the id alone of a model that
 * is configured, or NULL for agents.defaults.model.primary. -ERR_INVALID with a fault. The model need not be
 * configured, nor, for model_resolve, its provider. */
struct model_name {
    char provider[MODEL_NAME_MAX], model[MODEL_NAME_MAX];
};
int model_resolve(struct gateway *gw, const char *text, struct model_name *ret,
                  struct fault *reterr_fault);
/* The same for a name that somebody chose: its provider must be one of ours. */
int model_choose(struct gateway *gw, const char *text, struct model_name *ret,
                 struct fault *reterr_fault);
/* The provider's API kind, "openai-completions"; the provider's own name where it is not known. */
const char *model_api(struct gateway *gw, const char *provider);
/* The window of a model in tokens; 0: not told. */
int64_t model_context_window(struct gateway *gw, const char *provider, const char *model);
/* What that usage costs in US dollars by models.providers.<id>.models[].cost (per million tokens); negative:
 * no prices are configured. */
double model_cost(struct gateway *gw, const char *provider, const char *model,
                  const struct model_usage *usage);

/* Never NULL: a refused start is reported by end() on a later turn. Retries by providers.md 8.5 are
 * inside. */
struct model_run *model_start(struct gateway *gw, const struct model_request *request,
                              const struct model_events *events, void *arg);
void model_cancel(struct model_run *run); /* end() comes with -ERR_CANCELLED on a later turn */
/* Stops at once and without end(): for owners being freed. NULL ok. */
void model_drop(struct model_run *run);

/* Looks again which models are there (Ollama on this machine); the op, which the caller has op_init'ed, ends
 * when that is known, always well. Embedded by its owner. */
struct models_refresh {
    struct op op;
    struct models_refresh *next, **link;
};
void models_refresh(struct gateway *gw, struct models_refresh *refresh);

/* models.list entries [{id,name,provider,available,contextWindow?,…}] of what is really configured. */
void models_write(struct gateway *gw, struct json_writer *w);
/* models.authStatus: {ts, providers: […]}; no secret in it. */
void models_write_auth(struct gateway *gw, struct json_writer *w);
