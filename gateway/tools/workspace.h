/* The one door to the files of an agent's workspace: a path from outside (a model, a client, a file's own
 * name) is opened beneath the workspace's folder and nowhere else, links that lead out included. The
 * folder itself is the operator's choice (agent_workspace). Everything here blocks: pool threads only. */
#pragma once

#include "base/err.h"

#include <sys/types.h>

/* Opens root, an absolute path: a descriptor that the caller closes, or negative with a fault. */
int workspace_root(const char *root, struct fault *reterr_fault);

/* Opens path, relative to root and staying beneath it by the kernel's own resolution (RESOLVE_BENEATH, no
 * /proc links). flags and mode as open(2); O_CLOEXEC and O_NOCTTY are added, and so is O_NONBLOCK, so that a
 * fifo does not hold the thread: check with fstat what was opened. A descriptor, or -ERR_NOT_FOUND,
 * -ERR_DENIED (leads out, not permitted), -ERR_EXISTS, -ERR_INVALID (a part of it is no folder, or it is
 * one), -ERR_UNSUPPORTED (kernel before 5.6), -ERR_IO, with a fault that names the path as given. */
int workspace_open(int root, const char *path, int flags, mode_t mode, struct fault *reterr_fault);
