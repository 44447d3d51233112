/* The store's life: open, close, ops, order, group commit, ceilings. */
#include "tests/unit/store/kit.h"

#include <sys/stat.h>

static void put_meta(struct rig *g, const char *key, const char *value)
{
    struct store_batch *batch = store_batch(g->store);

    store_meta_put(batch, key, value);
    t_eq(commit(g, batch), 0);
}

static void expect_meta(struct rig *g, const char *key, const char *value)
{
    CLEAN(mem_free) char *found = store_meta_get(g->store, key);

    t_str(found, value);
}

T(memory_opens_and_closes)
{
    struct rig g = rig_new(":memory:");

    t_eq(store_state(g.store), STORE_OK);
    t_str(store_state_text(g.store), "");
    put_meta(&g, "a", "1");
    put_meta(&g, "a", "2");
    expect_meta(&g, "a", "2");
    expect_meta(&g, "b", NULL);
    rig_free(&g);
}

T(a_file_is_private_and_survives)
{
    const char *path = rig_path("life.db");
    struct rig g = rig_new(path);
    struct stat st;

    t_eq(stat(path, &st), 0);
    t_eq(st.st_mode & 0777, 0600);
    put_meta(&g, "identity", "kept");
    rig_free(&g);

    chmod(path, 0644);
    g = rig_new(path);
    expect_meta(&g, "identity", "kept");
    t_eq(stat(path, &st), 0);
    t_eq(st.st_mode & 0777, 0600);
    rig_free(&g);
}

T(a_get_sees_what_was_committed_before_it)
{
    struct rig g = rig_new(":memory:");
    struct store_batch *batch = store_batch(g.store);

    store_meta_put(batch, "k", "v");
    store_commit(batch, NULL);
    expect_meta(&g, "k", "v");
    rig_free(&g);
}

T(ops_end_once_in_order_and_not_inside_the_call)
{
    struct rig g = rig_new(":memory:");
    struct waiter w[200];

    waiters_ended = 0;
    for (size_t i = 0; i < COUNT(w); i++) {
        struct store_batch *batch = store_batch(g.store);
        store_meta_put(batch, "k", "v");
        store_commit(batch, waiter_op(&g, &w[i]));
        t_eq(w[i].ended, 0);
    }
    for (size_t i = 0; i < COUNT(w); i++)
        t_eq(wait_for(&g, &w[i]), 0);
    while (loop_turn(g.loop, false))
        ;
    for (size_t i = 0; i < COUNT(w); i++) {
        t_eq(w[i].ended, 1);
        t_eq(w[i].order, i + 1);
    }
    rig_free(&g);
}

T(close_commits_and_ends_what_is_queued)
{
    const char *path = rig_path("close.db");
    struct rig g = rig_new(path);
    struct waiter w[50];

    for (size_t i = 0; i < COUNT(w); i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%zu", i);
        struct store_batch *batch = store_batch(g.store);
        store_meta_put(batch, key, "v");
        store_commit(batch, waiter_op(&g, &w[i]));
    }
    g.store = store_close(g.store);
    while (loop_turn(g.loop, false))
        ;
    for (size_t i = 0; i < COUNT(w); i++) {
        t_eq(w[i].ended, 1);
        t_eq(w[i].result, 0);
    }
    rig_open(&g, &(struct store_config){.path = path});
    expect_meta(&g, "k49", "v");
    rig_free(&g);
}

T(a_cancelled_op_ends_cancelled_and_the_write_stands)
{
    struct rig g = rig_new(":memory:");
    struct waiter cancelled, dropped;
    struct store_batch *batch = store_batch(g.store);

    store_meta_put(batch, "c", "v");
    store_commit(batch, waiter_op(&g, &cancelled));
    op_cancel(&cancelled.op);
    batch = store_batch(g.store);
    store_meta_put(batch, "d", "v");
    store_commit(batch, waiter_op(&g, &dropped));
    op_drop(&dropped.op);

    t_eq(wait_for(&g, &cancelled), -ERR_CANCELLED);
    put_meta(&g, "after", "v");
    t_eq(cancelled.ended, 1);
    t_eq(dropped.ended, 0);
    expect_meta(&g, "c", "v");
    expect_meta(&g, "d", "v");
    rig_free(&g);
}

static int then_results[3];

static void on_then(void *arg, int result)
{
    *(int *)arg = result;
}

T(then_hears_of_commit_failure_and_free)
{
    struct rig g = rig_new(":memory:");
    const struct store_message message = {"s", "m", "user", NULL, "{}", 1, 1};

    memset(then_results, 1, sizeof(then_results));
    for (int i = 0; i < 2; i++) {
        struct store_batch *batch = store_batch(g.store);
        store_message_put(batch, &message);
        store_on_commit(batch, on_then, &then_results[i]);
        commit(&g, batch);
    }
    struct store_batch *batch = store_batch(g.store);
    store_on_commit(batch, on_then, &then_results[2]);
    store_batch_free(batch);
    t_eq(then_results[0], 0);
    t_eq(then_results[1], -ERR_CONFLICT);
    t_eq(then_results[2], -ERR_CANCELLED);
    rig_free(&g);
}

T(a_failing_batch_leaves_its_neighbours_and_itself_whole)
{
    struct rig g = rig_new(":memory:");
    const struct store_message message = {"s", "m", "user", NULL, "{}", 1, 1};
    struct waiter w[4];

    for (size_t i = 0; i < COUNT(w); i++) {
        char key[16];
        snprintf(key, sizeof(key), "k%zu", i);
        struct store_batch *batch = store_batch(g.store);
        store_meta_put(batch, key, "v");
        if (i == 0 || i == 2)
            store_message_put(batch, &message); /* the second time it is taken */
        store_meta_put(batch, key, "w");
        store_commit(batch, waiter_op(&g, &w[i]));
    }
    t_eq(wait_for(&g, &w[3]), 0);
    t_eq(w[0].result, 0);
    t_eq(w[1].result, 0);
    t_eq(w[2].result, -ERR_CONFLICT);
    t_has(w[2].op.fault.text, "UNIQUE");
    expect_meta(&g, "k0", "w");
    expect_meta(&g, "k2", NULL);
    expect_meta(&g, "k3", "w");
    t_eq(store_state(g.store), STORE_OK);
    rig_free(&g);
}

T(a_full_queue_says_busy)
{
    struct rig g = rig_new(":memory:");
    struct waiter last, w;

    for (size_t i = 1; i < STORE_QUEUE_MAX; i++)
        store_commit(store_batch(g.store), NULL);
    store_commit(store_batch(g.store), waiter_op(&g, &last));
    store_commit(store_batch(g.store), waiter_op(&g, &w));
    t_eq(w.ended, 0);
    t_eq(wait_for(&g, &w), -ERR_BUSY);
    t_has(w.op.fault.text, "try again");
    t_eq(wait_for(&g, &last), 0);
    put_meta(&g, "later", "fits");
    rig_free(&g);
}

T(a_queue_of_too_many_bytes_says_busy)
{
    struct rig g = rig_new(":memory:");
    size_t size = 20 * 1024 * 1024;
    CLEAN(mem_free) char *large = mem_new(size + 1);
    struct waiter w[4];

    memset(large, 'x', size);
    for (size_t i = 0; i < COUNT(w); i++) {
        struct store_batch *batch = store_batch(g.store);
        store_meta_put(batch, "large", large);
        store_commit(batch, waiter_op(&g, &w[i]));
    }
    t_eq(wait_for(&g, &w[0]), 0);
    t_eq(wait_for(&g, &w[2]), 0);
    t_eq(wait_for(&g, &w[3]), -ERR_BUSY);
    rig_free(&g);
}

T(open_and_close_leave_nothing_on_the_loop)
{
    for (int i = 0; i < 20; i++) {
        struct loop *loop = loop_new(LOOP_REAL);
        struct store *store = NULL;
        struct fault fault;

        t_eq(store_open(loop, &(struct store_config){.path = ":memory:"}, &store, &fault), 0);
        store_commit(store_batch(store), NULL);
        if (i % 2)
            loop_turn(loop, true);
        store_close(store);
        loop_free(loop);
    }
}
