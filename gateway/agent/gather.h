/* Gathering what a run begins with: the session's messages from the store, made into a prompt, and the
 * workspace's files. Reading and parsing happen on the reader thread and in the pool. Loop thread only. */
#pragma once

#include "gateway/agent/context.h"
#include "gateway/agent/prompt.h"

struct gateway;
struct gather;

#define GATHER_ROWS_MAX  4000 /* newest messages looked at; older ones live on in the summary only */
#define GATHER_BYTES_MAX (8u * 1024 * 1024)

/* Borrowed for the call. */
struct gather_request {
    const char *session_id;
    int64_t user_seq;      /* prompt_load */
    const char *workspace; /* NULL: no files are wanted */
    enum context_reader reader;
    size_t file_bytes, all_bytes; /* context_read */
    int64_t timeout_ms;
};

struct gathered {
    struct prompt prompt;
    char *files;   /* "" when there are none; NULL when not wanted */
    int64_t total; /* messages of the session in the store */
};

/* Once, from the loop, never from inside gather_start. result 0: `out` is the receiver's now
 * (gathered_done); negative: fault says why. The gather is gone. */
typedef void gather_fn(void *arg, int result, struct gathered *out, const struct fault *fault);

struct gather *gather_start(struct gateway *gw, const struct gather_request *request, gather_fn *fn,
                            void *arg) MUSTCHECK;
/* fn is not called any more. NULL ok; returns NULL. */
struct gather *gather_drop(struct gather *gather);
void gathered_done(struct gathered *out);
