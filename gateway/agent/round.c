/* Path: round_start copies the calls; round_pump begins what may begin; a tool's end comes to
 * round_on_end, which makes its message; round_tell hands out the messages that are due and, after the
 * last one, the end. Pumping is always deferred, so that nothing is told from inside a call of the owner
 * and a tool that ends at once does not nest.
 *
 * Owns: the calls, their tool runs, their messages until told. */
#include "gateway/agent/round.h"

#include "base/mem.h"
#include "gateway/agent/message.h"
#include "gateway/gateway.h"
#include "gateway/tools/tool.h"

#include <string.h>

#define ROUND_MAGIC 0x726f756eu
#define DATA_MAX    (4u * 1024 * 1024)

enum call_state { CALL_WAITS, CALL_RUNS, CALL_DONE, CALL_TOLD };

struct round_call {
    struct round *round;
    enum call_state state;
    bool announced; /* its start was told */
    char *id, *name;
    struct json *arguments;
    bool parallel;
    struct tool_call *tool; /* NULL: not running */
    struct json *message;   /* DONE */
    struct buf output;      /* the newest bytes of it */
    struct timer update;
};

struct round {
    uint32_t magic;
    struct gateway *gw;
    struct round_events events;
    void *arg;
    struct guard *guard;
    char *agent_id, *session_key, *session_id, *run_id;
    int64_t until; /* loop_now() */
    struct round_call *calls;
    size_t count, running, told;
    struct defer pump;
    bool *gone; /* set when the round is freed inside an event */
};

static void round_pump(void *arg);
static void round_on_update(void *arg, const char *text, size_t length);
static void round_on_end(void *arg, int result, const struct tool_result *out);

/* ---- the calls ---- */

static bool is_call(const struct json *part)
{
    return strcmp(json_string(json_get(part, "type"), ""), "toolCall") == 0;
}

size_t round_calls(const struct json *content)
{
    size_t count = 0;

    json_each (part, content)
        count += is_call(part);
    return count;
}

static void round_take(struct round *round, const struct json *part)
{
    struct round_call *call = &round->calls[round->count++];
    const struct json *arguments = json_get(part, "arguments");

    call->round = round;
    call->id = mem_string(json_string(json_get(part, "id"), ""));
    call->name = mem_string(json_string(json_get(part, "name"), ""));
    call->arguments = arguments ? json_copy(arguments) : json_new_object();
    call->parallel = tool_is_parallel(round->gw, call->name);
    buf_init(&call->output, 4 * ROUND_UPDATE_BYTES);
}

struct round *round_start(struct gateway *gw, const struct round_owner *owner,
                          const struct json *content, const struct round_events *events, void *arg)
{
    struct round *round = NEW(struct round);

    round->magic = ROUND_MAGIC;
    round->gw = gw;
    round->events = *events;
    round->arg = arg;
    round->guard = owner->guard;
    if (round->guard)
        guard_next(round->guard);
    round->agent_id = mem_string(owner->agent_id);
    round->session_key = mem_string(owner->session_key);
    round->session_id = mem_string(owner->session_id);
    round->run_id = mem_string(owner->run_id);
    round->until = loop_now(gw->loop) + owner->timeout_ms;
    round->calls = mem_array(round_calls(content) + 1, sizeof(struct round_call));
    json_each (part, content) {
        if (is_call(part))
            round_take(round, part);
    }
    defer_start(gw->loop, &round->pump, round_pump, round);
    return round;
}

struct round *round_drop(struct round *round)
{
    if (!round)
        return NULL;
    for (size_t i = 0; i < round->count; i++) {
        struct round_call *call = &round->calls[i];

        tool_drop(call->tool);
        timer_stop(round->gw->loop, &call->update);
        json_free(call->arguments);
        json_free(call->message);
        buf_done(&call->output);
        mem_free(call->id);
        mem_free(call->name);
    }
    defer_stop(round->gw->loop, &round->pump);
    if (round->gone)
        *round->gone = true;
    mem_free(round->calls);
    mem_free(round->agent_id);
    mem_free(round->session_key);
    mem_free(round->session_id);
    mem_free(round->run_id);
    round->magic = 0;
    return mem_free(round);
}

/* ---- what is heard of a call: protocol.md 6.3 ---- */

static void data_begin(const struct round_call *call, const char *phase, struct json_writer *w,
                       struct buf *b)
{
    buf_init(b, DATA_MAX);
    jw_init(w, b);
    jw_object(w);
    jw_kstr(w, "phase", phase);
    jw_kstr(w, "name", call->name);
    jw_kstr(w, "toolCallId", call->id);
}

static void data_send(struct round *round, struct json_writer *w, struct buf *b)
{
    jw_object_end(w);
    CLEAN(mem_free) char *data = buf_take(b);
    if (!fails(data != NULL))
        round->events.stream(round->arg, data);
}

static void tell_start(struct round_call *call)
{
    CLEAN(mem_free) char *arguments = json_print(call->arguments, false);
    struct json_writer w;
    struct buf b;

    call->announced = true;
    data_begin(call, "start", &w, &b);
    jw_kraw(&w, "args", strlen(arguments) <= ROUND_ARGUMENTS_MAX ? arguments : "{}");
    data_send(call->round, &w, &b);
}

static void tell_update(void *arg)
{
    struct round_call *call = arg;
    struct json_writer w;
    struct buf b;

    CHECK(call->round, ROUND_MAGIC);
    data_begin(call, "update", &w, &b);
    jw_kobject(&w, "partialResult");
    jw_karray(&w, "content");
    jw_object(&w);
    jw_kstr(&w, "type", "text");
    jw_key(&w, "text");
    jw_strn(&w, call->output.data, call->output.length);
    jw_object_end(&w);
    jw_array_end(&w);
    jw_object_end(&w);
    data_send(call->round, &w, &b);
}

static void tell_result(const struct round_call *call)
{
    CLEAN(mem_free) char *meta = message_meta(call->arguments);
    const struct json *message = call->message;
    struct json_writer w;
    struct buf b;

    data_begin(call, "result", &w, &b);
    jw_kstr(&w, "meta", meta);
    jw_ktree(&w, "isError", json_get(message, "isError"));
    jw_kobject(&w, "result");
    jw_ktree(&w, "content", json_get(message, "content"));
    jw_ktree(&w, "details", json_get(message, "details"));
    jw_object_end(&w);
    data_send(call->round, &w, &b);
}

/* ---- a call's end ---- */

static void call_finish(struct round_call *call, const struct tool_result *out)
{
    call->message = message_result(&(struct message_result){
        .call_id = call->id,
        .name = call->name,
        .content = out->content,
        .details = out->details,
        .is_error = out->is_error,
        .at = loop_wall(call->round->gw->loop),
    });
    call->state = CALL_DONE;
    timer_stop(call->round->gw->loop, &call->update);
}

/* Not run, for a reason that the model reads. */
static void call_refuse(struct round_call *call, const char *why)
{
    CLEAN(json_free) struct json *content = message_text(why);

    call_finish(call, &(struct tool_result){.content = content, .is_error = true});
}

/* What came out alike too often is told to the model behind the result. */
static void call_warn(struct round_call *call, unsigned times)
{
    struct json *part;

    if (times < GUARD_TOLD)
        return;
    CLEAN(mem_free)
    char *text = mem_format("[You have made this call %u times with the same arguments and got the "
                            "same result each time. Do something else, or answer with what you "
                            "have; the run is ended at %d.]",
                            times, GUARD_END);
    part = json_new_object();
    json_put(part, "type", json_new_string("text"));
    json_put(part, "text", json_new_string(text));
    json_append(json_edit(call->message, "content"), part);
}

static void round_on_end(void *arg, int result, const struct tool_result *out)
{
    struct round_call *call = arg;
    struct round *round = call->round;
    struct tool_result given = *out;

    CHECK(round, ROUND_MAGIC);
    call->tool = NULL;
    round->running--;
    given.is_error = out->is_error || result < 0;
    call_finish(call, &given);
    if (round->guard)
        call_warn(call, guard_note(round->guard, call->name, call->arguments, out->content));
    defer_start(round->gw->loop, &round->pump, round_pump, round);
}

static void round_on_update(void *arg, const char *text, size_t length)
{
    struct round_call *call = arg;
    struct round *round = call->round;

    CHECK(round, ROUND_MAGIC);
    if (length > ROUND_UPDATE_BYTES) {
        text += length - ROUND_UPDATE_BYTES;
        length = ROUND_UPDATE_BYTES;
    }
    buf_add(&call->output, text, length);
    if (call->output.length > ROUND_UPDATE_BYTES)
        buf_drop(&call->output, call->output.length - ROUND_UPDATE_BYTES);
    while (call->output.length > 0 && ((unsigned char)call->output.data[0] & 0xc0) == 0x80)
        buf_drop(&call->output, 1);
    if (!timer_running(&call->update))
        timer_start(round->gw->loop, &call->update, ROUND_UPDATE_MS, 0, tell_update, call);
}

/* ---- the pump ---- */

static void call_begin(struct round_call *call)
{
    static const struct tool_events events = {.update = round_on_update, .end = round_on_end};
    struct round *round = call->round;
    int64_t left = round->until - loop_now(round->gw->loop);

    call->state = CALL_RUNS;
    round->running++;
    call->tool = tool_start(round->gw,
                            &(struct tool_request){
                                .agent_id = round->agent_id,
                                .session_key = round->session_key,
                                .session_id = round->session_id,
                                .run_id = round->run_id,
                                .call_id = call->id,
                                .name = call->name,
                                .arguments = call->arguments,
                                .timeout_ms = left > 1 ? left : 1,
                            },
                            &events, call);
}

/* May the call begin beside what runs? Everything before it has begun already. */
static bool call_may_begin(const struct round *round, size_t i)
{
    if (round->running == 0)
        return true;
    if (!round->calls[i].parallel || round->running >= ROUND_PARALLEL_MAX)
        return false;
    for (size_t k = 0; k < i; k++) {
        if (round->calls[k].state == CALL_RUNS && !round->calls[k].parallel)
            return false;
    }
    return true;
}

/* True when the round is gone. */
static bool round_begin(struct round *round)
{
    bool gone = false;

    round->gone = &gone;
    for (size_t i = 0; !gone && i < round->count; i++) {
        struct round_call *call = &round->calls[i];

        if (call->state != CALL_WAITS)
            continue;
        if (i >= ROUND_CALLS_MAX) {
            call_refuse(call, "Not run: one answer may make at most 32 calls. Make the rest of "
                              "them in the next one if they are still needed.");
            continue;
        }
        if (!call_may_begin(round, i))
            break;
        tell_start(call);
        if (!gone)
            call_begin(call);
    }
    if (!gone)
        round->gone = NULL;
    return gone;
}

static bool round_tell(struct round *round)
{
    bool gone = false;

    round->gone = &gone;
    while (!gone && round->told < round->count && round->calls[round->told].state == CALL_DONE) {
        struct round_call *call = &round->calls[round->told];

        if (!call->announced)
            tell_start(call);
        if (!gone)
            tell_result(call);
        if (gone)
            break;
        call->state = CALL_TOLD;
        round->told++;
        round->events.result(round->arg, TAKE(call->message));
    }
    if (!gone)
        round->gone = NULL;
    return gone;
}

static void round_pump(void *arg)
{
    struct round *round = arg;

    CHECK(round, ROUND_MAGIC);
    if (round_begin(round) || round_tell(round) || round->told < round->count)
        return;

    void (*end)(void *) = round->events.end;
    void *owner = round->arg;
    round_drop(round);
    end(owner);
}

void round_skip(struct round *round)
{
    for (size_t i = 0; i < round->count; i++) {
        if (round->calls[i].state == CALL_WAITS)
            call_refuse(&round->calls[i], "Not run: a new message came in first. Read it, then "
                                          "decide whether this call is still needed.");
    }
    defer_start(round->gw->loop, &round->pump, round_pump, round);
}
