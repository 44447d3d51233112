/* Jobs for libuv's pool. A job owns its request and its argument; the op is only lent to it, and taken
 * back by a cancel while the job itself may still run to its end. */
#include "base/io/work.h"

#include "base/mem.h"

#include <uv.h>

struct job {
    uv_work_t request;
    struct loop *loop;
    struct op *op; /* NULL: nobody waits any more */
    work_fn *fn;
    void *arg;
    work_free_fn *free_arg;
    int result;
    struct fault fault;
    struct defer release;
};

static void job_run(uv_work_t *request)
{
    struct job *job = request->data;
    job->result = job->fn(job->arg, &job->fault);
}

static void job_release(void *arg)
{
    struct job *job = arg;

    if (job->free_arg)
        job->free_arg(job->arg);
    mem_free(job);
}

/* op_end first: deferred calls run in order, so done sees the argument before it is freed. */
static void job_ended(uv_work_t *request, int status)
{
    struct job *job = request->data;

    --*loop_jobs(job->loop);
    if (job->op) {
        job->op->fault = job->fault;
        op_end(job->op, status < 0 ? -ERR_CANCELLED : job->result);
    }
    defer_start(job->loop, &job->release, job_release, job);
}

static void job_cancel(struct op *op, void *worker)
{
    struct job *job = worker;

    (void)op;
    job->op = NULL;
    uv_cancel((uv_req_t *)&job->request); /* only helps while it waits in the queue */
}

void work_run(struct op *op, work_fn *fn, void *arg, work_free_fn *free_arg)
{
    struct job *job = NEW(struct job);

    job->loop = op->loop;
    job->op = op;
    job->fn = fn;
    job->arg = arg;
    job->free_arg = free_arg;
    job->request.data = job;
    op_start(op, job_cancel, job);

    if (*loop_jobs(op->loop) >= WORK_MAX) {
        fault_set(&op->fault, -ERR_BUSY, "too many jobs are waiting");
        op_end(op, -ERR_BUSY);
        defer_start(op->loop, &job->release, job_release, job);
        return;
    }
    ++*loop_jobs(op->loop);
    require(uv_queue_work(loop_uv(op->loop), &job->request, job_run, job_ended) == 0);
}
