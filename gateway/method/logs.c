/* logs.tail: the end of today's log file, or what was added since a cursor. protocol.md 4.1. The file is
 * read in the pool, at most maxBytes of it. */
#include "base/io/work.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOGS_TAIL_MS 10000

struct logs_tail {
    int64_t cursor, limit, maxBytes;
};
static const struct field logs_tail_fields[] = {
    F_INT(logs_tail, cursor, OPTIONAL, 0, 9007199254740991.0, -1),
    F_INT(logs_tail, limit, OPTIONAL, 1, 5000, 500),
    F_INT(logs_tail, maxBytes, OPTIONAL, 1, 1000000, 250000),
    F_END,
};
static const struct field logs_tail_reply[] = {
    R_STR("file", REQUIRED),
    R_INT("cursor", REQUIRED),
    R_INT("size", REQUIRED),
    R_STRS("lines", REQUIRED),
    R_BOOL("truncated", 0),
    R_BOOL("reset", 0),
    F_END,
};

/* One reading: the question, then the answer. */
struct tail {
    struct op op;
    struct call *call;
    struct logs_tail ask;
    char file[4096];
    int64_t size;
    bool truncated, reset;
    char *text; /* the part that was read, NUL terminated */
    size_t length;
};

/* ---- in the pool ---- */

/* Where reading begins, by cursor, size and the ceiling. */
static int64_t tail_start(struct tail *t)
{
    int64_t cursor = t->ask.cursor, last = t->size - t->ask.maxBytes;

    if (last < 0)
        last = 0;
    t->reset = cursor >= 0 && (cursor > t->size || t->size - cursor > t->ask.maxBytes);
    if (cursor >= 0 && !t->reset)
        return cursor;
    t->truncated = last > 0;
    return last;
}

static int tail_read_from(struct tail *t, int fd, int64_t start, struct fault *fault)
{
    size_t want = (size_t)(t->size - start), have = 0;
    char before = '\n';

    if (start > 0 && pread(fd, &before, 1, start - 1) != 1)
        before = '\n';
    t->text = mem_new(want + 1);
    while (have < want) {
        ssize_t n = pread(fd, t->text + have, want - have, start + (int64_t)have);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_set(fault, -ERR_IO, "log read failed: %s", strerrordesc_np(errno));
        if (n == 0)
            break;
        have += (size_t)n;
    }
    size_t skip = 0;
    if (before != '\n') { /* begins inside a line */
        const char *newline = memchr(t->text, '\n', have);
        skip = newline ? (size_t)(newline - t->text) + 1 : have;
    }
    t->length = have - skip;
    memmove(t->text, t->text + skip, t->length);
    t->text[t->length] = '\0';
    return 0;
}

static int tail_work(void *arg, struct fault *fault)
{
    struct tail *t = arg;
    struct stat st;
    int fd = open(t->file, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0 && errno == ENOENT) {
        t->reset = t->ask.cursor > 0;
        return 0;
    }
    if (fd < 0)
        return fault_set(fault, -ERR_IO, "log read failed: %s", strerrordesc_np(errno));
    int r = fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)
                ? fault_set(fault, -ERR_IO, "log read failed: not a regular file")
                : 0;
    if (r == 0) {
        t->size = st.st_size;
        r = tail_read_from(t, fd, tail_start(t), fault);
    }
    close(fd);
    return r;
}

static void tail_free(void *arg)
{
    struct tail *t = arg;

    mem_free(t->text);
    mem_free(t);
}

/* ---- on the loop ---- */

/* The last `limit` lines: their first byte. */
static const char *tail_first_line(struct tail *t)
{
    int64_t lines = 0;
    size_t at = t->length;

    if (at > 0 && t->text[at - 1] == '\n')
        at--;
    for (; at > 0; at--) {
        if (t->text[at - 1] == '\n' && ++lines == t->ask.limit) {
            t->truncated = true;
            return t->text + at;
        }
    }
    return t->text;
}

static void tail_write_lines(struct tail *t, const char *line, struct json_writer *w)
{
    const char *end = t->text + t->length;

    jw_karray(w, "lines");
    while (line && line < end) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *stop = newline ? newline : end;
        jw_strn(w, line, (size_t)(stop - line));
        line = stop + 1;
    }
    jw_array_end(w);
}

static void tail_done(struct op *op, int result)
{
    struct tail *t = CONTAINER(op, struct tail, op);
    struct call_error error = {
        .code = WIRE_UNAVAILABLE, .message = op->fault.text, .retry_after_ms = -1};

    if (result < 0) {
        if (!op->fault.text[0])
            error.message = "log read failed: it took too long";
        call_fail_with(t->call, &error);
        return;
    }
    const char *first = t->text ? tail_first_line(t) : NULL;
    struct json_writer *w = call_reply(t->call);
    jw_object(w);
    jw_kstr(w, "file", t->file);
    jw_kint(w, "cursor", t->size);
    jw_kint(w, "size", t->size);
    tail_write_lines(t, first, w);
    jw_kbool(w, "truncated", t->truncated);
    jw_kbool(w, "reset", t->reset);
    jw_object_end(w);
    call_send(t->call);
}

static void tail_gone(void *arg)
{
    struct tail *t = arg;

    op_cancel(&t->op);
}

static int logs_tail_run(struct call *call, const void *params)
{
    struct tail *t = NEW(struct tail);

    t->call = call;
    t->ask = *(const struct logs_tail *)params;
    log_file_path(t->file, sizeof(t->file));
    op_init(&t->op, call_gateway(call)->loop, tail_done, LOGS_TAIL_MS);
    call_on_gone(call, tail_gone, t);
    work_run(&t->op, tail_work, t, tail_free);
    return 0;
}

const struct method methods_logs[] = {
    M("logs.tail", OPERATOR, READ, READ, logs_tail, logs_tail_reply, logs_tail_run),
    {0},
};
