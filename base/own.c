/* What a broken promise does: require() ends the process where it stands, fails() leaves a line in the
 * log and lets the caller handle it. */
#include "base/own.h"

#define LOG_SUBSYSTEM "own"
#include "base/log.h"

#include <signal.h>
#include <stdio.h>

void require_failed(const char *what, const char *file, int line)
{
    /* stderr only: the log itself may be what broke. */
    fprintf(stderr, "culvert: internal error: %s (%s:%d)\n", what, file, line);
    fflush(stderr);
    raise(SIGABRT);
    __builtin_trap();
}

bool fails_report(const char *what, const char *file, int line)
{
    log_error("internal error, carrying on: %s (%s:%d)", what, file, line);
    return true;
}
