/* The one async currency: something that was started and ends exactly once, from the loop, never
 * from inside the call that started it, always with a deadline and a way to cancel. */
#pragma once

#include "base/io/loop.h"

struct op;

/* result is 0 or negative -ERR_x. Bookkeeping is finished before the call: the op may be started again
 * or its owner freed inside. */
typedef void op_done_fn(struct op *op, int result);
/* Tells the worker that nobody waits any more. It must not call op_end. */
typedef void op_cancel_fn(struct op *op, void *worker);

/* Embedded by its owner; zeroed is idle. Owned by the starter, borrowed by the worker until the end. */
struct op {
    struct loop *loop;
    op_done_fn *done;
    op_cancel_fn *cancel;
    void *worker; /* what cancel is told */
    struct timer deadline;
    struct defer end; /* the end is delivered at the end of the turn */
    int result;
    bool running;
    struct fault fault; /* the sentence behind a negative result; filled by the worker */
};

/* The starter prepares: what to call, and how long at most (ms; 0: no deadline of its own, only where
 * the worker has one). */
void op_init(struct op *op, struct loop *loop, op_done_fn *done, int64_t deadline_ms);
/* The worker accepts the op. */
void op_start(struct op *op, op_cancel_fn *cancel, void *worker);
/* The worker reports the end (loop thread). After a cancel or deadline this is an ignored call only if
 * the worker was told; calling it twice is a bug (fails()). */
void op_end(struct op *op, int result);
/* The starter no longer wants it: the worker is told, and done runs with -ERR_CANCELLED. Idle: no-op. */
void op_cancel(struct op *op);
/* As op_cancel but done is never called: for owners being freed. */
void op_drop(struct op *op);
static inline bool op_running(const struct op *op)
{
    return op->running;
}
