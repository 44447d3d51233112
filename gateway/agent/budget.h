/* How much fits into a model's context window. Tokens are estimated from bytes and corrected by what the
 * model says of its last request. Pure; any thread. */
#pragma once

#include "base/json.h"

#define BUDGET_WINDOW_DEFAULT                                                                      \
    200000                       /* tokens, where neither the model nor the configuration tells */
#define BUDGET_RESERVE_MAX 20000 /* tokens kept for the answer; at most a quarter of the window */

struct budget {
    int64_t window, reserve; /* tokens */
    double ratio;            /* tokens told / tokens estimated, of the last request */
};

/* window 0: not known. */
void budget_init(struct budget *budget, int64_t window);
/* A request that was estimated at so many tokens took `told` (<= 0: the model did not say). */
void budget_learn(struct budget *budget, size_t estimated, int64_t told);
/* Does a request of that estimate leave room for the answer? */
bool budget_fits(const struct budget *budget, size_t estimated);
/* The estimate that just fits. */
size_t budget_room(const struct budget *budget);

/* Estimates: four bytes of ASCII are a token, two bytes of other text; an image is a fixed number. */
size_t budget_text(const char *text, size_t length);
/* A value as it is printed. */
size_t budget_json(const struct json *value);
/* A transcript message, protocol.md 6.6. */
size_t budget_message(const struct json *message);
