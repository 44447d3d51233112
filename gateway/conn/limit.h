/* How often something may be tried: failed authentication per address, control-plane writes per method
 * and device. Sliding windows over a bounded table; the clock is the caller's. protocol.md 2.8 and 1.5,
 * design.md section 5 "Limits". Loop thread only. */
#pragma once

#include "base/own.h"

struct conn;
struct gateway;

#define LIMIT_ROWS_MAX                                                                             \
    4096 /* addresses remembered; a new one takes the place of the longest quiet */
#define LIMIT_HITS_MAX       256 /* most attempts a window can count */
#define LIMIT_DELAY_FIRST_MS 250
#define LIMIT_DELAY_MAX_MS   5000
#define LIMIT_CONTROL_MAX    30
#define LIMIT_CONTROL_MS     60000

struct limit_rule {
    int64_t max, window_ms;
    int64_t lockout_ms; /* 0: none; the window alone decides */
};

/* ---- the table: pure ---- */

struct limit_table;
struct limit_table *limit_table_new(void) MUSTCHECK;
struct limit_table *limit_table_free(struct limit_table *table);
/* How long the key still has to wait; 0: it may try. */
int64_t limit_wait(const struct limit_table *table, const char *key, const struct limit_rule *rule,
                   int64_t now);
/* Counts one hit. Returns how many the window holds now. */
unsigned limit_hit(struct limit_table *table, const char *key, const struct limit_rule *rule,
                   int64_t now);
void limit_forget(struct limit_table *table, const char *key);
size_t limit_count(const struct limit_table *table);
/* 250 ms · 2^(hits-1), at most 5 s: what a failure on this host waits for its answer. */
int64_t limit_delay(unsigned hits);

/* ---- the gateway's ---- */

struct limits *limits_new(struct gateway *gw) MUSTCHECK;
struct limits *limits_free(struct limits *limits);

/* Failed authentication. key is the canonical address or the tunnel identity ("" and exempt for unix
 * sockets and loopback: delayed, never locked out, because everybody there shares the address). */
int64_t limit_auth_wait(struct gateway *gw, const char *key, bool exempt); /* > 0: locked out, ms */
int64_t limit_auth_failed(struct gateway *gw, const char *key,
                          bool exempt); /* ms to hold the answer */
/* A right shared secret forgets the failures. A device token does not: it must not buy guesses. */
void limit_auth_passed(struct gateway *gw, const char *key);

/* A control-plane write: 0 and counted, or > 0: ms until the next may come. */
int64_t limit_control(struct gateway *gw, const struct conn *conn, const char *method);
