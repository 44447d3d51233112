/* What child.c (output, input, the end) and child_spawn.c (the start) share. */
#pragma once

#include "base/io/child.h"

#include <uv.h>

#define CHILD_MAGIC     0x6368696cu
#define CHILD_READ_SIZE 16384 /* of one turn: some hundred small lines */

struct child_stream {
    uv_pipe_t pipe;
    struct buf rest; /* an unfinished line */
    size_t line_max;
    struct defer again; /* reads on in the next turn */
    bool open;          /* not at its end */
};

struct child {
    uint32_t magic;
    struct loop *loop;
    uv_process_t process;
    uv_pipe_t input;
    struct child_stream output, noise;
    struct timer timer; /* SIGKILL after the grace; the drain */
    void (*on_line)(void *arg, const char *text, size_t length);
    void (*on_noise)(void *arg, const char *text, size_t length);
    void (*on_ended)(void *arg, int status, int signal, int result);
    void *arg;
    size_t input_queued, input_max;
    int leash;        /* closed last: kills the group; -1: none */
    unsigned handles; /* not closed yet */
    int status, signal, result;
    bool exited, finished, input_closed, dropped, leashed, raw;
    char chunk[CHILD_READ_SIZE]; /* one read at a time on the loop, so one buffer serves both */
};

/* Both directions in one socket: [0] ours, [1] the child's. */
int child_raw_new(int ret[2]);
/* uv_spawn's result. pair: of child_raw_new, when child->raw; it is taken. */
int child_spawn(struct child *child, const struct child_config *config, const int pair[2]);
void child_leash_cut(struct child *child);
void child_on_exit(uv_process_t *process, int64_t status, int term_signal);
