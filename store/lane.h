/* A lane: one thread that takes jobs from the loop in groups, in order, and gives them back in groups.
 * The writer and the reader are lanes. Everything here but run() is called on the loop thread. */
#pragma once

#include "base/io/op.h"

#include <pthread.h>

/* The first member of what travels. Owned by the lane from lane_push until finish. */
struct job {
    struct job *next;
    size_t bytes; /* what it weighs against the lane's ceiling */
    int result;
    struct fault *fault; /* the sentence behind a negative result, or NULL; finish frees it */
};

/* On the lane's thread: do these jobs (a list; NULL when called for more work while nothing waits).
 * True: there is more to do when the queue is empty. */
typedef bool lane_run_fn(void *arg, struct job *jobs);
/* On the loop, once per job, in order. */
typedef void lane_finish_fn(void *arg, struct job *job);
/* On the loop, after the jobs of a group: what else the thread found out. */
typedef void lane_after_fn(void *arg);

struct lane_post;

struct lane {
    struct loop *loop;
    void *arg;
    lane_run_fn *run;
    lane_finish_fn *finish;
    lane_after_fn *after; /* may be NULL */
    size_t jobs_max, bytes_max, group_max;
    bool eager; /* run(NULL) once at the start */

    /* loop thread */
    struct job *fresh, **fresh_tail; /* handed over together at the end of the turn */
    struct defer handover;
    size_t jobs, bytes; /* given and not yet finished */
    struct lane_post *post;

    /* under lock */
    pthread_mutex_t lock;
    pthread_cond_t wake, idle;
    struct job *queue, **queue_tail;
    struct job *done, **done_tail;
    bool running; /* the thread is awake */
    bool busy;    /* with jobs, not with what is left over */
    bool posted, stopping;
    pthread_t thread;
    bool started;
};

/* The members above the line are set by the owner first. 0 or -ERR_NO_MEMORY (no thread). */
int lane_start(struct lane *lane, const char *thread_name);
/* Takes the job; or -ERR_BUSY (ceiling), -ERR_CLOSED (stopping), and the job stays the caller's. */
int lane_push(struct lane *lane, struct job *job);
/* Blocks until all that was pushed has run (finish may still be to come). */
void lane_settle(struct lane *lane);
/* Runs all that was pushed, joins the thread, finishes every job. */
void lane_stop(struct lane *lane);
