/* What every back end behind HTTP shares: one request, its answer as events (SSE), as lines (newline-delimited
 * JSON) or as one document, the judgement how it ended, errors, secrets. A back end is a row of
 * remote_ops and a struct whose first member is its struct remote. providers.md 8, 12. */
#pragma once

#include "gateway/model/ops.h"
#include "gateway/model/pacing.h"
#include "gateway/model/sse.h"

#define REMOTE_HEADERS_MAX 36
#define REMOTE_BODY_MAX    (64u << 20) /* of a request */

struct remote;

enum remote_framing { REMOTE_EVENTS, REMOTE_LINES };

struct remote_ops {
    enum remote_framing framing;
    const char *path; /* "/v1/messages": goes behind models.providers.<id>.baseUrl */
    /* The key and whatever else identifies us: remote_header. NULL: Authorization: Bearer. */
    void (*headers)(struct remote *remote, const struct model_provider *provider);
    /* The request's JSON into out (empty, with its ceiling, which need not be checked). */
    void (*write)(struct buf *out, const struct model_provider *provider,
                  const struct model_request *request);
    /* An attempt begins: the back end's own state is forgotten. NULL: it has none. */
    void (*begin)(struct remote *remote);
    /* One event or line. 0, or negative: what model_run_text returned, remote_over, remote_fail. The
     * answer is whole when outcome.stop_reason is set. */
    int (*event)(struct remote *remote, const char *name, const struct json *event);
    /* The whole answer of a server that does not stream. */
    int (*document)(struct remote *remote, const struct json *answer);
    /* Frees the back end's own state. NULL: it has none. */
    void (*fini)(struct remote *remote);
};

enum remote_mode { REMOTE_MODE_SNIFF, REMOTE_MODE_EVENTS, REMOTE_MODE_LINES, REMOTE_MODE_DOCUMENT };

struct remote {
    struct http_call call;
    struct model_run *run;
    const struct remote_ops *ops;
    char *provider, *url, *key;
    char *headers[REMOTE_HEADERS_MAX + 1]; /* hold the key: wiped */
    size_t header_count;
    const char *secrets[REMOTE_HEADERS_MAX + 2]; /* the key and values of configured headers */
    size_t secret_count;
    struct buf body;
    int64_t idle_ms;
    /* of the attempt: */
    enum remote_mode mode;
    struct sse sse;
    struct line_reader lines;
    struct buf document;
    size_t blanks;
    struct pacing pacing;
    struct timer linger;
    struct model_outcome outcome;
    bool answered; /* the back end saw an answer: [DONE] alone makes it whole */
    bool over;     /* the server said that nothing more comes */
    bool ending;   /* nothing more comes, said or not */
};

/* Takes header, which is wiped when it is freed. */
void remote_header(struct remote *remote, char *header);
/* Nothing more is wanted of the server. Returns what event() has to return. */
int remote_over(struct remote *remote);
/* Says why the attempt failed, with the provider's name before text; returns error. */
int remote_fail(struct remote *remote, int error, enum model_error_kind kind,
                enum model_retry retry, const char *text);
/* What a server said went wrong in the middle of a stream; returns the error. */
int remote_error(struct remote *remote, const struct json *error);
/* As the model_run_ functions of these names; too long an answer is told. */
int remote_text(struct remote *remote, const char *text) MUSTCHECK;
int remote_thinking(struct remote *remote, const char *text) MUSTCHECK;
int remote_signature(struct remote *remote, const char *text, bool hidden) MUSTCHECK;
int remote_call(struct remote *remote, const struct content_piece *piece) MUSTCHECK;
/* The same with arguments as JSON: text is the next piece, an object all of them. */
int remote_call_json(struct remote *remote, struct content_piece piece,
                     const struct json *arguments) MUSTCHECK;

/* The vtable's functions, for REMOTE_MODEL only. */
int remote_check(const struct model_provider *provider, struct fault *reterr_fault);
int remote_init(struct model_run *run, const struct model_provider *provider,
                const struct model_request *request, struct fault *reterr_fault);
void remote_start(struct model_run *run);
void remote_close(struct model_run *run);
void remote_fini(struct model_run *run);

/* The row of a back end: `const struct model_ops model_x = REMOTE_MODEL("x", "x-api", struct x, x_remote);` */
#define REMOTE_MODEL(name_, api_, type_, ops_)                                                     \
    {                                                                                              \
        .name = (name_), .api = (api_), .size = sizeof(type_), .remote = &(ops_),                  \
        .check = remote_check, .init = remote_init, .start = remote_start, .close = remote_close,  \
        .fini = remote_fini                                                                        \
    }
