/* What went wrong at a model's server, as an outcome: kind, retry class, and a sentence for a person; the
 * same table for every API. providers.md 8.1 to 8.5. Pure. */
#pragma once

#include "gateway/model/ops.h"

/* By HTTP status (0: in the middle of a stream) and error body (NULL: none that is JSON); the error's code or
 * type decides before the status, its words where it has neither. Fills kind, retry and fault of ret, and
 * retry_after_ms when only the words tell it ("try again in 2s"). What the server says is left out when it
 * repeats one of our secrets (NULL-terminated; NULL: none). */
void trouble_read(const char *provider, int status, const struct json *body,
                  const char *const *secrets, struct model_outcome *ret);
