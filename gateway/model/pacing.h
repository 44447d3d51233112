/* How long a server wants to be left alone, from the headers beside Retry-After (which the HTTP door reads):
 * x-ratelimit-* of OpenAI, anthropic-ratelimit-*, x-should-retry. providers.md 8.1, 8.3. Pure. */
#pragma once

#include "base/own.h"

#define PACING_CLASSES_MAX 8
#define PACING_CLASS_MAX   24

/* What is counted: requests, tokens, … */
struct pacing_class {
    char name[PACING_CLASS_MAX];
    int64_t remaining; /* -1: not told */
    int64_t reset_ms;  /* until it is filled up again; -1: not told */
};

/* Of one answer; zeroed: nothing was told. */
struct pacing {
    struct pacing_class classes[PACING_CLASSES_MAX];
    size_t count;
    int should_retry; /* 0: not told, 1: yes, -1: no */
};

/* One header line, its end already off. wall_ms: now. */
void pacing_header(struct pacing *pacing, const char *line, size_t length, int64_t wall_ms);
/* The longest reset among the classes of which nothing remains; -1: none. At most a day. */
int64_t pacing_wait(const struct pacing *pacing);

/* "1s", "6m0s", "1.5s", "120ms", "1h": in ms; what follows is ignored; -1: no duration. */
int64_t pacing_duration(const char *text);
