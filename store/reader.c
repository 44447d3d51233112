/* The reader thread: one connection that answers pages, so that a long transcript never waits behind
 * the writer nor the loop behind either. Before the loop runs, the same connection serves the *_each
 * calls. In ":memory:" both threads share the one connection, under its lock. */
#include "store/private.h"

#include "base/mem.h"

/* ---- asking (loop) ---- */

struct read *read_new(int (*run)(struct sql *sql, struct read *read),
                      void (*give)(struct read *read))
{
    struct read *read = NEW(struct read);

    read->run = run;
    read->give = give;
    return read;
}

static void read_free(struct read *read)
{
    arena_done(&read->arena);
    mem_free(read->job.fault);
    mem_free(read);
}

int read_limit(int limit)
{
    return limit < 1 ? 1 : limit > STORE_PAGE_MAX ? STORE_PAGE_MAX : limit;
}

static void read_on_cancel(struct op *op, void *worker)
{
    struct read *read = worker;

    (void)op;
    read->op = NULL;
}

void read_start(struct store *store, struct read *read, struct op *op)
{
    read->op = op;
    op_start(op, read_on_cancel, read);

    int r = lane_push(&store->reader.lane, &read->job);
    if (r == 0)
        return;
    fault_set(&op->fault, r,
              r == -ERR_CLOSED ? "the store is closing and takes no more reads"
                               : "too many reads wait for the store; try again in a moment");
    op_end(op, r);
    read_free(read);
}

/* ---- answering (reader) ---- */

char *read_text(struct arena *arena, const struct sql_rows *rows, int column)
{
    const char *text = sql_text(rows, column);
    return text ? arena_copy(arena, text, sql_length(rows, column)) : NULL;
}

static void reader_answer(struct reader *reader, struct read *read)
{
    read->job.result = read->run(reader->use, read);
    if (read->job.result == 0)
        return;
    read->job.fault = NEW(struct fault);
    fault_set(read->job.fault, read->job.result, "the store could not read: %s",
              reader->use->reason);
}

bool reader_run(void *arg, struct job *jobs)
{
    struct reader *reader = arg;

    for (struct job *job = jobs; job; job = job->next) {
        pthread_mutex_lock(reader->lock);
        reader_answer(reader, CONTAINER(job, struct read, job));
        pthread_mutex_unlock(reader->lock);
    }
    return false;
}

/* ---- back on the loop ---- */

void reader_finish(void *arg, struct job *job)
{
    struct reader *reader = arg;
    struct read *read = CONTAINER(job, struct read, job);

    if (job->result == -ERR_CORRUPT)
        store_enter_state(reader->store, STORE_DAMAGED, job->fault->text);
    if (read->op) {
        if (job->result == 0)
            read->give(read);
        else
            read->op->fault = *job->fault;
        op_end(read->op, job->result);
    }
    read_free(read);
}

void read_memory_free(struct arena_chunk *memory)
{
    arena_done(&(struct arena){.chunk = memory});
}

/* ---- before the loop runs ---- */

void each_start(struct store *store, enum statement statement, const struct value *values,
                size_t count, struct each *ret)
{
    lane_settle(&store->writer.lane);
    pthread_mutex_lock(store->reader.lock);
    ret->store = store;
    sql_rows(store->reader.use, statement, values, count, &ret->rows);
}

int each_done(struct each *each, int result)
{
    struct store *store = each->store;

    sql_rows_done(&each->rows);
    if (result == -ERR_CORRUPT)
        store_enter_state(store, STORE_DAMAGED, store->reader.use->reason);
    pthread_mutex_unlock(store->reader.lock);
    return result;
}
