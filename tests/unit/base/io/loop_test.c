/* Timers, deferred calls, posts, ops and pool jobs under the virtual clock. */
#include "base/io/op.h"
#include "base/io/work.h"
#include "base/mem.h"
#include "tests/t.h"

#include <pthread.h>
#include <unistd.h>

static char trace[256];

static void say(const char *text)
{
    strncat(trace, text, sizeof(trace) - strlen(trace) - 1);
}

static void note(void *arg)
{
    say(arg);
}

/* A letter that outlives the case, for callbacks that take void *. */
#define LETTER(x)                                                                                  \
    ({                                                                                             \
        static char letter_[] = x;                                                                 \
        letter_;                                                                                   \
    })

static struct loop *fresh(void)
{
    trace[0] = '\0';
    return loop_new(LOOP_VIRTUAL);
}

T(timers_run_in_order_of_due_time_then_start)
{
    CLEAN(loop_free) struct loop *loop = fresh();
    struct timer a = {0}, b = {0}, c = {0}, d = {0};

    timer_start(loop, &a, 30, 0, note, LETTER("a"));
    timer_start(loop, &b, 10, 0, note, LETTER("b"));
    timer_start(loop, &c, 10, 0, note, LETTER("c"));
    timer_start(loop, &d, 20, 0, note, LETTER("d"));
    timer_stop(loop, &d);
    loop_advance(loop, 9);
    t_str(trace, "");
    loop_advance(loop, 1);
    t_str(trace, "bc");
    loop_advance(loop, 20);
    t_str(trace, "bca");
    t_ok(!timer_running(&a) && !timer_running(&d));
}

T(a_repeating_timer_runs_until_stopped)
{
    CLEAN(loop_free) struct loop *loop = fresh();
    struct timer a = {0};

    timer_start(loop, &a, 5, 10, note, LETTER("x"));
    loop_advance(loop, 26);
    t_str(trace, "xxx");
    t_eq(loop_now(loop), 26);
    timer_stop(loop, &a);
    loop_advance(loop, 100);
    t_str(trace, "xxx");
}

T(a_thousand_timers_leave_the_heap_sorted)
{
    CLEAN(loop_free) struct loop *loop = fresh();
    static struct timer timers[1000];

    for (int i = 0; i < 1000; i++)
        timer_start(loop, &timers[i], (i * 7919) % 1009, 0, note, LETTER(""));
    for (int i = 0; i < 1000; i += 3)
        timer_stop(loop, &timers[i]);
    for (int i = 0; i < 1000; i++)
        t_eq(timer_running(&timers[i]), i % 3 != 0);
    loop_advance(loop, 1009);
    for (int i = 0; i < 1000; i++)
        t_ok(!timer_running(&timers[i]));
}

struct chain {
    struct loop *loop;
    struct defer first, second;
};

static void chain_second(void *arg)
{
    (void)arg;
    say("2");
}

static void chain_first(void *arg)
{
    struct chain *chain = arg;
    say("1");
    defer_start(chain->loop, &chain->second, chain_second, chain);
}

T(a_deferred_call_runs_once_and_may_defer_another)
{
    CLEAN(loop_free) struct loop *loop = fresh();
    struct chain chain = {.loop = loop};

    defer_start(loop, &chain.first, chain_first, &chain);
    defer_start(loop, &chain.first, chain_first, &chain);
    while (loop_turn(loop, false))
        ;
    t_str(trace, "12");
}

struct stop_other {
    struct loop *loop;
    struct defer stopper, victim, after;
};

static void stop_victim(void *arg)
{
    struct stop_other *s = arg;
    say("s");
    defer_stop(s->loop, &s->victim);
}

T(a_deferred_call_may_stop_the_next_one)
{
    CLEAN(loop_free) struct loop *loop = fresh();
    struct stop_other s = {.loop = loop};

    defer_start(loop, &s.stopper, stop_victim, &s);
    defer_start(loop, &s.victim, note, LETTER("v"));
    defer_start(loop, &s.after, note, LETTER("a"));
    while (loop_turn(loop, false))
        ;
    t_str(trace, "sa");
}

static void *post_from_thread(void *arg)
{
    loop_post(arg, note, LETTER("x"));
    loop_post(arg, note, LETTER("y"));
    loop_post(arg, note, LETTER("z"));
    return NULL;
}

T(posts_arrive_in_order)
{
    CLEAN(loop_free) struct loop *loop = fresh();
    pthread_t thread;

    pthread_create(&thread, NULL, post_from_thread, loop);
    while (strlen(trace) < 3)
        loop_turn(loop, true);
    pthread_join(thread, NULL);
    t_str(trace, "xyz");
}

static int ended, cancelled;
static int result_of_last;

static void on_done(struct op *op, int result)
{
    (void)op;
    ended++;
    result_of_last = result;
}

static void on_cancel(struct op *op, void *worker)
{
    (void)op;
    (void)worker;
    cancelled++;
}

static void op_fresh(struct op *op, struct loop *loop, int64_t deadline)
{
    ended = cancelled = 0;
    op_init(op, loop, on_done, deadline);
    op_start(op, on_cancel, NULL);
}

T(an_op_ends_once_on_a_later_turn)
{
    CLEAN(loop_free) struct loop *loop = fresh();
    struct op op = {0};

    op_fresh(&op, loop, 50);
    op_end(&op, 0);
    t_eq(ended, 0);
    loop_advance(loop, 100);
    t_eq(ended, 1);
    t_eq(result_of_last, 0);
    t_eq(cancelled, 0);
}

T(a_deadline_takes_the_op_from_its_worker)
{
    CLEAN(loop_free) struct loop *loop = fresh();
    struct op op = {0};

    op_fresh(&op, loop, 50);
    loop_advance(loop, 49);
    t_eq(ended, 0);
    loop_advance(loop, 1);
    t_eq(ended, 1);
    t_eq(result_of_last, -ERR_TIMEOUT);
    t_eq(cancelled, 1);
    t_has(op.fault.text, "in time");
}

T(cancel_ends_and_drop_does_not)
{
    CLEAN(loop_free) struct loop *loop = fresh();
    struct op op = {0};

    op_fresh(&op, loop, 0);
    op_cancel(&op);
    op_cancel(&op);
    loop_advance(loop, 1);
    t_eq(ended, 1);
    t_eq(result_of_last, -ERR_CANCELLED);

    op_fresh(&op, loop, 10);
    op_drop(&op);
    loop_advance(loop, 20);
    t_eq(ended, 0);
    t_eq(cancelled, 1);

    op_fresh(&op, loop, 10);
    op_end(&op, 0);
    op_drop(&op);
    loop_advance(loop, 20);
    t_eq(ended, 0);
    t_eq(cancelled, 0);
}

static int freed;

static int job(void *arg, struct fault *fault)
{
    int *value = arg;
    if (*value < 0)
        return fault_set(fault, -ERR_INVALID, "below zero");
    *value += 1;
    return 0;
}

static void job_freed(void *arg)
{
    mem_free(arg);
    freed++;
}

T(a_pool_job_reports_and_then_frees)
{
    CLEAN(loop_free) struct loop *loop = fresh();
    struct op op = {0};
    int *value = NEW(int);

    ended = freed = 0;
    *value = -5;
    op_init(&op, loop, on_done, 0);
    work_run(&op, job, value, job_freed);
    while (!freed)
        loop_turn(loop, true);
    t_eq(ended, 1);
    t_eq(result_of_last, -ERR_INVALID);
    t_str(op.fault.text, "below zero");
}

static int gate[2];

static int wait_for_gate(void *arg, struct fault *fault)
{
    char c;
    (void)arg;
    (void)fault;
    return read(gate[0], &c, 1) == 1 ? 0 : -ERR_IO;
}

T(jobs_beyond_the_ceiling_are_refused)
{
    CLEAN(loop_free) struct loop *loop = fresh();
    static struct op ops[WORK_MAX + 1];

    t_eq(pipe(gate), 0);
    ended = 0;
    for (int i = 0; i <= WORK_MAX; i++) {
        op_init(&ops[i], loop, on_done, 0);
        work_run(&ops[i], wait_for_gate, NULL, NULL);
    }
    while (ended < 1)
        loop_turn(loop, false);
    t_eq(result_of_last, -ERR_BUSY);
    t_ok(!op_running(&ops[WORK_MAX]));
    close(gate[1]);
    while (ended <= WORK_MAX)
        loop_turn(loop, true);
    close(gate[0]);
}
