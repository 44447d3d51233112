/* The state directory: ours, 0700, one gateway at a time. design.md section 3. */
#pragma once

#include "base/err.h"

/* $CULVERT_STATE_DIR or ~/.culvert; given wins. Caller owns; NULL and a fault when there is no home. */
char *state_dir_path(const char *given, struct fault *reterr_fault) MUSTCHECK;

/* Makes it (and identity/, logs/, workspace/, canvas/, bus/) when missing; refuses one that is not ours, that others may
 * write, or whose sockets would have too long a path. Blocking: before the loop runs. */
int state_dir_prepare(const char *path, struct fault *reterr_fault);

/* Takes gateway.lock for as long as the returned descriptor is open; -ERR_BUSY names the holder's pid. */
int state_dir_lock(const char *path, struct fault *reterr_fault);
/* What others may read in the lock file: {"pid":…,"port":…}. */
void state_dir_announce(int lock, int port);
