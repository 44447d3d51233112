/* The log: levelled lines to stderr (text or JSON) and JSON lines to a daily file under logs/ that
 * logs.tail reads. Libraries stay silent and return errors; the edge logs once. Any thread.
 * Never pass a secret. */
#pragma once

#include "base/err.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR };

struct log_config {
    enum log_level level;
    bool json;  /* stderr as JSON lines */
    bool quiet; /* nothing on stderr (the CLI) */
    const char
        *directory; /* NULL: no file. Files culvert-YYYY-MM-DD.log (UTC), 0600, at most 256 MiB
                            * each, kept for 14 days; borrowed for the call */
};

/* May be called again to change everything. Returns 0 or negative with fault (file not writable). */
int log_setup(const struct log_config *config, struct fault *reterr_fault);
void log_close(void);
void log_to(enum log_level level, const char *subsystem, const char *format, ...) PRINTF(3, 4);
bool log_enabled(enum log_level level);
/* Path of today's file into out ("" when there is none). */
void log_file_path(char *out, size_t size);

#define log_debug(...)                                                                             \
    (log_enabled(LOG_DEBUG) ? log_to(LOG_DEBUG, LOG_SUBSYSTEM, __VA_ARGS__) : (void)0)
#define log_info(...)  log_to(LOG_INFO, LOG_SUBSYSTEM, __VA_ARGS__)
#define log_warn(...)  log_to(LOG_WARN, LOG_SUBSYSTEM, __VA_ARGS__)
#define log_error(...) log_to(LOG_ERROR, LOG_SUBSYSTEM, __VA_ARGS__)
/* Each .c that logs defines LOG_SUBSYSTEM ("conn") before including this header. */
#ifndef LOG_SUBSYSTEM
#define LOG_SUBSYSTEM "culvert"
#endif
