/* Sums over rows of the usage table, as the usage methods tell them. */
#pragma once

#include "base/json.h"
#include "gateway/session/index.h"
#include "store/store.h"

struct usage_totals {
    int64_t input, output, cache_read, cache_write;
    int64_t input_cost, output_cost, cache_read_cost, cache_write_cost; /* nano-dollars */
    int64_t unpriced, turns, asked, answered, tool_calls, errors;
    int64_t first_at, last_at; /* 0: nothing */
};
void usage_totals_add(struct usage_totals *totals, const struct store_usage *row);
int64_t usage_totals_tokens(const struct usage_totals *totals);
double usage_totals_cost(const struct usage_totals *totals); /* US dollars */
/* input, output, cacheRead, cacheWrite, totalTokens, totalCost, inputCost, …, missingCostEntries: members of
 * an open object. protocol.md 4.1 usage.cost. */
void usage_totals_write(const struct usage_totals *totals, struct json_writer *w);
/* {total, user, assistant, toolCalls, toolResults, errors} */
void usage_messages_write(const struct usage_totals *totals, struct json_writer *w);

/* Sums by some name, in the order in which names came. Rows are borrowed. */
struct usage_group {
    struct index_node node;
    struct usage_group *next;
    char *key;
    const struct store_usage *sample; /* a row of it */
    struct usage_totals totals;
};
struct usage_groups {
    struct index index;
    struct usage_group *first, **tail;
};
void usage_groups_init(struct usage_groups *groups);
void usage_groups_done(struct usage_groups *groups);
void usage_groups_add(struct usage_groups *groups, const char *key, const struct store_usage *row);
/* What each group is called by. */
typedef void usage_label_fn(const struct usage_group *group, struct json_writer *w);
/* [{label…, count, totals:{…}}]: byModel, byProvider, byAgent, byChannel. */
void usage_groups_write(const struct usage_groups *groups, usage_label_fn *label,
                        struct json_writer *w);
