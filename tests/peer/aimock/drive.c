/* culvert-model-drive CONFIG PROVIDER/MODEL MESSAGE [CANCEL]: one model run on a real loop with the
 * gateway's configuration, HTTP door and models; each delta and the end is a line of JSON on stdout.
 * CANCEL: after so many deltas the run is cancelled. */
#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/model/model.h"

#include <stdio.h>
#include <stdlib.h>

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

static void drive_on_text(void *arg, const char *delta, size_t length)
{
    struct drive *drive = arg;
    struct json_writer w;
    struct buf out;

    buf_init(&out, MODEL_TEXT_MAX);
    jw_init(&w, &out);
    jw_object(&w);
    jw_key(&w, "text");
    jw_strn(&w, delta, length);
    jw_object_end(&w);
    drive_print(&out);
    if (++drive->deltas == drive->cancel_at)
        model_cancel(drive->run);
}

static void drive_on_end(void *arg, int result, const struct model_result *end)
{
    struct drive *drive = arg;
    struct json_writer w;
    struct buf out;

    buf_init(&out, 1u << 16);
    jw_init(&w, &out);
    jw_object(&w);
    jw_kstr(&w, "end", result < 0 ? err_name(result) : "ok");
    jw_kstr(&w, "stopReason", end->stop_reason);
    jw_kstr(&w, "errorKind", model_error_kind_name(end->error_kind));
    jw_kstr(&w, "fault", end->fault != NULL ? end->fault->text : NULL);
    jw_kint(&w, "input", end->usage.input);
    jw_kint(&w, "output", end->usage.output);
    jw_object_end(&w);
    drive_print(&out);
    drive->status = result < 0 ? 1 : 0;
    loop_stop(drive->gw.loop);
}

static void drive_run(struct drive *drive, const char *name, const char *message)
{
    static const struct model_events events = {.text = drive_on_text, .end = drive_on_end};
    struct json *list = json_new_array(), *user = json_new_object();
    struct model_request request = {
        .model = name, .system = "Be brief.", .messages = list, .timeout_ms = 60000};

    json_put(user, "role", json_new_string("user"));
    json_put(user, "content", json_new_string(message));
    json_append(list, user);
    drive->gw.http = http_client_new(drive->gw.loop);
    drive->gw.models = models_new(&drive->gw);
    drive->run = model_start(&drive->gw, &request, &events, drive);
    json_free(list);
    loop_run(drive->gw.loop);
    models_free(drive->gw.models);
    http_client_free(drive->gw.http);
}

int main(int argc, char **argv)
{
    struct drive drive = {.gw.magic = GATEWAY_MAGIC};
    struct fault fault = {0};

    if (argc < 4) {
        (void)fprintf(stderr, "usage: %s CONFIG PROVIDER/MODEL MESSAGE [CANCEL]\n", argv[0]);
        return 2;
    }
    if (crypto_init() < 0 || config_load(argv[1], &drive.gw.config, &fault) < 0) {
        (void)fprintf(stderr, "%s\n", fault.text);
        return 2;
    }
    drive.cancel_at = argc > 4 ? strtol(argv[4], NULL, 10) : 0;
    drive.gw.loop = loop_new(LOOP_REAL);
    drive_run(&drive, argv[2], argv[3]);
    config_free(drive.gw.config);
    loop_free(drive.gw.loop);
    return drive.status;
}
