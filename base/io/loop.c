/* The loop on libuv. Lives here: timers (with a clock tests can own), deferred calls, posts from
 * other threads, watches of foreign descriptors, signals, and the measure of how long turns take.
 *
 * One turn: timers that are due, then deferred calls, then poll (sockets, posts), then deferred calls
 * again. Deferred calls queued by a deferred call run in the next pass, which does not wait. */
#include "base/io/loop.h"

#include "base/io/timer_heap.h"
#include "base/mem.h"

#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <uv.h>

#define LOOP_SIGNALS_MAX   8
#define LOOP_VIRTUAL_EPOCH 1700000000000 /* wall ms at the start of a virtual clock */

/* Turn lengths: bucket = power of two of microseconds, eight steps each. */
#define DELAY_STEPS   8
#define DELAY_BUCKETS (32 * DELAY_STEPS)

struct post {
    struct post *next;
    loop_fn *fn;
    void *arg;
};

struct signal_watch {
    uv_signal_t handle;
    loop_signal_fn *fn;
    void *arg;
};

struct loop {
    uv_loop_t uv;
    enum loop_clock clock;
    int64_t virtual_now;
    uint64_t activity; /* things done so far; loop_turn compares */

    struct timer_heap timers;
    uv_timer_t alarm;
    int64_t alarm_due; /* what alarm is set to; -1: not armed */

    struct defer *defers, **defers_tail;
    uint64_t defer_pass;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* active while deferred calls wait: the poll must not block */

    pthread_mutex_t post_lock;
    struct post *posts, **posts_tail;
    uv_async_t wake;

    struct signal_watch *signals[LOOP_SIGNALS_MAX];
    size_t signal_count;
    size_t jobs;

    uint64_t turn_began, idle_before; /* ns */
    uint32_t delays[DELAY_BUCKETS];
    int64_t delay_max_us, delay_busy_us;
    uint64_t delay_turns, turns_in_all;
};

/* ---- clock ---- */

int64_t loop_now(const struct loop *loop)
{
    return loop->clock == LOOP_VIRTUAL ? loop->virtual_now : (int64_t)uv_now(&loop->uv);
}

int64_t loop_wall(const struct loop *loop)
{
    if (loop->clock == LOOP_VIRTUAL)
        return LOOP_VIRTUAL_EPOCH + loop->virtual_now;

    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* ---- timers ---- */

static void on_alarm(uv_timer_t *handle);

/* Keep the one uv timer set to the earliest due time. */
static void alarm_set(struct loop *loop)
{
    if (loop->clock == LOOP_VIRTUAL)
        return;

    const struct timer_entry *first = timer_heap_first(&loop->timers);
    int64_t due = first ? first->due : -1;
    if (due == loop->alarm_due)
        return;

    loop->alarm_due = due;
    if (due < 0) {
        uv_timer_stop(&loop->alarm);
        return;
    }
    int64_t wait = due - (int64_t)uv_now(&loop->uv);
    uv_timer_start(&loop->alarm, on_alarm, wait > 0 ? (uint64_t)wait : 0, 0);
}

void timer_start(struct loop *loop, struct timer *t, int64_t delay_ms, int64_t every_ms,
                 loop_fn *fn, void *arg)
{
    if (t->slot)
        timer_heap_remove(&loop->timers, t);
    t->due = loop_now(loop) + (delay_ms > 0 ? delay_ms : 0);
    t->every = every_ms;
    t->fn = fn;
    t->arg = arg;

    timer_heap_add(&loop->timers, t);
    alarm_set(loop);
}

void timer_stop(struct loop *loop, struct timer *t)
{
    if (!t->slot)
        return;
    timer_heap_remove(&loop->timers, t);
    alarm_set(loop);
}

/* Runs what is due now. A timer that starts another for "at once" does not starve the sockets: only
 * timers started before this pass run in it. */
static void run_timers(struct loop *loop)
{
    uint64_t until = loop->timers.order;
    const struct timer_entry *first;

    while ((first = timer_heap_first(&loop->timers)) != NULL && first->due <= loop_now(loop) &&
           first->order < until) {
        struct timer *t = first->timer;
        loop_fn *fn = t->fn;
        void *arg = t->arg;

        timer_heap_remove(&loop->timers, t);
        if (t->every > 0)
            timer_start(loop, t, t->every, t->every, fn, arg);
        loop->activity++;
        fn(arg);
    }
    loop->alarm_due = -2; /* fired or stale: set it anew */
    alarm_set(loop);
}

static void on_alarm(uv_timer_t *handle)
{
    run_timers(handle->data);
}

/* ---- deferred calls ---- */

static void on_idle(uv_idle_t *handle)
{
    (void)handle;
}

void defer_start(struct loop *loop, struct defer *d, loop_fn *fn, void *arg)
{
    d->fn = fn;
    d->arg = arg;
    if (d->queued)
        return;
    d->queued = true;
    d->next = NULL;
    d->pass = loop->defer_pass;
    *loop->defers_tail = d;
    loop->defers_tail = &d->next;
    uv_idle_start(&loop->idle, on_idle);
}

void defer_stop(struct loop *loop, struct defer *d)
{
    if (!d->queued)
        return;
    for (struct defer **at = &loop->defers; *at; at = &(*at)->next) {
        if (*at != d)
            continue;
        *at = d->next;
        if (loop->defers_tail == &d->next)
            loop->defers_tail = at;
        break;
    }
    d->queued = false;
}

/* Runs the calls that were queued before this pass. The list stays in place while it is walked, so
 * that a callback may defer_stop any of them. */
static void run_defers(struct loop *loop)
{
    uint64_t pass = loop->defer_pass++;

    while (loop->defers && loop->defers->pass <= pass) {
        struct defer *d = loop->defers;
        defer_stop(loop, d);
        loop->activity++;
        d->fn(d->arg);
    }
    if (!loop->defers)
        uv_idle_stop(&loop->idle);
}

/* ---- turns ---- */

uint64_t loop_turns(const struct loop *loop)
{
    return loop->turns_in_all;
}

static void delay_count(struct loop *loop, int64_t us)
{
    unsigned power = us > 0 ? 63u - (unsigned)__builtin_clzll((unsigned long long)us) : 0;
    unsigned step = power >= 3 ? (unsigned)(us >> (power - 3)) & 7u : (unsigned)us & 7u;
    unsigned bucket = power * DELAY_STEPS + step;

    loop->delays[bucket < DELAY_BUCKETS ? bucket : DELAY_BUCKETS - 1]++;
    loop->delay_turns++;
    loop->turns_in_all++;
    loop->delay_busy_us += us;
    if (us > loop->delay_max_us)
        loop->delay_max_us = us;
}

static int64_t delay_bucket_us(unsigned bucket)
{
    unsigned power = bucket / DELAY_STEPS, step = bucket % DELAY_STEPS;
    return power >= 3 ? (int64_t)(8 + step + 1) << (power - 3) : (int64_t)(step + 1);
}

void loop_delay_take(struct loop *loop, struct loop_delay *ret)
{
    uint64_t above = loop->delay_turns / 100;
    int64_t p99 = 0;

    for (unsigned b = DELAY_BUCKETS; b-- > 0;) {
        if (loop->delays[b] == 0)
            continue;
        p99 = delay_bucket_us(b);
        if (loop->delays[b] > above)
            break;
        above -= loop->delays[b];
    }
    *ret = (struct loop_delay){
        .max_us = loop->delay_max_us,
        .p99_us = p99 < loop->delay_max_us ? p99 : loop->delay_max_us,
        .busy_us = loop->delay_busy_us,
        .turns = loop->delay_turns,
    };
    memset(loop->delays, 0, sizeof(loop->delays));
    loop->delay_max_us = loop->delay_busy_us = 0;
    loop->delay_turns = 0;
}

/* Before each poll: a turn's length is the time since the last one less what was spent waiting. */
static void on_prepare(uv_prepare_t *handle)
{
    struct loop *loop = handle->data;

    run_defers(loop);

    uint64_t now = uv_hrtime(), idle = uv_metrics_idle_time(&loop->uv);
    if (loop->turn_began) {
        uint64_t busy = now - loop->turn_began - (idle - loop->idle_before);
        delay_count(loop, (int64_t)(busy / 1000));
    }
    loop->turn_began = now;
    loop->idle_before = idle;
}

static void on_check(uv_check_t *handle)
{
    run_defers(handle->data);
}

void loop_run(struct loop *loop)
{
    uv_run(&loop->uv, UV_RUN_DEFAULT);
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

bool loop_turn(struct loop *loop, bool wait)
{
    uint64_t before = loop->activity;

    if (loop->clock == LOOP_VIRTUAL)
        run_timers(loop);
    uv_run(&loop->uv, wait && before == loop->activity ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    return before != loop->activity;
}

void loop_advance(struct loop *loop, int64_t ms)
{
    require(loop->clock == LOOP_VIRTUAL);
    int64_t target = loop->virtual_now + ms;

    for (;;) {
        while (loop_turn(loop, false))
            ;
        const struct timer_entry *first = timer_heap_first(&loop->timers);
        if (!first || first->due > target)
            break;
        if (first->due > loop->virtual_now)
            loop->virtual_now = first->due;
    }
    loop->virtual_now = target;
    while (loop_turn(loop, false))
        ;
}

/* ---- posts from other threads ---- */

void loop_post(struct loop *loop, loop_fn *fn, void *arg)
{
    struct post *post = NEW(struct post);

    post->fn = fn;
    post->arg = arg;
    pthread_mutex_lock(&loop->post_lock);
    *loop->posts_tail = post;
    loop->posts_tail = &post->next;
    pthread_mutex_unlock(&loop->post_lock);
    uv_async_send(&loop->wake);
}

static void on_wake(uv_async_t *handle)
{
    struct loop *loop = handle->data;

    pthread_mutex_lock(&loop->post_lock);
    struct post *post = TAKE(loop->posts);
    loop->posts_tail = &loop->posts;
    pthread_mutex_unlock(&loop->post_lock);

    while (post) {
        struct post *next = post->next;
        loop_fn *fn = post->fn;
        void *arg = post->arg;

        mem_free(post);
        loop->activity++;
        fn(arg);
        post = next;
    }
}

/* ---- watches of foreign descriptors ---- */

struct watch {
    uv_poll_t handle;
    struct loop *loop;
    watch_fn *fn;
    void *arg;
};

static void on_watch(uv_poll_t *handle, int status, int events)
{
    struct watch *w = handle->data;
    int ready = (events & UV_READABLE ? POLLIN : 0) | (events & UV_WRITABLE ? POLLOUT : 0);

    w->loop->activity++;
    /* An error on the descriptor is for its owner to find by using it. */
    w->fn(w->arg, status < 0 ? POLLIN | POLLOUT : ready);
}

struct watch *watch_new(struct loop *loop, int fd, int events, watch_fn *fn, void *arg)
{
    struct watch *w = NEW(struct watch);

    w->loop = loop;
    w->fn = fn;
    w->arg = arg;
    w->handle.data = w;
    require(uv_poll_init(&loop->uv, &w->handle, fd) == 0);
    watch_change(w, events);
    return w;
}

void watch_change(struct watch *w, int events)
{
    int wanted = (events & POLLIN ? UV_READABLE : 0) | (events & POLLOUT ? UV_WRITABLE : 0);

    if (wanted)
        uv_poll_start(&w->handle, wanted, on_watch);
    else
        uv_poll_stop(&w->handle);
}

static void on_watch_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

struct watch *watch_free(struct watch *w)
{
    if (w)
        uv_close((uv_handle_t *)&w->handle, on_watch_closed);
    return NULL;
}

/* ---- signals ---- */

static void on_signal(uv_signal_t *handle, int signum)
{
    struct signal_watch *s = handle->data;
    s->fn(s->arg, signum);
}

void loop_on_signal(struct loop *loop, int signum, loop_signal_fn *fn, void *arg)
{
    require(loop->signal_count < LOOP_SIGNALS_MAX);
    struct signal_watch *s = NEW(struct signal_watch);

    loop->signals[loop->signal_count++] = s;
    s->fn = fn;
    s->arg = arg;
    s->handle.data = s;
    uv_signal_init(&loop->uv, &s->handle);
    uv_signal_start(&s->handle, on_signal, signum);
}

/* ---- life ---- */

struct loop *loop_new(enum loop_clock clock)
{
    struct loop *loop = NEW(struct loop);

    loop->clock = clock;
    loop->alarm_due = -1;
    loop->defers_tail = &loop->defers;
    loop->posts_tail = &loop->posts;
    pthread_mutex_init(&loop->post_lock, NULL);

    require(uv_loop_init(&loop->uv) == 0);
    uv_loop_configure(&loop->uv, UV_METRICS_IDLE_TIME);
    uv_timer_init(&loop->uv, &loop->alarm);
    uv_prepare_init(&loop->uv, &loop->prepare);
    uv_check_init(&loop->uv, &loop->check);
    uv_idle_init(&loop->uv, &loop->idle);
    uv_async_init(&loop->uv, &loop->wake, on_wake);
    loop->alarm.data = loop->prepare.data = loop->check.data = loop->wake.data = loop;
    uv_prepare_start(&loop->prepare, on_prepare);
    uv_check_start(&loop->check, on_check);
    return loop;
}

static void on_signal_closed(uv_handle_t *handle)
{
    mem_free(handle->data);
}

struct loop *loop_free(struct loop *loop)
{
    if (!loop)
        return NULL;

    /* Jobs nobody waits for any more still run in the pool and free what is theirs here. */
    while (loop_turn(loop, loop->jobs > 0) || loop->jobs > 0)
        ;
    require(!timer_heap_first(&loop->timers));
    uv_close((uv_handle_t *)&loop->alarm, NULL);
    uv_close((uv_handle_t *)&loop->prepare, NULL);
    uv_close((uv_handle_t *)&loop->check, NULL);
    uv_close((uv_handle_t *)&loop->idle, NULL);
    uv_close((uv_handle_t *)&loop->wake, NULL);
    for (size_t i = 0; i < loop->signal_count; i++)
        uv_close((uv_handle_t *)&loop->signals[i]->handle, on_signal_closed);
    uv_run(&loop->uv, UV_RUN_DEFAULT);
    require(!loop->defers && !loop->posts);
    require(uv_loop_close(&loop->uv) == 0);

    pthread_mutex_destroy(&loop->post_lock);
    timer_heap_done(&loop->timers);
    return mem_free(loop);
}

struct uv_loop_s *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

size_t *loop_jobs(struct loop *loop)
{
    return &loop->jobs;
}
