/* One reading of the configuration: texts, trees, verdict. Immutable once built, so that it can be made
 * in the pool and handed to the loop. Blocking to make; any thread. */
#pragma once

#include "gateway/config/source.h"

#include "base/crypto.h"

struct snapshot {
    char *path;
    bool exists;
    char *raw; /* the root file's text, "" when there is none; wiped when freed */
    size_t raw_length;
    char hash[SHA256_HEX]; /* of raw; "" when there is no file */
    struct sources sources;
    struct json *parsed; /* the root file alone; an empty object when it cannot be parsed */
    struct json *merged; /* with what it includes, nothing substituted */
    struct json *tree;   /* substituted: what is read. Holds secrets */
    struct issues issues, warnings;
};

/* Reads path and builds. Never NULL: what is wrong, also that the file cannot be read, is in issues.
 * An absent file is an empty object. */
struct snapshot *snapshot_read(const char *path) MUSTCHECK;
/* The same from a text that is not (yet) in the file at path. */
struct snapshot *snapshot_build(const char *path, const char *text, size_t length) MUSTCHECK;
struct snapshot *snapshot_free(struct snapshot *snapshot);
DEFINE_CLEAN(struct snapshot *, snapshot_free)

static inline bool snapshot_valid(const struct snapshot *snapshot)
{
    return snapshot->issues.count == 0;
}

/* Dotted paths of the leaves that differ between two trees, fn once for each. */
typedef void snapshot_change_fn(void *arg, const char *path);
void snapshot_changes(const struct json *a, const struct json *b, snapshot_change_fn *fn,
                      void *arg);
