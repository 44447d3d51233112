/* Inside gateway/tools: one call, shared by tool.c (its life) and result.c (its end). */
#pragma once

#include "base/crypto.h"
#include "gateway/tools/ops.h"

#define TOOL_CALL_MAGIC 0x746f6f6cu

#define SEND_HOPS_MAX   5   /* messages between sessions in a row */
#define SEND_HOPS_KNOWN 256 /* runs that such a message began, the newest */

struct send_hop {
    char run_id[UUID_TEXT];
    int count;
};

struct tools {
    struct tool_call *first;
    size_t count;
    struct json *exec_learned; /* exec_policy.c */
    struct send_hop hops[SEND_HOPS_KNOWN];
    size_t hops_next;
};

struct tool_call {
    uint32_t magic;
    struct gateway *gw;
    struct tool_call *next, **link;
    const struct tool *tool; /* NULL: unknown */
    struct tool_events events;
    void *arg;
    struct tool_request request; /* copies, ours */
    void *params;                /* the row's struct */
    int64_t timeout_ms;
    struct timer deadline;
    struct defer end;
    struct json *content, *details; /* the result, once finished */
    size_t told;                    /* bytes of updates */
    int result;
    bool is_error;
    bool starting; /* inside the handler's start */
    bool open;     /* the handler is to be closed */
    bool finished; /* the result stands; its end is on the way */
    _Alignas(max_align_t) char state[];
};

/* The result stands: closes the handler and tells the owner on a later turn. */
void tool_finish(struct tool_call *call, int result);
/* Nothing ran, or it was cancelled: result negative, the sentence as content. */
void tool_end_refused(struct tool_call *call, int result, const struct fault *fault);
