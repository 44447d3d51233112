/* Sessions: keys, their rows (a memory table written through), and what lists show of them.
 * protocol.md 4.1 Sessions, 6.4, 6.6. */
#pragma once

#include "base/json.h"
#include "gateway/session/index.h"
#include "gateway/session/key.h"
#include "store/store.h"

struct gateway;
struct sessions;

#define SESSIONS_MAX      100000 /* one more is refused with the remedy in the sentence */
#define SESSION_ID_MAX    64
#define SESSION_LABEL_MAX 512

/* One conversation. Read freely; change through the functions below so that the table stays sorted and
 * the row is written. Lives until session_remove. */
struct session {
    struct index_node node;
    struct session *newer, *older; /* by updated_at */
    char *key;                     /* canonical */
    char *agent_id, *label;        /* label NULL: none */
    char session_id[SESSION_ID_MAX + 1];
    struct json *entry; /* all the rest, as clients see it (protocol.md 6.6 SessionEntry) */
    int64_t created_at, updated_at;
    int64_t message_count; /* the last transcript seq given */
};

struct sessions *sessions_new(struct gateway *gw, struct fault *reterr_fault) MUSTCHECK; /* loads */
struct sessions *sessions_free(struct sessions *sessions);

/* Canonical key of what a caller wrote ("main", "agent:main:main", "foo"): lower case, aliases resolved
 * (protocol.md 6.4). -ERR_INVALID with a fault for an empty or over-long one. */
int session_canonical(struct gateway *gw, const char *key, const char *agent_id,
                      char out[SESSION_KEY_MAX + 1], struct fault *reterr_fault);
struct session *session_find(struct gateway *gw, const char *canonical_key); /* NULL: none */
size_t session_count(const struct gateway *gw);
size_t session_count_of(const struct gateway *gw, const char *agent_id); /* NULL: all */
/* The configured agents in order, default first; NULL past the end. Borrowed until the next reload. */
const char *session_agent_at(struct gateway *gw, size_t index);
/* For health and status: the newest `limit` as [{key, updatedAt, age}], one agent's or all (NULL). */
void session_write_recent(struct gateway *gw, const char *agent_id, int limit,
                          struct json_writer *w);
/* The same with status's rows (protocol.md 4.1 `status` sessions.recent). */
void session_write_status(struct gateway *gw, const char *agent_id, int limit,
                          struct json_writer *w);
/* The main session's key and agent for hello's sessionDefaults. */
const char *session_default_agent(struct gateway *gw);
void session_main_key(struct gateway *gw, const char *agent_id, char out[SESSION_KEY_MAX + 1]);

/* ---- for gateway/session, gateway/agent and the method groups ---- */

struct key_rules session_rules(struct gateway *gw); /* borrowed until the next reload */
struct session *session_newest(struct gateway *gw); /* then ->older, to the oldest */
struct session *session_by_label(struct gateway *gw, const char *label); /* NULL: none */

/* Finds or makes it (a fresh id, not yet written: session_put). NULL with a fault when full. */
struct session *session_ensure(struct gateway *gw, const char *canonical_key,
                               struct fault *reterr_fault);
/* A session that runs turns needs an agent: -ERR_INVALID with a fault when the configuration has none of
 * that name (any more). What was said there can be read all the same. */
int session_check_agent(struct gateway *gw, const char *canonical_key, struct fault *reterr_fault);
/* Into the batch, with updated_at now when touch. */
void session_put(struct gateway *gw, struct session *session, struct store_batch *batch,
                 bool touch);
/* Out of the table and, by the batch, of the store; the transcript is the caller's business. */
void session_remove(struct gateway *gw, struct session *session, struct store_batch *batch);
/* A fresh id and an empty transcript; levels, model, label, policy and origin stay. protocol.md 4.1. */
void session_renew(struct gateway *gw, struct session *session);
/* The same with the old transcript archived, in the batch. The row is the caller's. */
void session_restart(struct gateway *gw, struct session *session, struct store_batch *batch);
/* The model of this session from now on, by any name model_choose knows; NULL: as configured. -ERR_INVALID with
 * a fault. */
int session_set_model(struct gateway *gw, struct session *session, const char *model,
                      struct fault *reterr_fault);

/* Members of the entry. */
const char *session_text(const struct session *session, const char *name, const char *otherwise);
int64_t session_number(const struct session *session, const char *name, int64_t otherwise);
bool session_flag(const struct session *session, const char *name);
void session_set_text(struct session *session, const char *name,
                      const char *text); /* NULL removes */
void session_set_number(struct session *session, const char *name, int64_t number);
void session_set_flag(struct session *session, const char *name, bool value);
