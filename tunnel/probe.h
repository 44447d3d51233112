/* One question over an SSH session: a channel is opened, some bytes are sent, what comes back is kept until it is
 * enough. For tunnel check. Tunnel thread, or whichever loop the session is on. */
#pragma once

#include "tunnel/ssh/session.h"

#define PROBE_OUTPUT_MAX 65536 /* of the far end's output; more: -ERR_TOO_LARGE */
#define PROBE_WORDS_MAX  200   /* of its standard error, the last line */

struct probe {
    struct loop *loop;
    struct ssh_channel *channel;
    struct buf sent, output;
    char words[PROBE_WORDS_MAX];
    bool (*enough)(const struct buf *output); /* NULL: that it opened is enough */
    void (*done)(void *arg, int result, const struct fault *why);
    void *arg;
    struct timer late;
    int exit_status; /* -1: none */
    bool command, over;
};

struct probe_ask {
    struct ssh_channel_spec spec;
    const char *first; /* sent at once; NULL: nothing */
    bool (*enough)(const struct buf *output);
    int64_t limit_ms;
    /* Once, not from inside probe_start. 0, or why not; -ERR_IO: the far end ended before it was enough. The channel
     * stays open after 0 until probe_stop. May call probe_stop. */
    void (*done)(void *arg, int result, const struct fault *why);
    void *arg;
};
void probe_start(struct probe *probe, struct loop *loop, struct ssh *ssh,
                 const struct probe_ask *ask);
void probe_stop(struct probe *probe); /* idle is fine */
