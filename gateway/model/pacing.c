/* Rate limit headers: which class they speak of, how much remains, when it fills up. */
#include "gateway/model/pacing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define DAY_MS     (24 * 60 * 60 * 1000)
#define HEADER_MAX 128

enum pacing_word { PACING_REMAINING, PACING_RESET };

/* The class stands where the star is: before or behind the word. */
static const struct {
    const char *before, *after;
    enum pacing_word word;
} pacing_headers[] = {
    {"x-ratelimit-remaining-", "", PACING_REMAINING},
    {"x-ratelimit-reset-", "", PACING_RESET},
    {"anthropic-ratelimit-", "-remaining", PACING_REMAINING},
    {"anthropic-ratelimit-", "-reset", PACING_RESET},
};

int64_t pacing_duration(const char *text)
{
    static const struct {
        const char *unit;
        double ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", DAY_MS}};
    double sum = -1;

    for (;;) {
        char *end;
        double number = strtod(text, &end);
        size_t unit = 0;

        while (unit < COUNT(units) && strncmp(end, units[unit].unit, strlen(units[unit].unit)) != 0)
            unit++;
        if (end == text || unit == COUNT(units) || !(number >= 0) || number > 1e9)
            break;
        sum = (sum < 0 ? 0 : sum) + number * units[unit].ms;
        text = end + strlen(units[unit].unit);
    }
    return sum > DAY_MS ? DAY_MS : (int64_t)sum;
}

/* RFC 3339 in UTC, as a wait from now. */
static int64_t pacing_until(const char *text, int64_t wall_ms)
{
    struct tm at = {0};
    int64_t wait;

    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &at.tm_year, &at.tm_mon, &at.tm_mday, &at.tm_hour,
               &at.tm_min, &at.tm_sec) != 6)
        return -1;
    at.tm_year -= 1900;
    at.tm_mon -= 1;
    wait = (int64_t)timegm(&at) * 1000 - wall_ms;
    return wait < 0 ? 0 : wait > DAY_MS ? DAY_MS : wait;
}

static struct pacing_class *pacing_class(struct pacing *pacing, const char *name)
{
    struct pacing_class *class;

    for (size_t i = 0; i < pacing->count; i++)
        if (strcasecmp(pacing->classes[i].name, name) == 0)
            return &pacing->classes[i];
    if (pacing->count == PACING_CLASSES_MAX || strlen(name) >= PACING_CLASS_MAX)
        return NULL;
    class = &pacing->classes[pacing->count++];
    *class = (struct pacing_class){.remaining = -1, .reset_ms = -1};
    memcpy(class->name, name, strlen(name) + 1);
    return class;
}

/* The class that a header's name speaks of as row, into out; false: another header. */
static bool pacing_match(size_t row, const char *name, char out[HEADER_MAX])
{
    size_t before = strlen(pacing_headers[row].before), after = strlen(pacing_headers[row].after);
    size_t length = strlen(name);

    if (length <= before + after || strncasecmp(name, pacing_headers[row].before, before) != 0 ||
        strcasecmp(name + length - after, pacing_headers[row].after) != 0)
        return false;
    length -= before + after;
    memcpy(out, name + before, length);
    out[length] = '\0';
    return true;
}

static void pacing_take(struct pacing *pacing, const char *name, const char *value, int64_t wall_ms)
{
    char class_name[HEADER_MAX];

    if (strcasecmp(name, "x-should-retry") == 0)
        pacing->should_retry = strcasecmp(value, "true") == 0 ? 1 : -1;
    for (size_t i = 0; i < COUNT(pacing_headers); i++) {
        struct pacing_class *class;

        if (!pacing_match(i, name, class_name) ||
            (class = pacing_class(pacing, class_name)) == NULL)
            continue;
        if (pacing_headers[i].word == PACING_REMAINING)
            class->remaining = strtoll(value, NULL, 10);
        else if (strchr(value, 'T') != NULL)
            class->reset_ms = pacing_until(value, wall_ms);
        else
            class->reset_ms = pacing_duration(value);
        return;
    }
}

void pacing_header(struct pacing *pacing, const char *line, size_t length, int64_t wall_ms)
{
    char text[HEADER_MAX], *colon, *value;

    if (length >= sizeof text)
        return;
    memcpy(text, line, length);
    text[length] = '\0';
    colon = strchr(text, ':');
    if (colon == NULL)
        return;
    *colon = '\0';
    value = colon + 1;
    value += strspn(value, " \t");
    pacing_take(pacing, text, value, wall_ms);
}

int64_t pacing_wait(const struct pacing *pacing)
{
    int64_t wait = -1;

    for (size_t i = 0; i < pacing->count; i++)
        if (pacing->classes[i].remaining == 0 && pacing->classes[i].reset_ms > wait)
            wait = pacing->classes[i].reset_ms;
    return wait;
}
