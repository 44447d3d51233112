/* Adding up and printing. Owns the groups it makes, nothing of the rows. */
#include "gateway/method/usage_totals.h"

#include "base/mem.h"

void usage_totals_add(struct usage_totals *t, const struct store_usage *row)
{
    t->input += row->input;
    t->output += row->output;
    t->cache_read += row->cache_read;
    t->cache_write += row->cache_write;
    t->input_cost += row->input_cost;
    t->output_cost += row->output_cost;
    t->cache_read_cost += row->cache_read_cost;
    t->cache_write_cost += row->cache_write_cost;
    t->unpriced += row->unpriced;
    t->turns += row->turns;
    t->asked += row->asked;
    t->answered += row->answered;
    t->tool_calls += row->tool_calls;
    t->errors += row->errors;
    if (t->first_at == 0 || row->first_at < t->first_at)
        t->first_at = row->first_at;
    if (row->last_at > t->last_at)
        t->last_at = row->last_at;
}

int64_t usage_totals_tokens(const struct usage_totals *t)
{
    return t->input + t->output + t->cache_read + t->cache_write;
}

static double dollars(int64_t nano)
{
    return (double)nano / 1e9;
}

double usage_totals_cost(const struct usage_totals *t)
{
    return dollars(t->input_cost + t->output_cost + t->cache_read_cost + t->cache_write_cost);
}

void usage_totals_write(const struct usage_totals *t, struct json_writer *w)
{
    jw_kint(w, "input", t->input);
    jw_kint(w, "output", t->output);
    jw_kint(w, "cacheRead", t->cache_read);
    jw_kint(w, "cacheWrite", t->cache_write);
    jw_kint(w, "totalTokens", usage_totals_tokens(t));
    jw_knum(w, "totalCost", usage_totals_cost(t));
    jw_knum(w, "inputCost", dollars(t->input_cost));
    jw_knum(w, "outputCost", dollars(t->output_cost));
    jw_knum(w, "cacheReadCost", dollars(t->cache_read_cost));
    jw_knum(w, "cacheWriteCost", dollars(t->cache_write_cost));
    jw_kint(w, "missingCostEntries", t->unpriced);
}

void usage_messages_write(const struct usage_totals *t, struct json_writer *w)
{
    jw_object(w);
    jw_kint(w, "total", t->asked + t->answered + t->tool_calls);
    jw_kint(w, "user", t->asked);
    jw_kint(w, "assistant", t->answered);
    jw_kint(w, "toolCalls", t->tool_calls);
    jw_kint(w, "toolResults", t->tool_calls); /* each call gets one */
    jw_kint(w, "errors", t->errors);
    jw_object_end(w);
}

/* ---- groups ---- */

void usage_groups_init(struct usage_groups *groups)
{
    *groups = (struct usage_groups){0};
    groups->tail = &groups->first;
}

void usage_groups_done(struct usage_groups *groups)
{
    struct usage_group *next;

    for (struct usage_group *group = groups->first; group; group = next) {
        next = group->next;
        mem_free(group->key);
        mem_free(group);
    }
    index_done(&groups->index);
    groups->first = NULL;
}

void usage_groups_add(struct usage_groups *groups, const char *key, const struct store_usage *row)
{
    struct index_node *node = index_find(&groups->index, key);
    struct usage_group *group = node ? CONTAINER(node, struct usage_group, node) : NULL;

    if (!group) {
        group = NEW(struct usage_group);
        group->key = mem_string(key);
        group->sample = row;
        index_put(&groups->index, &group->node, group->key);
        *groups->tail = group;
        groups->tail = &group->next;
    }
    usage_totals_add(&group->totals, row);
}

void usage_groups_write(const struct usage_groups *groups, usage_label_fn *label,
                        struct json_writer *w)
{
    jw_array(w);
    for (const struct usage_group *group = groups->first; group; group = group->next) {
        jw_object(w);
        label(group, w);
        jw_kint(w, "count", group->totals.turns);
        jw_kobject(w, "totals");
        usage_totals_write(&group->totals, w);
        jw_object_end(w);
        jw_object_end(w);
    }
    jw_array_end(w);
}
