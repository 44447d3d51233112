/* Printing of configuration paths: the chain is turned round into a list, then joined with dots. */
#include "gateway/config/path.h"

#include <stdio.h>
#include <string.h>

size_t step_list(const struct step *step, const struct step **out, size_t max)
{
    size_t depth = 0;

    for (const struct step *s = step; s; s = s->up)
        depth++;
    size_t skip = depth > max ? depth - max : 0; /* the deepest are left out */
    size_t at = depth;
    for (const struct step *s = step; s; s = s->up) {
        at--;
        if (at + skip < depth)
            out[at] = s;
    }
    return depth - skip;
}

const char *step_text(const struct step *step, char *out, size_t size)
{
    const struct step *steps[JSON_DEPTH_MAX];
    size_t count = step_list(step, steps, COUNT(steps));
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < count && used + 1 < size; i++) {
        const char *dot = i ? "." : "";
        int n = steps[i]->key ? snprintf(out + used, size - used, "%s%s", dot, steps[i]->key)
                              : snprintf(out + used, size - used, "%s%zu", dot, steps[i]->index);
        used += n < 0 ? 0 : (size_t)n;
    }
    return out;
}
