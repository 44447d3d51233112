/* A run that does the same thing again and again: the same call with the same arguments and the same
 * result. Told to the model first, then ended. Pure. */
#pragma once

#include "base/json.h"

#define GUARD_SLOTS 64 /* different calls remembered; the one seen longest ago makes room */
#define GUARD_TOLD  3  /* that many times: the model is told in the result */
#define GUARD_END   6  /* that many times: the run is ended */

struct guard {
    struct guard_slot {
        uint64_t call, result; /* hashes; call 0: free */
        unsigned times;        /* answers in which the result was the same */
        uint64_t seen, answer;
    } slots[GUARD_SLOTS];
    uint64_t clock, answer;
    char name[80]; /* of the tool that passed GUARD_END; "": none did */
};

/* The calls of another answer follow: what one answer calls twice counts once. */
void guard_next(struct guard *guard);
/* Notes a call and its result; how many times it came out alike so far, this one counted. */
unsigned guard_note(struct guard *guard, const char *name, const struct json *arguments,
                    const struct json *content);
