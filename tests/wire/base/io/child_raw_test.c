/* A raw child: one socket for both directions, its stderr as lines, its end told once. */
#include "base/io/child.h"
#include "base/mem.h"
#include "tests/t.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

struct raw {
    struct child *child;
    char noise[64];
    bool ended;
    int status;
};

static void raw_on_noise(void *arg, const char *text, size_t length)
{
    struct raw *raw = arg;

    (void)snprintf(raw->noise, sizeof raw->noise, "%.*s", (int)(length < 60 ? length : 60), text);
}

static void raw_on_ended(void *arg, int status, int signal, int result)
{
    struct raw *raw = arg;

    t_ok(!raw->ended && signal == 0 && result == 0);
    raw->ended = true;
    raw->status = status;
}

static int raw_start(struct loop *loop, struct raw *raw, const char *script)
{
    const char *argv[] = {"/bin/sh", "-c", script, NULL};
    int fd = -1;
    struct child_config config = {.argv = argv,
                                  .leash = true,
                                  .arg = raw,
                                  .noise = raw_on_noise,
                                  .ended = raw_on_ended,
                                  .ret_raw = &fd};
    struct fault why;

    t_eq(child_start(loop, &config, &raw->child, &why), 0);
    return fd;
}

T(both_directions_and_the_end)
{
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_REAL);
    struct raw raw = {0};
    char text[32] = "";
    size_t n = 0;
    int fd = raw_start(loop, &raw, "echo words >&2; cat; exit 5");

    t_ok((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    t_eq(write(fd, "there and back", 14), 14);
    t_eq(shutdown(fd, SHUT_WR), 0);
    while (!raw.ended || n < 14) {
        ssize_t got = read(fd, text + n, sizeof text - 1 - n);

        n += got > 0 ? (size_t)got : 0;
        if (!raw.ended)
            (void)loop_turn(loop, /* wait= */ true);
    }
    t_str(text, "there and back");
    t_str(raw.noise, "words");
    t_eq(raw.status, 5);
    t_eq(read(fd, text, 1), 0); /* nobody holds the other end */
    (void)close(fd);
}

T(dropped_while_it_runs)
{
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_REAL);
    struct raw raw = {0};
    struct pollfd wait = {.events = POLLIN};

    wait.fd = raw_start(loop, &raw, "cat");
    child_drop(raw.child, /* grace_ms= */ 0);
    t_eq(poll(&wait, 1, 5000), 1); /* its end of the socket went with it */
    t_ok(!raw.ended);
    (void)close(wait.fd);
}

T(a_program_that_is_not_there)
{
    CLEAN(loop_free) struct loop *loop = loop_new(LOOP_REAL);
    const char *argv[] = {"/nonexistent/program", NULL};
    int fd = -1;
    struct child_config config = {.argv = argv, .ret_raw = &fd};
    struct child *child = NULL;
    struct fault why;

    t_eq(child_start(loop, &config, &child, &why), -ERR_NOT_FOUND);
    t_eq(fd, -1);
}
