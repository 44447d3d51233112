/* Inside the openai back end only: its pure parts. providers.md 8.2, 8.5. */
#pragma once

#include "gateway/model/ops.h"

#define OPENAI_BODY_MAX (64u << 20)

/* The request's JSON into out (empty, with its ceiling). -ERR_TOO_LARGE with a fault. */
int openai_write_request(struct buf *out, const struct model_provider *provider,
                         const struct model_request *request, struct fault *reterr_fault);

/* What a server said went wrong, by HTTP status (0: in the middle of a stream) and error body (NULL:
 * none that is JSON). Everything but usage and retry_after_ms is filled. key (NULL: none) is kept out
 * of the text even when the server repeats it. */
void openai_read_error(const char *provider, int status, const struct json *body, const char *key,
                       struct model_outcome *ret);

/* A usage object; members that are absent stay -1. */
void openai_read_usage(const struct json *usage, struct model_usage *ret);
