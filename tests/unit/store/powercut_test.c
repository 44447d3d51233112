/* Power cuts: a stream of acknowledged batches on a disk that loses its power at a random write or sync,
 * reopened, compared with what was acknowledged. The same with synchronous=OFF must lose something, else
 * the test proves nothing. CULVERT_LONG=1: 1,000 cuts instead of 100; CULVERT_SEED=n: other cuts. */
#include "tests/tool/vfs_powercut.h"
#include "tests/unit/store/kit.h"

#include "base/crypto.h"

#include <sqlite3.h>

#define BATCHES_MAX  60000 /* in one run, all lives together */
#define IN_FLIGHT    16
#define LOG_ROWS_MAX 400 /* so that trimming goes on too */

enum fate { UNKNOWN, ACKNOWLEDGED, FAILED };

/* One batch: two events, a message, a setting; all or none. */
struct written {
    enum fate fate;
    int64_t offsets[2];
    unsigned events, messages, settings; /* found after the cut */
};

struct world {
    struct powercut *disk;
    struct rig rig;
    const char *synchronous;
    uint64_t random;

    struct written *written; /* [0, count) */
    size_t count;
    int64_t highest; /* offset ever acknowledged */
    int64_t oldest;  /* kept, as the last page said */

    struct slot {
        struct op op;
        struct world *world;
        size_t batch;
    } slots[IN_FLIGHT];
    size_t running;
    unsigned violations;
    char first_violation[256];
};

static uint64_t draw(struct world *w, uint64_t below)
{
    w->random = w->random * 6364136223846793005u + 1442695040888963407u;
    return (w->random >> 33) % below;
}

static void violation(struct world *w, const char *format, ...) PRINTF(2, 3);
static void violation(struct world *w, const char *format, ...)
{
    va_list args;

    if (w->violations++ > 0)
        return;
    va_start(args, format);
    vsnprintf(w->first_violation, sizeof(w->first_violation), format, args);
    va_end(args);
}

/* ---- writing until the power goes ---- */

static void slot_start(struct slot *slot);

static void slot_done(struct op *op, int result)
{
    struct slot *slot = CONTAINER(op, struct slot, op);
    struct world *w = slot->world;
    struct written *b = &w->written[slot->batch];

    w->running--;
    b->fate = result == 0 ? ACKNOWLEDGED : FAILED;
    if (result == 0 && b->offsets[1] > w->highest)
        w->highest = b->offsets[1];
    if (result == 0)
        slot_start(slot);
}

static void batch_fill(struct world *w, struct store_batch *batch, size_t n)
{
    char name[32], payload[1600];

    snprintf(name, sizeof(name), "b%zu", n);
    int head = snprintf(payload, sizeof(payload), "{\"n\":%zu,\"pad\":\"", n);
    size_t pad = draw(w, 1500);
    memset(payload + head, 'x', pad);
    snprintf(payload + (size_t)head + pad, sizeof(payload) - (size_t)head - pad, "\"}");

    const struct store_event event = {"chat", "agent:main:main", payload, 1, 1};
    const struct store_message message = {"s", name, "user", NULL, payload, (int64_t)n + 1, 1};
    w->written[n].offsets[0] = store_log_append(batch, &event);
    store_message_put(batch, &message);
    store_meta_put(batch, name, "here");
    w->written[n].offsets[1] = store_log_append(batch, &event);
}

static void slot_start(struct slot *slot)
{
    struct world *w = slot->world;

    if (w->count == BATCHES_MAX || powercut_is_dead(w->disk))
        return;
    slot->batch = w->count++;
    w->written[slot->batch] = (struct written){0};
    struct store_batch *batch = store_batch(w->rig.store);
    batch_fill(w, batch, slot->batch);
    op_init(&slot->op, w->rig.loop, slot_done, 0);
    w->running++;
    store_commit(batch, &slot->op);
}

static void write_until_cut(struct world *w)
{
    powercut_arm(w->disk, 1 + draw(w, draw(w, 2) ? 40 : 1500));
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        w->slots[i].world = w;
        slot_start(&w->slots[i]);
    }
    while (w->running > 0)
        loop_turn(w->rig.loop, true);
    w->rig.store = store_close(w->rig.store);
    while (loop_turn(w->rig.loop, false))
        ;
    powercut_restore(w->disk);
}

/* ---- reading what is left ---- */

static void world_open(struct world *w)
{
    rig_open(&w->rig, &(struct store_config){
                          .path = "world.db",
                          .vfs = powercut_name(w->disk),
                          .synchronous = w->synchronous,
                          .checkpoint_pages = 60,
                          .log_max_rows = LOG_ROWS_MAX,
                      });
    if (w->rig.open < 0)
        violation(w, "does not open: %s", w->rig.fault.text);
}

struct question {
    struct store_page page;
    struct store_log_page log;
    bool done;
    int result;
};

static void on_page(struct op *op, int result)
{
    struct question *q = CONTAINER(CONTAINER(op, struct store_page, op), struct question, page);

    q->done = true;
    q->result = result;
}

static void on_log_page(struct op *op, int result)
{
    struct question *q = CONTAINER(CONTAINER(op, struct store_log_page, op), struct question, log);

    q->done = true;
    q->result = result;
}

static size_t number_in(const char *payload)
{
    size_t n = BATCHES_MAX;
    return sscanf(payload, "{\"n\":%zu", &n) == 1 && n < BATCHES_MAX ? n : BATCHES_MAX;
}

static void read_log(struct world *w)
{
    struct question q = {0};
    int64_t after = 0;

    do {
        q.done = false;
        op_init(&q.log.op, w->rig.loop, on_log_page, 0);
        store_log_read(w->rig.store, &q.log, after, 500, 1024 * 1024);
        while (!q.done)
            loop_turn(w->rig.loop, true);
        if (q.result < 0)
            violation(w, "log does not read: %s", q.log.op.fault.text);
        for (size_t i = 0; q.result == 0 && i < q.log.count; i++) {
            size_t n = number_in(q.log.rows[i].payload);
            struct written *b = &w->written[n];
            bool first = b->offsets[0] == q.log.rows[i].offset;
            if (n >= w->count || (!first && b->offsets[1] != q.log.rows[i].offset))
                violation(w, "offset %lld belongs to nobody", (long long)q.log.rows[i].offset);
            else
                b->events++;
        }
        after = q.log.next;
        w->oldest = q.log.oldest;
        bool more = q.result == 0 && q.log.more;
        store_log_page_done(&q.log);
        if (!more)
            break;
    } while (true);
}

static void read_messages(struct world *w)
{
    struct question q = {0};
    int64_t through = 0;

    do {
        q.done = false;
        op_init(&q.page.op, w->rig.loop, on_page, 0);
        store_messages_read(w->rig.store, &q.page, "s", through, 5000, 64 * 1024 * 1024);
        while (!q.done)
            loop_turn(w->rig.loop, true);
        if (q.result < 0)
            violation(w, "transcript does not read: %s", q.page.op.fault.text);
        for (size_t i = 0; q.result == 0 && i < q.page.count; i++)
            w->written[q.page.rows[i].seq - 1].messages++;
        through = q.result == 0 && q.page.count > 0 ? q.page.rows[0].seq - 1 : 0;
        store_page_done(&q.page);
    } while (through > 0);
}

static void read_settings(struct world *w, size_t from)
{
    for (size_t n = from; n < w->count; n++) {
        char name[32];
        snprintf(name, sizeof(name), "b%zu", n);
        CLEAN(mem_free) char *value = store_meta_get(w->rig.store, name);
        w->written[n].settings = value != NULL;
    }
}

/* ---- comparing ---- */

static void check_batch(struct world *w, size_t n)
{
    const struct written *b = &w->written[n];
    unsigned expected = (unsigned)(b->offsets[0] >= w->oldest) + (b->offsets[1] >= w->oldest);
    bool there = b->messages > 0;

    if (b->messages != b->settings || (there && b->events != expected) || (!there && b->events > 0))
        violation(w, "batch %zu is half there: %u messages, %u settings, %u of %u events", n,
                  b->messages, b->settings, b->events, expected);
    if (b->fate == ACKNOWLEDGED && !there)
        violation(w, "batch %zu was acknowledged and is gone", n);
    if (b->messages > 1)
        violation(w, "batch %zu is there %u times", n, b->messages);
}

static void check_integrity(struct world *w)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *statement = NULL;

    if (sqlite3_open_v2("world.db", &db, SQLITE_OPEN_READWRITE, powercut_name(w->disk)) !=
            SQLITE_OK ||
        sqlite3_prepare_v2(db, "PRAGMA quick_check", -1, &statement, NULL) != SQLITE_OK ||
        sqlite3_step(statement) != SQLITE_ROW ||
        strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0)
        violation(w, "the file is damaged: %s", sqlite3_errmsg(db));
    sqlite3_finalize(statement);
    sqlite3_close(db);
}

/* After a reopen: settles what was unknown, so that the next cut compares with the truth. */
static void check_world(struct world *w, size_t from)
{
    struct store_position position;

    for (size_t n = 0; n < w->count; n++)
        w->written[n].events = w->written[n].messages = 0;
    read_log(w);
    read_messages(w);
    read_settings(w, from);
    for (size_t n = 0; n < w->count; n++) {
        check_batch(w, n);
        w->written[n].fate = w->written[n].messages ? ACKNOWLEDGED : FAILED;
    }
    check_integrity(w);

    store_log_position(w->rig.store, &position);
    struct store_batch *batch = store_batch(w->rig.store);
    int64_t next = store_log_append(batch, &(struct store_event){"x", NULL, "{}", 0, 1});
    store_batch_free(batch);
    if (next <= w->highest || position.head < w->highest)
        violation(w, "offset %lld is given again (head %lld, %lld was acknowledged)",
                  (long long)next, (long long)position.head, (long long)w->highest);
}

/* ---- the proof ---- */

static uint64_t seed_of_run(void)
{
    const char *text = getenv("CULVERT_SEED");
    return text ? strtoull(text, NULL, 10) : 20260712;
}

static bool is_long(void)
{
    const char *text = getenv("CULVERT_LONG");
    return text && strcmp(text, "1") == 0;
}

/* Up to cuts cuts on one database; stops at the first violation. Returns how many there were. */
static unsigned run_life(struct world *w, unsigned cuts)
{
    unsigned done = 0;

    w->disk = powercut_new(w->random);
    w->rig = (struct rig){.loop = loop_new(LOOP_VIRTUAL)};
    w->count = 0;
    w->highest = 0;
    world_open(w);
    while (done < cuts && w->violations == 0) {
        size_t from = w->count;
        write_until_cut(w);
        done++;
        world_open(w);
        if (w->rig.store)
            check_world(w, from);
    }
    rig_free(&w->rig);
    powercut_free(w->disk);
    return done;
}

static void run_cuts(struct world *w, unsigned cuts)
{
    unsigned done = 0, acknowledged = 0;

    crypto_init();
    w->random = seed_of_run();
    w->written = mem_array(BATCHES_MAX + 1, sizeof(*w->written));
    printf("    seed %llu, synchronous=%s:", (unsigned long long)w->random,
           w->synchronous ? w->synchronous : "default");
    while (done < cuts && w->violations == 0) {
        done += run_life(w, cuts - done < 8 ? cuts - done : 8);
        for (size_t n = 0; n < w->count; n++)
            acknowledged += w->written[n].fate == ACKNOWLEDGED;
    }
    printf(" %u cuts, %u batches acknowledged, %u violations%s%s\n", done, acknowledged,
           w->violations, w->violations ? ": " : "", w->first_violation);
    fflush(stdout);
    mem_free(w->written);
}

T(nothing_acknowledged_is_lost)
{
    struct world w = {.synchronous = NULL}; /* as the gateway opens it */

    run_cuts(&w, is_long() ? 1000 : 100);
    t_eq(w.violations, 0);
    t_str(w.first_violation, "");
}

/* Syncs only at checkpoints: the file stays whole, acknowledged batches go. */
T(with_fewer_syncs_it_is)
{
    struct world w = {.synchronous = "NORMAL"};

    run_cuts(&w, 40);
    t_has(w.first_violation, "was acknowledged and is gone");
}

T(without_syncs_it_is)
{
    struct world w = {.synchronous = "OFF"};

    run_cuts(&w, 40);
    t_ok(w.violations > 0);
}
