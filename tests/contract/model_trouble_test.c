/* Servers that misbehave, and what every model back end does about it: the bad input, pacing, secrets. */
#include "base/log.h"
#include "tests/rig/model_rows.h"

/* ---- servers that misbehave ---- */

/* Text that was said stays said, and the request is not repeated behind the person's back. */
T(survives_a_torn_stream)
{
    each_server(row)
    {
        const char *const ends[] = {"|@reset", "", "|@close"}; /* and no terminal event */

        for (size_t i = 0; i < COUNT(ends); i++) {
            CLEAN(mem_free) char *body = mem_format("%s%s", text_of(row, "one "), ends[i]);
            struct model_rig *rig = body_rig(row, body);

            run(rig, row);
            t_eq(rig->result, -ERR_CLOSED);
            t_str(rig->text.data, "one ");
            loop_advance(rig->gw.loop, 200000);
            t_eq(rig->server->requests, 1);
            model_rig_free(rig);
        }
    }
}

T(torn_before_the_first_word_is_asked_again)
{
    each_server(row)
    {
        struct model_rig *rig = rig_of(row, answer_of(row, row->thought), good_of(row));

        run(rig, row);
        t_eq(rig->result, 0);
        t_eq(rig->server->requests, 2);
        t_str(rig->text.data, "one two");
        t_eq(json_count(rig->content), 1); /* not the thought of the first */
        model_rig_free(rig);
    }
}

T(characters_cut_by_the_network)
{
    each_server(row)
    {
        CLEAN(mem_free)
        char *body = mem_format("%s%s", text_of(row, "caf\xc3|\xa9 \xf0\x9f|\x98|\x80"), row->end);
        struct model_rig *rig = body_rig(row, body);

        run(rig, row);
        t_eq(rig->result, 0);
        t_str(rig->text.data, "caf\xc3\xa9 \xf0\x9f\x98\x80");
        model_rig_free(rig);
    }
}

T(half_a_character)
{
    static const char *const halves[] = {"x\xc3", "\xf0\x9f\x98", "\\ud83d", "\xff"};

    each_server(row)
    {
        for (size_t i = 0; i < COUNT(halves); i++) {
            CLEAN(mem_free) char *body = mem_format("%s%s", text_of(row, halves[i]), row->end);
            struct model_rig *rig = body_rig(row, body);

            run(rig, row);
            t_eq(rig->result, -ERR_INVALID);
            t_has(rig->fault.text, "not JSON");
            t_eq(rig->deltas, 0);
            model_rig_free(rig);
        }
    }
}

T(byte_by_byte)
{
    each_server(row)
    {
        CLEAN(mem_free)
        char *body = mem_format("%s%s%s%s%s", row->thought, text_of(row, "caf\xc3\xa9"),
                                row->call_begin, row->call_rest, row->end_calls);
        struct model_rig *rig = body_rig(row, body);

        rig->server->drip = true;
        run(rig, row);
        t_eq(rig->result, 0);
        t_str(rig->thought.data, "hm");
        t_str(rig->text.data, "caf\xc3\xa9");
        t_str(rig->stop_reason, "toolUse");
        model_rig_free(rig);
    }
}

T(wrong_content_types)
{
    static const char *const types[] = {"text/plain", "application/octet-stream",
                                        "application/json", "text/event-stream", "x"};

    each_server(row)
    {
        for (size_t i = 0; i < COUNT(types); i++) {
            struct row other = *row;
            struct model_rig *rig;

            other.type = types[i];
            rig = good_rig(&other);
            run(rig, row);
            t_eq(rig->result, 0);
            t_str(rig->text.data, "one two");
            model_rig_free(rig);
        }
    }
}

T(what_is_no_answer_at_all)
{
    static const struct {
        const char *script;
        int result;
        const char *fault;
    } answers[] = {
        {"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n\n<!doctype html>", -ERR_INVALID,
         "baseUrl"},
        {"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n|@fill  100000|@wait", -ERR_INVALID,
         "blanks"},
        {"HTTP/1.1 301 x\r\nLocation: https://x/\r\n\r\n", -ERR_INVALID, "redirects"},
        {"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"hello\":1}", 0, NULL},
    };

    each_server(row)
    {
        for (size_t i = 0; i < COUNT(answers); i++) {
            struct model_rig *rig = rig_of(row, mem_string(answers[i].script), NULL);

            model_rig_start(rig, row->model);
            model_rig_end(rig, 2000);
            t_ok(rig->result < 0);
            t_eq(rig->deltas, 0);
            if (answers[i].fault != NULL) {
                t_eq(rig->result, answers[i].result);
                t_has(rig->fault.text, answers[i].fault);
                t_eq(rig->server->requests, 1);
            }
            model_rig_free(rig);
        }
    }
}

T(an_endless_line)
{
    each_server(row)
    {
        CLEAN(mem_free) char *body = mem_format("%s|@fill x20000000|@wait", row->endless_line);
        struct model_rig *rig = body_rig(row, body);

        run(rig, row);
        t_eq(rig->result, -ERR_TOO_LARGE);
        t_has(rig->fault.text, "16 MiB");
        model_rig_free(rig);
    }
}

T(endless_blank_lines)
{
    each_server(row)
    {
        CLEAN(mem_free) char *body = mem_format("%s|@fill \n1200000|@wait", text_of(row, "one "));
        struct model_rig *rig = body_rig(row, body);

        run(rig, row);
        t_eq(rig->result, -ERR_INVALID);
        t_has(rig->fault.text, "blank lines");
        model_rig_free(rig);
    }
}

/* ---- pacing and trouble ---- */

#define STATUS(status, headers, body)                                                              \
    "HTTP/1.1 " status " x\r\nContent-Type: application/json\r\n" headers "\r\n" body

/* The test's clock begins at 2023-11-14T22:13:20Z. */
T(every_pacing_header_is_heeded)
{
    static const struct {
        const char *script;
        int64_t least_ms;
    } limits[] = {
        {STATUS("429", "Retry-After: 7\r\n", "{}"), 7000},
        {STATUS("429", "retry-after: Tue, 14 Nov 2023 22:13:29 GMT\r\n", "{}"), 8000},
        {STATUS("429", "retry-after-ms: 6500\r\nretry-after: 1\r\n", "{}"), 6500},
        {STATUS("429",
                "x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 8s\r\n"
                "x-ratelimit-remaining-tokens: 10\r\nx-ratelimit-reset-tokens: 6m0s\r\n",
                "{}"),
         8000},
        {STATUS("429",
                "anthropic-ratelimit-requests-remaining: 0\r\n"
                "anthropic-ratelimit-requests-reset: 2023-11-14T22:13:31Z\r\n",
                "{}"),
         9000},
        {STATUS("429", "",
                "{\"error\":{\"type\":\"rate_limit_error\",\"message\":\"Please try again in "
                "7.5s.\"}}"),
         7500},
        {STATUS("529", "", "{\"error\":{\"type\":\"overloaded_error\",\"message\":\"x\"}}"), 0},
        {STATUS("503", "Retry-After: 6\r\n", "{}"), 6000},
        {STATUS("500", "", "not json"), 0},
        {STATUS("400", "x-should-retry: true\r\n", "{}"), 0},
    };

    each_server(row)
    {
        for (size_t i = 0; i < COUNT(limits); i++) {
            struct model_rig *rig = rig_of(row, mem_string(limits[i].script), good_of(row));
            int64_t left = limits[i].least_ms - 200;

            model_rig_start(rig, row->model);
            model_rig_requests(rig, 1);
            model_rig_settle(rig);
            if (left > 0)
                loop_advance(rig->gw.loop, left);
            model_rig_settle(rig);
            t_eq(rig->server->requests, left > 0 ? 1 : rig->server->requests);
            loop_advance(rig->gw.loop, 2500);
            model_rig_requests(rig, 2);
            model_rig_end(rig, 100);
            t_eq(rig->result, 0);
            t_str(rig->text.data, "one two");
            model_rig_free(rig);
        }
    }
}

T(told_not_to_ask_again)
{
    each_server(row)
    {
        struct model_rig *rig =
            rig_of(row, mem_string(STATUS("503", "x-should-retry: false\r\n", "{}")), NULL);

        run(rig, row);
        t_eq(rig->result, -ERR_BUSY);
        t_eq(rig->server->requests, 1);
        model_rig_free(rig);
    }
}

T(trouble_in_the_middle)
{
    each_server(row)
    {
        CLEAN(mem_free) char *body = mem_format("%s%s", text_of(row, "one "), row->error);
        struct model_rig *rig = body_rig(row, body);

        run(rig, row);
        t_eq(rig->result, -ERR_IO);
        t_str(rig->text.data, "one ");
        t_eq(rig->server->requests, 1);
        model_rig_free(rig);
    }
}

static char *slurp(const char *path)
{
    FILE *file = fopen(path, "r");
    struct buf text;
    char chunk[4096];
    size_t n;

    buf_init(&text, 16u << 20);
    while (file != NULL && (n = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_add(&text, chunk, n);
    if (file != NULL)
        (void)fclose(file);
    return buf_take(&text);
}

/* The key is in its header and nowhere else: not in the address, the body, a fault, the log. */
T(the_key_stays_secret)
{
    char path[4096];

    each_server(row)
    {
        const char *const bad[] = {STATUS("401", "", "%s"), STATUS("500", "", "%s")};

        for (size_t i = 0; i < COUNT(bad); i++) {
            CLEAN(mem_free) char *logged = NULL;
            char *script = mem_format("HTTP/1.1 %d x\r\nContent-Type: application/json\r\n\r\n%s",
                                      i == 0 ? 401 : 500, row->refusal);
            struct model_rig *rig = rig_of(row, script, NULL);
            const char *head, *rest;

            t_eq(log_setup(&(struct log_config){.level = LOG_DEBUG,
                                                .quiet = true,
                                                .directory = t_tmpdir()},
                           NULL),
                 0);
            model_rig_start(rig, row->model);
            model_rig_end(rig, 5000);
            t_ok(rig->result < 0);
            t_ok(strstr(rig->fault.text, KEY) == NULL);
            head = strstr(rig->server->request.data, row->key_header);
            t_ok(head != NULL);
            rest = head != NULL ? strstr(head + strlen(row->key_header), KEY) : NULL;
            t_ok(rest == NULL && (head == NULL || strstr(rig->server->request.data, KEY) > head));
            log_file_path(path, sizeof path);
            log_close();
            logged = slurp(path);
            t_ok(strstr(logged, KEY) == NULL);
            if (i == 0) {
                t_eq(rig->result, -ERR_AUTH);
                t_eq(rig->out.error_kind, MODEL_ERROR_AUTH);
                t_eq(rig->server->requests, 1);
                t_has(rig->fault.text, "models.providers.local.apiKey");
            }
            model_rig_free(rig);
        }
    }
}
