/* A child process in its own process group, by argv only. Loop thread only. */
#pragma once

#include "base/buf.h"
#include "base/io/op.h"

struct child;

struct child_config {
    const char *const *argv; /* NULL-terminated; argv[0] is searched in PATH */
    const char *const *envp; /* NULL: ours */
    const char *directory;   /* NULL: ours */
    size_t line_max;         /* a longer line of stdout ends the child with -ERR_TOO_LARGE */
    void *arg;
    void (*line)(void *arg, const char *text, size_t length);       /* stdout, line by line */
    void (*noise)(void *arg, const char *text, size_t length);      /* stderr, line by line; may be NULL */
    void (*ended)(void *arg, int status, int signal, int result);   /* last call */
};

int child_start(struct loop *loop, const struct child_config *config, struct child **ret,
                struct fault *reterr_fault);
int child_write(struct child *child, const void *data, size_t length); /* copied; -ERR_FULL past 4 MiB */
void child_close_input(struct child *child);
/* SIGTERM to the group, SIGKILL after grace_ms; ended() runs once. */
void child_stop(struct child *child, int64_t grace_ms);
int child_pid(const struct child *child);
