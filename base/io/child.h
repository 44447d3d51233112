/* A child process in its own process group, by argv only. Its output is read one piece per turn of the loop, so
 * that one that floods delays nobody. Loop thread only. */
#pragma once

#include "base/buf.h"
#include "base/io/op.h"

struct child;

#define CHILD_INPUT_MAX (4u << 20) /* bytes that wait for the child to read them */
#define CHILD_NOISE_MAX 8192       /* a longer line of stderr comes in pieces */
#define CHILD_DRAIN_MS  2000       /* how long output may stay open after the process has ended */

struct child_config {
    const char *const *argv; /* NULL-terminated */
    const char *file; /* what is started, whatever argv[0] says; NULL: argv[0]. Searched in PATH */
    const char *const *envp; /* NULL: ours */
    const char *directory;   /* NULL: ours */
    /* What is left of its group is killed when it ends, and all of it when this process ends, however that
     * happens (Linux; elsewhere it must heed the end of its input). */
    bool leash;
    /* Raw: its stdin and stdout are the two directions of one socket, whose other end (non-blocking, close on
     * exec) is the caller's in *ret_raw; line is not called, child_write and child_close_input are not for it.
     * NULL: lines. stderr comes as noise either way. */
    int *ret_raw;
    size_t input_max; /* bytes that may wait for it to read them; 0: CHILD_INPUT_MAX */
    size_t line_max;  /* a longer line of stdout ends the child with -ERR_TOO_LARGE; 0: 16 MiB */
    void *arg;
    /* stdout, line by line without its LF or CRLF; the last one also without a line end. */
    void (*line)(void *arg, const char *text, size_t length);
    /* stderr, the same; NULL: dropped. */
    void (*noise)(void *arg, const char *text, size_t length);
    /* Last call, once, after the last line; the child is gone when it returns. status is the exit
     * status, signal the one that ended it (0: none), result 0 or why we ended it. */
    void (*ended)(void *arg, int status, int signal, int result);
};

/* *ret is owned by the door and valid until ended() or child_drop(). No callback comes from inside a
 * child_* call. Failure: nothing was started, a fault says what to do. */
int child_start(struct loop *loop, const struct child_config *config, struct child **ret,
                struct fault *reterr_fault);
int child_write(struct child *child, const void *data, size_t length); /* copied; -ERR_FULL past
                                                                          its ceiling, -ERR_CLOSED */
void child_close_input(struct child *child); /* what is queued is written first */
/* SIGTERM to the group, SIGKILL after grace_ms (0: at once); ended() runs once. */
void child_stop(struct child *child, int64_t grace_ms);
/* As child_stop, but no callback comes any more: for owners being freed. NULL ok. */
void child_drop(struct child *child, int64_t grace_ms);
int child_pid(const struct child *child);
