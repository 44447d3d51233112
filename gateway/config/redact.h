/* Secrets out of what config.get shows, and back into what a client that saw it sends. protocol.md 4.1.
 * Pure; any thread. */
#pragma once

#include "gateway/config/path.h"

#include "base/err.h"

#define REDACTED "__OPENCLAW_REDACTED__"

/* A copy with every secret text replaced by REDACTED. Texts that only name environment variables, and
 * secret references, say nothing and stay. *ret_redacted (may be NULL) is set to true when something was
 * replaced, else left alone. */
struct json *redact(const struct json *tree, bool *ret_redacted) MUSTCHECK;

/* A copy with every REDACTED replaced by what stands at the same place in before; list items with an
 * "id" are matched by it. NULL and a fault when nothing stands there. *ret_restored as above. */
struct json *redact_restore(const struct json *tree, const struct json *before, bool *ret_restored,
                            struct fault *reterr_fault) MUSTCHECK;
