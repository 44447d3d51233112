/* Queue modes, as rules over a lane: a message either starts, waits, joins another turn (join.c) or stops
 * what is before it. Messages alone are asked: commands, what waits behind /new, and turns of `agent`
 * (which promise their caller an answer of their own) always wait in line. Owns nothing. */
#include "gateway/session/queue.h"

#include "gateway/config/config.h"
#include "gateway/session/internal.h"

#include <string.h>
#include <strings.h>

#define QUIET_MOMENTS_MAX 10 /* debounces that a collecting turn is held back at most */

const char *const queue_modes[] = {"steer", "followup", "collect", "interrupt", NULL};
const char *const queue_drops[] = {"summarize", "old", "new", NULL};

/* ---- settings ---- */

struct spelling {
    const char *said, *meant;
};
static const struct spelling mode_spellings[] = {
    {"steering", "steer"},         {"queue", "steer"},
    {"queued", "steer"},           {"follow-ups", "followup"},
    {"followups", "followup"},     {"steer-backlog", "followup"},
    {"steer+backlog", "followup"}, {"steer_backlog", "followup"},
    {"coalesce", "collect"},       {"interrupts", "interrupt"},
    {"abort", "interrupt"},        {NULL, NULL},
};
static const struct spelling drop_spellings[] = {
    {"oldest", "old"}, {"newest", "new"}, {"summary", "summarize"}, {NULL, NULL}};

static const char *queue_spelled(const char *text, const char *const *names,
                                 const struct spelling *others)
{
    for (; text && *names; names++) {
        if (strcasecmp(text, *names) == 0)
            return *names;
    }
    for (; text && others->said; others++) {
        if (strcasecmp(text, others->said) == 0)
            return others->meant;
    }
    return NULL;
}

const char *queue_mode_spelled(const char *text)
{
    return queue_spelled(text, queue_modes, mode_spellings);
}

const char *queue_drop_spelled(const char *text)
{
    return queue_spelled(text, queue_drops, drop_spellings);
}

static int queue_index(const char *name, const char *const *names)
{
    for (int i = 0; name && names[i]; i++) {
        if (strcmp(name, names[i]) == 0)
            return i;
    }
    return 0;
}

/* Messages over the gateway's own API are those of the channel webchat. */
static const struct json *queue_of_channel(struct gateway *gw, const struct session *session,
                                           const char *map)
{
    return json_get(config_node(gw->config, map),
                    session ? session_text(session, "channel", "webchat") : "webchat");
}

struct queue_rules queue_rules_of(struct gateway *gw, const struct session *session)
{
    const char *mode = session ? session_text(session, "queueMode", NULL) : NULL;
    const char *drop = session ? session_text(session, "queueDrop", NULL) : NULL;
    int64_t debounce = session ? session_number(session, "queueDebounceMs", -1) : -1;
    int64_t cap = session ? session_number(session, "queueCap", -1) : -1;

    if (!mode)
        mode = json_string(queue_of_channel(gw, session, "messages.queue.byChannel"), NULL);
    if (debounce < 0)
        debounce =
            json_integer(queue_of_channel(gw, session, "messages.queue.debounceMsByChannel"), -1);
    mode = queue_mode_spelled(mode ? mode : config_str(gw->config, KNOB_queue_mode));
    drop = queue_drop_spelled(drop ? drop : config_str(gw->config, KNOB_queue_drop));
    return (struct queue_rules){
        .mode = (enum queue_mode)queue_index(mode, queue_modes),
        .drop = (enum queue_drop)queue_index(drop, queue_drops),
        .debounce_ms = debounce < 0 ? config_int(gw->config, KNOB_queue_debounce_ms) : debounce,
        .cap = cap < 1 ? config_int(gw->config, KNOB_queue_cap) : cap,
    };
}

/* ---- a lane's messages ---- */

static bool queue_is_message(const struct turn *turn)
{
    return turn->method == TURN_CHAT && !turn->command && !turn->rest;
}

/* May be answered together with others: it asks for nothing special. */
static bool queue_is_plain(const struct turn *turn)
{
    return queue_is_message(turn) && !turn->thinking && !turn->extra_system &&
           !turn->client_tools && !turn->model_asked && turn->max_tokens == 0;
}

static bool queue_waits(const struct turn *turn)
{
    return turn->state == TURN_ACCEPTING || turn->state == TURN_QUEUED;
}

static int64_t queue_waiting(const struct lane *lane)
{
    int64_t count = 0;

    for (const struct turn *turn = lane_first(lane); turn; turn = turn->next)
        count += queue_is_message(turn) && queue_waits(turn);
    return count;
}

int queue_admit(struct gateway *gw, const struct session *session, struct fault *reterr_fault)
{
    struct queue_rules rules = queue_rules_of(gw, session);
    struct lane *lane = lane_find(gw->turns, session->key);

    if (rules.drop != QUEUE_DROP_NEW || queue_waiting(lane) < rules.cap)
        return 0;
    return fault_set(reterr_fault, -ERR_BUSY,
                     "session %s already has %lld messages waiting, and its queue refuses more "
                     "(queueDrop new); wait for an answer or send /stop",
                     session->key, (long long)rules.cap);
}

/* More wait than should: the oldest gives way. */
static void queue_make_room(struct turn *newest, const struct queue_rules *rules)
{
    struct lane *lane = newest->lane;
    int64_t over = queue_waiting(lane) - rules->cap;
    struct turn *next;

    for (struct turn *turn = lane_first(lane); turn && over > 0; turn = next) {
        next = turn->next;
        if (turn == newest || turn->state != TURN_QUEUED || !queue_is_message(turn))
            continue;
        if (rules->drop == QUEUE_DROP_OLD)
            turn_stop(turn, "dropped");
        else if (next && queue_is_plain(turn) && queue_is_plain(next) &&
                 next->state == TURN_QUEUED && turn_has_room(next, turn))
            turn_join(turn, next);
        else
            continue;
        over--;
    }
}

/* ---- the modes ---- */

/* Into the run that answers, unless others wait already: nobody overtakes. */
static bool queue_steer(struct turn *turn)
{
    struct turn *host = lane_first(turn->lane);

    if (host->next != turn || host->state != TURN_RUNNING || !host->run || !host->kind->steer ||
        host->client_tools || !queue_is_plain(turn) || !turn_has_room(host, turn))
        return false;
    if (!host->kind->steer(host->run, turn->user_seq, turn->text_in, turn->images_in))
        return false;
    turn_join(turn, host);
    return true;
}

/* Everything before it ends; the message itself is the newest and begins. */
static void queue_interrupt(struct turn *turn)
{
    struct turn *next;

    for (struct turn *other = lane_first(turn->lane); other != turn; other = next) {
        next = other->next;
        if (other->state < TURN_ENDING)
            turn_stop(other, "interrupt");
    }
}

/* Each message that comes makes the quiet moment begin anew, up to a bound. */
static void queue_collect(struct turn *turn, const struct queue_rules *rules)
{
    int64_t now = loop_now(turn->gw->loop);

    turn->collects = true;
    turn->arrived_at = now;
    for (struct turn *other = lane_first(turn->lane); other; other = other->next) {
        int64_t bound = other->arrived_at + QUIET_MOMENTS_MAX * rules->debounce_ms;

        if (other->collects && other->state == TURN_QUEUED)
            other->ready_at = now + rules->debounce_ms < bound ? now + rules->debounce_ms : bound;
    }
}

void queue_place(struct turn *turn)
{
    struct session *session = session_find(turn->gw, turn->session_key);
    struct queue_rules rules = queue_rules_of(turn->gw, session);

    if (turn->queue_mode)
        rules.mode = (enum queue_mode)queue_index(turn->queue_mode, queue_modes);
    if (lane_first(turn->lane) == turn || !queue_is_message(turn))
        return;
    switch (rules.mode) {
    case QUEUE_STEER:
        if (queue_steer(turn))
            return;
        break;
    case QUEUE_INTERRUPT: queue_interrupt(turn); return;
    case QUEUE_COLLECT: queue_collect(turn, &rules); break;
    case QUEUE_FOLLOWUP: break;
    }
    queue_make_room(turn, &rules);
}

/* ---- starting ---- */

void queue_gather(struct turn *turn)
{
    if (!turn->collects || !queue_is_plain(turn))
        return;
    while (turn->next && turn->next->collects && turn->next->state == TURN_QUEUED &&
           queue_is_plain(turn->next) && turn_has_room(turn, turn->next))
        turn_join(turn->next, turn);
}
