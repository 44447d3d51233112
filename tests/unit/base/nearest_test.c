/* Edit distance and what counts as near. */
#include "base/nearest.h"

#include "tests/t.h"

T(distances)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } rows[] = {{"port", "port", 0},      {"prot", "port", 1}, {"por", "port", 1},
                {"PORT", "port", 0},      {"", "abc", 3},      {"abc", "", 3},
                {"kitten", "sitting", 3}, {"ab", "ba", 1}};

    for (size_t i = 0; i < COUNT(rows); i++)
        t_eq(nearest_distance(rows[i].a, strlen(rows[i].a), rows[i].b, strlen(rows[i].b)),
             rows[i].distance);
}

T(nothing_is_near_a_stranger)
{
    struct nearest n;

    nearest_init(&n, "zzzz");
    nearest_try(&n, "port", 4);
    t_str(n.best, "");
    nearest_init(&n, "timeoutSecond");
    nearest_try(&n, "timeoutMs", 9);
    nearest_try(&n, "timeoutSeconds", 14);
    nearest_try(&n, "timeout", 7);
    t_str(n.best, "timeoutSeconds");
}
