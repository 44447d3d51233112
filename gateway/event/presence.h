/* Who is here: protocol.md 2.12. At most 200 entries of 5 minutes; the gateway's own never expires. */
#pragma once

#include "base/json.h"
#include "gateway/conn/conn.h"

#define PRESENCE_MAX    200
#define PRESENCE_TTL_MS 300000

/* All borrowed; NULL: absent. */
struct presence_entry {
    const char *key, *host, *ip, *version, *platform, *device_family, *model_identifier, *mode,
        *reason, *text, *device_id, *instance_id, *time_zone;
    int64_t last_input_seconds;        /* < 0: not told */
    const char *tags, *roles, *scopes; /* JSON arrays */
};
struct presence *presence_new(struct gateway *gw) MUSTCHECK;
struct presence *presence_free(struct presence *presence);
/* Inserts or updates by key (lower-cased), raises the version, emits `presence` when announce. */
void presence_update(struct gateway *gw, const struct presence_entry *entry, bool announce);
/* For conn.c: reason "connect" (announced to v4) and "disconnect". */
void presence_conn(struct conn *conn, const char *reason);
void presence_write(struct gateway *gw, struct json_writer *w); /* the array */
int64_t presence_version(const struct gateway *gw);
