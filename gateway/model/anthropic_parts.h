/* Inside the anthropic back end only. providers.md 8.1. */
#pragma once

#include "gateway/model/ops.h"

/* The request's JSON into out (empty, with its ceiling: check out->bad). Pure. */
void anthropic_write_request(struct buf *out, const struct model_provider *provider,
                             const struct model_request *request);
