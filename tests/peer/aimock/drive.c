/* culvert-model-drive CONFIG PROVIDER/MODEL REQUEST [CANCEL]: one model run on a real loop with the
 * gateway's configuration, HTTP door and models; each delta and the end is a line of JSON on stdout.
 * REQUEST: {messages, tools?, thinking?, fallbacks?, timeout? (ms)} as JSON. CANCEL: after so many deltas the run is
 * cancelled. */
#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/model/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FALLBACKS_MAX 4

struct drive {
    struct gateway gw;
    struct model_run *run;
    long cancel_at, deltas;
    int status;
};

static void drive_print(struct buf *out)
{
    (void)printf("%s\n", out->data);
    (void)fflush(stdout);
    buf_done(out);
}

static void drive_tell(const char *what, const char *delta, size_t length)
{
    struct json_writer w;
    struct buf out;

    buf_init(&out, MODEL_TEXT_MAX);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key(&w, what);
    jw_strn(&w, delta, length);
    jw_object_end(&w);
    drive_print(&out);
}

static void drive_on_text(void *arg, const char *delta, size_t length)
{
    struct drive *drive = arg;

    drive_tell("text", delta, length);
    if (++drive->deltas == drive->cancel_at)
        model_cancel(drive->run);
}

static void drive_on_thinking(void *arg, const char *delta, size_t length)
{
    (void)arg;
    drive_tell("thinking", delta, length);
}

static void drive_on_end(void *arg, int result, const struct model_result *end)
{
    struct drive *drive = arg;
    struct json_writer w;
    struct buf out;

    buf_init(&out, MODEL_TEXT_MAX);
    jw_init(&w, &out);
    jw_object(&w);
    jw_kstr(&w, "end", result < 0 ? err_name(result) : "ok");
    jw_kstr(&w, "stopReason", end->stop_reason);
    jw_kstr(&w, "errorKind", model_error_kind_name(end->error_kind));
    jw_kstr(&w, "fault", end->fault != NULL ? end->fault->text : NULL);
    jw_kstr(&w, "provider", end->provider);
    jw_kstr(&w, "model", end->model);
    jw_ktree(&w, "content", end->content);
    jw_kint(&w, "input", end->usage.input);
    jw_kint(&w, "output", end->usage.output);
    jw_object_end(&w);
    drive_print(&out);
    drive->status = result < 0 ? 1 : 0;
    loop_stop(drive->gw.loop);
}

static void drive_run(struct drive *drive, const char *name, const struct json *asked)
{
    static const struct model_events events = {
        .text = drive_on_text, .thinking = drive_on_thinking, .end = drive_on_end};
    const char *fallbacks[FALLBACKS_MAX + 1] = {0};
    size_t count = 0;
    struct model_request request = {
        .model = name,
        .fallbacks = fallbacks,
        .system = "Be brief.",
        .messages = json_get(asked, "messages"),
        .tools = json_get(asked, "tools"),
        .thinking = model_thinking_of(json_string(json_get(asked, "thinking"), NULL)),
        .timeout_ms = json_integer(json_get(asked, "timeout"), 60000),
    };

    json_each (fallback, json_get(asked, "fallbacks"))
        if (count < FALLBACKS_MAX)
            fallbacks[count++] = json_string(fallback, "");
    drive->gw.http = http_client_new(drive->gw.loop);
    drive->gw.models = models_new(&drive->gw);
    drive->run = model_start(&drive->gw, &request, &events, drive);
    loop_run(drive->gw.loop);
    models_free(drive->gw.models);
    http_client_free(drive->gw.http);
}

int main(int argc, char **argv)
{
    struct drive drive = {.gw.magic = GATEWAY_MAGIC};
    struct fault fault = {0};
    struct json *asked;

    if (argc < 4) {
        (void)fprintf(stderr, "usage: %s CONFIG PROVIDER/MODEL REQUEST [CANCEL]\n", argv[0]);
        return 2;
    }
    if (crypto_init() < 0 || config_load(argv[1], &drive.gw.config, &fault) < 0) {
        (void)fprintf(stderr, "%s\n", fault.text);
        return 2;
    }
    asked = json_parse(argv[3], strlen(argv[3]), &fault);
    if (asked == NULL) {
        (void)fprintf(stderr, "%s\n", fault.text);
        return 2;
    }
    drive.cancel_at = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
    drive.gw.loop = loop_new(LOOP_REAL);
    drive_run(&drive, argv[2], asked);
    json_free(asked);
    config_free(drive.gw.config);
    loop_free(drive.gw.loop);
    return drive.status;
}
