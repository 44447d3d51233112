/* The store: SQLite in WAL mode. One writer thread with group commit, one reader thread. Everything
 * here is called on the loop thread; nothing here blocks except store_open, store_close and the
 * *_each calls, which run before the loop does. design.md section 6. */
#pragma once

#include "base/buf.h"
#include "base/io/op.h"

struct arena_chunk;
struct store;
struct store_batch;

/* At most so many batches wait for the writer; past it a commit ends with -ERR_BUSY. */
#define STORE_QUEUE_MAX 65536

struct store_config {
    const char *path;        /* culvert.db; made with mode 0600. ":memory:" for tests */
    const char *vfs;         /* NULL: the default; tests give their power-cut VFS */
    const char *synchronous; /* NULL: "FULL" */
    int checkpoint_pages;    /* WAL growth between checkpoints; 0: 1000 (4 MB) */
    int64_t log_max_bytes, log_max_age_ms, log_max_rows; /* 0: 256 MiB, 30 days, 1,000,000 */
};

/* Opens, migrates, recovers. This start's term goes to disk in the background, before or with the first
 * batch; a disk that is full by then is a state, not a failure. Failure: a fault with cause and remedy
 * (not writable, damaged, made by a newer version). */
int store_open(struct loop *loop, const struct store_config *config, struct store **ret,
               struct fault *reterr_fault);
/* Commits what is queued, ends every op, joins the threads. NULL ok; returns NULL. */
struct store *store_close(struct store *store);

enum store_state { STORE_OK, STORE_FULL, STORE_DAMAGED, STORE_FAILING };
enum store_state store_state(const struct store *store); /* what health says */
const char *store_state_text(const struct store *store); /* sentence for a person, "" when OK */

/* ---- writing: a batch is one atomic step; batches commit in the order given ---- */

struct store_batch *store_batch(struct store *store) MUSTCHECK;
void store_batch_free(struct store_batch *batch); /* only one that is not committed */
/* Takes the batch. op (prepared by op_init; NULL: nobody waits) ends 0 when it is on disk, else
 * -ERR_FULL (disk), -ERR_IO, -ERR_CORRUPT, -ERR_BUSY (queue full, or another program holds the file),
 * -ERR_CONFLICT (a unique key is taken), -ERR_TOO_LARGE, and then nothing of the batch happened. A
 * cancelled op does not stop the write. */
void store_commit(struct store_batch *batch, struct op *op);
/* fn is also told how the batch ended: on the loop, before the op, batches in the order given, hooks in the
 * order set, any number; result as for the op, -ERR_CANCELLED when the batch is freed instead of
 * committed. It may make and commit batches, not close the store. */
typedef void store_hook_fn(void *arg, int result);
void store_on_commit(struct store_batch *batch, store_hook_fn *fn, void *arg);

/* All strings below are copied. NULL where a member may be absent. Lists are JSON array texts. */

struct store_device {
    const char *device_id, *public_key, *display_name, *platform, *device_family, *client_id,
        *client_mode, *roles, *scopes, *remote_ip, *approved_via, *last_seen_reason, *node;
    /* node: JSON record of the node command surface, NULL for operators */
    int64_t created_at, approved_at, last_seen_at;
};
void store_device_put(struct store_batch *batch, const struct store_device *device);
void store_device_remove(struct store_batch *batch, const char *device_id); /* and its tokens */
typedef void store_device_fn(void *arg, const struct store_device *device);
int store_device_each(struct store *store, store_device_fn *fn, void *arg);

struct store_token {
    const char *device_id, *role, *hash,
        *scopes; /* hash: SHA-256 hex of the token, never the token */
    int64_t created_at, rotated_at, revoked_at, last_used_at; /* 0: never */
};
void store_token_put(struct store_batch *batch, const struct store_token *token);
typedef void store_token_fn(void *arg, const struct store_token *token);
int store_token_each(struct store *store, store_token_fn *fn, void *arg);

struct store_pairing {
    const char *request_id, *device_id, *record; /* record: the pending request as JSON */
    int64_t created_at, expires_at;
};
void store_pairing_put(struct store_batch *batch, const struct store_pairing *pairing);
void store_pairing_remove(struct store_batch *batch, const char *request_id);
typedef void store_pairing_fn(void *arg, const struct store_pairing *pairing);
int store_pairing_each(struct store *store, store_pairing_fn *fn, void *arg);

struct store_session {
    const char *key, *session_id, *agent_id, *label, *entry; /* entry: JSON of all the rest */
    int64_t created_at, updated_at, message_count;
};
void store_session_put(struct store_batch *batch, const struct store_session *session);
void store_session_remove(struct store_batch *batch, const char *key);
typedef void store_session_fn(void *arg, const struct store_session *session);
int store_session_each(struct store *store, store_session_fn *fn, void *arg);

/* One transcript line. (session_id, seq) is unique; seq starts at 1 and is given by the caller. */
struct store_message {
    const char *session_id, *message_id, *role, *run_id, *message; /* message: the JSON object */
    int64_t seq, at;
};
void store_message_put(struct store_batch *batch, const struct store_message *message);
/* That message was said to this run after all. */
void store_message_adopt(struct store_batch *batch, const char *session_id, int64_t seq,
                         const char *run_id);
/* delete: archive false removes, true keeps under archived_at (sessions.delete, compact). Up to and
 * including through_seq. */
void store_messages_drop(struct store_batch *batch, const char *session_id, int64_t through_seq,
                         bool archive, int64_t at);

/* A turn that has begun and not ended: found again after a crash. */
struct store_turn {
    const char *run_id, *session_key, *session_id, *detail; /* detail: JSON */
    int64_t started_at;
};
void store_turn_put(struct store_batch *batch, const struct store_turn *turn);
void store_turn_remove(struct store_batch *batch, const char *run_id);
typedef void store_turn_fn(void *arg, const struct store_turn *turn);
int store_turn_each(struct store *store, store_turn_fn *fn, void *arg);

/* Idempotency: key is "<method>:<key>"; outcome is JSON. Kept 24 h after `at`, at most 100,000, oldest
 * first out. Which keys there are is in memory: find is immediate and sees a put from store_commit on (a
 * commit that fails takes it back). Outcomes are in memory while they are not on disk yet and for the
 * newest few; others are fetched. */
#define STORE_IDEMPOTENCY_MAX  100000
#define STORE_IDEMPOTENCY_MS   (24 * 60 * 60 * 1000)
#define STORE_IDEMPOTENCY_KEEP 512 /* newest outcomes that stay in memory */
void store_idempotency_put(struct store_batch *batch, const char *key, const char *outcome,
                           int64_t at);
/* ON_DISK: known, and *ret NULL: fetch it, then ask again. *ret is set to NULL or the outcome, which
 * lives until the next store_commit. */
enum store_known { STORE_UNKNOWN, STORE_KNOWN, STORE_ON_DISK };
enum store_known store_idempotency_find(const struct store *store, const char *key,
                                        const char **ret);
/* When the op (prepared by op_init) ends with 0, find has the outcome: KNOWN, or UNKNOWN when its time
 * is over. It stays in memory as long as its key does. */
void store_idempotency_fetch(struct store *store, struct op *op, const char *key);

/* Small settings that survive a start: the gateway's identity, counters. */
void store_meta_put(struct store_batch *batch, const char *key, const char *value);
char *store_meta_get(struct store *store, const char *key) MUSTCHECK; /* blocking; caller owns */

/* ---- usage: sums by day, agent, session and model ---- */

/* days of UTC, "2026-03-09"; costs in nano-dollars; times of the first and last turn that day. */
struct store_usage {
    const char *day, *agent_id, *session_key, *provider, *model;
    int64_t turns, input, output, cache_read, cache_write;
    int64_t input_cost, output_cost, cache_read_cost, cache_write_cost;
    int64_t unpriced; /* unpriced: turns whose model has no prices */
    int64_t asked, answered, tool_calls,
        errors; /* messages of people, of the agent, calls, failed turns */
    int64_t first_at, last_at;
};
/* Adds to the row of that day and names. */
void store_usage_add(struct store_batch *batch, const struct store_usage *usage);
void store_usage_trim(struct store_batch *batch, const char *before_day); /* days before that go */

#define STORE_USAGE_MAX                                                                            \
    20000 /* rows of one page, newest days first; more says that some are missing */
/* As struct store_page. */
struct store_usage_page {
    struct op op;
    struct store_usage *rows;
    size_t count;
    bool more;
    struct arena_chunk *memory;
};
/* Both days included; agent_id and session_key NULL: all. */
void store_usage_read(struct store *store, struct store_usage_page *page, const char *from_day,
                      const char *to_day, const char *agent_id, const char *session_key);
void store_usage_page_done(struct store_usage_page *page);

/* ---- event log: offsets never reused, terms (design.md section 7) ---- */

struct store_event {
    const char *name, *session_key, *payload; /* session_key may be NULL; payload is JSON */
    uint32_t scopes;                          /* audience of the event's row */
    int64_t at;
};
/* The offset it will have, known at once because there is one writer; publish only after the commit. */
int64_t store_log_append(struct store_batch *batch, const struct store_event *event);

struct store_position {
    char epoch[33];       /* this start's term, 32 hex */
    int64_t head, oldest; /* last committed offset (0: none), first kept */
};
void store_log_position(const struct store *store, struct store_position *ret);

/* What may be said about a reader that has seen everything up to `after` of the term `epoch`: OK, all
 * that came later is still there; EPOCH, no such term (another database, a restored copy); TRIMMED, some
 * of it is gone; AHEAD, that term never got so far. */
enum store_cursor { STORE_CURSOR_OK, STORE_CURSOR_EPOCH, STORE_CURSOR_TRIMMED, STORE_CURSOR_AHEAD };
enum store_cursor store_log_cursor(const struct store *store, const char *epoch, int64_t after);

/* Durable cursors: a named reader has dealt with everything up to offset. What it has not seen is not
 * trimmed by age or count, only when the log passes log_max_bytes. */
struct store_consumer {
    const char *name;
    int64_t offset, at;
};
void store_consumer_put(struct store_batch *batch, const struct store_consumer *consumer);
void store_consumer_remove(struct store_batch *batch, const char *name);
typedef void store_consumer_fn(void *arg, const struct store_consumer *consumer);
int store_consumer_each(struct store *store, store_consumer_fn *fn, void *arg);

struct store_logged {
    int64_t offset, at;
    uint32_t scopes;
    char *name, *session_key, *payload; /* session_key may be NULL */
};
/* As struct store_page. */
struct store_log_page {
    struct op op;
    struct store_logged *rows;
    size_t count, bytes; /* bytes of payload */
    int64_t next;        /* read on after this offset; nothing between the last row and it */
    int64_t oldest;      /* first kept when the page was read: after + 1 < oldest is a gap */
    bool more;           /* limit or max_bytes cut the page */
    struct arena_chunk *memory;
};
/* Events after `after`, up to the head at the time of the call, in order; at least one row however
 * large. Offsets have holes where a batch failed. */
void store_log_read(struct store *store, struct store_log_page *page, int64_t after, int limit,
                    size_t max_bytes);
void store_log_page_done(struct store_log_page *page);

/* ---- reading: on the reader thread, answered through the op ---- */

#define STORE_PAGE_MAX 10000 /* rows of one page */

struct store_row {
    int64_t seq, at;
    char *message_id, *run_id, *message; /* run_id may be NULL */
};
/* Embedded by the reader's owner; rows are filled when the op ends with 0, freed by store_page_done.
 * More than 1,024 reads waiting: -ERR_BUSY. */
struct store_page {
    struct op op;
    struct store_row *rows;
    size_t count;
    int64_t total; /* messages of the session in all */
    size_t bytes;  /* of message text in rows */
    struct arena_chunk *memory;
};
/* The newest `limit` messages with seq <= through_seq (0: the end), in rising order, at most max_bytes of
 * message text (at least one row). op prepared by op_init. */
void store_messages_read(struct store *store, struct store_page *page, const char *session_id,
                         int64_t through_seq, int limit, size_t max_bytes);
/* One message by its id (count 0 or 1). */
void store_message_read(struct store *store, struct store_page *page, const char *session_id,
                        const char *message_id);
void store_page_done(struct store_page *page);
