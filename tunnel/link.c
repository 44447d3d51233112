/* The states of the link. What can happen is enum link_event; link_rows says what each state does about it, an event a
 * state does not list is nothing to it. link_enter is the only place the state changes.
 *
 *   connecting / reconnecting: attempts run, or a session is there and a way is looked for
 *   up: a session and a way
 *   waiting: the timer brings the next attempt (or the next look for a way, when the session lives)
 *   failed: only a person can mend it; tried rarely and on a nudge
 *   closed: `once`, and it is over
 *
 * Owns the attempts (attempt.h) and the control session, which is the one that got through. */
#include "tunnel/link.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "tunnel/attempt.h"

#include <stdio.h>
#include <string.h>

#define LINK_MAGIC 0x6c696e6bu

enum link_event {
    LINK_READY,   /* an attempt is authenticated and is now the control session */
    LINK_REFUSED, /* an attempt failed */
    LINK_LOST,    /* the control session ended */
    LINK_WAY,     /* streams can reach the gateway */
    LINK_NO_WAY,  /* they cannot, or not any more; the session lives */
    LINK_DUE,     /* the timer */
    LINK_NUDGE,
    LINK_EVENTS
};

struct link {
    uint32_t magic;
    struct link_config config;
    enum tunnel_state state;
    struct attempt *attempts[LINK_ATTEMPTS_MAX]; /* oldest first */
    size_t attempt_count;
    struct attempt *control;
    struct op probe;
    struct timer due;
    struct defer told;
    struct backoff backoff;
    struct fault why; /* of the event that is handled */
    char last_error[FAULT_TEXT_MAX];
    int64_t since, lost_at, back_at, next_attempt_at; /* wall */
    int64_t out_since, up_since;                      /* loop_now */
    uint64_t reconnects;
    bool was_up;
};

struct link_row {
    bool hold;
    void (*on[LINK_EVENTS])(struct link *link);
};
static const struct link_row link_rows[];

/* ---- state ---- */

static void link_fire(struct link *link, enum link_event event)
{
    void (*handler)(struct link *) = link_rows[link->state].on[event];

    if (handler)
        handler(link);
}

static void link_tell(void *arg)
{
    struct link *link = arg;
    link->config.events->changed(link->config.arg);
}

static void link_enter(struct link *link, enum tunnel_state state)
{
    if (link->state != state) {
        link->state = state;
        link->since = loop_wall(link->config.loop);
    }
    defer_start(link->config.loop, &link->told, link_tell, link);
}

static void link_blame(struct link *link)
{
    if (link->why.code)
        snprintf(link->last_error, sizeof link->last_error, "%s", link->why.text);
}

static void link_on_due(void *arg)
{
    struct link *link = arg;

    CHECK(link, LINK_MAGIC);
    link_fire(link, LINK_DUE);
}

static void link_set_due(struct link *link, int64_t delay_ms)
{
    timer_start(link->config.loop, &link->due, delay_ms, 0, link_on_due, link);
}

static bool link_eager(const struct link *link)
{
    return loop_now(link->config.loop) - link->out_since < LINK_EAGER_FOR_MS;
}

static void link_rest(struct link *link, enum tunnel_state state, int64_t delay_ms)
{
    link->next_attempt_at = loop_wall(link->config.loop) + delay_ms;
    link_set_due(link, delay_ms);
    link_enter(link, state);
}

/* The next try has its time: soon at first, for as long as a person would still look on. */
static void link_wait(struct link *link)
{
    link->backoff.cap_ms = link_eager(link) ? LINK_EAGER_MS : LINK_PATIENT_MS;
    link_rest(link, TUNNEL_WAITING,
              backoff_next(&link->backoff, (double)crypto_random_below(1u << 20) / (1u << 20)));
}

static void attempts_drop(struct link *link);

static void link_finish(struct link *link, enum tunnel_state state)
{
    attempts_drop(link);
    timer_stop(link->config.loop, &link->due);
    link->next_attempt_at = 0;
    link_enter(link, state);
}

/* ---- attempts ---- */

static void attempts_take(struct link *link, const struct attempt *attempt)
{
    for (size_t i = 0; i < link->attempt_count; i++) {
        if (link->attempts[i] != attempt)
            continue;
        memmove(&link->attempts[i], &link->attempts[i + 1],
                (--link->attempt_count - i) * sizeof link->attempts[0]);
        return;
    }
}

static void attempts_drop_one(struct link *link, struct attempt *attempt)
{
    attempts_take(link, attempt);
    attempt_free(attempt);
}

static void attempts_drop(struct link *link)
{
    while (link->attempt_count > 0)
        attempt_free(link->attempts[--link->attempt_count]);
}

/* The path is there: those that still wait for it would only come to the server to hang up, which it may hold against
 * us (sshd_config(5) PerSourcePenalties, MaxStartups). */
static void link_on_attempt_reached(void *arg, struct attempt *attempt)
{
    struct link *link = arg;

    CHECK(link, LINK_MAGIC);
    for (size_t i = link->attempt_count; i-- > 0;) {
        struct attempt *other = link->attempts[i];
        if (other != attempt && attempt_step(other) <= SSH_STEP_CONNECT)
            attempts_drop_one(link, other);
    }
}

static void link_on_attempt_ready(void *arg, struct attempt *attempt)
{
    struct link *link = arg;

    CHECK(link, LINK_MAGIC);
    attempts_take(link, attempt);
    link->control = attempt;
    link_fire(link, LINK_READY);
}

static void link_on_attempt_refused(void *arg, struct attempt *attempt, const struct fault *why)
{
    struct link *link = arg;

    CHECK(link, LINK_MAGIC);
    link->why = *why;
    attempts_drop_one(link, attempt);
    link_fire(link, LINK_REFUSED);
}

static void link_on_attempt_lost(void *arg, struct attempt *attempt, const struct fault *why)
{
    struct link *link = arg;

    CHECK(link, LINK_MAGIC);
    require(attempt == link->control); /* the others are gone when one is ready */
    link->why = *why;
    link_fire(link, LINK_LOST);
}

static const struct attempt_events link_attempt_events = {
    .reached = link_on_attempt_reached,
    .ready = link_on_attempt_ready,
    .refused = link_on_attempt_refused,
    .lost = link_on_attempt_lost,
};

static void link_attempt(struct link *link)
{
    if (link->attempt_count == LINK_ATTEMPTS_MAX)
        attempts_drop_one(link, link->attempts[1]);
    link->attempts[link->attempt_count++] =
        attempt_new(&link->config, /* deadline: link_on_fresh */ 0, &link_attempt_events, link);
    link->next_attempt_at = 0;
    link_set_due(link, link_eager(link) ? LINK_FRESH_MS : LINK_FRESH_LATER_MS);
    link_enter(link, link->was_up ? TUNNEL_RECONNECTING : TUNNEL_CONNECTING);
}

/* Connecting: too old attempts go, a fresh one comes unless one is getting on. */
static void link_on_fresh(struct link *link)
{
    bool gets_on = link->control != NULL;

    for (size_t i = link->attempt_count; i-- > 0;) {
        struct attempt *attempt = link->attempts[i];

        if (!attempt_is_asking(attempt) && attempt_age(attempt) >= LINK_ATTEMPT_MS) {
            fault_set(&link->why, -ERR_TIMEOUT,
                      "no session within %d s (it stopped at: %s); is the host up and reachable?",
                      LINK_ATTEMPT_MS / 1000, ssh_step_name(attempt_step(attempt)));
            link_blame(link);
            attempts_drop_one(link, attempt);
            if (link->config.once) {
                link_finish(link, TUNNEL_CLOSED);
                return;
            }
        } else if (attempt_gets_on(attempt)) {
            gets_on = true;
        }
    }
    if (gets_on)
        link_set_due(link, LINK_FRESH_MS);
    else
        link_attempt(link);
}

static bool link_for_a_person(int code)
{
    return code == -ERR_AUTH || code == -ERR_DENIED || code == -ERR_INVALID ||
           code == -ERR_UNSUPPORTED;
}

static void link_on_refused(struct link *link)
{
    bool person = link_for_a_person(link->why.code);

    link_blame(link);
    if (link->config.once) {
        link_finish(link, person ? TUNNEL_FAILED : TUNNEL_CLOSED);
    } else if (person) {
        attempts_drop(link);
        link_rest(link, TUNNEL_FAILED, LINK_FAILED_MS);
    } else if (link->attempt_count == 0) {
        link_wait(link);
    } else {
        link_enter(link, link->state); /* others run on; the reason is told */
    }
}

/* ---- a session, a way ---- */

static void link_on_ready(struct link *link)
{
    attempts_drop(link);
    timer_stop(link->config.loop, &link->due);
    link_enter(link, link->state);
    link->config.events->found(link->config.arg, attempt_ssh(link->control));
}

static void link_on_way(struct link *link)
{
    link->up_since = loop_now(link->config.loop);
    link->next_attempt_at = 0;
    if (link->was_up)
        link->reconnects++;
    if (link->lost_at)
        link->back_at = loop_wall(link->config.loop);
    link->was_up = true;
    timer_stop(link->config.loop, &link->due);
    link_enter(link, TUNNEL_UP);
}

/* It was up: what is due now is measured from here. */
static void link_out(struct link *link)
{
    int64_t now = loop_now(link->config.loop);

    if (link->state != TUNNEL_UP)
        return;
    link->out_since = now;
    link->lost_at = loop_wall(link->config.loop);
    if (now - link->up_since >= LINK_STEADY_MS)
        backoff_reset(&link->backoff);
}

static void link_on_no_way(struct link *link)
{
    link_out(link);
    link_blame(link);
    if (link->config.once)
        link_finish(link, TUNNEL_CLOSED);
    else
        link_wait(link);
}

static void link_on_lost(struct link *link)
{
    bool steady =
        link->state == TUNNEL_UP && loop_now(link->config.loop) - link->up_since >= LINK_STEADY_MS;

    link_out(link);
    link_blame(link);
    op_drop(&link->probe);
    link->config.events->lost(link->config.arg);
    link->control = attempt_free(link->control);
    if (link->config.once)
        link_finish(link, TUNNEL_CLOSED);
    else if (steady)
        link_attempt(link);
    else
        link_wait(link);
}

/* The wait is over. */
static void link_on_due_again(struct link *link)
{
    if (!link->control) {
        link_attempt(link);
        return;
    }
    link->next_attempt_at = 0;
    link_enter(link, link->was_up ? TUNNEL_RECONNECTING : TUNNEL_CONNECTING);
    link->config.events->found(link->config.arg, attempt_ssh(link->control));
}

/* ---- nudge ---- */

static void link_on_probed(struct op *op, int result)
{
    struct link *link = CONTAINER(op, struct link, probe);

    CHECK(link, LINK_MAGIC);
    if (result >= 0 || !link->control)
        return;
    fault_set(&link->why, -ERR_TIMEOUT,
              "the path is gone: no answer after a wake-up or a change "
              "of network");
    link_fire(link, LINK_LOST);
}

/* A session is there, whether it still works is not known. */
static void link_on_nudge_probe(struct link *link)
{
    if (!link->control || op_running(&link->probe))
        return;
    op_init(&link->probe, link->config.loop, link_on_probed, LINK_PROBE_MS);
    link->config.ssh->probe(attempt_ssh(link->control), &link->probe);
}

static void link_on_nudge_try(struct link *link)
{
    link->out_since = loop_now(link->config.loop);
    backoff_reset(&link->backoff);
    if (link->control)
        link_on_nudge_probe(link);
    if (!link->control || link->state == TUNNEL_WAITING)
        link_set_due(link, 0);
}

/* What is connected goes on, what is still connecting may be on a way that is no more: link_on_fresh. */
static const struct link_row link_rows[] = {
    [TUNNEL_CONNECTING] = {.hold = true,
                           .on = {[LINK_READY] = link_on_ready,
                                  [LINK_REFUSED] = link_on_refused,
                                  [LINK_LOST] = link_on_lost,
                                  [LINK_WAY] = link_on_way,
                                  [LINK_NO_WAY] = link_on_no_way,
                                  [LINK_DUE] = link_on_fresh,
                                  [LINK_NUDGE] = link_on_nudge_try}},
    [TUNNEL_UP] = {.hold = true,
                   .on = {[LINK_LOST] = link_on_lost,
                          [LINK_NO_WAY] = link_on_no_way,
                          [LINK_NUDGE] = link_on_nudge_probe}},
    [TUNNEL_WAITING] = {.hold = true,
                        .on = {[LINK_LOST] = link_on_lost,
                               [LINK_DUE] = link_on_due_again,
                               [LINK_NUDGE] = link_on_nudge_try}},
    [TUNNEL_RECONNECTING] = {.hold = true,
                             .on = {[LINK_READY] = link_on_ready,
                                    [LINK_REFUSED] = link_on_refused,
                                    [LINK_LOST] = link_on_lost,
                                    [LINK_WAY] = link_on_way,
                                    [LINK_NO_WAY] = link_on_no_way,
                                    [LINK_DUE] = link_on_fresh,
                                    [LINK_NUDGE] = link_on_nudge_try}},
    [TUNNEL_FAILED] = {.on = {[LINK_DUE] = link_on_due_again, [LINK_NUDGE] = link_on_nudge_try}},
    [TUNNEL_CLOSED] = {.hold = false},
};

/* ---- life ---- */

struct link *link_new(const struct link_config *config)
{
    struct link *link = NEW(struct link);

    link->magic = LINK_MAGIC;
    link->config = *config;
    link->since = loop_wall(config->loop);
    link->out_since = loop_now(config->loop);
    backoff_init(&link->backoff, LINK_FIRST_MS, LINK_EAGER_MS);
    link_attempt(link);
    return link;
}

struct link *link_free(struct link *link)
{
    if (!link)
        return NULL;
    attempts_drop(link);
    op_drop(&link->probe);
    link->control = attempt_free(link->control);
    timer_stop(link->config.loop, &link->due);
    defer_stop(link->config.loop, &link->told);
    link->magic = 0;
    return mem_free(link);
}

void link_way(struct link *link, const struct fault *why)
{
    if (why)
        link->why = *why;
    link_fire(link, why ? LINK_NO_WAY : LINK_WAY);
}

void link_nudge(struct link *link)
{
    link_fire(link, LINK_NUDGE);
}

struct ssh *link_control(const struct link *link)
{
    return link->control ? attempt_ssh(link->control) : NULL;
}

void link_facts(const struct link *link, struct link_facts *ret)
{
    *ret = (struct link_facts){
        .state = link->state,
        .hold = link_rows[link->state].hold,
        .since = link->since,
        .lost_at = link->lost_at,
        .back_at = link->back_at,
        .next_attempt_at = link->next_attempt_at,
        .reconnects = link->reconnects,
        .last_error = link->last_error,
    };
}
