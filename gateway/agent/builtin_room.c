/* Room in the model's window, before each request of the built-in agent: old tool results are shortened,
 * then the older part of the conversation is summarised, and where that cannot be, left out. */
#include "gateway/agent/builtin.h"

#include "gateway/agent/summary.h"
#include "gateway/config/config.h"

#define FRESH_ITEMS 6 /* newest messages whose results stay whole */

static void room_on_compacted(void *arg, int result, const struct compaction_result *out,
                              const struct fault *fault);

/* Tokens there are for messages. After a refusal the model's window is smaller than we were told. */
static size_t room_of(const struct agent_run *run)
{
    size_t room = budget_room(&run->budget);

    if (run->overflowed && room > run->fixed + run->prompt.tokens)
        room = run->fixed + run->prompt.tokens;
    if (run->overflowed)
        room = room / 4 * 3;
    return room > run->fixed + room / 4 ? room - run->fixed : room / 4;
}

static bool room_tell(struct agent_run *run, const char *data)
{
    return builtin_tell_stream(run, "compaction", data);
}

/* The oldest messages are not shown; the transcript has them. */
static void room_leave_out(struct agent_run *run)
{
    size_t cut = prompt_cut(&run->prompt, room_of(run) / 4 * 3);

    if (cut > 0)
        prompt_replace(&run->prompt, cut, NULL);
    run->made_room = true;
}

static bool room_compact(struct agent_run *run)
{
    if (!room_tell(run, "{\"phase\":\"start\"}"))
        return true;
    run->made_room = true;
    run->compaction = compaction_start(run->gw,
                                       &(struct compaction_request){
                                           .session_key = run->session_key,
                                           .session_id = run->session_id,
                                           .agent_id = run->agent_id,
                                           .model = &run->model,
                                           .model_chosen = run->model_chosen,
                                           .prompt = &run->prompt,
                                           .keep = compaction_keep(run->gw, room_of(run)),
                                           .timeout_ms = builtin_left(run),
                                       },
                                       room_on_compacted, run);
    return true;
}

bool builtin_can_shrink(const struct agent_run *run)
{
    return prompt_cut(&run->prompt, compaction_keep(run->gw, room_of(run))) > 0;
}

bool builtin_make_room(struct agent_run *run)
{
    size_t room = room_of(run);

    if (run->made_room || (!run->overflowed && run->prompt.tokens <= room))
        return false;
    prompt_shorten(&run->prompt, room, FRESH_ITEMS);
    if (run->prompt.tokens <= room)
        return false;
    if (run->overflowed ||
        (builtin_can_shrink(run) && config_bool(run->gw->config, KNOB_compaction_enabled)))
        return room_compact(run);
    room_leave_out(run);
    return false;
}

/* The model said no, and there is no summary to try it with. */
static void room_fail(struct agent_run *run, const struct fault *why)
{
    struct fault fault = {0};

    fault_set(&fault, -ERR_TOO_LARGE,
              "the conversation no longer fits %.100s/%.100s, and it could not be summarised: "
              "%.200s. Nothing is lost: try again, choose a model with a larger window, or begin "
              "anew with /new",
              run->model.provider, run->model.model, why->text);
    builtin_fail(run, -ERR_TOO_LARGE, MODEL_ERROR_CONTEXT, &fault);
}

static void room_on_compacted(void *arg, int result, const struct compaction_result *out,
                              const struct fault *fault)
{
    struct agent_run *run = arg;
    struct fault why = *fault;

    CHECK(run, BUILTIN_MAGIC);
    run->compaction = NULL;
    summary_add_usage(&run->usage, &out->usage);
    if (!room_tell(run, result == 0
                            ? "{\"phase\":\"end\",\"willRetry\":true,\"completed\":true}"
                            : "{\"phase\":\"end\",\"willRetry\":false,\"completed\":false}"))
        return;
    if (result < 0 && run->overflowed) {
        room_fail(run, &why);
        return;
    }
    if (result < 0)
        room_leave_out(run);
    builtin_next(run);
}
