/* Tools: what an agent, or POST /tools/invoke, may have done. A tool is one row of its file's table: name,
 * parameters (their JSON Schema is printed from the rows), flags, handler. One function decides who may use
 * what: tool_policy. design.md section 8, protocol.md 8.6. Loop thread only. */
#pragma once

#include "base/field.h"
#include "base/json.h"
#include "gateway/conn/scope.h"

struct gateway;
struct tool_call;
struct tools;

#define TOOL_CALLS_MAX 256 /* at once in the whole gateway; one more ends with -ERR_BUSY */
#define TOOL_RESULT_MAX                                                                            \
    (64u *                                                                                         \
     1024) /* bytes of a result's text; the middle of a longer one is cut out, which is said */
#define TOOL_ARGUMENTS_MAX (1u << 20) /* bytes of arguments as text */

enum tool_flags {
    TOOL_PARALLEL = 1,    /* changes nothing: may run beside others of the same answer */
    TOOL_DENIED_HTTP = 2, /* POST /tools/invoke refuses it unless gateway.tools.allow names it */
};

/* For whom a tool runs; borrowed for the call. */
struct tool_request {
    const char *agent_id, *session_key, *session_id;
    const char *run_id, *call_id; /* NULL: not of a run (HTTP) */
    const char *name;
    const struct json *arguments; /* an object; NULL: {} */
    int64_t timeout_ms;           /* 0: the tool's own */
    bool http;                    /* by POST /tools/invoke: its deny list applies */
};

/* Borrowed for the call of end(). */
struct tool_result {
    const struct json *content; /* [{type:"text",text} | {type:"image",data,mimeType}], capped */
    const struct json *details; /* for programs; NULL: none */
    bool is_error; /* the tool ran and failed, or was refused: the model is told the reason */
};

/* All from the loop, never from inside tool_start or tool_cancel. */
struct tool_events {
    void (*update)(void *arg, const char *text,
                   size_t length); /* output so far came by so much; NULL: not wanted */
    /* Once, last. result negative: cancelled, or nothing could be started (content says why all the same). */
    void (*end)(void *arg, int result, const struct tool_result *out);
};

struct tools *tools_new(struct gateway *gw) MUSTCHECK;
/* Ends what runs now: end() with -ERR_CANCELLED comes from inside. NULL ok. */
struct tools *tools_free(struct tools *tools);

/* Never NULL: refusals (unknown tool, policy, arguments that do not fit the rows) come by end(). */
struct tool_call *tool_start(struct gateway *gw, const struct tool_request *request,
                             const struct tool_events *events, void *arg);
void tool_cancel(
    struct tool_call
        *call); /* end() with -ERR_CANCELLED on a later turn; processes and transfers are stopped */
void tool_drop(struct tool_call *call); /* the same without end(). NULL ok */

size_t tools_running(const struct gateway *gw); /* calls that have not been told their end */
/* Would it begin? Policy and arguments, nothing is started: 0, or negative with a fault. */
int tool_check(struct gateway *gw, const struct tool_request *request, struct fault *reterr_fault);

bool tool_is_parallel(struct gateway *gw, const char *name);
/* May this agent (over HTTP?) use the tool? The one place that decides; a fault says why not. */
int tool_policy(struct gateway *gw, const char *agent_id, const char *session_key, const char *name,
                bool http, struct fault *reterr_fault);
/* [{name, description, parameters}] of what the agent may use: for models. */
void tools_write_definitions(struct gateway *gw, const char *agent_id, const char *session_key,
                             struct json_writer *w);
/* tools.catalog and tools.effective, protocol.md 4. */
void tools_write_catalog(struct gateway *gw, const char *agent_id, struct json_writer *w);
void tools_write_effective(struct gateway *gw, const char *agent_id, const char *session_key,
                           struct json_writer *w);
