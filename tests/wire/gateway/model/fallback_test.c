/* Another model takes over: when, in which order, with which request, and what the person hears of it.
 * providers.md 8.5. */
#include "tests/rig/model_rig.h"

#define CONFIG                                                                                     \
    "{models:{providers:{a:{baseUrl:\"http://127.0.0.1:%d/v1\",apiKey:\"sk-a\"},"                  \
    "keyless:{baseUrl:\"https://api.openai.com/v1\"}}}}"
#define SSE            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
#define CHUNK(text)    "data: {\"choices\":[{\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define THINK(text)    "data: {\"choices\":[{\"delta\":{\"reasoning_content\":\"" text "\"}}]}\n\n"
#define FINISH(reason) "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"" reason "\"}]}\n\n"
#define GOOD           SSE CHUNK("fine") FINISH("stop") "data: [DONE]\n\n"
#define STATUS(status, headers, body)                                                              \
    "HTTP/1.1 " status "\r\nContent-Type: application/json\r\n" headers "\r\n" body

static struct model_rig *rig_start(const char *const *scripts, const char *first,
                                   const char *const *fallbacks)
{
    struct model_rig *rig = model_rig_new(CONFIG, scripts);

    rig->more.fallbacks = fallbacks;
    model_rig_start(rig, first);
    return rig;
}

static const char *const one[] = {"a/second", NULL};

/* What is never asked twice of one model, but of the next: at once. */
T(at_once_where_waiting_is_no_use)
{
    static const char *const failures[] = {
        STATUS("401 x", "", "{}"),
        STATUS("402 x", "", "{}"),
        STATUS("403 x", "", "{}"),
        STATUS("404 x", "", "{}"),
        STATUS("400 x", "", "{\"error\":{\"message\":\"this model does not support tools\"}}"),
        STATUS("429 x", "", "{\"error\":{\"code\":\"insufficient_quota\"}}"),
        STATUS("429 x", "",
               "{\"error\":{\"message\":\"You have reached your usage limit for this week\"}}"),
        STATUS("429 x", "Retry-After: 61\r\n", "{}"),
        STATUS("503 x", "Retry-After: 3600\r\n", "{}"),
        SSE "data: {oops\n\n",
    };

    for (size_t i = 0; i < COUNT(failures); i++) {
        const char *const scripts[] = {failures[i], GOOD, NULL};
        struct model_rig *rig = rig_start(scripts, "a/first", one);
        int64_t began = loop_now(rig->gw.loop);

        model_rig_end(rig, 10);
        t_eq(rig->result, 0);
        t_str(rig->text.data, "fine");
        t_str(rig->answered_by, "a/second");
        t_ok(loop_now(rig->gw.loop) - began < 500);
        t_has(rig->server->request.data, "\"model\":\"second\"");
        t_has(rig->server->request.data, "say something nice");
        t_has(rig->server->request.data, "Be brief.");
        model_rig_free(rig);
    }
}

/* A short limit is waited for, the same model answers. */
T(not_while_waiting_helps)
{
    static const char *const scripts[] = {STATUS("429 x", "Retry-After: 5\r\n", "{}"),
                                          STATUS("500 x", "", "{}"), GOOD, NULL};
    struct model_rig *rig = rig_start(scripts, "a/first", one);

    model_rig_end(rig, 500);
    t_eq(rig->result, 0);
    t_str(rig->answered_by, "a/first");
    t_eq(rig->server->requests, 3);
    model_rig_free(rig);
}

T(when_ten_attempts_at_a_limit_are_spent)
{
    const char *scripts[12] = {0};
    struct model_rig *rig;

    for (int i = 0; i < 10; i++)
        scripts[i] = STATUS("429 x", "", "{}");
    scripts[10] = GOOD;
    rig = rig_start(scripts, "a/first", one);
    model_rig_end(rig, 5000);
    t_eq(rig->result, 0);
    t_eq(rig->server->requests, 11);
    t_str(rig->answered_by, "a/second");
    model_rig_free(rig);
}

T(when_90_seconds_of_other_trouble_are_over)
{
    static const char *const scripts[] = {STATUS("529 x", "", "{}"), NULL};
    struct model_rig *rig = rig_start(scripts, "a/first", one);
    int64_t began = loop_now(rig->gw.loop), waited;

    model_rig_requests(rig, 1);
    while (strstr(rig->server->request.data, "\"first\"") != NULL) {
        model_rig_settle(rig);
        loop_advance(rig->gw.loop, 500);
    }
    waited = loop_now(rig->gw.loop) - began;
    t_ok(rig->server->requests >= 5 && rig->server->requests <= 10);
    t_ok(waited > 10000 && waited < 125000); /* all eight retries, or the window and one wait */
    model_cancel(rig->run);
    model_rig_end(rig, 5000);
    model_rig_free(rig);
}

/* Without a fallback a long wait is waited out, if the turn has the time. */
T(a_long_wait_without_a_fallback)
{
    static const char *const scripts[] = {STATUS("429 x", "Retry-After: 120\r\n", "{}"), GOOD,
                                          NULL};
    struct model_rig *rig = rig_start(scripts, "a/first", NULL);

    model_rig_requests(rig, 1);
    model_rig_settle(rig);
    loop_advance(rig->gw.loop, 119000);
    model_rig_settle(rig);
    t_eq(rig->server->requests, 1);
    loop_advance(rig->gw.loop, 1500);
    model_rig_end(rig, 100);
    t_eq(rig->result, 0);
    model_rig_free(rig);
}

/* What another model must not or cannot mend. */
T(not_for_refusals_nor_conversations_that_are_too_long)
{
    static const char *const failures[] = {
        STATUS("400 x", "", "{\"error\":{\"code\":\"content_policy_violation\"}}"),
        SSE FINISH("content_filter"),
        STATUS("400 x", "", "{\"error\":{\"code\":\"context_length_exceeded\"}}"),
    };

    for (size_t i = 0; i < COUNT(failures); i++) {
        const char *const scripts[] = {failures[i], GOOD, NULL};
        struct model_rig *rig = rig_start(scripts, "a/first", one);

        model_rig_end(rig, 500);
        t_ok(rig->result < 0);
        t_str(rig->answered_by, "a/first");
        t_eq(rig->server->requests, 1);
        model_rig_free(rig);
    }
}

T(not_after_the_first_word)
{
    static const char *const scripts[] = {SSE CHUNK("half a ") "|@reset", GOOD, NULL};
    struct model_rig *rig = rig_start(scripts, "a/first", one);

    model_rig_end(rig, 500);
    t_eq(rig->result, -ERR_CLOSED);
    t_str(rig->text.data, "half a ");
    t_eq(rig->server->requests, 1);
    model_rig_free(rig);
}

/* Thinking is no answer yet: it is begun again, behind an empty line. */
T(after_thinking)
{
    static const char *const scripts[] = {
        SSE THINK("so") "data: {\"error\":{\"message\":\"x\",\"code\":401}}\n\n",
        SSE THINK("hm") CHUNK("fine") FINISH("stop"), NULL};
    struct model_rig *rig = rig_start(scripts, "a/first", one);
    CLEAN(mem_free) char *content = NULL;

    model_rig_end(rig, 500);
    t_eq(rig->result, 0);
    t_str(rig->thought.data, "so\n\nhm");
    content = json_print(rig->content, false);
    t_json(content, "[{'type':'thinking','thinking':'hm'},{'type':'text','text':'fine'}]");
    model_rig_free(rig);
}

/* Models that cannot even be asked are passed over. */
T(down_the_list)
{
    static const char *const list[] = {"nobody/x", "not-a-name", "keyless/x",
                                       "a/last",   "a/never",    NULL};
    static const char *const scripts[] = {STATUS("401 x", "", "{}"), GOOD, NULL};
    struct model_rig *rig = rig_start(scripts, "a/first", list);

    model_rig_end(rig, 10);
    t_eq(rig->result, 0);
    t_str(rig->answered_by, "a/last");
    t_eq(rig->server->requests, 2);
    model_rig_free(rig);

    rig = rig_start(scripts, "nobody/first", list); /* the first itself */
    model_rig_end(rig, 10);
    t_eq(rig->result, 0);
    t_str(rig->answered_by, "a/never");
    model_rig_free(rig);
}

T(nobody_answers)
{
    static const char *const list[] = {"a/second", "keyless/x", NULL};
    static const char *const scripts[] = {STATUS("401 x", "", "{}"), STATUS("404 x", "", "{}"),
                                          NULL};
    struct model_rig *rig = rig_start(scripts, "a/first", list);

    model_rig_end(rig, 10);
    t_eq(rig->result, -ERR_AUTH);
    t_str(rig->answered_by, "keyless/x");
    t_has(rig->fault.text, "a: the key was refused");         /* what the chosen model said */
    t_has(rig->fault.text, "fallback x: no key for keyless"); /* and the last one */
    t_ok(rig->content == NULL);
    model_rig_free(rig);
}

T(cancelled_dropped_and_freed_on_the_way)
{
    static const char *const scripts[] = {STATUS("401 x", "", "{}"), SSE CHUNK("half") "|@wait",
                                          NULL};

    for (int how = 0; how < 3; how++) {
        struct model_rig *rig = rig_start(scripts, "a/first", one);

        while (rig->deltas == 0)
            model_rig_settle(rig);
        if (how == 0) {
            model_cancel(rig->run);
            model_rig_end(rig, 10);
            t_eq(rig->result, -ERR_CANCELLED);
        } else if (how == 1) {
            model_drop(rig->run);
            model_rig_settle(rig);
            t_eq(rig->ends, 0);
        } else {
            rig->gw.models = models_free(rig->gw.models);
            t_eq(rig->ends, 1);
        }
        model_rig_free(rig);
    }
}
