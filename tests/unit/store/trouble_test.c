/* Disk full, broken disk, damaged pages: said clearly, reads go on, and it is over when the cause is. */
#include "tests/tool/vfs_powercut.h"
#include "tests/unit/store/kit.h"

#include "base/crypto.h"

struct world {
    struct powercut *disk;
    struct rig g;
};

static void world_open(struct world *w)
{
    rig_open(&w->g, &(struct store_config){.path = "t.db", .vfs = powercut_name(w->disk)});
}

static struct world world_new(void)
{
    crypto_init();
    struct world w = {.disk = powercut_new(1), .g = {.loop = loop_new(LOOP_VIRTUAL)}};

    world_open(&w);
    t_eq(w.g.open, 0);
    return w;
}

static void world_restart(struct world *w)
{
    w->g.store = store_close(w->g.store);
    while (loop_turn(w->g.loop, false))
        ;
    world_open(w);
}

static void world_free(struct world *w)
{
    rig_free(&w->g);
    powercut_free(w->disk);
}

static struct store_batch *batch_of(struct world *w, const char *key, size_t size)
{
    struct store_batch *batch = store_batch(w->g.store);
    char *value = mem_new(size + 1);

    memset(value, 'x', size);
    store_meta_put(batch, key, value);
    mem_free(value);
    return batch;
}

static bool has(struct world *w, const char *key)
{
    CLEAN(mem_free) char *value = store_meta_get(w->g.store, key);
    return value != NULL;
}

/* The store's own retry, without anybody writing. */
static void wait_until_ok(struct world *w)
{
    for (int i = 0; i < 10 && store_state(w->g.store) != STORE_OK; i++) {
        loop_advance(w->g.loop, 5000);
        mem_free(store_meta_get(w->g.store, "anything"));
        while (loop_turn(w->g.loop, false))
            ;
    }
    t_eq(store_state(w->g.store), STORE_OK);
    t_str(store_state_text(w->g.store), "");
}

T(a_full_disk_is_said_and_passes)
{
    struct world w = world_new();
    struct waiter waiter;

    t_eq(commit(&w.g, batch_of(&w, "before", 10)), 0);
    powercut_set_room(w.disk, 0);
    store_commit(batch_of(&w, "during", 100000), waiter_op(&w.g, &waiter));
    t_eq(wait_for(&w.g, &waiter), -ERR_FULL);
    t_has(waiter.op.fault.text, "full");
    t_eq(store_state(w.g.store), STORE_FULL);
    t_has(store_state_text(w.g.store), "Free some space");
    t_has(store_state_text(w.g.store), "t.db");
    t_ok(has(&w, "before"));
    loop_advance(w.g.loop, 60000);
    t_eq(store_state(w.g.store), STORE_FULL);

    powercut_set_room(w.disk, -1);
    wait_until_ok(&w);
    t_eq(commit(&w.g, batch_of(&w, "after", 100000)), 0);
    world_restart(&w);
    t_ok(has(&w, "before"));
    t_ok(!has(&w, "during"));
    t_ok(has(&w, "after"));
    world_free(&w);
}

T(one_too_large_for_the_disk_fails_alone)
{
    struct world w = world_new();
    struct waiter waiters[12];
    char key[16];

    t_eq(commit(&w.g, batch_of(&w, "warm", 10)), 0);
    powercut_set_room(w.disk, 400000);
    for (size_t i = 0; i < COUNT(waiters); i++) {
        snprintf(key, sizeof(key), "k%zu", i);
        store_commit(batch_of(&w, key, i == 5 ? 1000000 : 100), waiter_op(&w.g, &waiters[i]));
    }
    t_eq(wait_for(&w.g, &waiters[11]), 0);
    for (size_t i = 0; i < COUNT(waiters); i++) {
        t_eq(waiters[i].result, i == 5 ? -ERR_FULL : 0);
        snprintf(key, sizeof(key), "k%zu", i);
        t_eq(has(&w, key), i != 5);
    }
    t_eq(store_state(w.g.store), STORE_OK);
    world_free(&w);
}

T(a_failed_append_leaves_a_hole_and_is_not_kept_as_a_key)
{
    struct world w = world_new();
    struct store_position p;
    struct store_batch *batch = batch_of(&w, "large", 1000000);
    const char *outcome;

    powercut_set_room(w.disk, 0);
    store_idempotency_put(batch, "agent:k", "{}", loop_wall(w.g.loop));
    t_eq(store_log_append(batch, &(struct store_event){"chat", NULL, "{}", 0, 1}), 1);
    t_eq(commit(&w.g, batch), -ERR_FULL);
    t_eq(store_idempotency_find(w.g.store, "agent:k", &outcome), STORE_UNKNOWN);
    store_log_position(w.g.store, &p);
    t_eq(p.head, 0);
    powercut_set_room(w.disk, -1);
    batch = store_batch(w.g.store);
    t_eq(store_log_append(batch, &(struct store_event){"chat", NULL, "{}", 0, 1}), 2);
    t_eq(commit(&w.g, batch), 0);
    store_log_position(w.g.store, &p);
    t_eq(p.head, 2);
    world_free(&w);
}

T(starting_on_a_full_disk)
{
    struct world w = world_new();
    struct store_position first, p;

    t_eq(commit(&w.g, batch_of(&w, "before", 10)), 0);
    w.g.store = store_close(w.g.store);
    powercut_set_room(w.disk, 0);
    world_open(&w);
    t_eq(w.g.open, 0);
    while (store_state(w.g.store) == STORE_OK)
        loop_turn(w.g.loop, true);
    t_eq(store_state(w.g.store), STORE_FULL);
    t_ok(has(&w, "before"));
    store_log_position(w.g.store, &first);
    t_eq(commit(&w.g, batch_of(&w, "during", 10)), -ERR_FULL);

    powercut_set_room(w.disk, -1);
    wait_until_ok(&w);
    struct store_batch *batch = store_batch(w.g.store);
    store_log_append(batch, &(struct store_event){"chat", NULL, "{}", 0, 1});
    t_eq(commit(&w.g, batch), 0);
    world_restart(&w);
    store_log_position(w.g.store, &p);
    t_eq(store_log_cursor(w.g.store, first.epoch, 1), STORE_CURSOR_OK);
    world_free(&w);
}

T(a_broken_disk_is_said_and_passes)
{
    struct world w = world_new();

    t_eq(commit(&w.g, batch_of(&w, "before", 10)), 0);
    powercut_set_broken(w.disk, true);
    t_eq(commit(&w.g, batch_of(&w, "during", 10)), -ERR_IO);
    t_eq(store_state(w.g.store), STORE_FAILING);
    t_has(store_state_text(w.g.store), "I/O error");
    t_ok(has(&w, "before"));
    powercut_set_broken(w.disk, false);
    wait_until_ok(&w);
    t_ok(!has(&w, "during"));
    world_free(&w);
}

static void on_device(void *arg, const struct store_device *device)
{
    (void)device;
    ++*(int *)arg;
}

T(damaged_roots_do_not_open)
{
    struct world w = world_new();

    t_eq(commit(&w.g, batch_of(&w, "k", 100000)), 0);
    w.g.store = store_close(w.g.store);
    for (size_t page = 1; page < 40; page++)
        t_ok(powercut_damage(w.disk, "t.db", page * 4096, 4096));
    world_open(&w);
    t_eq(w.g.open, -ERR_CORRUPT);
    t_has(w.g.fault.text, "damaged");
    t_has(w.g.fault.text, "backup");
    world_free(&w);
}

T(a_damaged_table_leaves_the_others)
{
    struct world w = world_new();
    struct store_batch *batch = store_batch(w.g.store);
    char id[32];
    int seen = 0;

    t_eq(commit(&w.g, batch_of(&w, "whole", 10)), 0);
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "device-%d", i);
        store_device_put(batch, &(struct store_device){.device_id = id, .public_key = id});
    }
    t_eq(commit(&w.g, batch), 0);
    w.g.store = store_close(w.g.store);
    for (size_t page = 26; page < 40; page++) /* grown for the devices: behind all the roots */
        t_ok(powercut_damage(w.disk, "t.db", page * 4096, 4096));

    world_open(&w);
    t_eq(w.g.open, 0);
    t_eq(store_device_each(w.g.store, on_device, &seen), -ERR_CORRUPT);
    t_eq(store_state(w.g.store), STORE_DAMAGED);
    t_has(store_state_text(w.g.store), ".recover");
    t_ok(has(&w, "whole"));
    batch = store_batch(w.g.store);
    for (int i = 0; i < 2000; i++) {
        snprintf(id, sizeof(id), "device-%d", i);
        store_device_put(batch, &(struct store_device){.device_id = id, .public_key = "new"});
    }
    t_eq(commit(&w.g, batch), -ERR_CORRUPT);
    t_eq(commit(&w.g, batch_of(&w, "other", 10)), 0);
    t_ok(has(&w, "other"));
    t_eq(store_state(w.g.store), STORE_DAMAGED);
    world_free(&w);
}

/* A cut at each write of a first start leaves something that opens. */
T(a_cut_while_opening)
{
    crypto_init();
    for (uint64_t n = 1; n < 200; n++) {
        struct world w = {.disk = powercut_new(n), .g = {.loop = loop_new(LOOP_VIRTUAL)}};

        powercut_arm(w.disk, n);
        world_open(&w);
        bool over = w.g.open == 0;
        w.g.store = store_close(w.g.store);
        over = over && !powercut_is_dead(w.disk);
        powercut_restore(w.disk);
        world_open(&w);
        t_eq(w.g.open, 0);
        if (w.g.open < 0)
            t_str(w.g.fault.text, "");
        else
            t_eq(commit(&w.g, batch_of(&w, "k", 10)), 0);
        world_free(&w);
        if (over)
            return;
    }
    t_ok(false);
}
