/* Backoff: doubling, the cap, the jitter's range, many failures. */
#include "tests/t.h"

#include "base/backoff.h"

T(doubles_to_the_cap)
{
    static const int64_t full[] = {1000, 2000, 4000, 8000, 16000, 30000, 30000, 30000};
    struct backoff b;

    backoff_init(&b, 1000, 30000);
    for (size_t i = 0; i < COUNT(full); i++) {
        struct backoff low = b;
        t_eq(backoff_next(&low, 0.0), full[i] / 2);
        int64_t high = backoff_next(&b, 0.999999);
        t_ok(high <= full[i] && high >= full[i] - 1);
    }
    backoff_reset(&b);
    t_eq(backoff_next(&b, 0.0), 500);
}

T(never_overflows_nor_reaches_zero)
{
    struct backoff b;

    backoff_init(&b, 1, INT64_MAX / 2);
    for (int i = 0; i < 100000; i++) {
        int64_t wait = backoff_next(&b, i % 2 ? 0.0 : 0.999);
        t_ok(wait > 0 && wait <= INT64_MAX / 2);
        if (wait <= 0)
            break;
    }
    backoff_init(&b, 1, 1);
    t_eq(backoff_next(&b, 0.0), 1);
}
