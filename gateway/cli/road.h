/* How a command reaches a gateway that --url names as ssh:// or ts://: a tunnel, or tailscaled, behind a socket of this
 * process alone, that goes away as soon as the command is connected. Blocking: turns the loop it is given. */
#pragma once

#include "gateway/cli/target.h"

struct road;

/* Goes there and fills target->ws with where to connect. From now on Ctrl-C and SIGTERM set *interrupted (they would
 * leave the socket behind); it lives as long as the loop. Faults: -ERR_CONNECT; -ERR_AUTH refused on the way (host key,
 * authentication), with what to do; -ERR_INTERRUPTED. */
int road_open(struct target *target, struct loop *loop, bool *interrupted, struct road **ret,
              struct fault *reterr_fault);
/* The command is connected: nobody else comes in any more, nothing is left on disk. */
void road_seal(struct road *road);
/* The connection vanished: why the road ended, if it did (it may hear of that a moment later); else unchanged. */
void road_why(struct road *road, struct fault *reterr_fault);
struct road *road_close(struct road *road); /* NULL ok */
