/* The table of connections as conn.c sees it: places, counts, ceilings. */
#pragma once

#include "gateway/conn/conn.h"

struct ingress;
struct local_gate;

/* Where a request comes from. 0, or the HTTP status to refuse it with and why (ingress_judge). */
int conns_judge(struct gateway *gw, const struct ws_request *request, struct ingress *ret,
                const char **ret_why);
/* The user the trusted proxy names, if it also sent every header it always must; NULL: none. Caller owns. */
char *conns_proxy_user(struct gateway *gw, const struct ws_request *request,
                       const struct ingress *ingress) MUSTCHECK;
struct local_gate *conns_local_gate(struct gateway *gw);

void conns_remove(struct conn *conn);
/* Called before conn->state changes: keeps the counts of half-open and open connections. */
void conns_state_changed(struct conn *conn, enum conn_state next);
void conns_beat_start(struct conn *conn, int64_t every_ms, loop_fn *fn);
void conns_beat_stop(struct conn *conn);
/* Holds the process-wide output ceiling: drops the slowest connections while it is passed. */
void conns_relieve(struct gateway *gw);

/* conn.c, for the table */
extern const struct ws_events conn_ws_events;
void conn_free(struct conn *conn);
