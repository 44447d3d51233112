/* The store's life: open, what health says, close. The writer and the reader each are a lane (lane.h)
 * with a connection of its own; ":memory:" has one connection that both use under write_lock. */
#include "store/private.h"

#include "base/mem.h"

#include <stdio.h>

#define TICK_MS  (10 * 60 * 1000) /* trims by age also when nothing is written */
#define RETRY_MS (5 * 1000) /* while not OK: a small write, to learn that the trouble is over */

#define CHECKPOINT_PAGES 1000 /* WAL growth between checkpoints: 4 MB */

#define LOG_MAX_BYTES  ((int64_t)256 * 1024 * 1024)
#define LOG_MAX_AGE_MS ((int64_t)30 * 24 * 60 * 60 * 1000)
#define LOG_MAX_ROWS   1000000

static void store_tick(void *arg);

/* ---- what health says ---- */

enum store_state store_state(const struct store *store)
{
    return store->state;
}

const char *store_state_text(const struct store *store)
{
    return store->state_text;
}

static const char *const state_remedies[] = {
    [STORE_FULL] = "the disk is full: nothing new is saved, reading works. Free some space; saving "
                   "resumes by itself",
    [STORE_DAMAGED] = "the database is damaged. Stop the gateway, keep a copy of the file, then "
                      "restore a backup or save what can be read: sqlite3 FILE .recover | sqlite3 "
                      "NEWFILE",
    [STORE_FAILING] =
        "the database cannot be written: nothing new is saved. Check the disk and who "
        "else uses the file; it is tried again every few seconds",
};

void store_enter_state(struct store *store, enum store_state state, const char *reason)
{
    if (state == store->state || store->state == STORE_DAMAGED)
        return;
    store->state = state;
    if (state == STORE_OK) {
        store->state_text[0] = '\0';
        timer_start(store->loop, &store->tick, TICK_MS, TICK_MS, store_tick, store);
        return;
    }
    snprintf(store->state_text, sizeof(store->state_text), "%s (%s: %s)", state_remedies[state],
             store->path ? store->path : "memory", reason);
    if (state != STORE_DAMAGED)
        timer_start(store->loop, &store->tick, RETRY_MS, RETRY_MS, store_tick, store);
}

/* lane_after_fn of the writer. */
static void store_on_group(void *arg)
{
    struct writer *w = arg;
    struct store *store = w->store;
    char reason[STORE_REASON_MAX];

    pthread_mutex_lock(&w->lane.lock);
    enum store_state state = w->state;
    int64_t oldest = w->oldest;
    memcpy(reason, w->reason, sizeof(reason));
    pthread_mutex_unlock(&w->lane.lock);

    if (oldest > store->log.oldest)
        store->log.oldest = oldest;
    store_enter_state(store, state, reason);
}

/* An empty batch only brings the writer the time; while not OK it carries a row that needs room. */
static void store_tick(void *arg)
{
    struct store *store = arg;
    struct store_batch *batch = store_batch(store);
    char now[24];

    if (store->state != STORE_OK) {
        snprintf(now, sizeof(now), "%lld", (long long)loop_wall(store->loop));
        store_meta_put(batch, "store.retried", now);
    }
    store_commit(batch, NULL);
}

/* ---- opening ---- */

static struct store *store_new(struct loop *loop, const struct store_config *config)
{
    struct store *store = NEW(struct store);
    struct writer *w = &store->writer;
    struct reader *reader = &store->reader;

    store->magic = STORE_MAGIC;
    store->loop = loop;
    if (strcmp(config->path, ":memory:") != 0)
        store->path = mem_string(config->path);
    pthread_mutex_init(&store->write_lock, NULL);
    pthread_mutex_init(&reader->own, NULL);

    w->store = store;
    w->sql.busy_ms = STORE_BUSY_MS;
    w->now = loop_wall(loop);
    w->term_pending = true;
    w->checkpoint_pages = config->checkpoint_pages ? config->checkpoint_pages : CHECKPOINT_PAGES;
    w->checkpoint_at = w->checkpoint_pages;
    w->trim.max_rows = config->log_max_rows ? config->log_max_rows : LOG_MAX_ROWS;
    w->trim.max_bytes = config->log_max_bytes ? config->log_max_bytes : LOG_MAX_BYTES;
    w->trim.max_age_ms = config->log_max_age_ms ? config->log_max_age_ms : LOG_MAX_AGE_MS;
    w->lane = (struct lane){
        .loop = loop,
        .arg = w,
        .run = writer_run,
        .finish = batch_finish,
        .after = store_on_group,
        .jobs_max = STORE_QUEUE_MAX,
        .bytes_max = STORE_QUEUE_BYTES,
        .group_max = STORE_GROUP_MAX,
        .eager = true,
    };

    reader->store = store;
    reader->sql.busy_ms = STORE_BUSY_MS;
    reader->use = store->path ? &reader->sql : &w->sql;
    reader->lock = store->path ? &reader->own : &store->write_lock;
    reader->lane = (struct lane){
        .loop = loop,
        .arg = reader,
        .run = reader_run,
        .finish = reader_finish,
        .jobs_max = STORE_READS_MAX,
        .bytes_max = STORE_QUEUE_BYTES,
        .group_max = 1,
    };
    return store;
}

static int store_load(struct store *store, const struct store_config *config, struct fault *fault)
{
    struct reader *reader = &store->reader;
    int r;

    r = schema_open(&store->writer.sql, config, store->path, fault);
    if (r < 0)
        return r;

    if (store->path) {
        r = sql_open(&reader->sql, store->path, config->vfs);
        if (r == 0)
            r = sql_exec(&reader->sql, "PRAGMA query_only = ON; PRAGMA cache_size = -512;"
                                       "PRAGMA temp_store = MEMORY");
        if (r < 0)
            return schema_fault(&reader->sql, r, store->path, fault);
    }
    r = log_load(store);
    if (r == 0)
        r = idempotency_load(store);
    if (r < 0)
        return schema_fault(&store->writer.sql, r, store->path ? store->path : "(memory)", fault);
    return 0;
}

int store_open(struct loop *loop, const struct store_config *config, struct store **ret,
               struct fault *reterr_fault)
{
    struct store *store = store_new(loop, config);
    int r;

    r = store_load(store, config, reterr_fault);
    if (r == 0) {
        r = lane_start(&store->writer.lane, "store-write");
        if (r == 0)
            r = lane_start(&store->reader.lane, "store-read");
        if (r < 0)
            fault_set(reterr_fault, r, "cannot start the threads of the store: out of memory");
    }
    if (r < 0) {
        store_close(store);
        return r;
    }
    timer_start(loop, &store->tick, TICK_MS, TICK_MS, store_tick, store);
    *ret = store;
    return 0;
}

/* ---- closing ---- */

struct store *store_close(struct store *store)
{
    if (!store)
        return NULL;
    CHECK(store, STORE_MAGIC);
    lane_stop(&store->reader.lane);
    lane_stop(&store->writer.lane);
    timer_stop(store->loop, &store->tick);
    sql_close(&store->reader.sql);
    sql_close(&store->writer.sql);
    idempotency_done(&store->idempotency);
    log_done(&store->log);
    pthread_mutex_destroy(&store->write_lock);
    pthread_mutex_destroy(&store->reader.own);
    mem_free(store->path);
    store->magic = 0;
    mem_free(store);
    return NULL;
}
