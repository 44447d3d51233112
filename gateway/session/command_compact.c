/* /compact: the session's older part is summarised by the model while its turn has the lane. The work
 * belongs to the turn; it is gone with done() or with the stop. */
#include "gateway/session/command.h"

#include "base/mem.h"
#include "gateway/agent/compact.h"
#include "gateway/gateway.h"

struct command_work {
    struct compact *compact; /* NULL: it was refused */
    struct gateway *gw;
    struct defer refused;
    struct fault fault;
    command_done_fn *done;
    void *arg;
};

static void work_end(struct command_work *work, const char *text)
{
    command_done_fn *done = work->done;
    void *arg = work->arg;

    defer_stop(work->gw->loop, &work->refused);
    mem_free(work);
    done(arg, text);
}

static void work_on_compacted(void *arg, int result, const struct compaction_result *out,
                              const struct fault *fault)
{
    struct command_work *work = arg;
    CLEAN(mem_free) char *text = NULL;

    if (result == -ERR_NOT_FOUND)
        text = mem_string("Nothing is old enough to be summarised.");
    else if (result < 0)
        text = mem_format("Not summarised: %s", fault->text);
    else
        text = mem_format("Summarised: about %zu tokens are %zu now. The transcript keeps every "
                          "message.",
                          out->tokens_before, out->tokens_after);
    work_end(work, text);
}

static void work_on_refused(void *arg)
{
    struct command_work *work = arg;
    CLEAN(mem_free) char *text = mem_format("Not summarised: %s", work->fault.text);

    work_end(work, text);
}

struct command_work *command_compact(struct gateway *gw, struct session *session,
                                     const char *argument, command_done_fn *done, void *arg)
{
    struct command_work *work = NEW(struct command_work);

    work->gw = gw;
    work->done = done;
    work->arg = arg;
    work->compact = compact_in_turn(gw, session->key, *argument ? argument : NULL,
                                    work_on_compacted, work, &work->fault);
    if (!work->compact)
        defer_start(gw->loop, &work->refused, work_on_refused, work);
    return work;
}

void command_stop_work(struct command_work *work)
{
    defer_stop(work->gw->loop, &work->refused);
    compact_drop(work->compact);
    mem_free(work);
}
