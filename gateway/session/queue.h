/* What becomes of a message that comes while its session is busy. The settings: a session's own, else the
 * configuration's (messages.queue), else what OpenClaw takes: steer, 500 ms, 20, summarize. */
#pragma once

#include "gateway/session/session.h"

struct turn;

enum queue_mode {
    QUEUE_STEER,    /* joins the run that answers; waits where that cannot take it */
    QUEUE_FOLLOWUP, /* waits; a turn of its own */
    QUEUE_COLLECT,  /* waits; with all others that wait, one turn after a quiet moment */
    QUEUE_INTERRUPT /* stops what runs and waits, then begins */
};
/* When more than cap messages wait. */
enum queue_drop {
    QUEUE_DROP_SUMMARIZE, /* the oldest joins the one after it: no turn of its own, nothing lost */
    QUEUE_DROP_OLD,       /* the oldest is given up */
    QUEUE_DROP_NEW        /* the newest is refused */
};
#define QUEUE_DEBOUNCE_MAX_MS (60 * 60 * 1000)

struct queue_rules {
    enum queue_mode mode;
    enum queue_drop drop;
    int64_t debounce_ms, cap;
};
struct queue_rules queue_rules_of(struct gateway *gw, const struct session *session);

/* The names, NULL-terminated and in the order of the enums. */
extern const char *const queue_modes[], *const queue_drops[];
/* As the table spells it, older and longer spellings understood ("oldest", "steer+backlog"); NULL: none. */
const char *queue_mode_spelled(const char *text);
const char *queue_drop_spelled(const char *text);

/* ---- inside of turns ---- */

/* Before a message is taken: -ERR_BUSY with a fault when the rules refuse it. */
int queue_admit(struct gateway *gw, const struct session *session, struct fault *reterr_fault);
/* Its message is on disk: joins, waits or interrupts. The turn may have left its lane afterwards. */
void queue_place(struct turn *turn);
/* About to start: what waits behind it to be answered together joins it. */
void queue_gather(struct turn *turn);
