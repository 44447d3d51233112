/* Model back ends: one vtable, one file each, one row in models.def. A request streams deltas and ends
 * exactly once. providers.md section 8. Loop thread only. */
#pragma once

#include "base/io/http.h"
#include "base/json.h"

struct gateway;
struct models;
struct model_run;

struct model_usage {
    int64_t input, output, cache_read, cache_write; /* -1: not told */
};

enum model_error_kind { MODEL_ERROR_NONE, MODEL_ERROR_AUTH, MODEL_ERROR_RATE_LIMIT, MODEL_ERROR_OVERLOADED, MODEL_ERROR_TIMEOUT, MODEL_ERROR_CONTEXT, MODEL_ERROR_REFUSAL, MODEL_ERROR_UNKNOWN };
struct model_result {
    const char *stop_reason; /* "stop", "length", "tool_calls", … NULL on failure */
    struct model_usage usage;
    enum model_error_kind error_kind;
    const struct fault *fault;
};

/* What a run tells its owner; all from the loop, never from inside model_start. */
struct model_events {
    void (*text)(void *arg, const char *delta, size_t length); /* whole UTF-8 characters */
    /* Once, last. result 0 or negative; fault is the sentence for a person. */
    void (*end)(void *arg, int result, const struct model_result *out);
};
struct model_request {
    const char *provider, *model; /* "openai", "gpt-x" */
    const char *system;           /* NULL: none */
    const struct json *messages;  /* transcript messages, protocol.md 6.6 shapes; borrowed for the call */
    int64_t timeout_ms;
};

struct models *models_new(struct gateway *gw) MUSTCHECK;
struct models *models_free(struct models *models); /* ends every run */
/* Never NULL: a refused start is reported by end() on a later turn. Retries by providers.md 8.5 are inside. */
struct model_run *model_start(struct gateway *gw, const struct model_request *request,
                              const struct model_events *events, void *arg);
void model_cancel(struct model_run *run); /* end() comes with -ERR_CANCELLED */
/* models.list entries [{id,name,provider,contextWindow?,…}] of what is really configured. */
void models_write(struct gateway *gw, struct json_writer *w);
