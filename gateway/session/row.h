/* What clients see of a session: list rows, entries, defaults, and the sessions.changed event.
 * protocol.md 4.1, 4.3, 5.2, 6.6. */
#pragma once

#include "gateway/session/session.h"

struct row_options {
    int version; /* 3 or 4 */
    bool title;  /* derivedTitle */
    bool last;   /* lastMessagePreview */
};

/* One row of sessions.list. session NULL: the row of a key that has no session yet (v4 sessionInfo). */
void row_write(struct gateway *gw, const char *key, const struct session *session,
               const struct row_options *options, struct json_writer *w);
/* SessionEntry: what sessions.patch, create and reset answer. */
void row_write_entry(const struct session *session, struct json_writer *w);
/* {modelProvider, model, contextTokens} of new sessions. */
void row_write_defaults(struct gateway *gw, int version, struct json_writer *w);
/* {modelProvider, model} of this session. */
void row_write_resolved(struct gateway *gw, const struct session *session, struct json_writer *w);
/* Where sessions are kept, as v3 clients are told ("path"). Caller owns. */
char *row_store_path(struct gateway *gw) MUSTCHECK;

/* sessions.changed, published when the batch is on disk. reason ("create", "patch", …) or phase
 * ("start", "end", "error"), the other NULL; run_id may be NULL. */
void row_emit_changed(struct gateway *gw, struct store_batch *batch, const struct session *session,
                      const char *reason, const char *phase, const char *run_id);
/* The same for a session that has just been removed. */
void row_emit_removed(struct gateway *gw, struct store_batch *batch, const char *key,
                      const char *agent_id);

/* Levels a client may set and a row shows; every name is a text member of the entry. */
extern const char *const row_texts[];
