/* Where a walk through the configuration stands: a chain of steps on the stack, printed as
 * "agents.list.0.id". Pure. */
#pragma once

#include "base/json.h"

#define CONFIG_PATH_MAX 1024 /* longer paths are cut when printed */

struct step {
    const struct step *up; /* NULL: at the top of the document */
    const char *key;       /* NULL: index counts */
    size_t index;
};

/* The member's step below up; index is its place when it stands in an array. */
static inline struct step step_to(const struct step *up, const struct json *member, size_t index)
{
    return (struct step){.up = up, .key = json_key(member), .index = index};
}

/* Dotted text, "" for NULL (the top). Returns out. */
const char *step_text(const struct step *step, char *out, size_t size);
/* Steps from the top to here into out (at most max), returns how many. */
size_t step_list(const struct step *step, const struct step **out, size_t max);
