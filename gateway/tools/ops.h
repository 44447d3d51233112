/* What a tool is: one row of its file's table, and what its handler may tell the call. A handler works on
 * the loop; what blocks goes to the pool. Loop thread only. */
#pragma once

#include "base/io/loop.h"
#include "gateway/tools/tool.h"

enum tool_group {
#define GROUP(id, label) TOOL_GROUP_##id,
#include "gateway/tools/groups.def"
#undef GROUP
    TOOL_GROUP_COUNT
};

/* Profiles (tools.profile) that hold the tool; "full" holds all. */
enum { TOOL_MINIMAL = 1, TOOL_CODING = 2, TOOL_MESSAGING = 4 };

struct tool {
    const char *name; /* as OpenClaw's agents know it */
    const char *label, *summary;
    const char *description; /* for the model */
    enum tool_group group;
    unsigned profiles;
    const struct field *params;
    size_t params_size;
    unsigned flags;     /* enum tool_flags */
    int64_t timeout_ms; /* of one call */
    size_t state_size;  /* zeroed room of the call: tool_call_state() */
    /* Begins; params is the decoded struct and lives as long as the call. Ends it exactly once by one tool_end*,
     * inside or later. */
    void (*start)(struct tool_call *call, const void *params);
    /* Stops at once what start began and frees what it made, also half of it; nothing is told any more.
     * Once per call, at its end, cancel, deadline or drop. NULL: nothing to do. */
    void (*close)(struct tool_call *call);
    /* Configured away or not permitted at all here; NULL: always there. A fault says why not. */
    int (*allowed)(struct gateway *gw, const char *agent_id, struct fault *reterr_fault);
};

#define TOOLS(file) extern const struct tool tools_##file[];
#include "gateway/tools/tools.def"
#undef TOOLS

/* Parameter rows: as F_*, with the sentence the model reads. */
// clang-format off
#define A_ROW(t, k, m, kind_, f, help_, ...) {.key = k, .kind = FIELD_##kind_, .flags = (f), .at = offsetof(struct t, m), .set_at = FIELD_NO_SET, .help = help_, __VA_ARGS__}
#define A_STR(t, k, m, f, cap, help_)               A_ROW(t, k, m, STR, f, help_, .max = (cap))
#define A_INT(t, k, m, f, lo, hi, other, help_)     A_ROW(t, k, m, INT, f, help_, .min = (lo), .max = (hi), .otherwise = (other))
#define A_BOOL(t, k, m, f, other, help_)            A_ROW(t, k, m, BOOL, f, help_, .otherwise = (other))
#define A_ENUM(t, k, m, f, list, other, help_)      A_ROW(t, k, m, ENUM, f, help_, .names = (list), .otherwise = (other))
#define A_STRS(t, k, m, f, cap, help_)              A_ROW(t, k, m, STRS, f, help_, .max = (cap))
#define A_OBJECTS(t, k, m, f, rows, cap, help_)     A_ROW(t, k, m, OBJECTS, f, help_, .sub = (rows), .max = (cap))
#define A_MAP(t, k, m, f, row, help_)               A_ROW(t, k, m, MAP, f, help_, .sub = (row))
// clang-format on

/* ---- what a handler knows ---- */

struct gateway *tool_call_gateway(const struct tool_call *call);
void *tool_call_state(struct tool_call *call);
struct tool_call *tool_call_of_state(void *state); /* the other way */
/* Copies that live as long as the call. */
const struct tool_request *tool_call_request(const struct tool_call *call);

/* ---- what a handler says ---- */

/* Output that came, for who watches; counted against TOOL_RESULT_MAX, the rest is not told. */
void tool_update(struct tool_call *call, const char *text, size_t length);

/* The ends. Text longer than TOOL_RESULT_MAX has its middle cut out, which is said in it; bytes that are no UTF-8
 * become U+FFFD. details (NULL: none) is taken. */
void tool_end_text(struct tool_call *call, const char *text, size_t length, struct json *details);
/* For programs and the model alike: details printed is the text. Taken. */
void tool_end_json(struct tool_call *call, struct json *details);
/* A picture beside its sentence. data is base64. */
void tool_end_image(struct tool_call *call, const char *text, const char *data,
                    const char *mime_type);
/* It ran and failed, or was refused; the model reads the fault's sentence. */
void tool_end_fault(struct tool_call *call, const struct fault *fault);
/* The same with what had come before (output of a killed process). details taken. */
void tool_end_failed(struct tool_call *call, const char *text, size_t length, struct json *details);

/* ---- registry ---- */

const struct tool *tool_find(const char *name); /* also by an alias; NULL: none */
const struct tool *tool_at(size_t index);       /* NULL past the last */
const char *tool_group_id(enum tool_group group);
const char *tool_group_label(enum tool_group group);
/* The agent's profile: "minimal", "coding", "messaging" or "full". */
const char *tool_profile(struct gateway *gw, const char *agent_id);
