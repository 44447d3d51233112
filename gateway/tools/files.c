/* read, write, edit, ls: the files of the agent's workspace. The handler finds the workspace and copies what
 * was asked into a job; the pool does it (file_work); file_on_done tells the result. Paths are opened by
 * workspace.c alone. */
#include "gateway/tools/ops.h"

#include "base/crypto.h"
#include "base/io/work.h"
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/gateway.h"
#include "gateway/tools/edit.h"
#include "gateway/tools/workspace.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_MS       30000
#define PATH_CAP      4096
#define FILE_MAX      (10u << 20)  /* bytes of a file that are read */
#define IMAGE_MAX     (5u << 20)   /* bytes of a picture that a model is shown */
#define WRITE_MAX     (10u << 20)  /* bytes of a file after an edit */
#define LINES_DEFAULT 2000         /* of one answer of read */
#define SHOWN_MAX     (48u * 1024) /* bytes of them */
#define ENTRIES_MAX   20000        /* of a folder that are looked at */
#define ENTRIES_SHOWN 500

/* What the pool works on: its own, because it may outlive the call. */
struct file_job {
    int (*run)(struct file_job *job, int root, struct fault *fault);
    char *root, *forbidden, *path; /* path as it was given */
    char *plain;                   /* and as workspace_relative has it */
    char *content;                 /* write */
    struct json *edits;            /* edit */
    int64_t offset, limit;
    struct buf text;       /* the result */
    char *image;           /* base64; NULL: it is text */
    const char *mime_type; /* of image */
    struct json *details;
};

struct file_state {
    struct op op;
    struct file_job *job; /* the pool's; valid until file_on_done returns */
};

static struct file_job *job_new(int (*run)(struct file_job *job, int root, struct fault *fault),
                                const char *path)
{
    struct file_job *job = NEW(struct file_job);

    job->run = run;
    job->path = mem_string(path);
    buf_init(&job->text, FILE_MAX + 4096);
    return job;
}

static void job_free(void *arg)
{
    struct file_job *job = arg;

    mem_free(job->root);
    mem_free(job->forbidden);
    mem_free(job->path);
    mem_free(job->plain);
    mem_free(job->content);
    json_free(job->edits);
    json_free(job->details);
    buf_done(&job->text);
    mem_free(job->image);
    mem_free(job);
}

static int file_work(void *arg, struct fault *fault)
{
    struct file_job *job = arg;
    int root, r;

    job->plain = workspace_relative(job->root, job->path, fault);
    if (!job->plain)
        return fault->code;
    root = workspace_root(job->root, fault);
    if (root < 0)
        return root;
    r = job->run(job, root, fault);
    close(root);
    return r;
}

static void file_on_done(struct op *op, int result)
{
    struct file_state *state = CONTAINER(op, struct file_state, op);
    struct tool_call *call = tool_call_of_state(state);
    struct file_job *job = state->job;

    if (result < 0)
        tool_end_fault(call, &op->fault);
    else if (job->image)
        tool_end_image(call, job->text.data, job->image, job->mime_type);
    else
        tool_end_text(call, job->text.data ? job->text.data : "", job->text.length,
                      TAKE(job->details));
}

/* Takes the job. */
static void file_start(struct tool_call *call, struct file_job *job)
{
    struct gateway *gw = tool_call_gateway(call);
    struct file_state *state = tool_call_state(call);
    struct fault fault = {0};

    job->root = agent_workspace(gw, tool_call_request(call)->agent_id, &fault);
    if (!job->root) {
        job_free(job);
        tool_end_fault(call, &fault);
        return;
    }
    job->forbidden = mem_string(gw->state_dir);
    state->job = job;
    op_init(&state->op, gw->loop, file_on_done, /* deadline_ms= */ 0);
    work_run(&state->op, file_work, job, job_free);
}

static void file_close(struct tool_call *call)
{
    struct file_state *state = tool_call_state(call);
    op_drop(&state->op);
}

/* ---- read ---- */

struct read {
    const char *path;
    int64_t offset, limit;
};
static const struct field read_fields[] = {
    A_STR(read, "path", path, REQUIRED | FIELD_NONEMPTY, PATH_CAP,
          "The file, relative to the workspace."),
    A_INT(read, "offset", offset, OPTIONAL, 1, 1e9, 1,
          "The first line to show; lines count from 1."),
    A_INT(read, "limit", limit, OPTIONAL, 1, 1e6, LINES_DEFAULT, "Most lines to show."),
    F_END,
};

static const char *image_type(const char *data, size_t length)
{
    static const struct {
        const char *magic;
        size_t at, length;
        const char *type;
    } types[] = {
        {"\x89PNG\r\n\x1a\n", 0, 8, "image/png"},
        {"\xff\xd8\xff", 0, 3, "image/jpeg"},
        {"GIF87a", 0, 6, "image/gif"},
        {"GIF89a", 0, 6, "image/gif"},
        {"WEBP", 8, 4, "image/webp"},
    };

    for (size_t i = 0; i < COUNT(types); i++) {
        if (length >= types[i].at + types[i].length &&
            memcmp(data + types[i].at, types[i].magic, types[i].length) == 0)
            return types[i].type;
    }
    return NULL;
}

static int show_image(struct file_job *job, struct buf *raw, const char *type, struct fault *fault)
{
    if (raw->length > IMAGE_MAX)
        return fault_set(fault, -ERR_TOO_LARGE,
                         "%.200s: a picture of %zu bytes; at most %u are shown", job->path,
                         raw->length, IMAGE_MAX);
    job->image = mem_new(crypto_base64_size(raw->length));
    crypto_base64(raw->data, raw->length, job->image);
    job->mime_type = type;
    buf_addf(&job->text, "%s, %s, %zu bytes", job->path, type, raw->length);
    return 0;
}

/* Where the line that begins at `at` ends, its line end included. */
static size_t line_end(const char *text, size_t length, size_t at)
{
    const char *end = memchr(text + at, '\n', length - at);
    return end ? (size_t)(end - text) + 1 : length;
}

/* The wanted lines, as many as fit, and how to get the rest. */
static int show_lines(struct file_job *job, const char *text, size_t length, struct fault *fault)
{
    int64_t line = 1, shown = 0, total = 0;
    size_t at = 0;

    for (size_t i = 0; i < length; i = line_end(text, length, i))
        total++;
    if (job->offset > total && total > 0)
        return fault_set(fault, -ERR_INVALID, "%.200s has only %" PRId64 " lines", job->path,
                         total);
    for (; line < job->offset && at < length; line++)
        at = line_end(text, length, at);
    while (at < length && shown < job->limit) {
        size_t end = line_end(text, length, at);

        if (job->text.length + (end - at) > SHOWN_MAX && shown > 0)
            break;
        buf_add(&job->text, text + at, end - at);
        at = end;
        shown++;
    }
    if (at < length || job->offset > 1)
        buf_addf(&job->text, "\n[lines %" PRId64 " to %" PRId64 " of %" PRId64 "%s", job->offset,
                 job->offset + shown - 1, total, at < length ? "" : "]");
    if (at < length)
        buf_addf(&job->text, "; go on with offset %" PRId64 "]", job->offset + shown);
    return 0;
}

static int read_run(struct file_job *job, int root, struct fault *fault)
{
    const char *type;
    struct buf raw;
    ssize_t r;

    buf_init(&raw, FILE_MAX + 65536);
    r = workspace_read(root, job->plain, FILE_MAX, job->forbidden, &raw, fault);
    if (r < 0) {
        buf_done(&raw);
        return (int)r;
    }
    type = raw.data ? image_type(raw.data, raw.length) : NULL;
    if (type)
        r = show_image(job, &raw, type, fault);
    else if (raw.data && memchr(raw.data, '\0', raw.length < 65536 ? raw.length : 65536))
        r = fault_set(fault, -ERR_UNSUPPORTED, "%.200s: it is a binary file of %zu bytes",
                      job->path, raw.length);
    else
        r = show_lines(job, raw.data ? raw.data : "", raw.length, fault);
    buf_done(&raw);
    return r < 0 ? (int)r : 0;
}

static void read_start(struct tool_call *call, const void *params)
{
    const struct read *p = params;
    struct file_job *job = job_new(read_run, p->path);

    job->offset = p->offset;
    job->limit = p->limit;
    file_start(call, job);
}

/* ---- write ---- */

struct write {
    const char *path, *content;
};
static const struct field write_fields[] = {
    A_STR(write, "path", path, REQUIRED | FIELD_NONEMPTY, PATH_CAP,
          "The file, relative to the workspace; missing folders are made."),
    A_STR(write, "content", content, REQUIRED, TOOL_ARGUMENTS_MAX, "All that the file will hold."),
    F_END,
};

static int write_run(struct file_job *job, int root, struct fault *fault)
{
    size_t length = strlen(job->content);
    int r = workspace_write(root, job->plain, job->forbidden, job->content, length, fault);

    if (r == 0)
        buf_addf(&job->text, "Wrote %zu bytes to %s", length, job->path);
    return r;
}

static void write_start(struct tool_call *call, const void *params)
{
    const struct write *p = params;
    struct file_job *job = job_new(write_run, p->path);

    job->content = mem_string(p->content);
    file_start(call, job);
}

/* ---- edit ---- */

struct edit {
    const char *path;
    const struct json *edits;
};
struct edit_one {
    const char *old_text, *new_text;
};
static const struct field edit_rows[] = {
    A_STR(edit_one, "oldText", old_text, REQUIRED, TOOL_ARGUMENTS_MAX,
          "Text that stands exactly once in the file, to the blank."),
    A_STR(edit_one, "newText", new_text, REQUIRED, TOOL_ARGUMENTS_MAX,
          "What stands there afterwards."),
    F_END,
};
static const struct field edit_fields[] = {
    A_STR(edit, "path", path, REQUIRED | FIELD_NONEMPTY, PATH_CAP,
          "The file, relative to the workspace."),
    A_OBJECTS(edit, "edits", edits, REQUIRED, edit_rows, EDITS_MAX,
              "Replacements, each found in the file as it is now; they must not overlap."),
    F_END,
};

static int edit_run(struct file_job *job, int root, struct fault *fault)
{
    struct buf before, after;
    ssize_t r;

    buf_init(&before, FILE_MAX + 65536);
    buf_init(&after, WRITE_MAX);
    r = workspace_read(root, job->plain, FILE_MAX, job->forbidden, &before, fault);
    if (r >= 0)
        r = edit_apply(before.data ? before.data : "", before.length, job->edits, &after, fault);
    if (r >= 0)
        r = workspace_write(root, job->plain, job->forbidden, after.data ? after.data : "",
                            after.length, fault);
    if (r >= 0)
        buf_addf(&job->text, "Replaced %zu passage%s in %s", json_count(job->edits),
                 json_count(job->edits) == 1 ? "" : "s", job->path);
    else if (!strstr(fault->text, job->path))
        fault_prefix(fault, "%.200s", job->path);
    buf_done(&before);
    buf_done(&after);
    return r < 0 ? (int)r : 0;
}

static void edit_start(struct tool_call *call, const void *params)
{
    const struct edit *p = params;
    struct file_job *job = job_new(edit_run, p->path);

    job->edits = json_copy(p->edits);
    file_start(call, job);
}

/* ---- ls ---- */

struct ls {
    const char *path;
    int64_t limit;
};
static const struct field ls_fields[] = {
    A_STR(ls, "path", path, FIELD_NONEMPTY, PATH_CAP,
          "The folder, relative to the workspace; absent: the workspace itself."),
    A_INT(ls, "limit", limit, OPTIONAL, 1, ENTRIES_SHOWN, ENTRIES_SHOWN, "Most entries to show."),
    F_END,
};

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Names with "/" behind folders and "@" behind links, sorted; the list and its strings are the caller's. */
static size_t list_names(DIR *folder, char ***ret_names, bool *ret_more)
{
    char **names = NULL;
    size_t count = 0, room = 0;

    for (struct dirent *entry; (entry = readdir(folder));) {
        const char *mark = entry->d_type == DT_DIR ? "/" : entry->d_type == DT_LNK ? "@" : "";

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        *ret_more = count == ENTRIES_MAX;
        if (*ret_more)
            break;
        if (count == room)
            names = mem_grow(names, room = room ? 2 * room : 64, sizeof(*names));
        names[count++] = mem_format("%s%s", entry->d_name, mark);
    }
    if (count > 1)
        qsort(names, count, sizeof(*names), by_name);
    *ret_names = names;
    return count;
}

static void show_names(struct file_job *job, char **names, size_t count, bool more)
{
    size_t shown = 0;

    for (; shown < count && (int64_t)shown < job->limit && job->text.length < SHOWN_MAX; shown++)
        buf_addf(&job->text, "%s\n", names[shown]);
    if (count == 0)
        buf_add_str(&job->text, "(empty)");
    if (shown < count || more)
        buf_addf(&job->text, "[%zu of %s%zu entries]", shown, more ? "more than " : "", count);
}

static int ls_run(struct file_job *job, int root, struct fault *fault)
{
    int fd = workspace_open(root, job->plain, O_RDONLY | O_DIRECTORY, 0, fault), r;
    char **names = NULL;
    bool more = false;
    size_t count;
    DIR *folder;

    if (fd < 0)
        return fd;
    if ((r = workspace_guard(root, fd, job->forbidden, job->path, fault)) < 0) {
        close(fd);
        return r;
    }
    folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return fault_set(fault, -ERR_IO, "%.200s: %s", job->path, strerrordesc_np(errno));
    }
    count = list_names(folder, &names, &more);
    closedir(folder);
    show_names(job, names, count, more);
    for (size_t i = 0; i < count; i++)
        mem_free(names[i]);
    mem_free(names);
    return 0;
}

static void ls_start(struct tool_call *call, const void *params)
{
    const struct ls *p = params;
    struct file_job *job = job_new(ls_run, p->path ? p->path : ".");

    job->limit = p->limit;
    file_start(call, job);
}

#define FILE_TOOL(id, label_, summary_, description_, flags_)                                      \
    {                                                                                              \
        .name = #id, .label = label_, .summary = summary_, .description = description_,            \
        .group = TOOL_GROUP_fs, .profiles = TOOL_CODING, .params = id##_fields,                    \
        .params_size = sizeof(struct id), .flags = (flags_), .timeout_ms = FILE_MS,                \
        .state_size = sizeof(struct file_state), .start = id##_start, .close = file_close,         \
    }

const struct tool tools_files[] = {
    FILE_TOOL(ls, "List Files", "List a folder of the workspace",
              "List the entries of a folder in the workspace, sorted; folders end with \"/\".",
              TOOL_PARALLEL),
    FILE_TOOL(read, "Read", "Read a file of the workspace",
              "Read a text file in the workspace, or look at a picture (PNG, JPEG, GIF, WebP). "
              "Long files come "
              "in pieces: go on with offset.",
              TOOL_PARALLEL),
    FILE_TOOL(write, "Write", "Create or overwrite a file of the workspace",
              "Write a whole file in the workspace. What was in it is replaced; missing folders "
              "are made.",
              TOOL_DENIED_HTTP),
    FILE_TOOL(edit, "Edit", "Change passages of a file of the workspace",
              "Replace exact passages of a text file in the workspace. Each oldText must stand "
              "exactly once in the "
              "file.",
              TOOL_DENIED_HTTP),
    {0},
};
