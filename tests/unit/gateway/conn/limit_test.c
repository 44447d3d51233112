/* Limits under a clock of the test's own: windows, lockouts, delays, and a table that does not grow. */
#include "gateway/conn/limit.h"

#include "base/mem.h"
#include "tests/t.h"

static const struct limit_rule auth = {.max = 10, .window_ms = 60000, .lockout_ms = 300000};

T(ten_failures_in_a_minute_lock_out)
{
    struct limit_table *t = limit_table_new();

    for (int i = 0; i < 9; i++)
        limit_hit(t, "a", &auth, 1000 + i);
    t_eq(limit_wait(t, "a", &auth, 2000), 0);
    t_eq(limit_hit(t, "a", &auth, 2000), 10);
    t_eq(limit_wait(t, "a", &auth, 2000), 300000);
    t_eq(limit_wait(t, "b", &auth, 2000), 0);
    t_eq(limit_wait(t, "a", &auth, 301999), 1);
    t_eq(limit_wait(t, "a", &auth, 302000), 0);
    limit_table_free(t);
}

T(the_window_slides)
{
    struct limit_table *t = limit_table_new();

    for (int i = 0; i < 50; i++) { /* one each 6.7 s: never ten in a minute */
        t_ok(limit_hit(t, "a", &auth, i * 6700) < 10);
        t_eq(limit_wait(t, "a", &auth, i * 6700), 0);
    }
    limit_table_free(t);
}

T(control_writes_wait_for_the_oldest)
{
    static const struct limit_rule rule = {LIMIT_CONTROL_MAX, LIMIT_CONTROL_MS, 0};
    struct limit_table *t = limit_table_new();

    for (int i = 0; i < LIMIT_CONTROL_MAX; i++) {
        t_eq(limit_wait(t, "m d", &rule, i * 100), 0);
        limit_hit(t, "m d", &rule, i * 100);
    }
    t_eq(limit_wait(t, "m d", &rule, 3000), 57000);
    t_eq(limit_wait(t, "m d", &rule, 59999), 1);
    t_eq(limit_wait(t, "m d", &rule, 60000), 0);
    limit_table_free(t);
}

T(forgetting)
{
    struct limit_table *t = limit_table_new();

    limit_hit(t, "a", &auth, 0);
    limit_hit(t, "b", &auth, 0);
    limit_forget(t, "a");
    limit_forget(t, "zzz");
    t_eq(limit_count(t), 1);
    t_eq(limit_hit(t, "a", &auth, 0), 1);
    t_eq(limit_hit(t, "b", &auth, 0), 2);
    limit_table_free(t);
}

/* A flood of addresses neither grows the table nor frees the one that is locked out. */
T(the_table_has_a_ceiling)
{
    struct limit_table *t = limit_table_new();

    for (int i = 0; i < 10; i++)
        limit_hit(t, "attacker", &auth, 0);
    for (int i = 0; i < LIMIT_ROWS_MAX * 2; i++) {
        CLEAN(mem_free) char *key = mem_format("10.%d.%d.%d", i >> 16, (i >> 8) & 255, i & 255);
        limit_hit(t, key, &auth, 1 + i);
    }
    t_eq(limit_count(t), LIMIT_ROWS_MAX);
    t_ok(limit_wait(t, "attacker", &auth, LIMIT_ROWS_MAX * 2) > 0);
    limit_table_free(t);
}

T(a_row_counts_only_so_many)
{
    static const struct limit_rule wide = {.max = 100000, .window_ms = 1000000};
    struct limit_table *t = limit_table_new();
    unsigned hits = 0;

    for (int i = 0; i < 1000; i++)
        hits = limit_hit(t, "a", &wide, i);
    t_eq(hits, LIMIT_HITS_MAX);
    t_ok(limit_wait(t, "a", &wide, 1000) > 0);
    limit_table_free(t);
}

T(delays_double_to_five_seconds)
{
    static const int64_t expected[] = {250, 250, 500, 1000, 2000, 4000, 5000, 5000};

    for (unsigned i = 0; i < COUNT(expected); i++)
        t_eq(limit_delay(i), expected[i]);
    t_eq(limit_delay(4000000000u), 5000);
}
