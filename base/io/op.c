/* An op's life: init (starter), start (worker), then one of end (worker), deadline, cancel (starter);
 * the end is delivered by a deferred call, so never inside the call that caused it. */
#include "base/io/op.h"

#include <string.h>

void op_init(struct op *op, struct loop *loop, op_done_fn *done, int64_t deadline_ms)
{
    require(!op->running);
    memset(op, 0, sizeof(*op));
    op->loop = loop;
    op->done = done;
    op->deadline.due = deadline_ms;
}

static void op_deliver(void *arg)
{
    struct op *op = arg;

    op->running = false;
    op->worker = NULL;
    op->done(op, op->result);
}

static void op_finish(struct op *op, int result)
{
    op->result = result;
    timer_stop(op->loop, &op->deadline);
    defer_start(op->loop, &op->end, op_deliver, op);
}

/* Takes the op away from its worker, who from here on does not know it. */
static void op_take_back(struct op *op)
{
    if (op->cancel)
        op->cancel(op, op->worker);
    op->cancel = NULL;
    op->worker = NULL;
}

static void op_on_deadline(void *arg)
{
    struct op *op = arg;

    op_take_back(op);
    if (!op->fault.code)
        fault_set(&op->fault, -ERR_TIMEOUT, "no answer in time");
    op_finish(op, -ERR_TIMEOUT);
}

void op_start(struct op *op, op_cancel_fn *cancel, void *worker)
{
    int64_t deadline_ms = op->deadline.due;

    require(!op->running);
    op->running = true;
    op->cancel = cancel;
    op->worker = worker;
    if (deadline_ms > 0)
        timer_start(op->loop, &op->deadline, deadline_ms, 0, op_on_deadline, op);
}

void op_end(struct op *op, int result)
{
    if (fails(op->running) || fails(!op->end.queued))
        return;
    op->cancel = NULL;
    op_finish(op, result);
}

void op_cancel(struct op *op)
{
    if (!op->running || op->end.queued)
        return;
    op_take_back(op);
    op_finish(op, -ERR_CANCELLED);
}

void op_drop(struct op *op)
{
    if (!op->running)
        return;
    if (op->end.queued)
        defer_stop(op->loop, &op->end);
    else
        op_take_back(op);
    timer_stop(op->loop, &op->deadline);
    op->running = false;
}
