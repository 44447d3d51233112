/* Compaction: the older part of a conversation gives way to a summary by the model. The transcript keeps
 * every message; an entry in it says up to where the summary stands for them (prompt.h). Loop thread
 * only. */
#pragma once

#include "gateway/agent/prompt.h"
#include "gateway/model/model.h"

struct gateway;
struct compaction;

/* All borrowed for the call, but prompt. */
struct compaction_request {
    const char *session_key, *session_id, *agent_id;
    const struct model_name *model; /* whose window the conversation has to fit */
    bool model_chosen;              /* no fallbacks */
    struct prompt *prompt;          /* lives until the end; its older items become the summary */
    size_t keep;                    /* tokens of it that stay as they are, about */
    const char *focus; /* what the operator wants kept in mind; NULL: nothing special */
    int64_t timeout_ms;
};

struct compaction_result {
    const char *summary, *entry_id; /* of the transcript's entry */
    int64_t through_seq; /* 0: only the run that asked is summarised, there is no entry */
    size_t tokens_before, tokens_after; /* estimates of the messages */
    struct model_usage usage;
};

/* Once, from the loop, never from inside compaction_start. result 0: the prompt is changed, and what of the
 * summary concerns earlier runs is on disk. -ERR_NOT_FOUND: there is nothing old enough. Else nothing has changed and fault says why. */
typedef void compaction_fn(void *arg, int result, const struct compaction_result *out,
                           const struct fault *fault);

struct compaction *compaction_start(struct gateway *gw, const struct compaction_request *request,
                                    compaction_fn *fn, void *arg) MUSTCHECK;
/* Stops the model; fn is not called any more. A summary that is with the store stays. NULL ok; returns NULL. */
struct compaction *compaction_drop(struct compaction *compaction);

/* agents.defaults.compaction.keepRecentTokens, but never more than half of that room. */
size_t compaction_keep(struct gateway *gw, size_t room);
