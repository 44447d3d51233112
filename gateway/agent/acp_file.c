/* fs/read_text_file and fs/write_text_file: files beneath the session's folder, in the pool. Writing is
 * asked for first, as any other change (acp_permission.c).
 *
 * Owns: the requests on their way; a job in the pool belongs to the pool. */
#include "gateway/agent/acp.h"

#include "base/io/work.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/tools/workspace.h"

#include <string.h>
#include <unistd.h>

#define FILE_MAX (4u << 20)
#define FILE_MS  30000

/* The pool's: inputs, and what came out. */
struct file_job {
    char *root, *path, *forbidden, *content; /* content NULL: read */
    int64_t line, limit;                     /* 1-based; 0: from the start, to the end */
    struct buf out;
};

struct acp_file {
    struct acp_file *next;
    struct acp_child *child;
    char *id; /* of the program's request, JSON text */
    struct op op;
    struct file_job *job;
};

/* ---- in the pool ---- */

/* The lines that were asked for stay. */
static void job_cut(struct file_job *job)
{
    const char *at = job->out.data ? job->out.data : "", *end;
    int64_t left = job->limit;

    for (int64_t line = 1; line < job->line && *at; line++)
        at = strchr(at, '\n') ? strchr(at, '\n') + 1 : at + strlen(at);
    for (end = at; job->limit > 0 && left > 0 && *end; left--)
        end = strchr(end, '\n') ? strchr(end, '\n') + 1 : end + strlen(end);
    buf_drop(&job->out, (size_t)(at - (job->out.data ? job->out.data : "")));
    if (job->limit > 0)
        job->out.length = (size_t)(end - at);
}

static int job_read(struct file_job *job, int root, const char *plain, struct fault *fault)
{
    ssize_t r = workspace_read(root, plain, FILE_MAX, job->forbidden, &job->out, fault);

    if (r < 0)
        return (int)r;
    if (job->out.data && memchr(job->out.data, '\0', job->out.length))
        return fault_set(fault, -ERR_UNSUPPORTED, "%.200s: it is no text", job->path);
    job_cut(job);
    return 0;
}

static int job_run(void *arg, struct fault *fault)
{
    struct file_job *job = arg;
    CLEAN(mem_free) char *plain = workspace_relative(job->root, job->path, fault);
    int root, r;

    if (!plain)
        return fault->code;
    root = workspace_root(job->root, fault);
    if (root < 0)
        return root;
    r = job->content ? workspace_write(root, plain, job->forbidden, job->content,
                                       strlen(job->content), fault)
                     : job_read(job, root, plain, fault);
    (void)close(root);
    return r;
}

static void job_free(void *arg)
{
    struct file_job *job = arg;

    mem_free(job->root);
    mem_free(job->path);
    mem_free(job->forbidden);
    mem_free(job->content);
    buf_done(&job->out);
    mem_free(job);
}

/* ---- on the loop ---- */

static void file_free(struct acp_file *file)
{
    struct acp_file **slot = &file->child->files;

    while (*slot != file)
        slot = &(*slot)->next;
    *slot = file->next;
    file->child->file_count--;
    mem_free(file->id);
    mem_free(file);
}

void acp_files_drop(struct acp_child *child)
{
    while (child->files) {
        op_drop(&child->files->op);
        file_free(child->files);
    }
}

static void file_on_done(struct op *op, int result)
{
    struct acp_file *file = CONTAINER(op, struct acp_file, op);
    struct acp_child *child = file->child;
    const struct file_job *job = file->job;
    struct json_writer w;
    struct buf b;

    CHECK(child, ACP_CHILD_MAGIC);
    buf_init(&b, RPC_LINE_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    if (!job->content) {
        jw_key(&w, "content");
        jw_strn(&w, job->out.data ? job->out.data : "", job->out.length);
    }
    jw_object_end(&w);
    if (result < 0 || b.bad)
        (void)rpc_reply_error(&child->rpc, file->id, RPC_INTERNAL,
                              op->fault.text[0] ? op->fault.text : err_text(result));
    else
        (void)rpc_reply(&child->rpc, file->id, b.data);
    buf_done(&b);
    file_free(file);
}

static struct file_job *job_new(const struct acp_child *child, const struct json *params)
{
    struct file_job *job = NEW(struct file_job);

    job->root = mem_string(child->program.cwd);
    job->path = mem_string(json_string(json_get(params, "path"), ""));
    job->forbidden = mem_string(child->acp->gw->state_dir);
    job->line = json_integer(json_get(params, "line"), 0);
    job->limit = json_integer(json_get(params, "limit"), 0);
    buf_init(&job->out, FILE_MAX + 65536);
    return job;
}

static void file_start(struct acp_child *child, const char *id, struct file_job *job)
{
    struct acp_file *file = NEW(struct acp_file);

    file->child = child;
    file->id = mem_string(id);
    file->job = job;
    file->next = child->files;
    child->files = file;
    child->file_count++;
    op_init(&file->op, child->acp->gw->loop, file_on_done, FILE_MS);
    work_run(&file->op, job_run, job, job_free);
}

/* The session's own request, and not too many of them; else it has been answered. */
static bool file_may(struct acp_child *child, const char *id, const struct json *params)
{
    const char *session = json_string(json_get(params, "sessionId"), "");
    const char *path = json_string(json_get(params, "path"), NULL);

    if (!child->acp_session || strcmp(session, child->acp_session) != 0 || !path)
        (void)rpc_reply_error(&child->rpc, id, RPC_INVALID_PARAMS, "Invalid params");
    else if (child->file_count == ACP_FILES_MAX)
        (void)rpc_reply_error(&child->rpc, id, RPC_INTERNAL, "too many files at once");
    else
        return true;
    return false;
}

void acp_file_read(struct acp_child *child, const char *id, const struct json *params)
{
    if (file_may(child, id, params))
        file_start(child, id, job_new(child, params));
}

void acp_file_write(struct acp_child *child, const char *id, const struct json *params)
{
    const char *content = json_string(json_get(params, "content"), NULL);
    struct file_job *job;

    if (!file_may(child, id, params))
        return;
    if (!content || strlen(content) > FILE_MAX) {
        (void)rpc_reply_error(&child->rpc, id, RPC_INVALID_PARAMS,
                              content ? "the content is larger than 4 MiB" : "Invalid params");
        return;
    }
    job = job_new(child, params);
    job->content = mem_string(content);
    file_start(child, id, job);
}
