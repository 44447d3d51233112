/* The loop: one thread's sockets, timers and messages, on libuv. Everything a loop calls runs on its
 * thread and must not block. Timers are ours (a heap over one uv timer) so that tests own the clock. */
#pragma once

#include "base/err.h"

struct loop;
struct uv_loop_s;

typedef void loop_fn(void *arg);

/* A timer is embedded by its owner and idle when zeroed. */
struct timer {
    int64_t due;   /* loop_now() time */
    int64_t every; /* 0: once */
    loop_fn *fn;
    void *arg;
    uint32_t slot; /* place in the heap, 1-based; 0: idle */
};

/* A deferred call: runs once at the end of this turn of the loop. Embedded, idle when zeroed. */
struct defer {
    struct defer *next;
    loop_fn *fn;
    void *arg;
    uint64_t pass; /* loop.c: which pass may run it */
    bool queued;
};

enum loop_clock { LOOP_REAL, LOOP_VIRTUAL };

struct loop *loop_new(enum loop_clock clock) MUSTCHECK;
/* Runs until handles are closed; require()s that no timer, deferred call or post is left. NULL ok. */
struct loop *loop_free(struct loop *loop);
DEFINE_CLEAN(struct loop *, loop_free)

void loop_run(struct loop *loop); /* until loop_stop */
void loop_stop(struct loop *loop);
/* One turn: waits for something to happen if wait, else returns at once. True when it did anything. */
bool loop_turn(struct loop *loop, bool wait);

uint64_t loop_turns(const struct loop *loop); /* so far: tells a loop that spins */
int64_t loop_now(const struct loop *loop);    /* monotonic ms, cached for this turn */
int64_t loop_wall(const struct loop *loop);   /* ms since the epoch, cached for this turn */
/* LOOP_VIRTUAL: moves both clocks on and runs the timers that fall due, in order, draining posts and
 * sockets in between. */
void loop_advance(struct loop *loop, int64_t ms);

void timer_start(struct loop *loop, struct timer *t, int64_t delay_ms, int64_t every_ms,
                 loop_fn *fn, void *arg);            /* restarts when running */
void timer_stop(struct loop *loop, struct timer *t); /* idle is fine */
static inline bool timer_running(const struct timer *t)
{
    return t->slot != 0;
}

void defer_start(struct loop *loop, struct defer *d, loop_fn *fn,
                 void *arg); /* queued: no change */
void defer_stop(struct loop *loop, struct defer *d);

/* From any thread: fn(arg) runs on the loop, in the order posted. Allocates; never fails. The poster
 * bounds its own traffic (store: its queue; work: its pool). */
void loop_post(struct loop *loop, loop_fn *fn, void *arg);

/* Unix signals on this loop; one watcher per signal. */
typedef void loop_signal_fn(void *arg, int signum);
void loop_on_signal(struct loop *loop, int signum, loop_signal_fn *fn, void *arg);

/* Watch a descriptor we do not own (libcurl, libzmq, libssh2). events are POLLIN | POLLOUT. */
struct watch;
typedef void watch_fn(void *arg, int events);
struct watch *watch_new(struct loop *loop, int fd, int events, watch_fn *fn, void *arg) MUSTCHECK;
void watch_change(struct watch *w, int events);
struct watch *watch_free(struct watch *w); /* NULL ok; fn is not called again */

/* How long turns took since the last call: worst and 99th percentile in microseconds (bench, health). */
struct loop_delay {
    int64_t max_us, p99_us, busy_us; /* busy: all turns together */
    uint64_t turns;
};
void loop_delay_take(struct loop *loop, struct loop_delay *ret);

/* For the doors of base/io only. */
struct uv_loop_s *loop_uv(struct loop *loop);
size_t *loop_jobs(struct loop *loop); /* work.c counts its jobs here */
