/* What the files of store/ share. design.md section 6.
 *
 * Words: a batch is one atomic step of writes, made on the loop. A group is the batches that share one
 * commit. The settled head is the last log offset below which nothing is still on its way. */
#pragma once

#include "store/arena.h"
#include "store/lane.h"
#include "store/sql.h"
#include "store/store.h"

#define STORE_QUEUE_BYTES (64 * 1024 * 1024) /* of copied strings in batches that wait */
#define STORE_READS_MAX   1024               /* reads that wait; one more: -ERR_BUSY */
#define STORE_GROUP_MAX   4096               /* batches that share one commit */
#define STORE_TERMS_MAX   4096               /* starts that are remembered */
#define STORE_BUSY_MS     2000               /* wait for a lock that another program holds */
#define STORE_REASON_MAX  256

/* ---- batch.c ---- */

struct record {
    struct record *next;
    enum statement statement;
    size_t count;
    struct value values[];
};

struct idempotency_change;

/* Who else wants to know how the batch ended. */
struct hook {
    struct hook *next;
    store_hook_fn *fn;
    void *arg;
};

struct store_batch {
    struct job job; /* first */
    struct store *store;
    struct arena arena;               /* holds the batch itself */
    struct op *op;                    /* NULL: nobody waits (any more) */
    struct hook *hooks, **hooks_tail; /* in the arena */

    struct record *first, **tail;
    size_t count;
    int64_t now; /* wall time of the commit call: the writer's clock for trimming */

    int64_t log_first, log_last; /* 0: no events */
    int64_t log_rows, log_bytes;
    struct store_batch *log_prev, *log_next;            /* in struct store_log.open */
    struct idempotency_change *changes, **changes_tail; /* idempotency puts */
    bool committed;                                     /* store_commit took it */
};

void batch_add(struct store_batch *batch, enum statement statement, const struct value *values,
               size_t count);
#define ADD(batch, name, ...) batch_add(batch, STATEMENT_##name, VALUES(__VA_ARGS__))
void batch_finish(void *arg, struct job *job); /* lane_finish_fn of the writer */

/* ---- idempotency.c ---- */

struct idempotency_entry;

struct idempotency {
    struct idempotency_entry **buckets;
    size_t bucket_count, count;
    struct idempotency_entry *oldest, *newest; /* in order of put */
    struct idempotency_entry *cold; /* older ones' outcomes are on disk only; NULL: none is newer */
    size_t warm;                    /* entries from cold on */
    uint64_t seed;
};

int idempotency_load(struct store *store);
void idempotency_done(struct idempotency *table);
void idempotency_apply(struct store_batch *batch);           /* at store_commit */
void idempotency_settle(struct store_batch *batch, bool ok); /* only after apply */

/* ---- log.c ---- */

struct store_term {
    char epoch[33];
    int64_t first; /* offset */
};

/* Loop thread. */
struct store_log {
    struct store_term *terms; /* oldest first; the last is this start */
    size_t term_count;
    int64_t given;   /* the last offset handed out */
    int64_t durable; /* the last that was committed */
    int64_t oldest;  /* first kept, 0: none */
    struct store_batch *open,
        *open_last; /* batches with events, not ended, in order of first offset */
};

/* Writer thread (and store_open). */
struct log_trim {
    int64_t rows, bytes; /* in the log, as written in log_total */
    int64_t max_rows, max_bytes, max_age_ms;
    int64_t next_age_check, not_before;
    bool trimming;  /* the last step left more to do */
    int64_t oldest; /* first offset kept; 0: none or not looked */
};

int log_load(struct store *store); /* terms, bounds, totals; a new term in memory */
int log_write_term(struct sql *sql, const struct store_log *log, int64_t now);
void log_settle(struct store_batch *batch, bool ok);
void log_done(struct store_log *log);
/* Oldest rows go while there are too many rows or bytes or they are too old, a step at a time, each in a
 * transaction of its own; the newest row stays. A step that fails is tried again after a while. */
bool log_trim_due(const struct log_trim *trim, int64_t now);
void log_trim_step(struct sql *sql, struct log_trim *trim, int64_t now);
int log_total_write(struct sql *sql, const struct log_trim *trim);

/* ---- writer.c ---- */

struct writer {
    struct lane lane;
    struct sql sql;
    struct store *store;
    struct log_trim trim;
    int64_t now; /* newest wall time a batch brought */
    int checkpoint_pages, checkpoint_at, wal_pages;
    bool house;        /* trimming or a checkpoint is due */
    bool term_pending; /* this start's term is not on disk yet (it was full) */

    /* under lane.lock: what the loop is told after a group */
    enum store_state state;
    char reason[STORE_REASON_MAX];
    int64_t oldest;
};

bool writer_run(void *arg, struct job *jobs);

/* ---- reader.c ---- */

struct reader {
    struct store *store;
    struct lane lane;
    struct sql sql;
    struct sql *use;       /* &sql, or the writer's for ":memory:" */
    pthread_mutex_t *lock; /* held while use is used: &own, or the writer's */
    pthread_mutex_t own;
};

/* A question on its way to the reader and back. What is copied for it and what it finds are in one
 * arena that goes to the page. */
struct read {
    struct job job; /* first */
    struct op *op;  /* embedded in the page; NULL: nobody waits any more */
    struct arena arena;
    int (*run)(struct sql *sql, struct read *read); /* reader thread */
    void (*give)(struct read *read);                /* loop: the answer to the page of op */

    const char *session_id, *message_id;
    const char *key, *outcome;
    const char *from, *to, *agent_id, *session_key; /* of usage */
    struct store *store;
    int64_t after, through;
    int limit;
    size_t max_bytes;

    void *rows; /* in the arena */
    size_t count, bytes;
    int64_t total, oldest;
    bool more;
};

struct read *read_new(int (*run)(struct sql *sql, struct read *read),
                      void (*give)(struct read *read)) MUSTCHECK;
void read_start(struct store *store, struct read *read, struct op *op);
int read_limit(int limit); /* within 1 and STORE_PAGE_MAX */
char *read_text(struct arena *arena, const struct sql_rows *rows, int column);
void read_memory_free(struct arena_chunk *memory);

bool reader_run(void *arg, struct job *jobs);
void reader_finish(void *arg, struct job *job);

/* Blocking reads on the loop thread: waits for what was committed, then holds the reader's connection
 * until each_done. */
struct each {
    struct store *store;
    struct sql_rows rows;
};
void each_start(struct store *store, enum statement statement, const struct value *values,
                size_t count, struct each *ret);
int each_done(struct each *each, int result); /* returns result */

/* ---- store.c, schema.c ---- */

#define STORE_MAGIC 0x53544f52u

struct store {
    unsigned magic;
    struct loop *loop;
    struct writer writer;
    struct reader reader;
    pthread_mutex_t write_lock; /* the writer's connection; contended only for ":memory:" */
    char *path;                 /* NULL: memory */

    struct idempotency idempotency;
    struct store_log log;
    enum store_state state;
    char state_text[STORE_REASON_MAX + 256];
    struct timer tick; /* age trimming when nothing is written; retry while not OK */
};

/* Creates the file (0600), checks that it is ours and not newer, migrates. path NULL: memory. */
int schema_open(struct sql *sql, const struct store_config *config, const char *path,
                struct fault *reterr_fault);
/* The sentence for what went wrong with this file. */
int schema_fault(const struct sql *sql, int code, const char *path, struct fault *fault);
/* Loop thread: what the threads found out becomes what health says. */
void store_enter_state(struct store *store, enum store_state state, const char *reason);
