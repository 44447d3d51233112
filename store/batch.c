/* A batch: statements with copied values, collected on the loop, run by the writer, ended on the loop.
 * The batch lives in its own arena, so making one is one allocation for the usual size. */
#include "store/private.h"

#include "base/mem.h"

struct store_batch *store_batch(struct store *store)
{
    struct arena arena = {0};
    struct store_batch *batch = arena_take(&arena, sizeof(*batch));

    batch->arena = arena;
    batch->store = store;
    batch->tail = &batch->first;
    batch->hooks_tail = &batch->hooks;
    batch->changes_tail = &batch->changes;
    return batch;
}

static void batch_free(struct store_batch *batch)
{
    struct arena arena = batch->arena;

    mem_free(batch->job.fault);
    arena_done(&arena);
}

static void batch_run_hooks(struct store_batch *batch, int result)
{
    for (struct hook *hook = batch->hooks; hook; hook = hook->next)
        hook->fn(hook->arg, result);
}

void store_batch_free(struct store_batch *batch)
{
    if (!batch)
        return;
    require(!batch->committed);
    log_settle(batch, false);
    batch_run_hooks(batch, -ERR_CANCELLED);
    batch_free(batch);
}

void store_on_commit(struct store_batch *batch, store_hook_fn *fn, void *arg)
{
    struct hook *hook = arena_take(&batch->arena, sizeof(*hook));

    *hook = (struct hook){.fn = fn, .arg = arg};
    *batch->hooks_tail = hook;
    batch->hooks_tail = &hook->next;
}

void batch_add(struct store_batch *batch, enum statement statement, const struct value *values,
               size_t count)
{
    struct record *record = arena_take(&batch->arena, sizeof(*record) + count * sizeof(*values));

    record->statement = statement;
    record->count = count;
    for (size_t i = 0; i < count; i++) {
        record->values[i] = values[i];
        if (values[i].is_text && values[i].text)
            record->values[i].text = arena_copy(&batch->arena, values[i].text, values[i].length);
    }
    *batch->tail = record;
    batch->tail = &record->next;
    batch->count++;
}

/* Nobody waits any more; what was given to the writer is still written. */
static void batch_on_cancel(struct op *op, void *worker)
{
    struct store_batch *batch = worker;

    (void)op;
    batch->op = NULL;
}

static void batch_end(struct store_batch *batch, int result)
{
    struct op *op = batch->op;

    log_settle(batch, result == 0);
    idempotency_settle(batch, result == 0);
    batch_run_hooks(batch, result);
    if (op) {
        if (result < 0 && batch->job.fault)
            op->fault = *batch->job.fault;
        op_end(op, result);
    }
    batch_free(batch);
}

void store_commit(struct store_batch *batch, struct op *op)
{
    struct store *store = batch->store;

    require(!batch->committed);
    batch->committed = true;
    batch->op = op;
    batch->now = loop_wall(store->loop);
    batch->job.bytes = batch->arena.taken;
    if (op)
        op_start(op, batch_on_cancel, batch);
    idempotency_apply(batch);

    int r = lane_push(&store->writer.lane, &batch->job);
    if (r < 0) {
        batch->job.fault = NEW(struct fault);
        fault_set(batch->job.fault, r,
                  r == -ERR_CLOSED ? "the store is closing and takes no more writes"
                                   : "too many writes wait for the disk; try again in a moment");
        batch_end(batch, r);
    }
}

void batch_finish(void *arg, struct job *job)
{
    (void)arg;
    batch_end(CONTAINER(job, struct store_batch, job), job->result);
}
