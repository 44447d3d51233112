/* Every model back end keeps the same promises. One row per row of models.def; a row without a server
 * leaves out what only a server can do to it. */
#include "tests/rig/model_rig.h"

#define SSE_HEAD    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define CHUNK(text) "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"

struct row {
    const char *name;    /* as in models.def */
    const char *model;   /* what to ask for */
    const char *config;  /* usable */
    const char *bad[4];  /* configurations that must be refused, each with a fault */
    const char *good[2]; /* the server's scripts */
    const char *hang[2]; /* begins to answer, then says nothing more */
    const char *torn[2]; /* begins to answer, then breaks */
    const char *said;    /* part of the good answer */
};

static const struct row rows[] = {
    {
        .name = "echo",
        .model = "echo/echo",
        .config = "{}",
        .said = "say something nice",
    },
    {
        .name = "openai",
        .model = "local/m",
        .config =
            "{models:{providers:{local:{baseUrl:\"http://127.0.0.1:%d/v1\",apiKey:\"sk-test\"}}}}",
        .bad =
            {
                "{models:{providers:{local:{apiKey:\"k\"}}}}",
                "{models:{providers:{local:{baseUrl:\"ftp://127.0.0.1/\"}}}}",
                "{models:{providers:{local:{baseUrl:\"http://127.0.0.1:9/v1\",apiKey:\"a b\"}}}}",
            },
        .good = {SSE_HEAD CHUNK("one ") CHUNK(
            "two") "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
                   "data: "
                   "{\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":2}}\n\n"
                   "data: [DONE]\n\n"},
        .hang = {SSE_HEAD CHUNK("one ") "|@wait"},
        .torn = {SSE_HEAD CHUNK("one ") "|@reset"},
        .said = "one two",
    },
};

#define MODEL(name) #name,
static const char *const models[] = {
#include "gateway/model/models.def"
};
#undef MODEL

T(every_model_has_its_row)
{
    t_eq(COUNT(rows), COUNT(models));
    for (size_t i = 0; i < COUNT(models); i++)
        t_str(rows[i].name, models[i]);
}

static struct model_rig *rig_of(const struct row *row, const char *const *scripts)
{
    return model_rig_new(row->config, scripts[0] != NULL ? scripts : NULL);
}

T(refuses_bad_configuration)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (size_t b = 0; b < COUNT(rows[i].bad) && rows[i].bad[b] != NULL; b++) {
            struct model_rig *rig = model_rig_new(rows[i].bad[b], NULL);

            model_rig_start(rig, rows[i].model);
            model_rig_end(rig, 1);
            t_ok(rig->result < 0);
            t_eq(rig->deltas, 0);
            t_ok(rig->fault.text[0] != '\0');
            model_rig_free(rig);
        }
    }
}

T(streams)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct model_rig *rig = rig_of(&rows[i], rows[i].good);

        model_rig_start(rig, rows[i].model);
        model_rig_end(rig, 100);
        t_eq(rig->result, 0);
        t_has(rig->text.data, rows[i].said);
        t_ok(rig->deltas > 1);
        t_str(rig->stop_reason, "stop");
        t_eq(rig->out.error_kind, MODEL_ERROR_NONE);
        t_ok(rig->out.usage.input > 0 && rig->out.usage.output > 0);
        model_rig_free(rig);
    }
}

T(cancels_before_it_began)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct model_rig *rig = rig_of(&rows[i], rows[i].good);

        model_rig_start(rig, rows[i].model);
        model_cancel(rig->run);
        model_cancel(rig->run); /* again is harmless */
        t_eq(rig->ends, 0);
        model_rig_end(rig, 1);
        t_eq(rig->result, -ERR_CANCELLED);
        t_eq(rig->deltas, 0);
        model_rig_free(rig);
    }
}

T(cancels_in_the_middle)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct model_rig *rig = rig_of(&rows[i], rows[i].good);

        rig->cancel_at = 1;
        model_rig_start(rig, rows[i].model);
        model_rig_end(rig, 100);
        t_eq(rig->result, -ERR_CANCELLED);
        t_eq(rig->deltas, 1);
        model_rig_free(rig);
    }
}

/* The cancel reaches the server: its connection goes. */
T(cancel_reaches_the_transfer)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct model_rig *rig;

        if (rows[i].hang[0] == NULL)
            continue;
        rig = rig_of(&rows[i], rows[i].hang);
        model_rig_start(rig, rows[i].model);
        while (rig->deltas == 0)
            model_rig_settle(rig);
        model_cancel(rig->run);
        while (rig->server->gone == 0)
            model_rig_settle(rig);
        t_eq(rig->result, -ERR_CANCELLED);
        model_rig_free(rig);
    }
}

T(dropped_in_the_middle_tells_nothing_more)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct model_rig *rig = rig_of(&rows[i], rows[i].good);

        rig->drop_at = 1;
        model_rig_start(rig, rows[i].model);
        while (rig->deltas == 0)
            model_rig_settle(rig);
        loop_advance(rig->gw.loop, 10000);
        t_eq(rig->ends, 0);
        t_eq(rig->deltas, 1);
        model_rig_start(rig, rows[i].model); /* and from outside, before anything */
        model_drop(rig->run);
        model_rig_settle(rig);
        t_eq(rig->ends, 0);
        model_rig_free(rig);
    }
}

T(times_out)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct model_rig *rig = rig_of(&rows[i], rows[i].hang);

        model_rig_start_messages(rig, rows[i].model, "[{\"role\":\"user\",\"content\":\"a b c\"}]",
                                 rows[i].hang[0] != NULL ? 5000 : 20);
        model_rig_end(rig, 100);
        t_eq(rig->result, -ERR_TIMEOUT);
        t_eq(rig->out.error_kind, MODEL_ERROR_TIMEOUT);
        t_ok(rig->out.stop_reason == NULL);
        model_rig_free(rig);
    }
}

/* Text that was said stays said, and the request is not repeated behind the person's back. */
T(survives_a_torn_stream)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct model_rig *rig;

        if (rows[i].torn[0] == NULL)
            continue;
        rig = rig_of(&rows[i], rows[i].torn);
        model_rig_start(rig, rows[i].model);
        model_rig_end(rig, 1000);
        t_ok(rig->result < 0 && rig->result != -ERR_TIMEOUT);
        t_str(rig->text.data, "one ");
        loop_advance(rig->gw.loop, 200000);
        t_eq(rig->server->requests, 1);
        model_rig_free(rig);
    }
}

T(ends_when_the_models_go)
{
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct model_rig *rig = rig_of(&rows[i], rows[i].hang);

        model_rig_start(rig, rows[i].model);
        if (rig->server != NULL)
            model_rig_requests(rig, 1);
        rig->gw.models = models_free(rig->gw.models);
        t_eq(rig->ends, 1);
        t_eq(rig->result, -ERR_CANCELLED);
        model_rig_free(rig);
    }
}

/* Many at once, of which one is too many. */
T(ceiling_of_runs)
{
    static const struct model_events events = {.text = model_rig_on_text, .end = model_rig_on_end};
    struct model_rig *rig = model_rig_new("{}", NULL);
    struct model_run *runs[MODEL_RUNS_MAX];

    for (size_t i = 0; i < COUNT(runs); i++)
        runs[i] =
            model_start(&rig->gw, &(struct model_request){.model = "echo/echo"}, &events, rig);
    model_rig_start(rig, "echo/echo");
    loop_turn(rig->gw.loop, false);
    t_eq(rig->ends, 1);
    t_eq(rig->result, -ERR_BUSY);
    for (size_t i = 0; i < COUNT(runs); i++)
        model_drop(runs[i]);
    model_rig_free(rig);
}
