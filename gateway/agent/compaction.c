/* Path: compaction_start cuts the prompt and asks for a summary; compaction_on_summary puts it into the
 * prompt and, as an entry, into the transcript; compaction_on_commit tells. Owns the summary run and the
 * commit; the prompt is its owner's. */
#include "gateway/agent/compaction.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/agent/agent.h"
#include "gateway/agent/summary.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/session/row.h"
#include "gateway/session/transcript.h"

#include <string.h>

#define LOG_SUBSYSTEM "agent"
#include "base/log.h"

#define COMPACTION_MAGIC 0x636f6d70u

struct compaction {
    uint32_t magic;
    struct gateway *gw;
    char *session_key, *session_id, *text;
    struct prompt *prompt;
    size_t cut, before;
    int64_t through;
    struct summary *summary;
    struct model_usage usage;
    char entry_id[UUID_TEXT];
    struct op commit;
    struct defer refuse;
    struct fault fault;
    compaction_fn *fn;
    void *arg;
};

static void compaction_on_refused(void *arg);
static void compaction_on_summary(void *arg, int result, const char *text,
                                  const struct model_usage *usage, const struct fault *fault);
static void compaction_on_commit(struct op *op, int result);

size_t compaction_keep(struct gateway *gw, size_t room)
{
    size_t keep = (size_t)config_int(gw->config, KNOB_compaction_keep);

    return keep < room / 2 ? keep : room / 2;
}

/* ---- 1. what, and by whom ---- */

static int compaction_ask(struct compaction *compaction, const struct compaction_request *request)
{
    struct gateway *gw = compaction->gw;
    const char *other = config_str(gw->config, KNOB_compaction_model);
    int64_t longest = config_int(gw->config, KNOB_compaction_timeout_s) * 1000;
    const char *fallbacks[AGENT_FALLBACKS_MAX + 1] = {0};
    struct model_name model = *request->model;
    int r;

    compaction->cut = prompt_cut(request->prompt, request->keep);
    compaction->through = prompt_through(request->prompt, compaction->cut);
    if (compaction->cut == 0)
        return fault_set(&compaction->fault, -ERR_NOT_FOUND,
                         "there is nothing old enough to be summarised");
    if (other && *other) {
        if ((r = model_resolve(gw, other, &model, &compaction->fault)) < 0)
            return fault_prefix(&compaction->fault, "agents.defaults.compaction.model");
    } else if (!request->model_chosen) {
        agent_fallbacks(gw, request->agent_id, fallbacks);
    }
    compaction->summary =
        summary_start(gw,
                      &(struct summary_request){
                          .provider = model.provider,
                          .model = model.model,
                          .fallbacks = fallbacks,
                          .prompt = request->prompt,
                          .cut = compaction->cut,
                          .focus = request->focus,
                          .timeout_ms = request->timeout_ms > 0 && request->timeout_ms < longest
                                            ? request->timeout_ms
                                            : longest,
                      },
                      compaction_on_summary, compaction);
    return 0;
}

struct compaction *compaction_start(struct gateway *gw, const struct compaction_request *request,
                                    compaction_fn *fn, void *arg)
{
    struct compaction *compaction = NEW(struct compaction);

    compaction->magic = COMPACTION_MAGIC;
    compaction->gw = gw;
    compaction->session_key = mem_string(request->session_key);
    compaction->session_id = mem_string(request->session_id);
    compaction->prompt = request->prompt;
    compaction->before = request->prompt->tokens;
    compaction->fn = fn;
    compaction->arg = arg;
    if (compaction_ask(compaction, request) < 0)
        defer_start(gw->loop, &compaction->refuse, compaction_on_refused, compaction);
    return compaction;
}

struct compaction *compaction_drop(struct compaction *compaction)
{
    if (!compaction)
        return NULL;
    summary_drop(compaction->summary);
    op_drop(&compaction->commit);
    defer_stop(compaction->gw->loop, &compaction->refuse);
    mem_free(compaction->session_key);
    mem_free(compaction->session_id);
    mem_free(compaction->text);
    compaction->magic = 0;
    return mem_free(compaction);
}

static void compaction_end(struct compaction *compaction, int result)
{
    struct compaction_result out = {
        .through_seq = compaction->through,
        .tokens_before = compaction->before,
        .tokens_after = compaction->prompt->tokens,
        .usage = compaction->usage,
    };
    struct fault fault = compaction->fault;
    CLEAN(mem_free) char *text = TAKE(compaction->text);
    CLEAN(mem_free) char *id = mem_string(compaction->entry_id);
    compaction_fn *fn = compaction->fn;
    void *arg = compaction->arg;

    compaction_drop(compaction);
    out.summary = text;
    out.entry_id = id;
    fn(arg, result, &out, &fault);
}

static void compaction_on_refused(void *arg)
{
    struct compaction *compaction = arg;

    CHECK(compaction, COMPACTION_MAGIC);
    compaction_end(compaction, compaction->fault.code);
}

/* ---- 2. the summary ---- */

static void compaction_count(struct session *session, size_t tokens)
{
    session_set_number(session, "compactionCount",
                       session_number(session, "compactionCount", 0) + 1);
    session_set_number(session, "totalTokens", (int64_t)tokens);
}

static void compaction_store(struct compaction *compaction, struct session *session)
{
    struct gateway *gw = compaction->gw;
    struct store_batch *batch = store_batch(gw->store);
    CLEAN(mem_free)
    char *entry = prompt_compaction_entry(&(struct prompt_compaction){
        .summary = compaction->text,
        .through_seq = compaction->through,
        .tokens_before = (int64_t)compaction->before,
        .tokens_after = (int64_t)compaction->prompt->tokens,
        .at = loop_wall(gw->loop),
    });

    transcript_append(gw, session, batch,
                      &(struct transcript_message){.role = "system", .message = entry},
                      compaction->entry_id);
    compaction_count(session, compaction->prompt->tokens);
    session_put(gw, session, batch, true);
    row_emit_changed(gw, batch, session, "compact", NULL, NULL);
    op_init(&compaction->commit, gw->loop, compaction_on_commit, 0);
    store_commit(batch, &compaction->commit);
}

static void compaction_on_summary(void *arg, int result, const char *text,
                                  const struct model_usage *usage, const struct fault *fault)
{
    struct compaction *compaction = arg;
    struct session *session = session_find(compaction->gw, compaction->session_key);

    CHECK(compaction, COMPACTION_MAGIC);
    compaction->summary = NULL;
    compaction->usage = *usage;
    compaction->fault = *fault;
    if (result == 0 && (!session || strcmp(session->session_id, compaction->session_id) != 0))
        result = fault_set(&compaction->fault, -ERR_CONFLICT,
                           "the session was renewed or deleted meanwhile");
    if (result < 0) {
        log_warn("session %s could not be summarised: %s", compaction->session_key,
                 compaction->fault.text);
        compaction_end(compaction, result);
        return;
    }
    compaction->text = mem_string(text);
    prompt_replace(compaction->prompt, compaction->cut, text);
    if (compaction->through > 0)
        compaction_store(compaction, session);
    else
        compaction_end(compaction, 0);
}

/* ---- 3. on disk ---- */

static void compaction_on_commit(struct op *op, int result)
{
    struct compaction *compaction = CONTAINER(op, struct compaction, commit);

    CHECK(compaction, COMPACTION_MAGIC);
    if (result < 0)
        fault_set(&compaction->fault, result, "the summary could not be stored: %s",
                  op->fault.text[0] ? op->fault.text : err_text(result));
    else
        log_info("session %s: messages up to %lld are summarised, about %zu tokens became %zu",
                 compaction->session_key, (long long)compaction->through, compaction->before,
                 compaction->prompt->tokens);
    compaction_end(compaction, result);
}
