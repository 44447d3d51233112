/* Files put in place whole or not at all: a temporary beside them, synced, then given the name, 0600.
 * Blocking; any thread. */
#pragma once

#include "base/err.h"

#define WRITE_BACKUPS 5 /* path.bak, path.bak.1 … path.bak.4 */

enum write_how {
    WRITE_REPLACE, /* what is there goes away */
    WRITE_NEW,     /* -ERR_EXISTS when something is there */
};

/* 0 when it is on disk (the folder synced as well); else a fault that names the path, nothing changed and
 * no temporary left. Symbolic links are followed for WRITE_REPLACE: the target is replaced. */
int write_file(const char *path, const void *data, size_t length, enum write_how how,
               struct fault *reterr_fault);
/* Keeps a copy of the file at path as path.bak, older ones move on, the oldest goes. Absent: nothing. */
int write_backup(const char *path, struct fault *reterr_fault);
