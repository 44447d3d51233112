/* The writer thread: group commit. The path of a group: BEGIN, each batch (one of several statements
 * inside a SAVEPOINT, so that a failing one leaves its neighbours alone), the log's totals, COMMIT.
 * When the group as a whole fails, its batches are tried one by one, so that one too large for the disk
 * does not fail the others. After a group: the checkpoint when the WAL has grown, then a step of log
 * trimming. */
#include "store/private.h"

#include "base/mem.h"

#define CHECKPOINT_FORCE 16384 /* a WAL of so many pages waits for readers to be shortened */
#define RETRIES_MAX      4 /* failures in a row, one by one, before the rest of a group fails too */

/* ---- one batch ---- */

static int writer_run_records(struct sql *sql, const struct store_batch *batch)
{
    int r = 0;

    for (const struct record *rec = batch->first; rec && r == 0; rec = rec->next)
        r = sql_run(sql, rec->statement, rec->values, rec->count);
    return r;
}

/* A single statement is atomic by itself; several need the savepoint. */
static int writer_run_batch(struct sql *sql, const struct store_batch *batch)
{
    int r;

    if (batch->count <= 1)
        return writer_run_records(sql, batch);

    r = sql_run(sql, STATEMENT_savepoint, NULL, 0);
    if (r == 0)
        r = writer_run_records(sql, batch);
    if (r < 0 && sql_in_transaction(sql))
        sql_run(sql, STATEMENT_rollback_to, NULL, 0);
    if (sql_in_transaction(sql)) {
        int released = sql_run(sql, STATEMENT_release, NULL, 0);
        r = r < 0 ? r : released;
    }
    return r;
}

static void writer_fail(struct writer *w, struct job *job, int r)
{
    job->result = r;
    if (!job->fault)
        job->fault = NEW(struct fault);
    fault_set(job->fault, r, "the store could not write: %s", w->sql.reason);
}

/* ---- one group ---- */

/* Errors that belong to the batch, not to the disk. */
static bool writer_is_own_fault(int r)
{
    return r == -ERR_CONFLICT || r == -ERR_TOO_LARGE;
}

static int writer_run_batches(struct writer *w, struct job *jobs, const struct job *end)
{
    for (struct job *job = jobs; job != end; job = job->next) {
        struct store_batch *batch = CONTAINER(job, struct store_batch, job);
        int r = writer_run_batch(&w->sql, batch);

        if (r < 0 && (!sql_in_transaction(&w->sql) || !writer_is_own_fault(r)))
            return r;
        if (r < 0) {
            writer_fail(w, job, r);
            continue;
        }
        job->result = 0;
        w->trim.rows += batch->log_rows;
        w->trim.bytes += batch->log_bytes;
    }
    return 0;
}

/* This start's term goes before anything it can name, with the first commit; what grew too old while
 * nobody ran goes along. */
static int writer_begin_term(struct writer *w)
{
    int r = log_write_term(&w->sql, &w->store->log, w->now);

    return r < 0 ? r
                 : sql_run(&w->sql, STATEMENT_idempotency_expire,
                           VALUES(vi(w->now - STORE_IDEMPOTENCY_MS)));
}

/* Everything from jobs up to end in one transaction: 0, or negative and nothing of it happened. */
static int writer_commit(struct writer *w, struct job *jobs, const struct job *end)
{
    const struct log_trim before = w->trim;
    int r;

    r = sql_run(&w->sql, STATEMENT_begin, NULL, 0);
    if (r == 0 && w->term_pending)
        r = writer_begin_term(w);
    if (r == 0)
        r = writer_run_batches(w, jobs, end);
    if (r == 0 && w->trim.rows != before.rows)
        r = log_total_write(&w->sql, &w->trim);
    if (r == 0)
        r = sql_run(&w->sql, STATEMENT_commit, NULL, 0);
    if (r == 0) {
        w->term_pending = false;
        return 0;
    }

    w->trim = before;
    for (struct job *job = jobs; job != end; job = job->next)
        writer_fail(w, job, r);
    if (sql_in_transaction(&w->sql))
        sql_run(&w->sql, STATEMENT_rollback, NULL, 0);
    return r;
}

static int writer_commit_each(struct writer *w, struct job *jobs, int r)
{
    unsigned failed = 0;

    for (struct job *job = jobs; job; job = job->next) {
        if (failed == RETRIES_MAX) { /* job->result is still that of the whole group */
            job->result = r;
            continue;
        }
        int own = writer_commit(w, job, job->next);
        failed = own < 0 ? failed + 1 : 0;
        if (own < 0)
            r = own;
    }
    return failed ? r : 0;
}

/* ---- what health says ---- */

static enum store_state writer_state_of(int r)
{
    switch (r) {
    case 0: return STORE_OK;
    case -ERR_FULL: return STORE_FULL;
    case -ERR_CORRUPT: return STORE_DAMAGED;
    default: return STORE_FAILING;
    }
}

static void writer_tell(struct writer *w, int r)
{
    enum store_state state = writer_state_of(r);

    pthread_mutex_lock(&w->lane.lock);
    if (w->state != STORE_DAMAGED) { /* damage is not cured by a write that worked elsewhere */
        w->state = state;
        memcpy(w->reason, w->sql.reason, sizeof(w->reason));
    }
    pthread_mutex_unlock(&w->lane.lock);
}

/* ---- the thread's turn ---- */

static bool writer_checkpoint_due(struct writer *w)
{
    int pages = w->sql.wal_pages;

    if (pages < w->wal_pages) /* the WAL began anew */
        w->checkpoint_at = w->checkpoint_pages;
    w->wal_pages = pages;
    return pages >= w->checkpoint_at;
}

/* What a group left to do; done while the loop looks at that group's answers. A failure here is met
 * again by the next write, which has somebody to tell. */
static void writer_keep_house(struct writer *w)
{
    if (log_trim_due(&w->trim, w->now))
        log_trim_step(&w->sql, &w->trim, w->now);
    if (writer_checkpoint_due(w)) {
        sql_checkpoint(&w->sql, w->wal_pages >= CHECKPOINT_FORCE);
        w->checkpoint_at = w->wal_pages + w->checkpoint_pages;
    }
    pthread_mutex_lock(&w->lane.lock);
    w->oldest = w->trim.oldest;
    pthread_mutex_unlock(&w->lane.lock);
}

static int writer_run_group(struct writer *w, struct job *jobs)
{
    for (struct job *job = jobs; job; job = job->next) {
        struct store_batch *batch = CONTAINER(job, struct store_batch, job);
        w->now = batch->now > w->now ? batch->now : w->now;
    }
    int r = writer_commit(w, jobs, NULL);
    return r < 0 && jobs && jobs->next ? writer_commit_each(w, jobs, r) : r;
}

bool writer_run(void *arg, struct job *jobs)
{
    struct writer *w = arg;

    pthread_mutex_lock(&w->store->write_lock);
    if (w->house)
        writer_keep_house(w);
    if (jobs || w->term_pending)
        writer_tell(w, writer_run_group(w, jobs));
    w->house = log_trim_due(&w->trim, w->now) || writer_checkpoint_due(w);
    pthread_mutex_unlock(&w->store->write_lock);
    return w->house;
}
