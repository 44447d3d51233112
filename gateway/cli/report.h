/* How a tunnel's state looks: as JSON to other processes, as sentences and one line to a person. Pure. */
#pragma once

#include "base/json.h"
#include "tunnel/tunnel.h"

#define REPORT_TEXT_MAX 1024

/* {target, pid, state, since, …}: what `tunnel status --json` prints per tunnel. started: wall ms. */
void report_write(struct buf *out, const char *target, int pid, int64_t started,
                  const struct tunnel_status *status);

/* The sentence for a change worth one; false: nothing that a person has to hear. before is zeroed at the first. */
bool report_change(const char *target, const struct tunnel_status *before,
                   const struct tunnel_status *now, char out[REPORT_TEXT_MAX]);
/* The state in one line. */
void report_line(const char *target, const struct tunnel_status *status, int64_t wall_ms,
                 char out[REPORT_TEXT_MAX]);
/* Where programs find the gateway: "ws://127.0.0.1:18789", "unix:/path"; "" while it is not known. */
void report_url(const struct tunnel_endpoint *endpoint, char *out, size_t size);

char *report_bytes(const struct json *bytes); /* "1.2 MiB", for a table */
char *report_rtt(const struct json *ms);      /* "12 ms"; NULL: not known */
