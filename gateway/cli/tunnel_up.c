/* culvert tunnel up: take the target's place, start the tunnel, show what becomes of it until told to stop.
 *
 * The terminal has one line that lives and one above it per change; a pipe or a journal gets the changes alone. What only a
 * person can mend ends the command when it is met first of all; later the tunnel stays and tries on. */
#include "base/mem.h"
#include "gateway/cli/ask.h"
#include "gateway/cli/print.h"
#include "gateway/cli/report.h"
#include "gateway/cli/seat.h"
#include "gateway/cli/tunnel_input.h"
#include "gateway/notify.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LINE_EVERY_MS 1000

struct up {
    struct loop *loop;
    struct tunnel *tunnel;
    struct seat *seat;
    struct ask ask;
    const char *target;
    int64_t started;
    struct tunnel_status told; /* as of the last change that was said; zeroed: none */
    struct timer line;
    bool live;    /* the terminal's line */
    bool stamped; /* changes carry the time */
    bool met;     /* past its first attempt */
    bool stopping;
    int exit;
};

/* ---- what is said ---- */

static void say(struct up *up, const char *text)
{
    char stamp[16] = "";
    time_t now = (time_t)(loop_wall(up->loop) / 1000);
    struct tm tm;

    if (up->stamped && localtime_r(&now, &tm))
        strftime(stamp, sizeof(stamp), "%H:%M:%S ", &tm);
    if (up->live)
        tty_line(stdout, "");
    fputs(stamp, stdout);
    print_text(stdout, text); /* the far end's words may be in it */
    putchar('\n');
    fflush(stdout);
}

static void show_line(void *arg)
{
    struct up *up = arg;
    struct tunnel_status status;
    char line[REPORT_TEXT_MAX];

    if (up->ask.asking)
        return;
    tunnel_status(up->tunnel, &status);
    report_line(up->target, &status, loop_wall(up->loop), line);
    tty_line(stdout, line);
}

static void tell_service(const char *text)
{
    char state[REPORT_TEXT_MAX + 16];

    snprintf(state, sizeof(state), "STATUS=%s", text);
    for (char *c = state; *c; c++) /* the far end's words: a line more would be another order */
        *c = *c == '\n' ? ' ' : *c;
    notify_service(state);
}

static void describe(void *arg, struct buf *out)
{
    struct up *up = arg;
    struct tunnel_status status;

    tunnel_status(up->tunnel, &status);
    report_write(out, up->target, (int)getpid(), up->started, &status);
}

/* ---- what happens ---- */

static void stop(struct up *up, int status)
{
    up->exit = status;
    up->stopping = true;
    loop_stop(up->loop);
}

static void on_changed(void *arg)
{
    struct up *up = arg;
    struct tunnel_status status;
    char text[REPORT_TEXT_MAX];

    if (up->stopping)
        return;
    tunnel_status(up->tunnel, &status);
    if (status.state == TUNNEL_FAILED && !up->met) {
        memcpy(&up->told, &status, sizeof(status));
        stop(up, CLI_REFUSED);
        return;
    }
    up->met = up->met || status.state != TUNNEL_CONNECTING;
    if (report_change(up->target, &up->told, &status, text)) {
        say(up, text);
        tell_service(text);
        memcpy(&up->told, &status, sizeof(status));
    }
    if (up->live)
        show_line(up);
}

static void on_notice(void *arg, const char *text)
{
    struct up *up = arg;

    if (!up->stopping)
        say(up, text);
}

static void on_ask(void *arg, struct tunnel_question *question)
{
    ask_put(&((struct up *)arg)->ask, question);
}

static void answer(void *arg, struct tunnel_question *question, const char *text)
{
    tunnel_answer(((struct up *)arg)->tunnel, question, text);
}

static void on_stop(void *arg, int signum)
{
    (void)signum;
    stop(arg, CLI_OK);
}

/* SIGUSR1, or going on after a Ctrl-Z: the world may have changed. */
static void on_nudge(void *arg, int signum)
{
    struct up *up = arg;

    (void)signum;
    if (!up->stopping)
        tunnel_nudge(up->tunnel);
}

/* ---- the command ---- */

static int start(struct up *up, struct tunnel_input *input, struct fault *fault)
{
    struct tunnel_options options = input->tunnel;
    int r;

    options.arg = up;
    options.changed = on_changed;
    options.notice = on_notice;
    options.ask = tty_can_ask() ? on_ask : NULL;
    if ((r = seat_take(up->loop, up->target, describe, up, &up->seat, fault)) < 0)
        return r;
    return tunnel_start(up->loop, &options, &up->tunnel, fault);
}

static void run(struct up *up)
{
    static const struct {
        int signum;
        loop_signal_fn *fn;
    } signals[] = {{SIGINT, on_stop},
                   {SIGTERM, on_stop},
                   {SIGHUP, on_stop},
                   {SIGUSR1, on_nudge},
                   {SIGCONT, on_nudge}};

    for (size_t i = 0; i < COUNT(signals); i++)
        loop_on_signal(up->loop, signals[i].signum, signals[i].fn, up);
    if (up->live)
        timer_start(up->loop, &up->line, LINE_EVERY_MS, LINE_EVERY_MS, show_line, up);
    on_changed(up);
    notify_service("READY=1"); /* its doors are open: what comes in waits for the path */
    if (!up->stopping)
        loop_run(up->loop);
    notify_service("STOPPING=1");
    timer_stop(up->loop, &up->line);
    if (up->live)
        tty_line(stdout, "");
}

int tunnel_verb_up(struct tunnel_input *input)
{
    CLEAN(mem_free) char *target = seat_target(input->target);
    struct up *up = NEW(struct up);
    struct fault fault = {0};

    umask(077);
    up->loop = loop_new(LOOP_REAL);
    up->target = target;
    up->started = loop_wall(up->loop);
    up->live = isatty(STDOUT_FILENO);
    up->stamped = !getenv("JOURNAL_STREAM");
    ask_init(&up->ask, up->loop, answer, up);
    int status = start(up, input, &fault) < 0 ? cli_fail(CLI_FAILED, "%s", fault.text) : CLI_OK;
    if (status == CLI_OK) {
        run(up);
        status = up->exit;
    }
    ask_done(&up->ask);
    up->tunnel = tunnel_stop(up->tunnel);
    up->seat = seat_leave(up->seat);
    if (status == CLI_REFUSED)
        cli_fail(status, "%s", up->told.last_error);
    loop_free(up->loop);
    mem_free(up);
    return status;
}
