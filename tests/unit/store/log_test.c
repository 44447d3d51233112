/* The event log: offsets, the settled head, terms and cursors, pages, trimming. */
#include "tests/unit/store/kit.h"

#define DAY ((int64_t)24 * 60 * 60 * 1000)

static int64_t add(struct rig *g, struct store_batch *batch, const char *payload)
{
    return store_log_append(
        batch, &(struct store_event){"chat", "agent:main:main", payload, 3, loop_wall(g->loop)});
}

static int64_t add_one(struct rig *g, const char *payload)
{
    struct store_batch *batch = store_batch(g->store);
    int64_t offset = add(g, batch, payload);

    t_eq(commit(g, batch), 0);
    return offset;
}

static struct store_position position(struct rig *g)
{
    struct store_position p;

    store_log_position(g->store, &p);
    return p;
}

struct reading {
    struct store_log_page page;
    int ended, result;
};

static void on_page(struct op *op, int result)
{
    struct reading *r = CONTAINER(CONTAINER(op, struct store_log_page, op), struct reading, page);

    r->ended++;
    r->result = result;
}

static void read_page(struct rig *g, struct reading *r, int64_t after, int limit, size_t max_bytes)
{
    memset(r, 0, sizeof(*r));
    op_init(&r->page.op, g->loop, on_page, 0);
    store_log_read(g->store, &r->page, after, limit, max_bytes);
    while (!r->ended)
        loop_turn(g->loop, true);
    t_eq(r->result, 0);
}

static void restart(struct rig *g, const struct store_config *config)
{
    g->store = store_close(g->store);
    while (loop_turn(g->loop, false))
        ;
    rig_open(g, config);
    t_eq(g->open, 0);
}

/* Batches with nothing in them let the writer trim step by step. */
static void let_trim(struct rig *g)
{
    for (int i = 0; i < 20; i++)
        t_eq(commit(g, store_batch(g->store)), 0);
}

T(offsets_rise_and_the_head_is_what_is_committed)
{
    struct rig g = rig_new(":memory:");

    t_eq(position(&g).head, 0);
    t_eq(position(&g).oldest, 0);
    t_eq(strlen(position(&g).epoch), 32);

    struct store_batch *batch = store_batch(g.store);
    t_eq(add(&g, batch, "{}"), 1);
    t_eq(add(&g, batch, "{}"), 2);
    t_eq(position(&g).head, 0);
    t_eq(commit(&g, batch), 0);
    t_eq(position(&g).head, 2);
    t_eq(position(&g).oldest, 1);
    rig_free(&g);
}

T(the_head_waits_for_lower_offsets)
{
    struct rig g = rig_new(":memory:");
    struct store_batch *slow = store_batch(g.store), *freed = store_batch(g.store),
                       *quick = store_batch(g.store);

    t_eq(add(&g, slow, "{}"), 1);
    t_eq(add(&g, freed, "{}"), 2);
    t_eq(add(&g, quick, "{}"), 3);
    t_eq(add(&g, slow, "{}"), 4);
    t_eq(commit(&g, quick), 0);
    t_eq(position(&g).head, 0);
    t_eq(commit(&g, slow), 0);
    t_eq(position(&g).head, 1);
    store_batch_free(freed);
    t_eq(position(&g).head, 4);
    rig_free(&g);
}

T(a_failed_batch_leaves_a_hole_that_is_not_filled)
{
    struct rig g = rig_new(":memory:");
    const struct store_message message = {"s", "m", "user", NULL, "{}", 1, 1};
    struct store_batch *batch;
    struct reading r;

    for (int i = 0; i < 2; i++) {
        batch = store_batch(g.store);
        store_message_put(batch, &message);
        t_eq(add(&g, batch, "{}"), i + 1);
        t_eq(commit(&g, batch), i ? -ERR_CONFLICT : 0);
    }
    t_eq(position(&g).head, 1);
    t_eq(add_one(&g, "{}"), 3);
    read_page(&g, &r, 0, 10, SIZE_MAX);
    t_eq(r.page.count, 2);
    t_eq(r.page.rows[1].offset, 3);
    t_eq(r.page.next, 3);
    store_log_page_done(&r.page);
    rig_free(&g);
}

T(pages)
{
    struct rig g = rig_new(rig_path("log-pages.db"));
    struct reading r;

    for (int i = 0; i < 10; i++)
        add_one(&g, "{\"n\":12345678}"); /* 14 bytes */
    read_page(&g, &r, 0, 4, SIZE_MAX);
    t_eq(r.page.count, 4);
    t_eq(r.page.more, true);
    t_eq(r.page.next, 4);
    t_str(r.page.rows[0].name, "chat");
    t_str(r.page.rows[0].session_key, "agent:main:main");
    t_str(r.page.rows[0].payload, "{\"n\":12345678}");
    t_eq(r.page.rows[0].scopes, 3);
    store_log_page_done(&r.page);
    read_page(&g, &r, 4, 100, 30); /* two fit */
    t_eq(r.page.count, 2);
    t_eq(r.page.more, true);
    store_log_page_done(&r.page);
    read_page(&g, &r, 6, 4, SIZE_MAX); /* exactly the rest */
    t_eq(r.page.count, 4);
    t_eq(r.page.more, false);
    t_eq(r.page.next, 10);
    store_log_page_done(&r.page);
    read_page(&g, &r, 10, 4, SIZE_MAX);
    t_eq(r.page.count, 0);
    t_eq(r.page.next, 10);
    t_eq(r.page.oldest, 1);
    store_log_page_done(&r.page);
    rig_free(&g);
}

T(each_start_is_a_term)
{
    struct store_config config = {.path = rig_path("terms.db")};
    struct rig g = rig_new(config.path);
    struct store_position first = position(&g), second;

    for (int i = 0; i < 3; i++)
        add_one(&g, "{}");
    restart(&g, &config);
    second = position(&g);
    t_ok(strcmp(first.epoch, second.epoch) != 0);
    t_eq(second.head, 3);
    t_eq(second.oldest, 1);
    t_eq(add_one(&g, "{}"), 4);

    t_eq(store_log_cursor(g.store, first.epoch, 0), STORE_CURSOR_OK);
    t_eq(store_log_cursor(g.store, first.epoch, 3), STORE_CURSOR_OK);
    t_eq(store_log_cursor(g.store, first.epoch, 4), STORE_CURSOR_AHEAD);
    t_eq(store_log_cursor(g.store, second.epoch, 3), STORE_CURSOR_OK);
    t_eq(store_log_cursor(g.store, second.epoch, 4), STORE_CURSOR_OK);
    t_eq(store_log_cursor(g.store, second.epoch, 5), STORE_CURSOR_AHEAD);
    t_eq(store_log_cursor(g.store, second.epoch, -1), STORE_CURSOR_AHEAD);
    t_eq(store_log_cursor(g.store, "0123456789abcdef0123456789abcdef", 0), STORE_CURSOR_EPOCH);
    rig_free(&g);
}

static void copy_file(const char *from, const char *to)
{
    FILE *in = fopen(from, "rb"), *out = fopen(to, "wb");
    char block[4096];
    size_t n;

    while (in && out && (n = fread(block, 1, sizeof(block), in)) > 0)
        fwrite(block, 1, n, out);
    if (in)
        fclose(in);
    if (out)
        fclose(out);
}

/* What the copy's start did not see is not its past: a cursor from there is found out. */
T(a_restored_copy_is_found_out)
{
    CLEAN(mem_free) char *path = mem_string(rig_path("restored.db"));
    CLEAN(mem_free) char *copy = mem_string(rig_path("copy.db"));
    struct store_config config = {.path = path};
    struct rig g = rig_new(path);
    struct store_position before, after;

    add_one(&g, "{}");
    before = position(&g);
    restart(&g, &config);
    g.store = store_close(g.store);
    copy_file(path, copy);
    rig_open(&g, &config);
    add_one(&g, "{\"lost by the restore\":1}");
    after = position(&g);
    g.store = store_close(g.store);
    copy_file(copy, path);

    rig_open(&g, &config);
    add_one(&g, "{\"another\":1}");
    t_eq(position(&g).head, after.head);
    t_eq(store_log_cursor(g.store, after.epoch, after.head), STORE_CURSOR_EPOCH);
    t_eq(store_log_cursor(g.store, before.epoch, before.head), STORE_CURSOR_OK);
    rig_free(&g);
}

T(trimmed_by_rows)
{
    struct store_config config = {.path = rig_path("rows.db"), .log_max_rows = 1000};
    struct rig g = {.loop = loop_new(LOOP_VIRTUAL)};
    struct reading r;

    rig_open(&g, &config);
    struct store_position start = position(&g);
    for (int i = 0; i < 3; i++) {
        struct store_batch *batch = store_batch(g.store);
        for (int n = 0; n < 1000; n++)
            add(&g, batch, "{}");
        t_eq(commit(&g, batch), 0);
    }
    let_trim(&g);
    t_eq(position(&g).head, 3000);
    t_eq(position(&g).oldest, 2001);
    t_eq(store_log_cursor(g.store, start.epoch, 2000), STORE_CURSOR_OK);
    t_eq(store_log_cursor(g.store, start.epoch, 1999), STORE_CURSOR_TRIMMED);
    read_page(&g, &r, 10, 5, SIZE_MAX);
    t_eq(r.page.oldest, 2001);
    t_eq(r.page.rows[0].offset, 2001);
    store_log_page_done(&r.page);

    restart(&g, &config);
    t_eq(position(&g).oldest, 2001);
    t_eq(position(&g).head, 3000);
    rig_free(&g);
}

T(trimmed_by_bytes)
{
    struct store_config config = {.path = ":memory:", .log_max_bytes = 100000};
    struct rig g = {.loop = loop_new(LOOP_VIRTUAL)};
    char payload[1000];

    rig_open(&g, &config);
    memset(payload, 'x', sizeof(payload));
    payload[sizeof(payload) - 1] = '\0';
    for (int i = 0; i < 300; i++)
        add_one(&g, payload);
    let_trim(&g);
    int64_t kept = position(&g).head - position(&g).oldest + 1;
    t_ok(kept * 1018 <= 100000 + 100000 / 64);
    t_ok(kept * 1018 > 100000 - 2 * 1018);
    rig_free(&g);
}

/* Waits for what the timers started; a log that is never trimmed waits for ever. */
static void wait_for_oldest(struct rig *g, int64_t oldest)
{
    while (position(g).oldest < oldest)
        loop_turn(g->loop, true);
    t_eq(position(g).oldest, oldest);
}

/* Also when nobody writes: the store's own timer brings the writer the time. */
T(trimmed_by_age_but_never_the_newest)
{
    struct store_config config = {.path = rig_path("age.db"), .log_max_age_ms = DAY};
    struct rig g = {.loop = loop_new(LOOP_VIRTUAL)};

    rig_open(&g, &config);
    for (int i = 0; i < 10; i++)
        add_one(&g, "{}");
    loop_advance(g.loop, DAY / 2);
    add_one(&g, "{}");
    loop_advance(g.loop, DAY / 2);
    wait_for_oldest(&g, 1);
    loop_advance(g.loop, 20 * 60 * 1000);
    wait_for_oldest(&g, 11);
    loop_advance(g.loop, 2 * DAY);
    let_trim(&g);
    t_eq(position(&g).oldest, 11);
    t_eq(position(&g).head, 11);
    restart(&g, &config);
    t_eq(position(&g).head, 11);
    t_eq(add_one(&g, "{}"), 12);
    rig_free(&g);
}

static void ack(struct rig *g, const char *consumer, int64_t offset)
{
    struct store_batch *batch = store_batch(g->store);

    store_consumer_put(batch, &(struct store_consumer){consumer, offset, 1});
    t_eq(commit(g, batch), 0);
}

static void on_consumer(void *arg, const struct store_consumer *consumer)
{
    t_str(consumer->name, "backup");
    *(int64_t *)arg = consumer->offset;
}

T(a_durable_cursor_holds_trimming_back_until_the_bytes_are_too_many)
{
    struct store_config config = {
        .path = rig_path("consumer.db"), .log_max_rows = 10, .log_max_bytes = 20000};
    struct rig g = {.loop = loop_new(LOOP_VIRTUAL)};
    int64_t offset = 0;

    rig_open(&g, &config);
    ack(&g, "backup", 5);
    ack(&g, "gone", 0);
    struct store_batch *batch = store_batch(g.store);
    store_consumer_remove(batch, "gone");
    t_eq(commit(&g, batch), 0);
    for (int i = 0; i < 50; i++)
        add_one(&g, "{}");
    let_trim(&g);
    t_eq(position(&g).oldest, 6);

    restart(&g, &config);
    t_eq(store_consumer_each(g.store, on_consumer, &offset), 0);
    t_eq(offset, 5);
    ack(&g, "backup", 30);
    loop_advance(g.loop, 6000);
    let_trim(&g);
    t_eq(position(&g).oldest, 31);

    for (int i = 0; i < 2000; i++)
        add_one(&g, "{}");
    loop_advance(g.loop, 6000);
    let_trim(&g);
    int64_t kept = position(&g).head - position(&g).oldest + 1;
    t_ok(kept * 21 <= 20000 + 20000 / 64);
    t_ok(kept > 900);
    rig_free(&g);
}
