/* What the two OpenAI back ends (openai.c, responses.c) and their tests share: requests, usage. providers.md
 * 8.2, 8.3. Pure. */
#pragma once

#include "gateway/model/ops.h"

/* The request's JSON into out (empty, with its ceiling: check out->bad). */
void openai_write_request(struct buf *out, const struct model_provider *provider,
                          const struct model_request *request);
void responses_write_request(struct buf *out, const struct model_provider *provider,
                             const struct model_request *request);

/* "minimal" to "xhigh"; NULL for no thinking or a model that cannot. */
const char *openai_effort(const struct model_provider *provider,
                          const struct model_request *request);
/* An image as a data: URL. Caller owns; NULL: no image. */
char *openai_image_url(const struct json *part) MUSTCHECK;

/* A usage object of either API, told under these names; members that are absent stay -1. */
struct openai_usage_names {
    const char *input, *output, *cached;
};
void openai_read_usage(const struct json *usage, const struct openai_usage_names *names,
                       struct model_usage *ret);
