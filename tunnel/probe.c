/* A probe's path: probe_start, opened, data and noise, then probe_end once: by enough, the far end's close or the
 * limit. Owns its channel and what came over it. */
#include "tunnel/probe.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

static void probe_end(struct probe *probe, int result, const struct fault *why)
{
    if (probe->over)
        return;
    probe->over = true;
    timer_stop(probe->loop, &probe->late);
    probe->done(probe->arg, result, why);
}

static void probe_fail(struct probe *probe, int code, const char *what)
{
    struct fault why;

    probe_end(probe, fault_set(&why, code, "%s", what), &why);
}

static void probe_on_late(void *arg)
{
    probe_fail(arg, -ERR_TIMEOUT, "no answer came in time");
}

static void probe_opened(void *arg, int result, const struct fault *why)
{
    struct probe *probe = arg;

    if (result < 0)
        probe_end(probe, result, why);
    else if (ssh_channel_write(probe->channel, probe->sent.data, probe->sent.length) <
             probe->sent.length)
        probe_fail(probe, -ERR_FULL, "the far end does not take a few hundred bytes");
    else if (!probe->enough)
        probe_end(probe, 0, NULL);
}

static size_t probe_data(void *arg, const void *data, size_t length)
{
    struct probe *probe = arg;

    if (probe->over)
        return length; /* kept open for its own sake */
    buf_add(&probe->output, data, length);
    if (probe->output.bad)
        probe_fail(probe, -ERR_TOO_LARGE, "the far end says more than anybody asked");
    else if (probe->enough && probe->enough(&probe->output))
        probe_end(probe, 0, NULL);
    return length;
}

/* The last line that says something. */
static void probe_noise(void *arg, const char *text, size_t length)
{
    struct probe *probe = arg;
    size_t n = 0;

    for (size_t i = 0; i < length; i++) {
        if (text[i] == '\n' && i + 1 < length)
            n = 0;
        else if (n + 1 < sizeof(probe->words) && !iscntrl((unsigned char)text[i]))
            probe->words[n++] = text[i];
    }
    if (n > 0)
        probe->words[n] = '\0';
}

/* A command's end comes with its status; a socket that is closed over there says no more than this. */
static void probe_ended(void *arg)
{
    struct probe *probe = arg;

    if (!probe->command)
        probe_fail(probe, -ERR_IO, "the far end closed without an answer");
}

static void probe_closed(void *arg, int exit_status, const struct fault *why)
{
    struct probe *probe = arg;

    probe->channel = ssh_channel_drop(probe->channel);
    probe->exit_status = exit_status;
    if (why)
        probe_end(probe, why->code, why);
    else
        probe_fail(probe, -ERR_IO, "the far end closed without an answer");
}

void probe_start(struct probe *probe, struct loop *loop, struct ssh *ssh,
                 const struct probe_ask *ask)
{
    static const struct ssh_channel_events events = {.opened = probe_opened,
                                                     .data = probe_data,
                                                     .noise = probe_noise,
                                                     .ended = probe_ended,
                                                     .closed = probe_closed};

    *probe = (struct probe){.loop = loop,
                            .enough = ask->enough,
                            .done = ask->done,
                            .arg = ask->arg,
                            .command = ask->spec.kind == SSH_EXEC,
                            .exit_status = -1};
    buf_init(&probe->sent, 8192);
    buf_init(&probe->output, PROBE_OUTPUT_MAX);
    buf_add_str(&probe->sent, ask->first ? ask->first : "");
    timer_start(loop, &probe->late, ask->limit_ms, 0, probe_on_late, probe);
    probe->channel = ssh_channel_open(ssh, &ask->spec, &events, probe);
}

void probe_stop(struct probe *probe)
{
    if (!probe->loop)
        return;
    timer_stop(probe->loop, &probe->late);
    probe->over = true;
    probe->channel = ssh_channel_drop(probe->channel);
    buf_done(&probe->sent);
    buf_done(&probe->output);
    probe->loop = NULL;
}
