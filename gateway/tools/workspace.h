/* The one door to the files of an agent's workspace: a path from outside (a model, a client, a file's own
 * name) is opened beneath the workspace's folder and nowhere else, links that lead out included. The
 * folder itself is the operator's choice (agent_workspace). Everything here blocks: pool threads only. */
#pragma once

#include "base/buf.h"
#include "base/err.h"

#include <sys/types.h>

/* Opens root, an absolute path: a descriptor that the caller closes, or negative with a fault. */
int workspace_root(const char *root, struct fault *reterr_fault);

/* Opens path, relative to root and staying beneath it by the kernel's own resolution (RESOLVE_BENEATH, no
 * /proc links); a kernel without that is asked folder by folder, and no link at all is followed. flags and mode as
 * open(2); O_CLOEXEC and O_NOCTTY are added, and so is O_NONBLOCK, so that a fifo does not hold the
 * thread: check with fstat what was opened. A descriptor, or -ERR_NOT_FOUND, -ERR_DENIED (leads out, not
 * permitted), -ERR_EXISTS, -ERR_INVALID (a part of it is no folder, or it is one), -ERR_IO, with a fault
 * that names the path as given. */
int workspace_open(int root, const char *path, int flags, mode_t mode, struct fault *reterr_fault);
/* The way of older kernels, for its test. */
int workspace_open_by_walk(int root, const char *path, int flags, mode_t mode,
                           struct fault *reterr_fault);

/* What a person or model wrote, relative to the folder `root` and plain: an absolute path below root loses that
 * part, "." and doubled slashes go; "." is the root itself. "..", an empty path and one that begins elsewhere are
 * refused (-ERR_DENIED, -ERR_INVALID). Caller owns; NULL with a fault. */
char *workspace_relative(const char *root, const char *path, struct fault *reterr_fault) MUSTCHECK;

/* Where a workspace holds the gateway's own folder (its root is, say, the home folder), what lies in that is not for
 * agents: -ERR_DENIED. fd is what was opened, or the folder of what will be made. */
int workspace_guard(int root, int fd, const char *forbidden, const char *path,
                    struct fault *reterr_fault);

/* A regular file of at most max bytes, appended to out (whose own ceiling is not below max). Bytes, or
 * negative: also -ERR_INVALID for what is no file, -ERR_TOO_LARGE. */
ssize_t workspace_read(int root, const char *path, size_t max, const char *forbidden,
                       struct buf *out, struct fault *reterr_fault);
/* The file becomes exactly these bytes, in one step: written beside it, synced, renamed. Folders on the way are
 * made. What is there must be a regular file (its mode is kept): links are not followed. */
int workspace_write(int root, const char *path, const char *forbidden, const void *data,
                    size_t length, struct fault *reterr_fault);
