/* Reading and changing the configuration file for config.get, set, apply and patch: what happens in the
 * pool. protocol.md 4.1. Blocking; any thread. */
#pragma once

#include "gateway/config/snapshot.h"

#include "base/buf.h"

/* The config.get payload of the file as it is now, one JSON value. */
void change_write_snapshot(const struct snapshot *snapshot, struct json_writer *w);

enum change_kind {
    CHANGE_SET,   /* raw is the new text */
    CHANGE_PATCH, /* raw is a merge patch */
};

enum change_verdict {
    CHANGE_DONE,
    CHANGE_REFUSED, /* the caller's fault: message (and issues) say why */
    CHANGE_FAILED,  /* could not be read or written: message says why */
};

struct change {
    /* the question */
    enum change_kind kind;
    char *path, *raw, *base_hash; /* base_hash NULL: not given */
    /* the answer */
    enum change_verdict verdict;
    char *message;
    struct snapshot *before,
        *after; /* after: what is in the file now, or the refused text's verdict */
};

/* Base hash, restore of redacted secrets, check, backup, write. Fills the answer. */
void change_run(struct change *change);
void change_done(struct change *change);
/* {issues: […]} of a refused text, NULL when it has none. The caller owns it. */
char *change_details(const struct change *change) MUSTCHECK;
/* A JSON array of issues: path, message, and where known file and line. */
void issues_write(const struct issues *issues, struct json_writer *w);
