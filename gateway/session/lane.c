/* Lanes: the turns of one session key in order, and the list of lanes whose first turn may start. A lane
 * is made by its first turn and gone with its last. Ready lanes start first come, first served, while
 * fewer than agents.defaults.maxConcurrent turns run. */
#include "gateway/session/internal.h"

#include "base/mem.h"
#include "gateway/config/config.h"

#include <string.h>

#define LANES_STARTS_MAX 4 /* turns started in one pass of the loop */

struct lane {
    struct index_node node; /* by session key */
    char *key;
    struct turn *first, *last;
    unsigned count;
    struct lane *next_ready;
    bool ready;
    struct turns *turns;
    struct timer quiet;     /* its first turn is held back until then */
    struct turn_hold *hold; /* NULL: its turns may run */
};

struct lane *lane_find(struct turns *turns, const char *session_key)
{
    struct index_node *node = index_find(&turns->lanes, session_key);

    return node ? CONTAINER(node, struct lane, node) : NULL;
}

struct turn *lane_first(const struct lane *lane)
{
    return lane ? lane->first : NULL;
}

bool lane_resets(const struct lane *lane)
{
    for (const struct turn *turn = lane->first; turn; turn = turn->next) {
        if (turn->state < TURN_ENDING && turn->command && turn->command->resets)
            return true;
    }
    return false;
}

static struct lane *lane_new(struct turns *turns, const char *session_key)
{
    struct lane *lane = NEW(struct lane);

    lane->turns = turns;
    lane->key = mem_string(session_key);
    index_put(&turns->lanes, &lane->node, lane->key);
    return lane;
}

int lane_join(struct turns *turns, struct turn *turn, struct fault *reterr_fault)
{
    struct lane *lane = lane_find(turns, turn->session_key);

    if (lane && lane->count > TURN_QUEUE_MAX)
        return fault_set(
            reterr_fault, -ERR_BUSY,
            "session %s already has %d messages waiting; wait for answers or send /stop",
            turn->session_key, TURN_QUEUE_MAX);
    if (turns->by_run.count >= TURNS_MAX)
        return fault_set(reterr_fault, -ERR_BUSY,
                         "%d turns are waiting on this gateway; try again in a moment", TURNS_MAX);
    if (!lane)
        lane = lane_new(turns, turn->session_key);
    *(lane->last ? &lane->last->next : &lane->first) = turn;
    lane->last = turn;
    lane->count++;
    turn->lane = lane;
    return 0;
}

static void lane_unready(struct turns *turns, struct lane *lane)
{
    struct lane **at = &turns->ready;

    if (!lane->ready)
        return;
    while (*at != lane)
        at = &(*at)->next_ready;
    *at = lane->next_ready;
    if (turns->ready_tail == &lane->next_ready)
        turns->ready_tail = at;
    lane->ready = false;
    lane->next_ready = NULL;
}

static void lane_on_quiet(void *arg)
{
    struct lane *lane = arg;
    struct turns *turns = lane->turns;

    lane_check(turns, lane);
    lanes_pump(turns);
}

/* True when its first turn may start now; else the timer may look again. */
static bool lane_first_ready(struct lane *lane)
{
    struct loop *loop = lane->turns->gw->loop;
    int64_t now = loop_now(loop);

    timer_stop(loop, &lane->quiet);
    if (!lane->first || lane->first->state != TURN_QUEUED || lane->hold)
        return false;
    if (lane->first->ready_at <= now)
        return true;
    timer_start(loop, &lane->quiet, lane->first->ready_at - now, 0, lane_on_quiet, lane);
    return false;
}

void lane_check(struct turns *turns, struct lane *lane)
{
    if (!lane_first_ready(lane)) {
        lane_unready(turns, lane);
        return;
    }
    if (lane->ready)
        return;
    lane->ready = true;
    *turns->ready_tail = lane;
    turns->ready_tail = &lane->next_ready;
}

/* Nothing is there any more: gone, and who waited for that is told. */
static void lane_end(struct lane *lane)
{
    struct turns *turns = lane->turns;
    CLEAN(mem_free) char *key = lane->key;

    index_remove(&turns->lanes, &lane->node);
    mem_free(lane);
    waiters_lane_empty(turns, key);
}

void lane_leave(struct turns *turns, struct turn *turn)
{
    struct lane *lane = turn->lane;
    struct turn **at = &lane->first, *before = NULL;

    while (*at != turn) {
        before = *at;
        at = &before->next;
    }
    *at = turn->next;
    if (lane->last == turn)
        lane->last = before;
    lane->count--;
    turn->lane = NULL;
    turn->next = NULL;
    lane_check(turns, lane);
    if (!lane->first && !lane->hold)
        lane_end(lane);
}

/* Many turns that may start at once do so a few at a time: the loop goes round in between. */
static void lanes_on_next(void *arg)
{
    struct turns *turns = arg;

    turns->started = 0;
    lanes_pump(turns);
}

void lanes_pump(struct turns *turns)
{
    size_t cap = (size_t)config_int(turns->gw->config, KNOB_agent_concurrency);

    while (turns->ready && turns->running < cap && !turns->closing) {
        struct lane *lane = turns->ready;

        if (turns->started == LANES_STARTS_MAX)
            return; /* lanes_on_next goes on */
        if (turns->started++ == 0)
            defer_start(turns->gw->loop, &turns->next_starts, lanes_on_next, turns);
        lane_unready(turns, lane);
        turns->running++;
        turn_start(lane->first);
    }
}

/* ---- holding ---- */

int turn_hold(struct gateway *gw, const char *session_key, struct turn_hold *hold,
              struct fault *reterr_fault)
{
    struct turns *turns = gw->turns;

    if (lane_find(turns, session_key))
        return fault_set(reterr_fault, -ERR_BUSY,
                         "Session %s has an active run; retry after it finishes.", session_key);
    hold->turns = turns;
    hold->lane = lane_new(turns, session_key);
    hold->lane->hold = hold;
    hold->next = turns->holds;
    turns->holds = hold;
    return 0;
}

void turn_release(struct turn_hold *hold)
{
    struct lane *lane = hold->lane;
    struct turns *turns = hold->turns;
    struct turn_hold **at = lane ? &turns->holds : NULL;

    if (!lane)
        return;
    while (*at != hold)
        at = &(*at)->next;
    *at = hold->next;
    hold->lane = NULL;
    lane->hold = NULL;
    lane_check(turns, lane);
    if (!lane->first)
        lane_end(lane);
    lanes_pump(turns);
}

bool lane_stop_hold(struct lane *lane, const char *reason)
{
    if (!lane || !lane->hold)
        return false;
    lane->hold->stop(lane->hold->arg, reason);
    return true;
}

/* ---- questions ---- */

bool turn_active(struct gateway *gw, const char *session_key)
{
    struct lane *lane = gw->turns ? lane_find(gw->turns, session_key) : NULL;

    for (struct turn *turn = lane_first(lane); turn; turn = turn->next) {
        if (turn->state < TURN_ENDING)
            return true;
    }
    return false;
}

void turn_write_run_ids(struct gateway *gw, const char *session_key, struct json_writer *w)
{
    struct lane *lane = gw->turns ? lane_find(gw->turns, session_key) : NULL;

    jw_array(w);
    for (struct turn *turn = lane_first(lane); turn; turn = turn->next) {
        if (turn->state < TURN_ENDING)
            jw_str(w, turn->run_id);
    }
    jw_array_end(w);
}

void turn_write_in_flight(struct gateway *gw, const char *session_key, struct json_writer *w)
{
    struct lane *lane = gw->turns ? lane_find(gw->turns, session_key) : NULL;
    struct turn *turn = lane_first(lane);

    if (!turn || turn->state != TURN_RUNNING || !turn->kind)
        return;
    jw_kobject(w, "inFlightRun");
    jw_kstr(w, "runId", turn->run_id);
    jw_key(w, "text");
    jw_strn(w, turn->sent ? turn->text.data : "", turn->sent);
    jw_kint(w, "startedAt", turn->started_at);
    jw_kbool(w, "sessionAbortable", true);
    jw_object_end(w);
}

size_t turn_count(const struct gateway *gw)
{
    return gw->turns->running;
}

size_t turn_waiting(const struct gateway *gw)
{
    return gw->turns->by_run.count - gw->turns->running;
}
