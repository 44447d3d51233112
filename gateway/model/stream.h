/* What every back end behind HTTP shares: one request, its answer as events (SSE), as lines (newline-delimited
 * JSON) or as one document, the judgement how it ended, errors, secrets. A back end is a row of
 * stream_ops and a struct whose first member is its struct stream. providers.md 8, 12. */
#pragma once

#include "gateway/model/ops.h"
#include "gateway/model/pacing.h"
#include "gateway/model/sse.h"

#define STREAM_HEADERS_MAX 36
#define STREAM_BODY_MAX    (64u << 20) /* of a request */

struct stream;

enum stream_framing { STREAM_EVENTS, STREAM_LINES };

struct stream_ops {
    enum stream_framing framing;
    const char *path; /* "/v1/messages": goes behind models.providers.<id>.baseUrl */
    /* The key and whatever else identifies us: stream_header. NULL: Authorization: Bearer. */
    void (*headers)(struct stream *stream, const struct model_provider *provider);
    /* The request's JSON into out (empty, with its ceiling, which need not be checked). */
    void (*write)(struct buf *out, const struct model_provider *provider,
                  const struct model_request *request);
    /* An attempt begins: the back end's own state is forgotten. NULL: it has none. */
    void (*begin)(struct stream *stream);
    /* One event or line. 0, or negative: what model_run_text returned, stream_over, stream_fail. The
     * answer is whole when outcome.stop_reason is set. */
    int (*event)(struct stream *stream, const char *name, const struct json *event);
    /* The whole answer of a server that does not stream. */
    int (*document)(struct stream *stream, const struct json *answer);
    /* Frees the back end's own state. NULL: it has none. */
    void (*fini)(struct stream *stream);
};

enum stream_mode { STREAM_MODE_SNIFF, STREAM_MODE_EVENTS, STREAM_MODE_LINES, STREAM_MODE_DOCUMENT };

struct stream {
    struct http_call call;
    struct model_run *run;
    const struct stream_ops *ops;
    char *provider, *url, *key;
    char *headers[STREAM_HEADERS_MAX + 1]; /* hold the key: wiped */
    size_t header_count;
    struct buf body;
    int64_t idle_ms;
    /* of the attempt: */
    enum stream_mode mode;
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
void stream_header(struct stream *stream, char *header);
/* Nothing more is wanted of the server. Returns what event() has to return. */
int stream_over(struct stream *stream);
/* Says why the attempt failed, with the provider's name before text; returns error. */
int stream_fail(struct stream *stream, int error, enum model_error_kind kind,
                enum model_retry retry, const char *text);
/* What a server said went wrong in the middle of a stream; returns the error. */
int stream_error(struct stream *stream, const struct json *error);
/* As the model_run_ functions of these names; too long an answer is told. */
int stream_text(struct stream *stream, const char *text) MUSTCHECK;
int stream_thinking(struct stream *stream, const char *text) MUSTCHECK;
int stream_signature(struct stream *stream, const char *text, bool hidden) MUSTCHECK;
int stream_call(struct stream *stream, const struct content_piece *piece) MUSTCHECK;
/* The same with arguments as JSON: text is the next piece, an object all of them. */
int stream_call_json(struct stream *stream, struct content_piece piece,
                     const struct json *arguments) MUSTCHECK;

/* The vtable's functions, for STREAM_MODEL only. */
int stream_check(const struct model_provider *provider, struct fault *reterr_fault);
int stream_init(struct model_run *run, const struct model_provider *provider,
                const struct model_request *request, struct fault *reterr_fault);
void stream_start(struct model_run *run);
void stream_close(struct model_run *run);
void stream_fini(struct model_run *run);

/* The row of a back end: `const struct model_ops model_x = STREAM_MODEL("x", "x-api", struct x, x_stream);` */
#define STREAM_MODEL(name_, api_, type_, ops_)                                                     \
    {                                                                                              \
        .name = (name_), .api = (api_), .size = sizeof(type_), .stream = &(ops_),                  \
        .check = stream_check, .init = stream_init, .start = stream_start, .close = stream_close,  \
        .fini = stream_fini                                                                        \
    }
