/* Something happened to the machine that a path may not have survived: it slept, its clock jumped, its addresses or
 * routes changed. One call per event, bursts told once. Loop thread only. */
#pragma once

#include "base/io/loop.h"

#define WAKE_TICK_MS   1000 /* how often the clocks are compared */
#define WAKE_JUMP_MS   2000 /* what they may differ by without meaning anything */
#define WAKE_SETTLE_MS 100  /* a burst of network changes is told once, at its end */

struct wake;
/* tick: at each look at the clocks; NULL ok. */
struct wake *wake_new(struct loop *loop, loop_fn *woke, loop_fn *tick, void *arg) MUSTCHECK;
struct wake *wake_free(struct wake *wake);
