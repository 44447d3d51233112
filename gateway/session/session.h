/* Sessions: keys, their rows (a memory table written through), and what lists show of them.
 * protocol.md 4.1 Sessions, 6.4, 6.6. */
#pragma once

#include "base/json.h"
#include "store/store.h"

struct gateway;
struct sessions;
struct session;

#define SESSION_KEY_MAX 512

struct sessions *sessions_new(struct gateway *gw, struct fault *reterr_fault) MUSTCHECK; /* loads */
struct sessions *sessions_free(struct sessions *sessions);

/* Canonical key of what a caller wrote ("main", "agent:main:main", "foo"): lower case, aliases resolved
 * (protocol.md 6.4). -ERR_INVALID with a fault for an empty or over-long one. */
int session_canonical(struct gateway *gw, const char *key, const char *agent_id, char out[SESSION_KEY_MAX + 1],
                      struct fault *reterr_fault);
struct session *session_find(struct gateway *gw, const char *canonical_key); /* NULL: none */
size_t session_count(const struct gateway *gw);
size_t session_count_of(const struct gateway *gw, const char *agent_id); /* NULL: all */
/* The configured agents in order, default first; NULL past the end. Borrowed until the next reload. */
const char *session_agent_at(struct gateway *gw, size_t index);
/* For health and status: the newest `limit` as [{key, updatedAt, age}], one agent's or all (NULL). */
void session_write_recent(struct gateway *gw, const char *agent_id, int limit, struct json_writer *w);
/* The same with status's rows (protocol.md 4.1 `status` sessions.recent). */
void session_write_status(struct gateway *gw, const char *agent_id, int limit, struct json_writer *w);
/* The main session's key and agent for hello's sessionDefaults. */
const char *session_default_agent(struct gateway *gw);
void session_main_key(struct gateway *gw, const char *agent_id, char out[SESSION_KEY_MAX + 1]);
