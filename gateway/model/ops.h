/* What a model back end is: the vtable each file of models.def fills, and what it may tell the
 * supervisor (model.c). An attempt is one request to the model; the supervisor may start several. */
#pragma once

#include "gateway/model/catalog.h"
#include "gateway/model/content.h"
#include "gateway/model/model.h"

struct model_run;
struct remote_ops;

/* What the supervisor may do about a failed attempt; providers.md 8.5. */
enum model_retry { MODEL_RETRY_NEVER, MODEL_RETRY_RATE, MODEL_RETRY_TRANSIENT };

struct model_outcome {
    /* Of a good end, a literal: "stop" or "length". An answer that calls tools becomes "toolUse". */
    const char *stop_reason;
    struct model_usage usage;
    enum model_error_kind error_kind;
    enum model_retry retry;
    int64_t retry_after_ms; /* the server's word, a minimum; -1: not told */
    struct fault fault;     /* code 0: a good end */
};

/* Five-step life. The supervisor allocates size bytes of zeroed state (model_run_state). */
struct model_ops {
    const char *name; /* as in models.def */
    const char *api;  /* models.providers.<id>.api */
    size_t size;
    const struct remote_ops *remote; /* of back ends behind HTTP (remote.h), or NULL */
    /* Is this provider's configuration usable? No I/O. NULL: always. */
    int (*check)(const struct model_provider *provider, struct fault *reterr_fault);
    /* Keeps what it needs of provider and request, both borrowed for the call. No I/O. */
    int (*init)(struct model_run *run, const struct model_provider *provider,
                const struct model_request *request, struct fault *reterr_fault);
    /* Begins an attempt, which ends by one model_run_end, on a later turn. Again only after that. */
    void (*start)(struct model_run *run);
    /* Stops the attempt at once: nothing is told any more. Idempotent, never blocks. */
    void (*close)(struct model_run *run);
    /* Frees what init made, also half of it. */
    void (*fini)(struct model_run *run);
};

#define MODEL(name) extern const struct model_ops model_##name;
#include "gateway/model/models.def"
#undef MODEL

/* For back ends. */
void *model_run_state(struct model_run *run);
struct gateway *model_run_gateway(struct model_run *run);
/* Whole UTF-8 characters. Negative when the attempt was stopped inside (return at once, tell nothing)
 * or the answer is too long (end it with that). Both also go into the attempt's content. */
int model_run_text(struct model_run *run, const char *delta, size_t length) MUSTCHECK;
int model_run_thinking(struct model_run *run, const char *delta, size_t length) MUSTCHECK;
/* The attempt's content, empty when it begins: tool calls and signatures go there. */
struct content *model_run_content(struct model_run *run);
/* The attempt is over; a good one fails when a tool call in its content is not whole. Not from inside start or close. The state may be gone when it returns. */
void model_run_end(struct model_run *run, const struct model_outcome *outcome);

/* An outcome that knows nothing yet. */
static inline struct model_outcome model_outcome_none(void)
{
    return (struct model_outcome){.usage = {-1, -1, -1, -1}, .retry_after_ms = -1};
}
