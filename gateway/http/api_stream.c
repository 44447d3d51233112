/* The stream of a run: server-sent events that leave as fast as the client takes them.
 *
 * Words are told when there is room for them; while there is none they gather in run->said, and what
 * gathered leaves as one event. So a slow client costs the text once, and none of it is lost. */
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/http/api.h"

#include <string.h>

#define SLICE (64u << 10)

void api_event(struct api_run *run, const char *name, api_event_fn *write, const void *arg)
{
    struct json_writer w;

    if (name)
        buf_addf(&run->out, "event: %s\n", name);
    buf_add_str(&run->out, "data: ");
    jw_init(&w, &run->out);
    write(run, &w, arg);
    buf_add_str(&run->out, "\n\n");
}

/* Gives the door what it takes. When all is out and nothing is added any more the call ends, and with it the
 * run. */
void api_stream_pump(struct api_run *run)
{
    while (run->out_sent < run->out.length) {
        size_t left = run->out.length - run->out_sent, part = left < SLICE ? left : SLICE;
        if (web_write(run->call, run->out.data + run->out_sent, part) < 0)
            break; /* full: drained() goes on; gone: the run is being stopped */
        run->out_sent += part;
    }
    if (run->out_sent == run->out.length || web_is_gone(run->call)) {
        buf_clear(&run->out);
        run->out_sent = 0;
        if (run->closing)
            web_end(run->call);
    }
}

static void on_beat(void *arg)
{
    static const char comment[] = ": still at it\n\n";
    struct api_run *run = arg;

    if (run->out.length == 0)
        web_write(run->call, comment, sizeof(comment) - 1);
}

void api_stream_begin(struct api_run *run)
{
    web_begin(run->call, 200, "text/event-stream; charset=utf-8",
              "cache-control: no-cache\r\nx-accel-buffering: no\r\n");
    run->begun = true;
    timer_start(run->gw->loop, &run->beat, API_BEAT_MS, API_BEAT_MS, on_beat, run);
    run->shape->begin(run);
    api_stream_pump(run);
}

void api_stream_words(struct api_run *run)
{
    size_t length = run->said.length - run->told;

    if (length == 0 || run->holds || run->out.length || run->closing)
        return;
    run->shape->words(run, run->said.data + run->told, length);
    run->told = run->said.length;
    api_stream_pump(run);
}

void api_stream_close(struct api_run *run)
{
    timer_stop(run->gw->loop, &run->beat);
    buf_add_str(&run->out, "data: [DONE]\n\n");
    run->closing = true;
    if (fails(!run->out.bad))
        web_cut(run->call); /* the client must not take half for the whole */
    else
        api_stream_pump(run);
}
