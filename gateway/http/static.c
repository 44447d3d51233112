/* A file on its way to a client. Path: static_send -> (pool) job_run opens and reads the first piece ->
 * on_read: 304, the whole, or the head of an answer in parts -> write_piece, (pool) job_run again, … until
 * the end. A client that is slower than the disk is waited for (drained); one that leaves ends it (gone).
 * Owns struct sending; a job owns its descriptor and piece while it runs. */
#include "gateway/http/static.h"

#define LOG_SUBSYSTEM "http"
#include "base/io/work.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/tools/workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_DEADLINE_MS 30000

/* ---- names ---- */

static const struct {
    const char *extension, *type;
} types[] = {
    {"html", "text/html; charset=utf-8"},
    {"js", "text/javascript; charset=utf-8"},
    {"mjs", "text/javascript; charset=utf-8"},
    {"css", "text/css; charset=utf-8"},
    {"json", "application/json; charset=utf-8"},
    {"map", "application/json; charset=utf-8"},
    {"webmanifest", "application/manifest+json; charset=utf-8"},
    {"svg", "image/svg+xml"},
    {"png", "image/png"},
    {"jpg", "image/jpeg"},
    {"jpeg", "image/jpeg"},
    {"gif", "image/gif"},
    {"webp", "image/webp"},
    {"avif", "image/avif"},
    {"ico", "image/x-icon"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"ttf", "font/ttf"},
    {"otf", "font/otf"},
    {"wasm", "application/wasm"},
    {"mp3", "audio/mpeg"},
    {"wav", "audio/wav"},
    {"ogg", "audio/ogg"},
    {"mp4", "video/mp4"},
    {"webm", "video/webm"},
    {"pdf", "application/pdf"},
    {"txt", "text/plain; charset=utf-8"},
    {"md", "text/plain; charset=utf-8"},
    {"xml", "text/xml; charset=utf-8"},
    {"br", "application/octet-stream"},
    {"gz", "application/gzip"},
};

const char *static_type(const char *path)
{
    const char *slash = strrchr(path, '/'), *dot = strrchr(slash ? slash : path, '.');

    for (size_t i = 0; dot && i < COUNT(types); i++)
        if (strcasecmp(dot + 1, types[i].extension) == 0)
            return types[i].type;
    return NULL;
}

bool static_may_show(const char *path)
{
    return path[0] && path[0] != '.' && !strstr(path, "/.");
}

/* ---- in the pool ---- */

static const struct encoding {
    const char *token, *suffix;
} encodings[] = {{"br", ".br"}, {"gzip", ".gz"}};

struct job {
    char *root, *path;
    unsigned accepts; /* bits of encodings */
    size_t want;
    int fd; /* -1: to be opened */
    off_t at;
    struct stat info;
    const char *encoding; /* NULL: as it is */
    char *data;           /* want + 1 bytes */
    size_t length;
};

static void job_free(void *arg)
{
    struct job *job = arg;

    if (job->fd >= 0)
        close(job->fd);
    mem_free(job->root);
    mem_free(job->path);
    mem_free(job->data);
    mem_free(job);
}

static int open_file(int root, const char *path, struct stat *info, struct fault *fault)
{
    int fd = workspace_open(root, path, O_RDONLY, 0, fault);

    if (fd < 0)
        return fd;
    if (fstat(fd, info) == 0 && S_ISREG(info->st_mode))
        return fd;
    close(fd);
    return -ERR_NOT_FOUND;
}

static void take_compressed(struct job *job, int root)
{
    for (size_t i = 0; i < COUNT(encodings); i++) {
        CLEAN(mem_free) char *path = mem_format("%s%s", job->path, encodings[i].suffix);
        struct fault ignored = {0};
        struct stat info;
        int fd = job->accepts & 1u << i ? open_file(root, path, &info, &ignored) : -1;

        if (fd < 0)
            continue;
        close(job->fd);
        job->fd = fd;
        job->info = info;
        job->encoding = encodings[i].token;
        return;
    }
}

static int job_open(struct job *job, struct fault *fault)
{
    int root = workspace_root(job->root, fault);

    if (root < 0)
        return root;
    job->fd = open_file(root, job->path, &job->info, fault);
    if (job->fd >= 0)
        take_compressed(job, root);
    close(root);
    return job->fd < 0 ? job->fd : 0;
}

static int job_run(void *arg, struct fault *fault)
{
    struct job *job = arg;
    int r = job->fd < 0 ? job_open(job, fault) : 0;

    if (r < 0)
        return r;
    job->data = mem_new(job->want + 1);
    while (job->length < job->want) {
        ssize_t n = pread(job->fd, job->data + job->length, job->want - job->length,
                          job->at + (off_t)job->length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fault_set(fault, -ERR_IO, "%s: %s", job->path, strerrordesc_np(errno));
        if (n == 0)
            break;
        job->length += (size_t)n;
    }
    return 0;
}

/* ---- on the loop ---- */

struct sending {
    struct op op;
    struct web_call *call;
    struct job *job; /* running */
    unsigned *open;  /* counted there once begun */
    char *headers, *path;
    bool immutable;
    void (*missing)(struct web_call *call);
    static_loaded_fn *loaded;

    int fd;
    off_t at, size;
    char *piece; /* read, and not yet taken */
    size_t piece_length;
    bool begun;
};

static void sending_free(struct sending *s)
{
    op_drop(&s->op);
    if (s->begun)
        (*s->open)--;
    if (s->fd >= 0)
        close(s->fd);
    mem_free(s->piece);
    mem_free(s->headers);
    mem_free(s->path);
    mem_free(s);
}

static void on_gone(struct web_call *call)
{
    sending_free(TAKE(call->state));
    web_end(call);
}

static void on_read(struct op *op, int result);

/* The next job takes the descriptor with it. */
static void read_next(struct sending *s, struct job *job)
{
    s->job = job;
    op_init(&s->op, s->call->gw->loop, on_read, READ_DEADLINE_MS);
    work_run(&s->op, job_run, job, job_free);
}

/* ---- what the client asks ---- */

/* A member of a list header, with its q; "gzip;q=0" is not taken. */
static bool list_takes(const char *list, const char *token)
{
    size_t length = strlen(token);

    while (list && *list) {
        const char *end = list + strcspn(list, ",");
        list += strspn(list, " \t");
        size_t size = (size_t)(end - list);
        if (size >= length && strncasecmp(list, token, length) == 0 &&
            strchr(",; \t", list[length])) {
            CLEAN(mem_free) char *rest = mem_slice(list + length, size - length);
            const char *q = strstr(rest, "q=0");
            return !q || strpbrk(q + 3, "123456789");
        }
        list = *end ? end + 1 : end;
    }
    return false;
}

static unsigned encodings_taken(const struct web_call *call)
{
    const char *header = web_header(call, "accept-encoding");
    unsigned taken = 0;

    for (size_t i = 0; i < COUNT(encodings); i++)
        if (list_takes(header, encodings[i].token))
            taken |= 1u << i;
    return taken;
}

/* The change time besides the size: packages are unpacked with the same old date each time. */
static char *etag_of(const struct job *job)
{
    return mem_format("\"%" PRIx64 "-%" PRIx64 "-%" PRIx64 "%s\"", (uint64_t)job->info.st_size,
                      (uint64_t)job->info.st_ctim.tv_sec, (uint64_t)job->info.st_ctim.tv_nsec,
                      job->encoding ? job->encoding : "");
}

static bool has_it(const struct web_call *call, const char *etag)
{
    const char *known = web_header(call, "if-none-match");

    return known && (strstr(known, etag) || strcmp(known, "*") == 0);
}

/* ---- the answer ---- */

static char *headers_of(const struct sending *s, const struct job *job, const char *etag)
{
    return mem_format("cache-control: %s\r\netag: %s\r\nvary: accept-encoding\r\n%s%s%s%s",
                      s->immutable ? "public, max-age=31536000, immutable" : "no-cache", etag,
                      job->encoding ? "content-encoding: " : "", job->encoding ? job->encoding : "",
                      job->encoding ? "\r\n" : "", s->headers);
}

static void fail(struct sending *s, int status, const char *text)
{
    struct web_call *call = s->call;
    bool begun = s->begun;

    call->state = NULL;
    sending_free(s);
    if (begun)
        web_cut(call);
    else
        web_error(call, status, "api_error", "%s", text);
}

static void on_failed(struct sending *s, int result, const char *why)
{
    struct web_call *call = s->call;
    void (*missing)(struct web_call *) = s->missing;

    if (result == -ERR_BUSY) {
        fail(s, 503, "the gateway is busy, try again");
    } else if (result == -ERR_IO || result == -ERR_TIMEOUT || result == -ERR_UNSUPPORTED ||
               s->begun) {
        log_warn("%s cannot be read: %s", s->path, why);
        fail(s, 500, "the file cannot be read");
    } else if (s->loaded) {
        static_loaded_fn *loaded = s->loaded;
        call->state = NULL;
        sending_free(s);
        loaded(call, NULL, 0);
    } else {
        call->state = NULL;
        sending_free(s);
        missing(call);
    }
}

static void send_whole(struct sending *s, const struct job *job, const char *headers)
{
    struct web_call *call = s->call;
    const char *type = static_type(s->path);
    CLEAN(bytes_unref) struct bytes *body = bytes_new(job->data, job->length);

    call->state = NULL;
    sending_free(s);
    web_reply(call, 200, type ? type : "application/octet-stream", headers, body);
}

static void send_end(struct sending *s)
{
    struct web_call *call = s->call;
    bool all = s->at >= s->size;

    call->state = NULL;
    sending_free(s);
    if (all)
        web_end(call);
    else
        web_cut(call); /* it shrank meanwhile: the client must not take this for the whole */
}

/* Gives the piece on and reads the next one; a full queue calls again by drained(). */
static void write_piece(struct web_call *call)
{
    struct sending *s = call->state;
    int r;

    if (!s || !s->piece)
        return;
    r = web_write(call, s->piece, s->piece_length);
    if (r == -ERR_FULL)
        return;
    s->at += (off_t)s->piece_length;
    bool last = r < 0 || s->piece_length == 0 || s->at >= s->size;
    s->piece = mem_free(s->piece);
    if (last) {
        send_end(s);
        return;
    }
    struct job *job = NEW(struct job);
    job->fd = s->fd;
    s->fd = -1;
    job->at = s->at;
    job->want = STATIC_PIECE;
    job->path = mem_string(s->path);
    read_next(s, job);
}

static void send_begin(struct sending *s, const char *headers)
{
    struct web_call *call = s->call;
    const char *type = static_type(s->path);

    if (*s->open >= STATIC_STREAMS_MAX) {
        fail(s, 503, "the gateway is busy, try again");
        return;
    }
    s->begun = true;
    (*s->open)++;
    call->drained = write_piece;
    web_begin(call, 200, type ? type : "application/octet-stream", headers);
    if (strcmp(call->request->method, "HEAD") == 0)
        s->at = s->size;
    if (s->at >= s->size)
        send_end(s);
    else
        write_piece(call);
}

static void on_opened(struct sending *s, struct job *job)
{
    struct web_call *call = s->call;
    CLEAN(mem_free) char *etag = etag_of(job), *headers = headers_of(s, job, etag);

    s->size = job->info.st_size;
    if (has_it(call, etag)) {
        call->state = NULL;
        sending_free(s);
        web_reply(call, 304, NULL, headers, NULL);
    } else if (s->size <= (off_t)job->length) {
        send_whole(s, job, headers);
    } else {
        s->piece = TAKE(job->data);
        s->piece_length = job->length;
        send_begin(s, headers);
    }
}

static void on_loaded(struct sending *s, struct job *job)
{
    struct web_call *call = s->call;
    static_loaded_fn *loaded = s->loaded;
    bool whole = job->info.st_size <= (off_t)job->length;

    call->state = NULL;
    sending_free(s);
    job->data[job->length] = '\0';
    loaded(call, whole ? job->data : NULL, job->length);
}

static void on_read(struct op *op, int result)
{
    struct sending *s = CONTAINER(op, struct sending, op);
    struct job *job = TAKE(s->job);

    if (result < 0) {
        on_failed(s, result, op->fault.code ? op->fault.text : err_text(result));
        return;
    }
    if (s->loaded) {
        on_loaded(s, job);
        return;
    }
    if (!s->begun) {
        s->fd = job->fd;
        job->fd = -1;
        on_opened(s, job);
        return;
    }
    s->fd = job->fd;
    job->fd = -1;
    s->piece = TAKE(job->data);
    s->piece_length = job->length;
    write_piece(s->call);
}

static struct sending *sending_new(struct web_call *call, const char *root, const char *path,
                                   size_t want, unsigned accepts)
{
    struct sending *s = NEW(struct sending);
    struct job *job = NEW(struct job);

    *job = (struct job){.fd = -1, .want = want, .accepts = accepts};
    job->root = mem_string(root);
    job->path = mem_string(path);
    s->fd = -1;
    s->call = call;
    s->path = mem_string(path);
    s->job = job;
    call->state = s;
    call->gone = on_gone;
    return s;
}

void static_send(struct web_call *call, unsigned *open, const struct static_file *file)
{
    if (!static_may_show(file->path)) {
        file->missing(call);
        return;
    }
    struct sending *s =
        sending_new(call, file->root, file->path, STATIC_PIECE, encodings_taken(call));

    s->open = open;
    s->headers = mem_string(file->headers);
    s->immutable = file->immutable;
    s->missing = file->missing;
    read_next(s, s->job);
}

void static_load(struct web_call *call, const char *root, const char *path, static_loaded_fn *done)
{
    struct sending *s = sending_new(call, root, path, STATIC_LOAD_MAX, 0);

    s->headers = mem_string("");
    s->loaded = done;
    read_next(s, s->job);
}
