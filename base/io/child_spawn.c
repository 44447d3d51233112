/* How a child is started: its descriptors, its own session, and the leash that ends it with us. */
#include "base/io/child_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A pipe that nobody writes to. Its reading end is the child's descriptor 3 and sends SIGKILL to the group when
 * our end closes, by us or by the kernel when it buries us. */
static int leash_new(int ret[2])
{
#ifdef F_SETSIG
    if (pipe2(ret, O_CLOEXEC) == 0)
        return 0;
#endif
    ret[0] = ret[1] = -1;
    return -ERR_IO;
}

static void leash_tie(struct child *child, int end[2], bool started)
{
#ifdef F_SETSIG
    if (end[0] < 0)
        return;
    if (started && fcntl(end[0], F_SETOWN, -child->process.pid) == 0 &&
        fcntl(end[0], F_SETSIG, SIGKILL) == 0 && fcntl(end[0], F_SETFL, O_ASYNC) == 0)
        child->leash = end[1];
    else
        (void)close(end[1]);
    (void)close(end[0]);
#else
    (void)child;
    (void)end;
    (void)started;
#endif
}

void child_leash_cut(struct child *child)
{
    if (child->leash >= 0)
        (void)close(child->leash);
    child->leash = -1;
}

/* Both directions in one socket; theirs blocks, as programs expect, ours does not. */
int child_raw_new(int ret[2])
{
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ret) < 0)
        return -ERR_IO;
    if (fcntl(ret[0], F_SETFL, O_NONBLOCK) == 0)
        return 0;
    (void)close(ret[0]);
    (void)close(ret[1]);
    return -ERR_IO;
}

static void raw_settle(const struct child_config *config, const int pair[2], bool started)
{
    (void)close(pair[1]);
    if (started)
        *config->ret_raw = pair[0];
    else
        (void)close(pair[0]);
}

int child_spawn(struct child *child, const struct child_config *config, const int pair[2])
{
    int leash[2] = {-1, -1};
    uv_stdio_container_t stdio[4] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&child->input},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
         .data.stream = (uv_stream_t *)&child->output.pipe},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
         .data.stream = (uv_stream_t *)&child->noise.pipe},
        {.flags = UV_INHERIT_FD},
    };
    uv_process_options_t options = {
        .file = config->file ? config->file : config->argv[0],
        .exit_cb = child_on_exit,
        .cwd = config->directory,
        .flags = UV_PROCESS_DETACHED, /* setsid: signals reach the whole group */
        .stdio_count = 3,
        .stdio = stdio,
    };
    int r;

    /* libuv's signature lacks the const; it does not write to either. */
    memcpy(&options.args, &config->argv, sizeof options.args);
    memcpy(&options.env, &config->envp, sizeof options.env);
    if (child->raw) {
        stdio[0] = stdio[1] = (uv_stdio_container_t){.flags = UV_INHERIT_FD, .data.fd = pair[1]};
    }
    if (config->leash && leash_new(leash) == 0) {
        stdio[3].data.fd = leash[0];
        options.stdio_count = 4;
    }
    r = uv_spawn(loop_uv(child->loop), &child->process, &options);
    leash_tie(child, leash, r == 0);
    if (child->raw)
        raw_settle(config, pair, r == 0);
    return r;
}
