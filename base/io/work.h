/* Work in libuv's pool: DNS, files, process scans, frames over 256 KiB. */
#pragma once

#include "base/io/op.h"

/* At most this many jobs wait or run per loop; one more ends with -ERR_BUSY. */
#define WORK_MAX 256

/* Runs in the pool; sees only arg. Returns the op's result; fault is the op's sentence. */
typedef int work_fn(void *arg, struct fault *fault);
/* Frees arg on the loop when the job is really over, after done or after a cancel that let it run on. */
typedef void work_free_fn(void *arg);

/* op must be op_init'ed. done sees the result first, then free_arg (may be NULL) is called. */
void work_run(struct op *op, work_fn *fn, void *arg, work_free_fn *free_arg);
