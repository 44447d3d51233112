/* Idempotency keys: found at once, kept a day, at most 100,000, taken back when the commit fails. */
#include "tests/unit/store/kit.h"

#define HOUR ((int64_t)60 * 60 * 1000)

static int put(struct rig *g, const char *key, const char *outcome)
{
    struct store_batch *batch = store_batch(g->store);

    store_idempotency_put(batch, key, outcome, loop_wall(g->loop));
    return commit(g, batch);
}

/* The outcome, fetched if need be; "(on disk)" when that is not wanted. */
static const char *find(struct rig *g, const char *key, bool fetch)
{
    struct waiter w;
    const char *outcome;

    if (store_idempotency_find(g->store, key, &outcome) != STORE_ON_DISK)
        return outcome;
    if (!fetch)
        return "(on disk)";
    store_idempotency_fetch(g->store, waiter_op(g, &w), key);
    t_eq(wait_for(g, &w), 0);
    t_eq(store_idempotency_find(g->store, key, &outcome), STORE_KNOWN);
    return outcome;
}

/* A message whose place is taken: the batch fails. */
static struct store_batch *doomed(struct rig *g)
{
    static const struct store_message message = {"s", "m", "user", NULL, "{}", 1, 1};
    struct store_batch *batch = store_batch(g->store);

    store_message_put(batch, &message);
    return batch;
}

T(found_from_the_commit_call_on)
{
    struct rig g = rig_new(":memory:");
    struct store_batch *batch = store_batch(g.store);

    store_idempotency_put(batch, "agent:k", "{\"status\":\"accepted\"}", loop_wall(g.loop));
    t_str(find(&g, "agent:k", true), NULL);
    store_commit(batch, NULL);
    t_str(find(&g, "agent:k", true), "{\"status\":\"accepted\"}");
    t_eq(put(&g, "agent:k", "{\"status\":\"ok\"}"), 0);
    t_str(find(&g, "agent:k", true), "{\"status\":\"ok\"}");
    t_str(find(&g, "send:k", true), NULL);
    rig_free(&g);
}

T(a_freed_batch_was_never_there)
{
    struct rig g = rig_new(":memory:");
    struct store_batch *batch = store_batch(g.store);

    store_idempotency_put(batch, "k", "1", loop_wall(g.loop));
    store_batch_free(batch);
    t_str(find(&g, "k", true), NULL);
    rig_free(&g);
}

T(a_failed_commit_takes_back_only_its_own)
{
    struct rig g = rig_new(":memory:");
    struct waiter w[3];
    struct store_batch *batch;

    t_eq(commit(&g, doomed(&g)), 0); /* now the place is taken */
    t_eq(put(&g, "old", "kept"), 0);

    batch = doomed(&g);
    store_idempotency_put(batch, "old", "lost", loop_wall(g.loop));
    store_idempotency_put(batch, "new", "lost", loop_wall(g.loop));
    store_idempotency_put(batch, "new", "lost too", loop_wall(g.loop));
    t_eq(commit(&g, batch), -ERR_CONFLICT);
    t_str(find(&g, "old", true), "kept");
    t_str(find(&g, "new", true), NULL);

    /* One fails between two that do not, all on their way together. */
    for (size_t i = 0; i < COUNT(w); i++) {
        batch = i == 1 ? doomed(&g) : store_batch(g.store);
        store_idempotency_put(batch, "k", (const char *[]){"a", "b", "c"}[i], loop_wall(g.loop));
        store_commit(batch, waiter_op(&g, &w[i]));
    }
    t_str(find(&g, "k", true), "c");
    t_eq(wait_for(&g, &w[2]), 0);
    t_eq(w[1].result, -ERR_CONFLICT);
    t_str(find(&g, "k", true), "c");

    for (size_t i = 0; i < 2; i++) {
        batch = i == 1 ? doomed(&g) : store_batch(g.store);
        store_idempotency_put(batch, "k", i == 1 ? "e" : "d", loop_wall(g.loop));
        store_commit(batch, waiter_op(&g, &w[i]));
    }
    t_eq(wait_for(&g, &w[1]), -ERR_CONFLICT);
    t_str(find(&g, "k", true), "d");
    rig_free(&g);
}

T(kept_a_day_also_across_a_restart)
{
    const char *path = rig_path("day.db");
    struct rig g = rig_new(path);

    t_eq(put(&g, "early", "1"), 0);
    loop_advance(g.loop, 12 * HOUR);
    t_eq(put(&g, "late", "2"), 0);
    loop_advance(g.loop, 12 * HOUR - 1);
    t_str(find(&g, "early", true), "1");
    loop_advance(g.loop, 1);
    t_str(find(&g, "early", true), NULL);
    t_str(find(&g, "late", true), "2");

    g.store = store_close(g.store);
    rig_open(&g, &(struct store_config){.path = path});
    t_str(find(&g, "early", true), NULL);
    t_str(find(&g, "late", true), "2");
    loop_advance(g.loop, 12 * HOUR);
    t_str(find(&g, "late", true), NULL);
    rig_free(&g);
}

T(only_the_newest_outcomes_stay_in_memory)
{
    struct rig g = rig_new(rig_path("cool.db"));
    struct waiter w;
    struct store_batch *batch;
    char key[24], outcome[24];

    for (int i = 0; i < STORE_IDEMPOTENCY_KEEP + 3; i++) {
        snprintf(key, sizeof(key), "k%d", i);
        snprintf(outcome, sizeof(outcome), "%d", i);
        t_eq(put(&g, key, outcome), 0);
    }
    t_str(find(&g, "k0", false), "(on disk)");
    t_str(find(&g, "k2", false), "(on disk)");
    t_str(find(&g, "k3", false), "3");
    t_str(find(&g, "k1", true), "1");
    t_str(find(&g, "k1", false), "1"); /* stays */
    t_str(find(&g, "k2", false), "(on disk)");

    /* A put on top of one that is on disk, taken back: what is on disk stands. */
    t_eq(commit(&g, doomed(&g)), 0);
    batch = doomed(&g);
    store_idempotency_put(batch, "k0", "lost", loop_wall(g.loop));
    store_commit(batch, waiter_op(&g, &w));
    t_str(find(&g, "k0", false), "lost");
    t_eq(wait_for(&g, &w), -ERR_CONFLICT);
    t_str(find(&g, "k0", false), "(on disk)");
    t_str(find(&g, "k0", true), "0");

    /* A put while it is being fetched is the newer word. */
    store_idempotency_fetch(g.store, waiter_op(&g, &w), "k2");
    t_eq(put(&g, "k2", "newer"), 0);
    t_eq(wait_for(&g, &w), 0);
    t_str(find(&g, "k2", false), "newer");
    rig_free(&g);
}

T(at_most_so_many_oldest_out)
{
    const char *path = rig_path("many.db");
    struct rig g = rig_new(path);
    char key[24];

    for (int i = 0; i < STORE_IDEMPOTENCY_MAX + 10;) {
        struct store_batch *batch = store_batch(g.store);
        for (int n = 0; n < 10000 && i < STORE_IDEMPOTENCY_MAX + 10; n++, i++) {
            snprintf(key, sizeof(key), "k%d", i);
            store_idempotency_put(batch, key, "1", loop_wall(g.loop));
        }
        t_eq(commit(&g, batch), 0);
    }
    t_eq(put(&g, "last", "1"), 0);
    t_str(find(&g, "k10", true), NULL);
    t_str(find(&g, "k11", true), "1");
    t_str(find(&g, "k100009", true), "1");

    g.store = store_close(g.store);
    rig_open(&g, &(struct store_config){.path = path});
    t_str(find(&g, "k10", true), NULL);
    t_str(find(&g, "k11", true), "1");
    t_str(find(&g, "last", true), "1");
    rig_free(&g);
}
