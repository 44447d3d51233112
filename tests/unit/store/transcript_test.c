/* Transcripts: pages by count, bytes and place; one message; dropping and archiving; op rules of reads. */
#include "tests/unit/store/kit.h"

#include <sqlite3.h>

struct reading {
    struct store_page page;
    int ended, result;
};

static void on_page(struct op *op, int result)
{
    struct reading *r = CONTAINER(CONTAINER(op, struct store_page, op), struct reading, page);

    r->ended++;
    r->result = result;
}

static void read_page(struct rig *g, struct reading *r, int64_t through, int limit,
                      size_t max_bytes)
{
    memset(r, 0, sizeof(*r));
    op_init(&r->page.op, g->loop, on_page, 0);
    store_messages_read(g->store, &r->page, "s", through, limit, max_bytes);
    t_eq(r->ended, 0);
    while (!r->ended)
        loop_turn(g->loop, true);
    t_eq(r->result, 0);
}

static void put_messages(struct rig *g, const char *session, int count)
{
    struct store_batch *batch = store_batch(g->store);

    for (int i = 1; i <= count; i++) {
        char id[16], text[32];
        snprintf(id, sizeof(id), "m%d", i);
        snprintf(text, sizeof(text), "{\"text\":\"%04d\"}", i); /* 15 bytes */
        store_message_put(batch, &(struct store_message){session, id, "user", i % 2 ? "run" : NULL,
                                                         text, i, 1000 + i});
    }
    t_eq(commit(g, batch), 0);
}

static void expect_range(struct reading *r, int64_t first, int64_t last, int64_t total)
{
    t_eq(r->page.total, total);
    t_eq(r->page.count, last - first + 1);
    for (size_t i = 0; i < r->page.count; i++)
        t_eq(r->page.rows[i].seq, first + (int64_t)i);
    store_page_done(&r->page);
    t_eq(r->page.count, 0);
}

T(pages)
{
    struct rig g = rig_new(rig_path("pages.db"));
    struct reading r;

    put_messages(&g, "s", 100);
    put_messages(&g, "other", 3);
    read_page(&g, &r, 0, 10, 1000000);
    t_str(r.page.rows[9].message, "{\"text\":\"0100\"}");
    t_str(r.page.rows[9].message_id, "m100");
    t_str(r.page.rows[9].run_id, NULL);
    t_str(r.page.rows[8].run_id, "run");
    t_eq(r.page.rows[9].at, 1100);
    t_eq(r.page.bytes, 150);
    expect_range(&r, 91, 100, 100);
    read_page(&g, &r, 50, 10, 1000000);
    expect_range(&r, 41, 50, 100);
    read_page(&g, &r, 5, 10, 1000000);
    expect_range(&r, 1, 5, 100);
    read_page(&g, &r, 0, 10, 44); /* two of 15 bytes fit, three do not */
    expect_range(&r, 99, 100, 100);
    read_page(&g, &r, 0, 10, 0); /* one in any case */
    expect_range(&r, 100, 100, 100);
    read_page(&g, &r, 0, 1000000, SIZE_MAX);
    expect_range(&r, 1, 100, 100);
    rig_free(&g);
}

T(one_message)
{
    struct rig g = rig_new(":memory:");
    struct reading r = {0};

    put_messages(&g, "s", 20);
    op_init(&r.page.op, g.loop, on_page, 0);
    store_message_read(g.store, &r.page, "s", "m7");
    while (!r.ended)
        loop_turn(g.loop, true);
    expect_range(&r, 7, 7, 20);

    r.ended = 0;
    op_init(&r.page.op, g.loop, on_page, 0);
    store_message_read(g.store, &r.page, "s", "nobody's");
    while (!r.ended)
        loop_turn(g.loop, true);
    t_eq(r.result, 0);
    t_eq(r.page.count, 0);
    store_page_done(&r.page);
    rig_free(&g);
}

static int64_t archived(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    sqlite3_open(path, &db);
    sqlite3_prepare_v2(db, "SELECT COUNT(*) FROM message_archive WHERE archived_at = 77", -1,
                       &statement, NULL);
    int64_t count = sqlite3_step(statement) == SQLITE_ROW ? sqlite3_column_int64(statement, 0) : -1;
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return count;
}

T(dropping_and_archiving)
{
    const char *path = rig_path("drop.db");
    struct rig g = rig_new(path);
    struct reading r;
    struct store_batch *batch;

    put_messages(&g, "s", 30);
    put_messages(&g, "other", 30);
    batch = store_batch(g.store);
    store_messages_drop(batch, "s", 10, /* archive= */ true, 77);
    t_eq(commit(&g, batch), 0);
    read_page(&g, &r, 0, 100, SIZE_MAX);
    expect_range(&r, 11, 30, 20);
    batch = store_batch(g.store);
    store_messages_drop(batch, "s", 15, /* archive= */ false, 78);
    t_eq(commit(&g, batch), 0);
    read_page(&g, &r, 0, 100, SIZE_MAX);
    expect_range(&r, 16, 30, 15);
    rig_free(&g);
    t_eq(archived(path), 10);
}

T(a_read_sees_what_was_acknowledged_and_not_what_waits)
{
    struct rig g = rig_new(rig_path("order.db"));
    struct reading r;

    for (int i = 1; i <= 50; i++) {
        struct store_batch *batch = store_batch(g.store);
        store_message_put(batch, &(struct store_message){"s", "m", "user", NULL, "{}", i, 1});
        t_eq(commit(&g, batch), 0);
        read_page(&g, &r, 0, 1, SIZE_MAX);
        expect_range(&r, i, i, i);
    }
    rig_free(&g);
}

T(cancelled_and_dropped_reads)
{
    struct rig g = rig_new(":memory:");
    struct reading cancelled = {0}, dropped = {0}, after;

    put_messages(&g, "s", 5);
    op_init(&cancelled.page.op, g.loop, on_page, 0);
    store_messages_read(g.store, &cancelled.page, "s", 0, 5, SIZE_MAX);
    op_cancel(&cancelled.page.op);
    op_init(&dropped.page.op, g.loop, on_page, 0);
    store_messages_read(g.store, &dropped.page, "s", 0, 5, SIZE_MAX);
    op_drop(&dropped.page.op);
    read_page(&g, &after, 0, 5, SIZE_MAX);
    expect_range(&after, 1, 5, 5);
    t_eq(cancelled.ended, 1);
    t_eq(cancelled.result, -ERR_CANCELLED);
    t_eq(cancelled.page.count, 0);
    t_eq(dropped.ended, 0);
    rig_free(&g);
}

T(too_many_reads_say_busy_and_close_ends_them)
{
    struct rig g = rig_new(":memory:");
    struct reading *all = mem_array(1025, sizeof(*all));

    for (int i = 0; i < 1025; i++) {
        op_init(&all[i].page.op, g.loop, on_page, 0);
        store_messages_read(g.store, &all[i].page, "s", 0, 5, SIZE_MAX);
    }
    g.store = store_close(g.store);
    while (loop_turn(g.loop, false))
        ;
    for (int i = 0; i < 1025; i++) {
        t_eq(all[i].ended, 1);
        t_eq(all[i].result, i < 1024 ? 0 : -ERR_BUSY);
        store_page_done(&all[i].page);
    }
    mem_free(all);
    rig_free(&g);
}
