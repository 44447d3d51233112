/* The texts a configuration is made of: the root file and what it includes, each with the place where
 * it was put, so that an issue can name file and line. Blocking; any thread. */
#pragma once

#include "gateway/config/issue.h"
#include "gateway/config/path.h"

#define SOURCE_BYTES_MAX   ((size_t)1 << 20) /* one file */
#define SOURCE_DEPTH_MAX   8                 /* files that include files */
#define SOURCE_COUNT_MAX   64                /* files in all */
#define SOURCE_VALUES_MAX  20000             /* values of all files together */
#define SOURCE_MEMBERS_MAX 2000              /* members of one object: look-ups walk them */

struct source {
    char *path; /* as opened, absolute where the root was */
    char *text; /* owned; holds secrets: wiped when freed */
    size_t length;
    char **mount; /* keys from the top of the document to the object that includes it */
    size_t mount_count;
};

struct sources {
    struct source *items;
    size_t count;
    size_t values;
};

/* The whole file, NUL terminated, owned (mem_wipe_free). -ERR_NOT_FOUND when there is none. */
int source_read(const char *path, char **ret_text, size_t *ret_length, struct fault *reterr_fault);

/* text is the root file's (copied); the result has every $include merged in and nothing substituted:
 * later files win over earlier ones, members beside $include win over files, lists are joined. NULL
 * with an issue when anything is wrong. ret_parsed (owned) is the root file alone. */
struct json *sources_build(struct sources *sources, const char *root_path, const char *text,
                           size_t length, struct json **ret_parsed, struct issues *issues);
void sources_done(struct sources *sources);

/* File and line of a place in the merged document; the nearest place above it that is written down
 * when it is not. Line 0 and the root file when nothing is known. */
const char *sources_locate(const struct sources *sources, const struct step *step, int *ret_line);
