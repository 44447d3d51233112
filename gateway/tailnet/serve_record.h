/* What we put into tailscaled's serve-config in the background, on disk (tailscale-serve.json in the state directory)
 * for as long as it may be there: so that the next start can take it out. Blocking, a small local file. */
#pragma once

#include "base/err.h"

struct serve_record {
    char *host, *target; /* owned; host NULL: nothing */
    char session[128];   /* not on disk */
};
void serve_record_set(struct serve_record *record, const char *host, const char *target,
                      const char *session);
void serve_record_done(struct serve_record *record);
bool serve_record_exists(const char *state_dir);
/* -ERR_NOT_FOUND; -ERR_CORRUPT: it makes no sense. */
int serve_record_read(const char *state_dir, struct serve_record *ret);
int serve_record_write(const char *state_dir, const struct serve_record *record,
                       struct fault *reterr_fault);
void serve_record_remove(const char *state_dir);
