/* One `culvert tunnel up` per target: a lock, and a socket that tells its state to whoever of this user asks, both in
 * <state>/tunnels (0700). A connection gets one line of JSON and the end. */
#pragma once

#include "base/io/loop.h"
#include "base/json.h"

#define SEAT_LINE_MAX 65536
#define SEAT_WAIT_MS  1000 /* so long a status may take */
#define SEAT_MAX      256  /* tunnels that are looked at */

struct seat;

/* Takes the target's place and begins to answer. describe writes one JSON value, on the loop. Faults: -ERR_BUSY
 * with the pid of the one that has it; what is wrong with the folder. */
int seat_take(struct loop *loop, const char *target, void (*describe)(void *arg, struct buf *out),
              void *arg, struct seat **ret, struct fault *reterr_fault);
struct seat *seat_leave(struct seat *seat); /* nothing stays behind; NULL ok */

/* What all that run say of themselves, an array; one that holds its place but says nothing within
 * SEAT_WAIT_MS is {target, pid, state: "silent"}. target NULL: all. Blocking. NULL and a fault. */
struct json *seat_ask(const char *target, struct fault *reterr_fault) MUSTCHECK;

/* "ssh://me@host/" and "me@host" are one place: the shorter spelling that is understood. Caller owns. */
char *seat_target(const char *target) MUSTCHECK;
/* The file name of a target's place, without its ending; into out. */
#define SEAT_NAME 64
void seat_name(const char *target, char out[SEAT_NAME]);
