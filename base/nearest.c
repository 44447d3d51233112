/* Edit distance with three rows of the table (optimal string alignment). */
#include "base/nearest.h"

#include <string.h>

static char fold(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

unsigned nearest_distance(const char *a, size_t a_length, const char *b, size_t b_length)
{
    unsigned rows[3][NEAREST_MAX + 1];

    for (unsigned j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        unsigned *now = rows[i % 3];
        const unsigned *up = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];
        now[0] = (unsigned)i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned cost = fold(a[i - 1]) != fold(b[j - 1]);
            now[j] = least(least(up[j] + 1, now[j - 1] + 1), up[j - 1] + cost);
            if (i > 1 && j > 1 && fold(a[i - 1]) == fold(b[j - 2]) &&
                fold(a[i - 2]) == fold(b[j - 1]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

void nearest_init(struct nearest *nearest, const char *wanted)
{
    size_t length = strlen(wanted);

    *nearest = (struct nearest){0};
    if (length > NEAREST_MAX)
        return;
    memcpy(nearest->wanted, wanted, length + 1);
    nearest->distance = (unsigned)(length / 3 < 2 ? 2 : length / 3) + 1;
}

void nearest_try(struct nearest *nearest, const char *name, size_t length)
{
    size_t wanted = strlen(nearest->wanted);

    if (wanted == 0 || length == 0 || length > NEAREST_MAX)
        return;
    unsigned distance = nearest_distance(nearest->wanted, wanted, name, length);
    if (distance < nearest->distance && distance < wanted) {
        nearest->distance = distance;
        memcpy(nearest->best, name, length);
        nearest->best[length] = '\0';
    }
}
