/* The calls of tools. A call begins in tool_start: find the row, ask the policy, decode the arguments, start
 * the handler. The handler ends it by one tool_end* (result.c), which leads to tool_finish; cancel and
 * deadline close the handler first. The end is told by a deferred call, so never inside the call that caused
 * it.
 *
 * Owns: every open call, its copy of the request, its result until that was told. */
#include "gateway/tools/tool.h"

#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/tools/call.h"
#include "gateway/tools/exec_policy.h"

#include <inttypes.h>
#include <string.h>

struct tools *tools_new(struct gateway *gw)
{
    struct tools *tools = NEW(struct tools);

    tools->exec_learned = exec_learned_load(gw);
    return tools;
}

size_t tools_running(const struct gateway *gw)
{
    return gw->tools->count;
}

/* ---- a call's life ---- */

static struct tool_call *call_new(struct gateway *gw, const struct tool *tool,
                                  const struct tool_request *request)
{
    struct tool_call *call = mem_new(sizeof(*call) + (tool ? tool->state_size : 0));
    struct tools *tools = gw->tools;

    call->magic = TOOL_CALL_MAGIC;
    call->gw = gw;
    call->tool = tool;
    call->request = (struct tool_request){
        .agent_id = mem_string(request->agent_id),
        .session_key = mem_string(request->session_key),
        .session_id = mem_string(request->session_id),
        .run_id = mem_string(request->run_id),
        .call_id = mem_string(request->call_id),
        .name = mem_string(tool ? tool->name : request->name),
        .arguments = request->arguments ? json_copy(request->arguments) : NULL,
        .timeout_ms = request->timeout_ms,
        .http = request->http,
    };
    call->next = tools->first;
    call->link = &tools->first;
    if (call->next)
        call->next->link = &call->next;
    tools->first = call;
    tools->count++;
    return call;
}

/* The request's strings are ours; its type says const because handlers read it. */
static void free_const(const char *text)
{
    void *p;

    memcpy(&p, &text, sizeof(p));
    mem_free(p);
}

static void call_free(struct tool_call *call)
{
    struct json *arguments;

    memcpy(&arguments, &call->request.arguments, sizeof(arguments));
    json_free(arguments);
    free_const(call->request.agent_id);
    free_const(call->request.session_key);
    free_const(call->request.session_id);
    free_const(call->request.run_id);
    free_const(call->request.call_id);
    free_const(call->request.name);
    json_free(call->content);
    json_free(call->details);
    mem_free(call->params);
    defer_stop(call->gw->loop, &call->end);
    timer_stop(call->gw->loop, &call->deadline);
    *call->link = call->next;
    if (call->next)
        call->next->link = call->link;
    call->gw->tools->count--;
    call->magic = 0;
    mem_free(call);
}

/* The handler stops; from here on it tells nothing. */
static void call_close(struct tool_call *call)
{
    if (!call->open)
        return;
    call->open = false;
    timer_stop(call->gw->loop, &call->deadline);
    if (call->tool->close)
        call->tool->close(call);
}

static void call_tell(void *arg)
{
    struct tool_call *call = arg;

    CHECK(call, TOOL_CALL_MAGIC);
    void (*end)(void *, int, const struct tool_result *) = call->events.end;
    void *owner = call->arg;
    struct json *content = TAKE(call->content), *details = TAKE(call->details);
    struct tool_result out = {content, details, call->is_error};
    int result = call->result;

    call_free(call); /* the owner may start the next one inside */
    end(owner, result, &out);
    json_free(content);
    json_free(details);
}

void tool_finish(struct tool_call *call, int result)
{
    if (fails(!call->finished))
        return;
    call->finished = true;
    call->result = result;
    if (!call->starting) /* else tool_start closes it once the handler has returned */
        call_close(call);
    defer_start(call->gw->loop, &call->end, call_tell, call);
}

/* ---- start ---- */

static void call_on_deadline(void *arg)
{
    struct tool_call *call = arg;
    struct fault fault = {0};

    CHECK(call, TOOL_CALL_MAGIC);
    call_close(call);
    fault_set(&fault, -ERR_TIMEOUT, "%s did not finish within %" PRId64 " s and was stopped",
              call->tool->name, (call->timeout_ms + 999) / 1000);
    tool_end_fault(call, &fault);
}

/* Policy and arguments; *ret_params is the caller's. */
static int check_request(struct gateway *gw, const struct tool_request *r, void **ret_params,
                         struct fault *fault)
{
    const struct tool *tool = tool_find(r->name);
    int result = tool_policy(gw, r->agent_id, r->session_key, r->name, r->http, fault);

    if (result < 0)
        return result;
    *ret_params = mem_new(tool->params_size);
    result = field_decode(tool->params, r->arguments, *ret_params, tool->params_size, fault);
    return result < 0 ? fault_prefix(fault, "%s: arguments", tool->name) : 0;
}

int tool_check(struct gateway *gw, const struct tool_request *request, struct fault *reterr_fault)
{
    CLEAN(mem_free) void *params = NULL;
    return check_request(gw, request, &params, reterr_fault);
}

static int call_check(struct tool_call *call, struct fault *fault)
{

    if (call->gw->tools->count > TOOL_CALLS_MAX)
        return fault_set(fault, -ERR_BUSY,
                         "%d tools are running already: try again when some of them have ended",
                         TOOL_CALLS_MAX);
    return check_request(call->gw, &call->request, &call->params, fault);
}

static void call_begin(struct tool_call *call)
{
    int64_t asked = call->request.timeout_ms;

    call->timeout_ms = asked > 0 && asked < call->tool->timeout_ms ? asked : call->tool->timeout_ms;
    call->open = true;
    timer_start(call->gw->loop, &call->deadline, call->timeout_ms, /* every_ms= */ 0,
                call_on_deadline, call);
    call->starting = true;
    call->tool->start(call, call->params);
    call->starting = false;
    if (call->finished)
        call_close(call);
}

struct tool_call *tool_start(struct gateway *gw, const struct tool_request *request,
                             const struct tool_events *events, void *arg)
{
    struct tool_call *call = call_new(gw, tool_find(request->name), request);
    struct fault fault = {0};
    int r;

    call->events = *events;
    call->arg = arg;
    r = call_check(call, &fault);
    if (r == 0)
        call_begin(call);
    else
        tool_end_refused(call, r, &fault);
    return call;
}

/* ---- the owner's side ---- */

void tool_cancel(struct tool_call *call)
{
    struct fault fault = {0};

    CHECK(call, TOOL_CALL_MAGIC);
    if (call->finished)
        return; /* its end is on the way */
    call_close(call);
    fault_set(&fault, -ERR_CANCELLED, "%s was stopped before it had finished", call->tool->name);
    tool_end_refused(call, -ERR_CANCELLED, &fault);
}

void tool_drop(struct tool_call *call)
{
    if (!call)
        return;
    CHECK(call, TOOL_CALL_MAGIC);
    call_close(call);
    call_free(call);
}

struct tools *tools_free(struct tools *tools)
{
    if (!tools)
        return NULL;
    while (tools->first) {
        struct tool_call *call = tools->first;

        tool_cancel(call);
        call_tell(call);
    }
    json_free(tools->exec_learned);
    return mem_free(tools);
}

/* ---- the handler's side ---- */

struct gateway *tool_call_gateway(const struct tool_call *call)
{
    return call->gw;
}

void *tool_call_state(struct tool_call *call)
{
    return call->state;
}

struct tool_call *tool_call_of_state(void *state)
{
    struct tool_call *call =
        (struct tool_call *)(void *)((char *)state - offsetof(struct tool_call, state));

    CHECK(call, TOOL_CALL_MAGIC);
    return call;
}

const struct tool_request *tool_call_request(const struct tool_call *call)
{
    return &call->request;
}

void tool_update(struct tool_call *call, const char *text, size_t length)
{
    size_t room = TOOL_RESULT_MAX - call->told;

    if (call->finished || !call->events.update || room == 0)
        return;
    length = length < room ? length : room;
    call->told += length;
    call->events.update(call->arg, text, length);
}
