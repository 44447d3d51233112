/* Who waits for a run to end (agent.wait) or for a lane to be empty (delete, reset). One list for both:
 * a name, a deadline, a continuation. A waiter may name a run that has not begun. */
#include "gateway/session/internal.h"

#include "base/mem.h"

#include <string.h>

struct waiter {
    struct waiter *next;
    struct turns *turns;
    char *name; /* run id, or session key when lane */
    bool lane;
    struct timer deadline;
    turn_wait_fn *fn;
    void *arg;
};

static void waiter_free(struct waiter *waiter)
{
    struct turns *turns = waiter->turns;
    struct waiter **at = &turns->waiters;

    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    turns->waiter_count--;
    timer_stop(turns->gw->loop, &waiter->deadline);
    mem_free(waiter->name);
    mem_free(waiter);
}

static void waiter_end(struct waiter *waiter, int result, const struct json *outcome)
{
    turn_wait_fn *fn = waiter->fn;
    void *arg = waiter->arg;

    waiter_free(waiter);
    fn(arg, result, outcome);
}

static void waiter_on_deadline(void *arg)
{
    waiter_end(arg, -ERR_TIMEOUT, NULL);
}

static int waiter_add(struct turns *turns, const char *name, bool lane, int64_t timeout_ms,
                      turn_wait_fn *fn, void *arg)
{
    struct waiter *waiter;

    if (turns->waiter_count >= TURN_WAITERS_MAX)
        return -ERR_FULL;
    waiter = NEW(struct waiter);
    waiter->turns = turns;
    waiter->name = mem_string(name);
    waiter->lane = lane;
    waiter->fn = fn;
    waiter->arg = arg;
    waiter->next = turns->waiters;
    turns->waiters = waiter;
    turns->waiter_count++;
    timer_start(turns->gw->loop, &waiter->deadline, timeout_ms, 0, waiter_on_deadline, waiter);
    return 0;
}

/* One at a time and from the start: a continuation may add or end others. */
static void waiters_end(struct turns *turns, const char *name, bool lane, int result,
                        const struct json *outcome)
{
    struct waiter *waiter = turns->waiters;

    while (waiter) {
        if (waiter->lane == lane && (!name || strcmp(waiter->name, name) == 0)) {
            waiter_end(waiter, result, outcome);
            waiter = turns->waiters;
        } else {
            waiter = waiter->next;
        }
    }
}

void waiters_run_ended(struct turns *turns, const char *run_id, const struct json *outcome)
{
    waiters_end(turns, run_id, false, 0, outcome);
}

void waiters_lane_empty(struct turns *turns, const char *session_key)
{
    waiters_end(turns, session_key, true, 0, NULL);
}

void waiters_interrupt(struct turns *turns)
{
    waiters_end(turns, NULL, false, -ERR_INTERRUPTED, NULL);
    waiters_end(turns, NULL, true, -ERR_INTERRUPTED, NULL);
}

int turn_wait(struct gateway *gw, const char *run_id, int64_t timeout_ms, turn_wait_fn *fn,
              void *arg)
{
    return waiter_add(gw->turns, run_id, false, timeout_ms, fn, arg);
}

void turn_unwait(struct gateway *gw, turn_wait_fn *fn, void *arg)
{
    for (struct waiter *waiter = gw->turns ? gw->turns->waiters : NULL; waiter;
         waiter = waiter->next) {
        if (waiter->fn == fn && waiter->arg == arg) {
            waiter_free(waiter);
            return;
        }
    }
}

int turn_settle(struct gateway *gw, const char *session_key, const char *reason, int64_t timeout_ms,
                turn_wait_fn *fn, void *arg)
{
    int r;

    if (!lane_find(gw->turns, session_key)) {
        fn(arg, 0, NULL);
        return 0;
    }
    r = waiter_add(gw->turns, session_key, true, timeout_ms, fn, arg);
    if (r == 0)
        turn_abort(gw, session_key, NULL, reason, NULL);
    return r;
}
