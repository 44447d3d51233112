/* Rate limit headers of every kind. */
#include "gateway/model/pacing.h"

#include "tests/t.h"

#define NOW 1700000000000 /* 2023-11-14T22:13:20Z */

static void header(struct pacing *pacing, const char *line)
{
    pacing_header(pacing, line, strlen(line), NOW);
}

T(durations)
{
    static const struct {
        const char *text;
        int64_t ms;
    } rows[] = {
        {"1s", 1000},  {"6m0s", 360000},     {"1.5s", 1500}, {"120ms", 120}, {"1h2m3s", 3723000},
        {"20ms.", 20}, {"2s and so", 2000},  {"", -1},       {"soon", -1},   {"5", -1},
        {"-1s", -1},   {"99999h", 86400000}, {"1e300s", -1}, {"nan s", -1},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        t_eq(pacing_duration(rows[i].text), rows[i].ms);
}

/* Only what is used up has to be waited for. */
T(the_longest_of_what_is_used_up)
{
    struct pacing pacing = {0};

    t_eq(pacing_wait(&pacing), -1);
    header(&pacing, "X-RateLimit-Reset-Tokens: 6m0s");
    header(&pacing, "x-ratelimit-remaining-tokens: 12");
    header(&pacing, "x-ratelimit-remaining-requests: 0");
    header(&pacing, "x-ratelimit-reset-requests: 2s");
    t_eq(pacing_wait(&pacing), 2000);
    header(&pacing, "anthropic-ratelimit-input-tokens-remaining: 0");
    header(&pacing, "anthropic-ratelimit-input-tokens-reset: 2023-11-14T22:13:25Z");
    header(&pacing, "anthropic-ratelimit-output-tokens-remaining: 0"); /* when is not told */
    t_eq(pacing_wait(&pacing), 5000);
}

T(a_time_that_has_passed_is_now)
{
    struct pacing pacing = {0};

    header(&pacing, "anthropic-ratelimit-requests-remaining: 0");
    header(&pacing, "anthropic-ratelimit-requests-reset: 2023-11-14T22:13:00Z");
    t_eq(pacing_wait(&pacing), 0);
    header(&pacing, "anthropic-ratelimit-requests-reset: yesTerday");
    t_eq(pacing_wait(&pacing), -1);
}

T(whether_to_ask_again)
{
    struct pacing pacing = {0};

    header(&pacing, "x-should-retry: false");
    t_eq(pacing.should_retry, -1);
    header(&pacing, "X-Should-Retry:true");
    t_eq(pacing.should_retry, 1);
}

T(more_than_fits)
{
    struct pacing pacing = {0};
    char line[200];

    for (int i = 0; i < 40; i++) {
        (void)snprintf(line, sizeof line, "x-ratelimit-remaining-class%d: 0", i);
        header(&pacing, line);
    }
    t_eq(pacing.count, PACING_CLASSES_MAX);
    (void)snprintf(line, sizeof line, "x-ratelimit-remaining-%0150d: 0", 0);
    header(&pacing, line);
    header(&pacing, "x-ratelimit-remaining-: 0");
    header(&pacing, "no colon");
    header(&pacing, "");
    t_eq(pacing.count, PACING_CLASSES_MAX);
}
