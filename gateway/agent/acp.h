/* Agents behind the Agent Client Protocol: programs that run as our children. providers.md section 9; what was
 * chosen and why: README.md. Inside of acp*.c, but for the table's two functions. Loop thread only.
 *
 * acp.c a run · acp_prompt.c its prompt · acp_child.c a program's life · acp_open.c from its start to an open session · acp_update.c
 * what it tells · acp_permission.c what it asks · acp_file.c files it has us read and write ·
 * acp_program.c what to start · acp_text.c its last words · acp_rpc.c lines. */
#pragma once

#include "base/backoff.h"
#include "base/io/child.h"
#include "gateway/agent/acp_rpc.h"
#include "gateway/agent/agent.h"

struct acp;

/* The table of programs; gw->turns are gone before it is freed. */
struct acp *acp_new(struct gateway *gw) MUSTCHECK;
struct acp *acp_free(struct acp *acp); /* kills what runs */

#define ACP_VERSION         1
#define ACP_PERMISSIONS_MAX 16          /* asked at once by one program; one more is cancelled */
#define ACP_FILES_MAX       16          /* likewise: files being read or written */
#define ACP_TOOL_CALLS_MAX  512         /* of one run; one more ends it */
#define ACP_RUN_BYTES_MAX   (64u << 20) /* of all it tells in one run; more ends it */
#define ACP_GARBAGE_MAX     64          /* lines of a program that are no messages; more ends it */
#define ACP_TOOL_TEXT_MAX                                                                          \
    (64u << 10) /* of one tool's result; the middle of a longer one is cut out */
#define ACP_INPUT_MAX        (64u << 20) /* bytes that wait for the program to read them */
#define ACP_PROMPT_MAX       (48u << 20)
#define ACP_HISTORY_MESSAGES 60 /* of the transcript, told to a program that begins afresh */
#define ACP_HISTORY_READ     (256u << 10) /* bytes of them that are read */
#define ACP_HISTORY_MAX      (48u << 10)  /* and told */
#define ACP_CANCEL_MS        10000 /* from session/cancel to the answer; then it is stopped */
#define ACP_STOP_MS          3000  /* from SIGTERM to SIGKILL */
#define ACP_BACKOFF_MS       1000
#define ACP_BACKOFF_CAP_MS   30000
#define ACP_NOISE_LINES      200 /* lines of stderr that are logged per program and minute */

/* ---- acp_program.c: what to start; all owned ---- */

struct acp_program {
    char *name; /* as the configuration calls it */
    char **argv, **envp;
    size_t inherited;  /* of envp; behind them the configured ones */
    char *cwd;         /* absolute */
    char *auth_method; /* NULL: the program's first */
    char *mark;        /* differs when something of the above does */
    bool oneshot;      /* a fresh session each turn */
};
/* For the agent, from the configuration in use. A fault says what to set. */
int acp_program_find(struct gateway *gw, const char *agent_id, struct acp_program *ret,
                     struct fault *reterr_fault);
void acp_program_done(struct acp_program *program);
/* What lists show of who answers: "acp" and the program's name. */
void acp_program_model(struct gateway *gw, const char *agent_id, struct model_name *ret);

/* ---- a program ---- */

#define ACP_CHILD_MAGIC 0x61637063u
#define ACP_RUN_MAGIC   0x61637072u

/* WAITING: for the end of a backoff. OPENING: from its start to a session. READY: a run may prompt.
 * STOPPING: nobody's any more, its end is on the way. */
enum acp_state { ACP_WAITING, ACP_OPENING, ACP_READY, ACP_STOPPING };

struct acp_failure; /* acp_child.c: an agent's backoff */
struct acp_permission;
struct acp_file;

struct acp {
    struct gateway *gw;
    struct acp_child *children;
    struct acp_failure *failures;
};

struct acp_child {
    uint32_t magic;
    struct acp *acp;
    struct acp_child *next;
    enum acp_state state;
    struct acp_program program;
    char *agent_id, *session_key;
    char session_id[SESSION_ID_MAX + 1]; /* ours */
    char *acp_session;                   /* the program's; NULL: none yet */
    struct child *process;
    struct rpc rpc;
    struct agent_run *run; /* NULL: idle */
    struct timer timer;    /* WAITING: the start; idle: the stop; STOPPING: none */
    bool can_load, can_resume, can_image, authenticated;
    bool fresh;                /* its session is new and nothing was said in it yet */
    struct json *auth_methods; /* of initialize; NULL: none */
    unsigned garbage;
    size_t bytes;    /* told in this run */
    char noise[256]; /* its last line of stderr, safe to show */
    unsigned noise_lines;
    int64_t noise_minute, used_at;
    struct acp_permission *permissions;
    size_t permission_count;
    struct acp_file *files;
    size_t file_count;
};

/* The session's program, waiting or started or ready; run is told by acp_run_ready or acp_run_lost later.
 * NULL with a fault: nothing could be begun. */
struct acp_child *acp_child_get(struct agent_run *run, struct fault *reterr_fault);
/* The run has ended well: the program waits for the next one. */
void acp_child_release(struct acp_child *child);
/* It is to go: its run, if any, hears acp_run_lost with the sentence. */
void acp_child_fail(struct acp_child *child, int code, const char *format, ...) PRINTF(3, 4);
/* The same without a word to the run. */
void acp_child_stop(struct acp_child *child, int64_t grace_ms);

/* acp_open.c: initialize … session/new or /load; ends in acp_child_ready or acp_child_fail. */
void acp_open(struct acp_child *child);
void acp_child_ready(struct acp_child *child);
/* The words of an error object or result of rpc_done_fn. */
void acp_error_text(int result, const struct json *answer, char *out, size_t size);

/* ---- a run ---- */

struct acp_tool; /* acp_update.c */

enum acp_run_state { ACP_RUN_READING, ACP_RUN_OPENING, ACP_RUN_PROMPTING, ACP_RUN_CANCELLING };

struct agent_run {
    uint32_t magic;
    struct gateway *gw;
    const struct agent_events *events; /* NULL: dropped */
    void *arg;
    enum acp_run_state state;
    char *session_key, *session_id, *agent_id, *run_id, *extra_system;
    int64_t user_seq;
    struct store_page page;
    struct json *message; /* the user's, to be answered */
    char *history; /* what was said before it, for a program that begins afresh; NULL: nothing */
    bool has_image;
    struct acp_child *child; /* NULL: not yet, or lost */
    char *model;             /* its program's name; NULL: not yet */
    struct timer timer;      /* the turn's time; CANCELLING: the patience */
    struct defer end;        /* an end that must not come from inside start or cancel */
    int end_result;          /* of a run that is stopped: why */
    struct fault fault;
    unsigned held; /* a callback of the owner is on the way: it may drop the run */
    bool gone;     /* freed when it is let go */

    /* acp_update.c: the message being told */
    struct buf text, thinking;
    struct acp_tool *tools, **tools_tail;
    struct acp_news {
        char *text; /* the newest, not told yet; NULL: none */
        int64_t told_at;
    } plan, context;
    struct timer news;
    size_t tool_count, untold; /* untold: called, and in no message yet */
    struct model_usage usage;
};

void acp_run_hold(struct agent_run *run);
bool acp_run_let_go(struct agent_run *run); /* false: it is gone */
void acp_run_ready(struct agent_run *run);
void acp_run_lost(struct agent_run *run, int result, const struct fault *fault);

/* acp_prompt.c */
/* The message to answer and what was said before it, out of run->page. */
int acp_prompt_read(struct agent_run *run, struct fault *reterr_fault);
/* The content blocks, without the brackets. */
void acp_prompt_write(const struct agent_run *run, bool with_history, struct json_writer *w);

/* acp_update.c */
void acp_update_init(struct agent_run *run);
void acp_update_done(struct agent_run *run);
/* One session/update. May end the run and its program. */
void acp_update(struct agent_run *run, const struct json *update);
/* What was told and is in no message yet goes into one; calls without an end get one. NULL for ret_content: the
 * rest as well, else the last message's content is returned (owned) and not told. */
void acp_update_finish(struct agent_run *run, struct json **ret_content);
/* A permission is asked for this call: it and the words before it go into a message. False: that ended the
 * run. */
bool acp_update_asked(struct agent_run *run, const struct json *call);
/* One event of the `approval` stream. */
void acp_update_approval(struct agent_run *run, const char *phase, const char *status,
                         const char *approval_id, const struct json *call);

/* acp_permission.c */
void acp_permission_ask(struct acp_child *child, const char *id, const struct json *params);
void acp_permission_write(struct acp_child *child, const char *id, const struct json *params);
void acp_permissions_cancel(struct acp_child *child); /* all of them: answered "cancelled" */

/* acp_file.c; params as in fs/read_text_file and fs/write_text_file */
void acp_file_read(struct acp_child *child, const char *id, const struct json *params);
void acp_file_write(struct acp_child *child, const char *id, const struct json *params);
void acp_files_drop(struct acp_child *child);

/* acp_text.c */
/* Text of the program without control characters and without what looks like a secret (the configured
 * environment's values, tokens by their shape), cut to size. */
void acp_text_clean(const struct acp_program *program, const char *text, size_t length, char *out,
                    size_t size);
/* "exit status 3", "killed by SIGSEGV". */
void acp_text_end(int status, int signal, char *out, size_t size);
/* A tool call's output: its content, else its rawOutput, capped. NULL: the update tells none. Caller owns. */
char *acp_text_output(const struct json *update);
