/* Every model back end keeps the same promises. */
#include "tests/rig/model_rows.h"

T(every_model_has_its_row)
{
    t_eq(COUNT(rows), COUNT(models));
    for (size_t i = 0; i < COUNT(rows); i++)
        t_str(rows[i].name, models[i]);
}

/* ---- promises ---- */

T(refuses_bad_configuration)
{
    each_row(row)
    {
        for (size_t b = 0; b < COUNT(row->bad) && row->bad[b] != NULL; b++) {
            struct model_rig *rig = model_rig_new(row->bad[b], NULL);

            model_rig_start(rig, row->model);
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
    each_row(row)
    {
        struct model_rig *rig = good_rig(row);

        run(rig, row);
        t_eq(rig->result, 0);
        t_has(rig->text.data, row->said);
        t_ok(rig->deltas > 1);
        t_str(rig->stop_reason, "stop");
        t_str(rig->answered_by, row->model);
        t_eq(rig->out.error_kind, MODEL_ERROR_NONE);
        t_ok(rig->out.usage.input > 0 && rig->out.usage.output > 0);
        t_eq(json_count(rig->content), 1);
        t_str(json_string(json_get(json_at(rig->content, 0), "text"), ""), rig->text.data);
        if (row->type != NULL) {
            t_eq(rig->out.usage.input, 5);
            t_eq(rig->out.usage.output, 2);
            t_has(rig->server->request.data, row->request);
        }
        model_rig_free(rig);
    }
}

T(tells_thinking_apart)
{
    each_server(row)
    {
        CLEAN(mem_free)
        char *body = mem_format("%s%s%s", row->thought, text_of(row, "so"), row->end);
        struct model_rig *rig = body_rig(row, body);

        run(rig, row);
        t_eq(rig->result, 0);
        t_str(rig->thought.data, "hm");
        t_str(rig->text.data, "so");
        content_is(rig, "[{'type':'thinking','thinking':'hm'},{'type':'text','text':'so'}]");
        t_str(json_string(json_get(json_at(rig->content, 0), "thinkingSignature"), ""),
              row->signature != NULL ? row->signature : "");
        model_rig_free(rig);
    }
}

T(calls_tools)
{
    each_server(row)
    {
        CLEAN(mem_free)
        char *body = mem_format("%s%s%s%s", text_of(row, "see: "), row->call_begin, row->call_rest,
                                row->end_calls);
        struct model_rig *rig = body_rig(row, body);

        run(rig, row);
        if (rig->result < 0)
            t_fail(__FILE__, __LINE__, "%s: %s", row->name, rig->fault.text);
        t_str(rig->stop_reason, "toolUse");
        content_is(rig, "[{'type':'text','text':'see: '},{'type':'toolCall','id':'*','name':'f',"
                        "'arguments':{'x':1}}]");
        t_ok(strlen(json_string(json_get(json_at(rig->content, 1), "id"), "")) > 1);
        model_rig_free(rig);
    }
}

/* Whatever ends it: half a call is told to nobody. */
T(half_a_call_is_never_told)
{
    each_server(row)
    {
        const char *const ends[] = {row->end_calls, row->end_limit, "", "|@reset", row->error};

        for (size_t i = 0; i < COUNT(ends); i++) {
            CLEAN(mem_free)
            char *body = mem_format("%s%s%s%s", text_of(row, "one "), row->call_begin,
                                    row->call_cut, ends[i]);
            struct model_rig *rig = body_rig(row, body);

            run(rig, row);
            t_ok(rig->result < 0);
            t_ok(rig->content == NULL);
            t_str(rig->text.data, "one ");
            t_eq(rig->server->requests, 1);
            model_rig_free(rig);
        }
    }
}

T(a_call_at_the_length_limit_is_never_told)
{
    each_server(row)
    {
        CLEAN(mem_free)
        char *body = mem_format("%s%s%s", row->call_begin, row->call_rest, row->end_limit);
        struct model_rig *rig = body_rig(row, body);

        run(rig, row);
        t_eq(rig->result, -ERR_INVALID);
        t_has(rig->fault.text, "nothing was run");
        model_rig_free(rig);
    }
}

T(reaches_its_length_limit)
{
    each_server(row)
    {
        CLEAN(mem_free) char *body = mem_format("%s%s", text_of(row, "one "), row->end_limit);
        struct model_rig *rig = body_rig(row, body);

        run(rig, row);
        t_eq(rig->result, 0);
        t_str(rig->stop_reason, "length");
        model_rig_free(rig);
    }
}

/* ---- cancel, drop, time ---- */

T(cancels_before_it_began)
{
    each_row(row)
    {
        struct model_rig *rig = good_rig(row);

        model_rig_start(rig, row->model);
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
    each_row(row)
    {
        struct model_rig *rig = good_rig(row);

        rig->cancel_at = 1;
        run(rig, row);
        t_eq(rig->result, -ERR_CANCELLED);
        t_eq(rig->deltas, 1);
        model_rig_free(rig);
    }
}

static struct model_rig *hanging_rig(const struct row *row)
{
    CLEAN(mem_free) char *body = NULL;

    if (row->type == NULL)
        return rig_of(row, NULL, NULL);
    body = mem_format("%s|@wait", text_of(row, "one "));
    return body_rig(row, body);
}

/* The cancel reaches the server: its connection goes. */
T(cancel_reaches_the_transfer)
{
    each_server(row)
    {
        struct model_rig *rig = hanging_rig(row);

        model_rig_start(rig, row->model);
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
    each_row(row)
    {
        struct model_rig *rig = good_rig(row);

        rig->drop_at = 1;
        model_rig_start(rig, row->model);
        while (rig->deltas == 0)
            model_rig_settle(rig);
        loop_advance(rig->gw.loop, 10000);
        t_eq(rig->ends, 0);
        t_eq(rig->deltas, 1);
        model_rig_start(rig, row->model); /* and from outside, before anything */
        model_drop(rig->run);
        model_rig_settle(rig);
        t_eq(rig->ends, 0);
        model_rig_free(rig);
    }
}

T(times_out)
{
    each_row(row)
    {
        struct model_rig *rig = hanging_rig(row);

        model_rig_start_messages(rig, row->model, "[{\"role\":\"user\",\"content\":\"a b c\"}]",
                                 row->type != NULL ? 5000 : 20);
        model_rig_end(rig, 100);
        t_eq(rig->result, -ERR_TIMEOUT);
        t_eq(rig->out.error_kind, MODEL_ERROR_TIMEOUT);
        t_ok(rig->out.stop_reason == NULL);
        model_rig_free(rig);
    }
}

T(ends_when_the_models_go)
{
    each_row(row)
    {
        struct model_rig *rig = hanging_rig(row);

        model_rig_start(rig, row->model);
        if (rig->server != NULL)
            model_rig_requests(rig, 1);
        rig->gw.models = models_free(rig->gw.models);
        t_eq(rig->ends, 1);
        t_eq(rig->result, -ERR_CANCELLED);
        model_rig_free(rig);
    }
}

/* ---- what is asked ---- */

T(a_call_without_a_result_gets_one)
{
    each_server(row)
    {
        struct model_rig *rig = good_rig(row);

        model_rig_start_messages(
            rig, row->model,
            "[{\"role\":\"user\",\"content\":\"go\"},"
            "{\"role\":\"assistant\",\"content\":[{\"type\":\"toolCall\",\"id\":\"c1\",\"name\":"
            "\"f\",\"arguments\":{\"x\":1}}]},{\"role\":\"user\",\"content\":\"well?\"}]",
            0);
        model_rig_end(rig, 100);
        t_eq(rig->result, 0);
        t_has(rig->server->request.data, "no result: interrupted");
        model_rig_free(rig);
    }
}

T(images_tools_limits_and_thinking_are_asked_for)
{
    static const char tools[] = "[{\"name\":\"look\",\"description\":\"Looks.\",\"parameters\":{"
                                "\"type\":\"object\",\"properties\":{\"at\":{}}}}]";

    each_server(row)
    {
        struct model_rig *rig = good_rig(row);
        struct json *list = json_parse(tools, strlen(tools), NULL);
        const char *body;

        rig->more =
            (struct model_request){.tools = list, .thinking = THINKING_HIGH, .max_tokens = 30000};
        model_rig_start_messages(
            rig, row->model,
            "[{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"text\":\"see\"},{\"type\":"
            "\"image\",\"data\":\"QUJD\",\"mimeType\":\"image/jpeg\"}]}]",
            0);
        model_rig_end(rig, 100);
        t_eq(rig->result, 0);
        body = strstr(rig->server->request.data, "\r\n\r\n");
        t_has(body, "QUJD");
        t_has(body, "\"look\"");
        t_has(body, "\"at\"");
        t_has(body, "Be brief.");
        t_ok(strstr(body, "30000") != NULL || strstr(body, "54576") != NULL);
        t_ok(strstr(body, "\"think\":true") != NULL || strstr(body, "\"high\"") != NULL ||
             strstr(body, "\"budget_tokens\":24576") != NULL);
        json_free(list);
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
