/* What is known of well-known providers and model families without configuration, so that a key in the
 * environment is enough. The configuration always has the last word. Pure tables. */
#pragma once

#include "base/own.h"

struct vendor {
    const char *id;       /* as in "provider/model" */
    const char *api;      /* NULL: the default */
    const char *base_url; /* where it is; NULL: has to be configured */
    const char *variable; /* the environment's variable with its key */
    const char *host;     /* answers nobody without a key; NULL: does */
};

/* NULL: nothing is known. */
const struct vendor *vendor_find(const char *provider);
/* The vendor whose own host an address names, or NULL. */
const struct vendor *vendor_at(const char *url);
const struct vendor *vendor_next(
    const struct vendor *vendor); /* NULL: the first, or past the last */

/* How a model is told to think. */
enum thinking_style { THINKING_BY_BUDGET, THINKING_BY_EFFORT };

struct family {
    const char *prefix;                 /* of the model's id, behind any "vendor/" */
    int64_t context_window, max_tokens; /* 0: not known */
    bool reasoning, images;
    enum thinking_style style;
};

/* The family with the longest prefix of the id; one that knows nothing for the rest. Never NULL. */
const struct family *family_of(const char *model);
