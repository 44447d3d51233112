/* The life of an API call, top to bottom: the body is read (in the pool when it is large), the request finds
 * its agent and session, the turn is submitted, its words stream, its end is the answer. The run is the
 * web call's state and is freed with it. A client that leaves stops its turn. */
#include "base/crypto.h"
#include "base/io/work.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/http/api_internal.h"
#include "gateway/session/command.h"
#include "gateway/session/turn.h"

#include <stdio.h>
#include <string.h>

#define READ_MS    30000
#define POOL_BYTES (64u << 10) /* a body from here on is read in the pool */

/* ---- life ---- */

static void api_release(struct web_call *call)
{
    struct api_run *run = call->state;

    timer_stop(run->gw->loop, &run->beat);
    op_drop(&run->op);
    api_replay_forget(run);
    api_request_done(&run->request);
    buf_done(&run->said);
    buf_done(&run->out);
    json_free(run->outcome);
    json_free(run->tool_calls);
    run->magic = 0;
    mem_free(run);
}

static void api_on_gone(struct web_call *call)
{
    struct api_run *run = call->state;

    CHECK(run, API_RUN_MAGIC);
    if (run->submitted)
        turn_abort(run->gw, run->target.session_key, run->run_id, "rpc",
                   NULL); /* api_on_ended comes */
    else
        web_end(call);
}

static void api_on_drained(struct web_call *call)
{
    struct api_run *run = call->state;
    bool closing = run->closing;

    CHECK(run, API_RUN_MAGIC);
    api_stream_pump(run);
    if (!closing)
        api_stream_words(run);
}

/* ---- 1. the body ---- */

/* What the pool sees: it may outlive its run. */
struct api_reading {
    const struct api_shape *shape;
    const char *text;
    char *copy;
    size_t length;
    struct api_request request;
};

static void reading_free(void *arg)
{
    struct api_reading *reading = arg;

    api_request_done(&reading->request);
    mem_free(reading->copy);
    mem_free(reading);
}

static int read_body(void *arg, struct fault *fault)
{
    struct api_reading *reading = arg;
    CLEAN(json_free) struct json *body = json_parse(reading->text, reading->length, fault);

    if (!body)
        return fault_prefix(fault, "the body is not usable JSON");
    if (json_kind(body) != JSON_OBJECT)
        return fault_set(fault, -ERR_INVALID, "the body must be a JSON object");
    return reading->shape->parse(body, &reading->request, fault);
}

static void api_read(struct api_run *run, int result, const struct fault *fault)
{
    int status = 400;
    struct fault target = {0};

    if (result < 0) {
        api_fail(run, &(struct api_error){400, "invalid_request_error",
                                          fault->text[0] ? fault->text : err_text(result), false});
        return;
    }
    if (api_target(run, &status, &target) < 0)
        api_fail(run,
                 &(struct api_error){status, status == 403 ? "forbidden" : "invalid_request_error",
                                     target.text, false});
    else
        api_recall(run);
}

static void api_on_body(struct op *op, int result)
{
    struct api_run *run = CONTAINER(op, struct api_run, op);
    struct api_reading *reading = TAKE(run->reading);

    CHECK(run, API_RUN_MAGIC);
    run->request = reading->request;
    reading->request = (struct api_request){0};
    api_read(run, result, &op->fault);
}

void api_start(struct web_call *call, const struct api_shape *shape)
{
    struct api_run *run = NEW(struct api_run);
    struct api_reading *reading = NEW(struct api_reading);

    run->magic = API_RUN_MAGIC;
    run->call = call;
    run->gw = call->gw;
    run->shape = shape;
    run->created = loop_wall(call->gw->loop) / 1000;
    buf_init(&run->said, API_SAID_MAX);
    buf_init(&run->out, API_OUT_MAX);
    op_init(&run->op, call->gw->loop, api_on_body, READ_MS);
    call->state = run;
    call->gone = api_on_gone;
    call->drained = api_on_drained;
    call->release = api_release;
    web_patience(call, 0); /* the turn has its own limit */

    reading->shape = shape;
    reading->text = web_body(call, &reading->length);
    if (reading->length >= POOL_BYTES) {
        reading->text = reading->copy = mem_slice(reading->text, reading->length);
        run->reading = reading;
        work_run(&run->op, read_body, reading, reading_free);
        return;
    }
    struct fault fault = {0};
    int result = read_body(reading, &fault);
    run->request = reading->request;
    reading->request = (struct api_request){0};
    reading_free(reading);
    api_read(run, result, &fault);
}

/* ---- 2. the turn ---- */

static void api_on_accepted(void *arg, int result, const struct fault *fault)
{
    struct api_run *run = arg;

    CHECK(run, API_RUN_MAGIC);
    if (result < 0) {
        run->submitted = false;
        api_fail(run, &(struct api_error){503, "api_error", fault->text, true});
    } else if (run->request.stream && !web_is_gone(run->call))
        api_stream_begin(run);
}

static void api_say(struct api_run *run, const char *text, size_t length)
{
    if (run->said.bad)
        return; /* it is being stopped */
    if (run->gap && run->said.length)
        buf_add_str(&run->said, "\n\n");
    run->gap = false;
    buf_add(&run->said, text, length);
    if (run->said.bad)
        turn_abort(run->gw, run->target.session_key, run->run_id, "rpc", NULL);
    else if (run->begun)
        api_stream_words(run);
}

static void api_on_text(void *arg, const char *delta, size_t length)
{
    CHECK((struct api_run *)arg, API_RUN_MAGIC);
    api_say(arg, delta, length);
}

static void api_on_message(void *arg)
{
    struct api_run *run = arg;

    CHECK(run, API_RUN_MAGIC);
    run->gap = true;
}

static void api_on_ended(void *arg, const struct json *outcome, const char *text)
{
    struct api_run *run = arg;

    CHECK(run, API_RUN_MAGIC);
    run->submitted = false;
    api_ended(run, outcome, text);
}

/* "/stop": what runs in that session ends, and that is the answer. */
static bool api_stops(struct api_run *run)
{
    const char *message = run->request.message;
    const struct command *command = command_of(message, NULL);
    bool slash = command && !command->run;

    if (!slash && (run->target.fresh || !command_is_stop(message)))
        return false;
    size_t stopped = turn_abort(run->gw, run->target.session_key, NULL, "stop", NULL);
    CLEAN(json_free) struct json *outcome = json_new_object();
    json_put(outcome, "status", json_new_string("ok"));
    if (run->request.stream)
        api_stream_begin(run);
    api_ended(run, outcome, stopped ? "Stopped." : "Nothing was running.");
    return true;
}

void api_submit(struct api_run *run)
{
    static const struct turn_events events = {.accepted = api_on_accepted,
                                              .text = api_on_text,
                                              .message = api_on_message,
                                              .ended = api_on_ended};
    const struct api_request *request = &run->request;
    struct fault fault = {0};

    if (api_stops(run))
        return;
    if (run->target.fresh)
        api_sessions_trim(run->gw);
    run->holds = request->choice >= CHOICE_REQUIRED;
    run->submitted = true;
    int r = turn_submit(run->gw,
                        &(struct turn_request){
                            .method = TURN_AGENT,
                            .run_id = run->run_id,
                            .session_key = run->target.session_key,
                            .caller_key = run->target.session_key,
                            .message = request->message,
                            .images = request->images,
                            .extra_system = request->system,
                            .client_tools = request->tools,
                            .thinking = request->thinking,
                            .model = run->target.model,
                            .max_tokens = request->max_tokens,
                            .timeout_ms = -1,
                        },
                        &events, run, &fault);
    if (r == 0)
        return;
    run->submitted = false;
    api_fail(run, &(struct api_error){r == -ERR_BUSY ? 429 : 503,
                                      r == -ERR_BUSY ? "rate_limit_error" : "api_error", fault.text,
                                      true});
}

/* ---- 3. the answer ---- */

static void api_reply(struct api_run *run, int status, const char *headers, struct buf *b)
{
    CLEAN(bytes_unref) struct bytes *body = bytes_from_buf(b);

    buf_done(b);
    if (fails(body != NULL))
        web_error(run->call, 500, "api_error", "the answer is larger than this gateway sends");
    else
        web_reply(run->call, status, "application/json; charset=utf-8", headers, body);
}

void api_fail(struct api_run *run, const struct api_error *error)
{
    struct json_writer w;
    struct buf b;

    if (run->begun) {
        run->shape->failed(run, error);
        api_stream_close(run);
        return;
    }
    buf_init(&b, API_OUT_MAX);
    jw_init(&w, &b);
    run->shape->whole_failed(run, error, &w);
    api_reply(run, error->status,
              error->again ? "x-should-retry: true\r\n" : "x-should-retry: false\r\n", &b);
}

static void api_finish(struct api_run *run)
{
    struct json_writer w;
    struct buf b;

    if (run->begun) {
        run->holds = false;
        if (run->said.length > run->told)
            run->shape->words(run, run->said.data + run->told, run->said.length - run->told);
        run->told = run->said.length;
        run->shape->finish(run);
        api_stream_close(run);
        return;
    }
    buf_init(&b, API_OUT_MAX);
    jw_init(&w, &b);
    run->shape->whole(run, &w);
    api_reply(run, 200, NULL, &b);
}

void api_ended(struct api_run *run, const struct json *outcome, const char *text)
{
    struct api_error error;

    if (web_is_gone(run->call)) {
        web_end(run->call);
        return;
    }
    run->outcome = json_copy(outcome);
    api_outcome_read(run);
    if (run->said.bad)
        api_fail(run,
                 &(struct api_error){502, "api_error", "the answer is longer than 4 MiB", false});
    else if (api_outcome_error(run->outcome, &error))
        api_fail(run, &error);
    else if (api_choice_missed(&run->request, run->tool_calls))
        api_fail(run,
                 &(struct api_error){502, "api_error",
                                     api_choice_missed(&run->request, run->tool_calls), false});
    else {
        if (run->said.length == 0 && text) /* a command's answer, or one told again */
            buf_add_str(&run->said, text);
        api_finish(run);
    }
}
