/* Path: gather_start reads the page on the store's reader; gather_on_page hands it to the pool;
 * gather_work parses and reads files there; gather_on_worked tells the owner. Owns the job until the pool
 * is through with it, also when the owner has gone. */
#include "gateway/agent/gather.h"

#include "base/io/work.h"
#include "base/mem.h"
#include "gateway/gateway.h"

#include <string.h>

#define GATHER_MAGIC 0x67746872u

/* What the pool sees; its memory is nobody else's meanwhile. */
struct gather_job {
    struct store_page page;
    struct gather *gather; /* loop thread only */
    char *session_id, *workspace;
    int64_t user_seq;
    enum context_reader reader;
    size_t file_bytes, all_bytes;
    struct gathered out;
};

struct gather {
    uint32_t magic;
    struct gateway *gw;
    struct gather_job *job;
    bool working; /* the job is the pool's, to be freed there */
    struct op op; /* the work */
    int64_t timeout_ms;
    gather_fn *fn;
    void *arg;
};

static void gather_on_page(struct op *op, int result);
static void gather_on_worked(struct op *op, int result);

void gathered_done(struct gathered *out)
{
    prompt_done(&out->prompt);
    out->files = mem_free(out->files);
}

static void gather_job_free(void *arg)
{
    struct gather_job *job = arg;

    store_page_done(&job->page);
    gathered_done(&job->out);
    mem_free(job->session_id);
    mem_free(job->workspace);
    mem_free(job);
}

struct gather *gather_start(struct gateway *gw, const struct gather_request *request, gather_fn *fn,
                            void *arg)
{
    struct gather *gather = NEW(struct gather);
    struct gather_job *job = NEW(struct gather_job);

    gather->magic = GATHER_MAGIC;
    gather->gw = gw;
    gather->fn = fn;
    gather->arg = arg;
    gather->timeout_ms = request->timeout_ms;
    gather->job = job;
    job->gather = gather;
    job->session_id = mem_string(request->session_id);
    job->workspace = mem_string(request->workspace);
    job->user_seq = request->user_seq;
    job->reader = request->reader;
    job->file_bytes = request->file_bytes;
    job->all_bytes = request->all_bytes;
    op_init(&job->page.op, gw->loop, gather_on_page, request->timeout_ms);
    store_messages_read(gw->store, &job->page, job->session_id, 0, GATHER_ROWS_MAX,
                        GATHER_BYTES_MAX);
    return gather;
}

static void gather_free(struct gather *gather)
{
    op_drop(&gather->op);
    if (!gather->working) {
        op_drop(&gather->job->page.op);
        gather_job_free(gather->job);
    }
    gather->magic = 0;
    mem_free(gather);
}

struct gather *gather_drop(struct gather *gather)
{
    if (gather)
        gather_free(gather);
    return NULL;
}

static void gather_end(struct gather *gather, int result, const struct fault *fault)
{
    struct gathered out = {0};
    struct fault why = *fault;
    gather_fn *fn = gather->fn;
    void *arg = gather->arg;

    if (result == 0) {
        out = gather->job->out;
        gather->job->out = (struct gathered){0};
    } else if (!why.text[0]) {
        fault_set(&why, result, "the session's messages could not be read: %s", err_text(result));
    }
    gather_free(gather);
    fn(arg, result, &out, &why);
}

/* In the pool. */
static int gather_work(void *arg, struct fault *fault)
{
    struct gather_job *job = arg;

    (void)fault;
    prompt_init(&job->out.prompt);
    prompt_load(&job->out.prompt, job->page.rows, job->page.count, job->user_seq);
    if (job->workspace) {
        struct buf files;

        buf_init(&files, CONTEXT_SYSTEM_MAX / 2);
        context_read(job->workspace, job->reader, job->file_bytes, job->all_bytes, &files);
        job->out.files = buf_take(&files);
    }
    job->out.total = job->page.total;
    return 0;
}

static void gather_on_page(struct op *op, int result)
{
    struct gather_job *job = CONTAINER(op, struct gather_job, page.op);
    struct gather *gather = job->gather;

    CHECK(gather, GATHER_MAGIC);
    if (result < 0) {
        gather_end(gather, result, &op->fault);
        return;
    }
    gather->working = true;
    op_init(&gather->op, gather->gw->loop, gather_on_worked, gather->timeout_ms);
    work_run(&gather->op, gather_work, job, gather_job_free);
}

static void gather_on_worked(struct op *op, int result)
{
    struct gather *gather = CONTAINER(op, struct gather, op);

    CHECK(gather, GATHER_MAGIC);
    gather_end(gather, result, &op->fault);
}
