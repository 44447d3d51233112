/* A child process (libuv): spawn in its own session and process group, lines in and out, one end.
 *
 * Path: child_start spawns; child_on_output frames lines; the end is child_on_exit (the process) and
 * child_on_eof (both outputs), in either order; child_finish closes what is open, and the last closed
 * handle brings child_on_closed, which calls ended() and frees. A descendant that keeps our pipes open
 * after the process has ended gets CHILD_DRAIN_MS, then SIGKILL.
 *
 * Owns: the handles, the line buffers, the queued input. */
#include "base/io/child_internal.h"

#include "base/mem.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

struct child_input {
    uv_write_t request;
    struct child *child;
    size_t length;
    char data[];
};

static void child_on_output(uv_stream_t *stream, ssize_t length, const uv_buf_t *chunk);
static void child_read_on(void *arg);
static void child_finish(struct child *child);

/* ---- start ---- */

static void child_pipe_init(struct child *child, uv_pipe_t *pipe)
{
    uv_pipe_init(loop_uv(child->loop), pipe, /* ipc= */ 0);
    pipe->data = child;
    child->handles++;
}

static void child_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *ret)
{
    struct child *child = handle->data;

    (void)suggested;
    *ret = uv_buf_init(child->chunk, sizeof child->chunk);
}

static void child_stream_start(struct child_stream *stream, size_t line_max)
{
    stream->line_max = line_max;
    stream->open = true;
    buf_init(&stream->rest, line_max + 1);
    if (uv_read_start((uv_stream_t *)&stream->pipe, child_on_alloc, child_on_output) < 0)
        stream->open = false;
}

/* A broken pipe is an error code of the write, not the end of the daemon. */
static void child_ignore_sigpipe(void)
{
    struct sigaction now;

    if (sigaction(SIGPIPE, NULL, &now) == 0 && now.sa_handler == SIG_DFL) {
        now.sa_handler = SIG_IGN;
        (void)sigaction(SIGPIPE, &now, NULL);
    }
}

int child_start(struct loop *loop, const struct child_config *config, struct child **ret,
                struct fault *reterr_fault)
{
    struct child *child;
    int pair[2] = {-1, -1}, r;

    if (config->argv == NULL || config->argv[0] == NULL || config->argv[0][0] == '\0')
        return fault_set(reterr_fault, -ERR_INVALID, "no program was named");
    if (config->ret_raw != NULL && child_raw_new(pair) < 0)
        return fault_set(reterr_fault, -ERR_IO, "cannot start %s: %s", config->argv[0],
                         strerror(errno));
    child_ignore_sigpipe();

    child = NEW(struct child);
    child->magic = CHILD_MAGIC;
    child->loop = loop;
    child->leash = -1;
    child->leashed = config->leash;
    child->input_max = config->input_max > 0 ? config->input_max : CHILD_INPUT_MAX;
    child->on_line = config->line;
    child->on_noise = config->noise;
    child->on_ended = config->ended;
    child->arg = config->arg;
    child->raw = child->input_closed = config->ret_raw != NULL;
    if (!child->raw) {
        child_pipe_init(child, &child->input);
        child_pipe_init(child, &child->output.pipe);
    }
    child_pipe_init(child, &child->noise.pipe);

    r = child_spawn(child, config, pair);
    child->process.data = child;
    child->handles++; /* uv_spawn inits the handle also when it fails */
    if (r < 0) {
        child->exited = child->dropped = true;
        child_finish(child);
        if (r == UV_ENOENT)
            return fault_set(
                reterr_fault, -ERR_NOT_FOUND,
                "cannot start %s: it (or its folder) was not found; install it or give "
                "its full path",
                config->argv[0]);
        return fault_set(reterr_fault, r == UV_EACCES ? -ERR_DENIED : -ERR_IO,
                         "cannot start %s: %s", config->argv[0], uv_strerror(r));
    }
    if (!child->raw)
        child_stream_start(&child->output, config->line_max > 0 ? config->line_max : 16u << 20);
    child_stream_start(&child->noise, CHILD_NOISE_MAX);
    *ret = child;
    return 0;
}

int child_pid(const struct child *child)
{
    return child->process.pid;
}

/* ---- output ---- */

static void child_tell(struct child *child, const struct child_stream *stream, const char *text,
                       size_t length)
{
    void (*fn)(void *, const char *, size_t) =
        stream == &child->output ? child->on_line : child->on_noise;

    if (child->dropped || fn == NULL)
        return;
    if (length > 0 && text[length - 1] == '\r')
        length--;
    fn(child->arg, text, length);
}

/* Adds a piece without a line end; false: the child is being ended because of it. */
static bool child_keep(struct child *child, struct child_stream *stream, const char *text,
                       size_t length)
{
    if (stream->rest.length + length <= stream->line_max) {
        buf_add(&stream->rest, text, length);
        return true;
    }
    if (stream == &child->output) {
        child->result = -ERR_TOO_LARGE;
        buf_clear(&stream->rest);
        stream->open = false;
        child_stop(child, /* grace_ms= */ 0);
        return false;
    }
    while (length > 0) { /* noise comes in pieces */
        size_t room = stream->line_max - stream->rest.length;
        size_t take = length < room ? length : room;

        buf_add(&stream->rest, text, take);
        text += take;
        length -= take;
        if (stream->rest.length == stream->line_max) {
            child_tell(child, stream, stream->rest.data, stream->rest.length);
            buf_clear(&stream->rest);
        }
    }
    return true;
}

static void child_lines(struct child *child, struct child_stream *stream, const char *text,
                        size_t length)
{
    while (length > 0 && stream->open) {
        const char *end = memchr(text, '\n', length);
        size_t piece = end != NULL ? (size_t)(end - text) : length;

        if (end != NULL && stream->rest.length == 0 && piece <= stream->line_max) {
            child_tell(child, stream, text, piece); /* the usual case: no copy */
        } else {
            if (!child_keep(child, stream, text, piece))
                return;
            if (end != NULL) {
                child_tell(child, stream, stream->rest.data != NULL ? stream->rest.data : "",
                           stream->rest.length);
                buf_clear(&stream->rest);
            }
        }
        piece += end != NULL ? 1 : 0;
        text += piece;
        length -= piece;
    }
}

static void child_on_eof(struct child *child, struct child_stream *stream)
{
    uv_read_stop((uv_stream_t *)&stream->pipe);
    if (stream->open && stream->rest.length > 0)
        child_tell(child, stream, stream->rest.data, stream->rest.length);
    buf_clear(&stream->rest);
    stream->open = false;
    if (child->exited && !child->output.open && !child->noise.open)
        child_finish(child);
}

static void child_on_output(uv_stream_t *pipe, ssize_t length, const uv_buf_t *chunk)
{
    struct child *child = pipe->data;
    struct child_stream *stream;

    CHECK(child, CHILD_MAGIC);
    stream = pipe == (uv_stream_t *)&child->output.pipe ? &child->output : &child->noise;
    if (length > 0)
        child_lines(child, stream, chunk->base, (size_t)length);
    if (child->finished)
        return; /* inside a line */
    if (length < 0 || !stream->open) {
        child_on_eof(child, stream);
        return;
    }
    uv_read_stop(pipe);
    defer_start(child->loop, &stream->again, child_read_on, stream);
}

static void child_read_on(void *arg)
{
    struct child_stream *stream = arg;

    if (stream->open && !uv_is_closing((uv_handle_t *)&stream->pipe))
        uv_read_start((uv_stream_t *)&stream->pipe, child_on_alloc, child_on_output);
}

/* ---- input ---- */

static void child_on_written(uv_write_t *request, int status)
{
    struct child_input *input = CONTAINER(request, struct child_input, request);
    struct child *child = input->child;

    CHECK(child, CHILD_MAGIC);
    child->input_queued -= input->length;
    mem_free(input);
    if (status < 0 && !child->finished)
        child_close_input(child); /* it does not read any more */
}

int child_write(struct child *child, const void *data, size_t length)
{
    struct child_input *input;
    uv_buf_t piece;

    if (child->input_closed || child->exited)
        return -ERR_CLOSED;
    if (child->input_queued + length > child->input_max)
        return -ERR_FULL;
    if (length == 0)
        return 0;

    input = mem_new(sizeof *input + length);
    input->child = child;
    input->length = length;
    memcpy(input->data, data, length);
    piece = uv_buf_init(input->data, (unsigned)length);
    if (uv_write(&input->request, (uv_stream_t *)&child->input, &piece, 1, child_on_written) < 0) {
        mem_free(input);
        return -ERR_CLOSED;
    }
    child->input_queued += length;
    return 0;
}

static void child_on_handle_closed(uv_handle_t *handle);

static void child_on_shutdown(uv_shutdown_t *request, int status)
{
    (void)status; /* cancelled or done: closed either way, by child_finish at the latest */
    uv_handle_t *pipe = (uv_handle_t *)request->handle;

    if (!uv_is_closing(pipe))
        uv_close(pipe, child_on_handle_closed);
    mem_free(request);
}

void child_close_input(struct child *child)
{
    uv_shutdown_t *request;

    if (child->input_closed)
        return;
    child->input_closed = true;
    request = NEW(uv_shutdown_t);
    if (uv_shutdown(request, (uv_stream_t *)&child->input, child_on_shutdown) < 0)
        mem_free(request); /* not connected any more: child_finish closes it */
}

/* ---- the end ---- */

static void child_kill(const struct child *child, int signum)
{
    if (child->process.pid > 0)
        (void)kill(-child->process.pid, signum);
}

static void child_on_timer(void *arg)
{
    struct child *child = arg;

    CHECK(child, CHILD_MAGIC);
    child_kill(child, SIGKILL);
    if (child->exited)
        child_finish(child); /* somebody else holds our pipes: not waited for */
}

void child_stop(struct child *child, int64_t grace_ms)
{
    if (child->finished)
        return;
    child_kill(child, grace_ms > 0 ? SIGTERM : SIGKILL);
    if (child->exited && child->dropped)
        child_finish(child); /* only somebody else's hold of our pipes was waited for */
    else if (child->exited || grace_ms > 0)
        timer_start(child->loop, &child->timer, grace_ms, /* every_ms= */ 0, child_on_timer, child);
    else
        timer_stop(child->loop, &child->timer); /* of an earlier, kinder stop */
}

void child_drop(struct child *child, int64_t grace_ms)
{
    if (child == NULL)
        return;
    child->dropped = true;
    child_stop(child, grace_ms);
}

void child_on_exit(uv_process_t *process, int64_t status, int term_signal)
{
    struct child *child = process->data;

    CHECK(child, CHILD_MAGIC);
    child->exited = true;
    child->status = (int)status;
    child->signal = term_signal;
    if (child->leashed || child->dropped)
        child_kill(child, SIGKILL);
    if (child->dropped || (!child->output.open && !child->noise.open))
        child_finish(child); /* dropped: nobody hears what may still come */
    else
        timer_start(child->loop, &child->timer, CHILD_DRAIN_MS, /* every_ms= */ 0, child_on_timer,
                    child);
}

static void child_close_handle(struct child *child, uv_handle_t *handle)
{
    (void)child;
    if (!uv_is_closing(handle))
        uv_close(handle, child_on_handle_closed);
}

static void child_finish(struct child *child)
{
    if (child->finished)
        return;
    child->finished = true;
    child->input_closed = true;
    timer_stop(child->loop, &child->timer);
    defer_stop(child->loop, &child->output.again);
    defer_stop(child->loop, &child->noise.again);
    child_leash_cut(child);
    if (!child->raw) {
        child_close_handle(child, (uv_handle_t *)&child->input);
        child_close_handle(child, (uv_handle_t *)&child->output.pipe);
    }
    child_close_handle(child, (uv_handle_t *)&child->noise.pipe);
    child_close_handle(child, (uv_handle_t *)&child->process);
}

static void child_on_handle_closed(uv_handle_t *handle)
{
    struct child *child = handle->data;

    CHECK(child, CHILD_MAGIC);
    if (--child->handles > 0 || !child->finished)
        return;
    buf_done(&child->output.rest);
    buf_done(&child->noise.rest);
    if (!child->dropped && child->on_ended != NULL)
        child->on_ended(child->arg, child->status, child->signal, child->result);
    child->magic = 0;
    mem_free(child);
}
