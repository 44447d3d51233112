/* What the files of the sessions group share. */
#pragma once

#include "base/io/op.h"
#include "gateway/method/keys.h"
#include "gateway/session/session.h"

struct call;

struct sessions_list {
    int64_t limit, offset, active_minutes;
    bool include_global, include_unknown, configured_only, titles, last, has_board, no_subagents;
    int sort;
    const char *label, *spawned_by, *agent_id, *search;
    const struct json *archived;
};
extern const struct field sessions_list_fields[], sessions_list_reply[];
int sessions_list_run(struct call *call, const void *params);

struct sessions_preview {
    const struct json *keys;
    int64_t limit, max_chars;
};
extern const struct field sessions_preview_fields[], sessions_preview_reply[];
int sessions_preview_run(struct call *call, const void *params);

struct sessions_resolve {
    const char *key, *session_id, *label, *agent_id, *spawned_by;
    bool include_global, include_unknown, allow_missing;
};
extern const struct field sessions_resolve_fields[], sessions_resolve_reply[];
int sessions_resolve_run(struct call *call, const void *params);

struct sessions_describe {
    const char *key;
    bool titles, last;
};
extern const struct field sessions_describe_fields[], sessions_describe_reply[];
int sessions_describe_run(struct call *call, const void *params);

/* What came for one key. */
struct patch_value {
    const struct json *value;
    struct field_set set;
};
/* Every setting of sessions.patch; what each may be stands in sessions_patch.c. */
#define PATCH_KEYS(x)                                                                              \
    x(label) x(icon) x(color) x(category) x(statusNote) x(archived) x(pinned) x(unread)            \
        x(thinkingLevel) x(fastMode) x(verboseLevel) x(traceLevel) x(reasoningLevel)               \
            x(responseUsage) x(elevatedLevel) x(execHost) x(execSecurity) x(execAsk) x(execNode)   \
                x(permissionMode) x(model) x(spawnedBy) x(sendPolicy) x(groupActivation)           \
                    x(displayName) x(queueMode) x(queueDrop) x(queueDebounceMs) x(queueCap)

struct sessions_patch {
    const char *key, *agent_id, *session_id;
#define MEMBER(name) struct patch_value name;
    PATCH_KEYS(MEMBER)
#undef MEMBER
};
extern const struct field sessions_patch_fields[], sessions_patch_reply[];
int sessions_patch_run(struct call *call, const void *params);

struct sessions_create {
    const char *key, *agent_id, *label, *display_name, *category, *model, *thinking, *parent,
        *message, *task, *run_id, *permission_mode, *exec_node;
    const struct json *attachments, *tool_overrides;
    bool incognito;
};
extern const struct field sessions_create_fields[], sessions_create_reply[];
int sessions_create_run(struct call *call, const void *params);

struct sessions_reset {
    const char *key, *agent_id, *reason;
};
extern const struct field sessions_reset_fields[], sessions_reset_reply[];
int sessions_reset_run(struct call *call, const void *params);

struct sessions_delete {
    const char *key, *agent_id, *session_id;
    bool transcript, archived_only;
};
extern const struct field sessions_delete_fields[], sessions_delete_reply[];
int sessions_delete_run(struct call *call, const void *params);

struct sessions_compact {
    const char *key, *agent_id, *instructions;
    int64_t lines; /* 0: summarise instead */
};
extern const struct field sessions_compact_fields[], sessions_compact_reply[];
int sessions_compact_run(struct call *call, const void *params);

struct sessions_send {
    const char *key, *agent_id, *message, *run_id, *thinking;
    const struct json *attachments;
    int64_t timeout_ms;
};
extern const struct field sessions_send_fields[]; /* answered as chat.send */
int sessions_send_run(struct call *call, const void *params);

struct sessions_abort {
    const char *key, *agent_id, *run_id;
};
extern const struct field sessions_abort_fields[], sessions_abort_reply[];
int sessions_abort_run(struct call *call, const void *params);

struct sessions_get {
    const char *key, *agent_id;
    int64_t limit;
};
extern const struct field sessions_get_fields[], sessions_get_reply[];
int sessions_get_run(struct call *call, const void *params);

/* A change of one session that is answered when it is on disk: the call, its op, what to say. */
struct sessions_change {
    struct op op;
    struct call *call;
    char key[SESSION_KEY_MAX + 1];
    void (*reply)(struct call *call, const struct sessions_change *change); /* writes and sends */
    struct json *detail; /* for reply, owned; may be NULL */
};
/* Commits the batch; reply or the store's fault answers the call; the change is freed. */
void sessions_commit(struct gateway *gw, struct sessions_change *change, struct store_batch *batch);
struct sessions_change *sessions_change_new(struct call *call, const char *key,
                                            void (*reply)(struct call *,
                                                          const struct sessions_change *))
    MUSTCHECK;
struct sessions_change *sessions_change_free(struct sessions_change *change);
/* {ok:true, path, key, entry, resolved}: patch, reset. */
void sessions_reply_entry(struct call *call, const struct sessions_change *change);
/* What an archived transcript is called, as v3 names its files. Caller owns. */
char *sessions_archive_name(struct gateway *gw, const char *session_id, const char *how) MUSTCHECK;
/* Sets and checks a label: unique, 1..512 characters. NULL clears. */
int sessions_set_label(struct gateway *gw, struct session *session, const char *label,
                       struct fault *reterr_fault);
/* "provider/model" or an alias as the session's override; NULL clears. */
