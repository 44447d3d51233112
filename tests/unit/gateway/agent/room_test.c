/* Room in the model's window: summaries before a request, after a refusal, and what happens without one. */
#include "tests/unit/gateway/agent/kit.h"

/* A window of 8,000 tokens: about 6,000 for the prompt. */
#define SMALL                                                                                      \
    "tools:{" KIT_TOOLS                                                                            \
    "},models:{providers:{echo:{api:'echo',models:[{id:'echo',contextWindow:8000}]}}}"

static char *words(size_t bytes)
{
    char *text = mem_new(bytes + 1);

    memset(text, 'w', bytes);
    return text;
}

/* A conversation of so many questions and answers of 4,000 bytes (1,000 tokens) each. */
static void fill(struct agent_rig *ar, int turns)
{
    CLEAN(mem_free) char *text = words(4000);

    for (int i = 0; i < turns; i++) {
        CLEAN(mem_free) char *run = mem_format("r%d", i);
        CLEAN(mem_free) char *question = mem_format("question %d %s", i, text);
        CLEAN(mem_free)
        char *answer = mem_format("{'role':'assistant','content':[{'type':'text','text':'answer %d "
                                  "%s'}],'timestamp':1}",
                                  i, text);

        agent_rig_say(ar, run, question);
        agent_rig_put(ar, "assistant", run, answer);
    }
}

static struct agent_rig *full(const char *config)
{
    struct agent_rig *ar = kit_new(config);

    fill(ar, 5);
    return ar;
}

/* Answers the requests for notes from that one on, until another one comes: its number. */
static int write_notes(struct agent_rig *ar, int number, const char *text)
{
    for (until_asked(ar, number); strstr(asked[number].system, "You keep the notes");
         until_asked(ar, number)) {
        t_ok(!strstr(asked_messages(number), "And now?"));
        say(number, text);
        done_with(number++, "stop", 4000);
    }
    return number;
}

T(what_fits_is_shown_whole)
{
    struct agent_rig *ar = kit_new("{" SMALL "}");

    fill(ar, 2);
    agent_rig_start(ar, "And now?");
    until_asked(ar, 0);
    t_eq(json_count(asked[0].messages), 5);
    done(0);
    until_ended(ar);
    kit_free(ar);
}

T(a_conversation_too_long_is_summarised_first)
{
    struct agent_rig *ar = full("{" SMALL "}");
    struct session *session = ar->session;
    int next;

    agent_rig_start(ar, "And now?");
    until_asked(ar, 0);
    t_has(asked[0].system, "notes");
    t_eq(json_count(asked[0].tools), 0);
    t_eq(json_count(asked[0].messages), 1);
    t_has(asked_messages(0), "question 0");
    t_json(streams_of(ar, "compaction"), "[{'phase':'start'}]");
    next = write_notes(ar, 0, "They counted.");
    t_json(streams_of(ar, "compaction"),
           "[{'phase':'start'},{'phase':'end','willRetry':true,'completed':true}]");
    t_has(asked_messages(next), "They counted.");
    t_has(asked_messages(next), "question 4");
    t_has(asked_messages(next), "And now?");
    t_ok(!strstr(asked_messages(next), "question 0"));
    t_eq(ar->deltas, 0); /* the summary is nobody's answer */
    say(next, "Now.");
    done(next);
    until_ended(ar);
    t_eq(ar->usage.input, 4000 * next + 10);
    t_eq(session_number(session, "compactionCount", 0), 1);

    /* The transcript keeps everything; the next run begins with the summary. */
    t_eq(session->message_count, 12);
    agent_rig_start(ar, "Again?");
    until_asked(ar, ++next);
    t_has(asked_messages(next), "They counted.");
    t_ok(!strstr(asked_messages(next), "question 0"));
    t_has(asked_messages(next), "question 4");
    done(next);
    until_ended(ar);
    t_eq(asked_count, next + 1);
    kit_free(ar);
}

/* Where it cannot be summarised the newest messages are shown; nothing is lost. */
T(without_a_summary_the_newest_are_shown)
{
    struct agent_rig *ar = full("{" SMALL "}");

    agent_rig_start(ar, "And now?");
    until_asked(ar, 0);
    fail(0, MODEL_ERROR_AUTH, "the key was refused");
    until_asked(ar, 1);
    t_json(streams_of(ar, "compaction"),
           "[{'phase':'start'},{'phase':'end','willRetry':false,'completed':false}]");
    t_has(asked_messages(1), "left out here");
    t_has(asked_messages(1), "question 4");
    t_has(asked_messages(1), "And now?");
    t_ok(!strstr(asked_messages(1), "question 0"));
    done(1);
    until_ended(ar);
    t_eq(ar->result, 0);
    t_eq(session_number(ar->session, "compactionCount", 0), 0);
    kit_free(ar);
}

T(an_empty_summary_is_none)
{
    struct agent_rig *ar = full("{" SMALL "}");

    agent_rig_start(ar, "And now?");
    until_asked(ar, 0);
    say(0, " \n ");
    done(0);
    until_asked(ar, 1);
    t_has(asked_messages(1), "left out here");
    done(1);
    until_ended(ar);
    kit_free(ar);
}

T(turned_off_the_newest_are_shown)
{
    struct agent_rig *ar = full("{agents:{defaults:{compaction:{enabled:false}}}," SMALL "}");

    agent_rig_start(ar, "And now?");
    until_asked(ar, 0);
    t_has(asked_messages(0), "left out here");
    t_has(asked_messages(0), "And now?");
    t_eq(json_count(ar->streams), 0);
    done(0);
    until_ended(ar);
    kit_free(ar);
}

/* The model's window is smaller than anybody said. */
T(refused_as_too_long_it_is_summarised_once_and_asked_again)
{
    struct agent_rig *ar = full(NULL);

    agent_rig_start(ar, "And now?");
    until_asked(ar, 0);
    t_eq(json_count(asked[0].messages), 11);
    fail(0, MODEL_ERROR_CONTEXT, "too many tokens");
    until_asked(ar, 1);
    t_has(asked[1].system, "notes");
    t_eq(write_notes(ar, 1, "They counted."), 2);
    t_has(asked_messages(2), "They counted.");
    t_has(asked_messages(2), "And now?");
    t_ok(json_count(asked[2].messages) < 11);
    fail(2, MODEL_ERROR_CONTEXT, "still too many tokens"); /* no second time */
    until_ended(ar);
    t_ok(ar->result < 0);
    t_eq(ar->error_kind, MODEL_ERROR_CONTEXT);
    t_has(ar->fault.text, "still too many tokens");
    t_eq(asked_count, 3);
    kit_free(ar);
}

T(refused_and_not_summarised_it_ends_with_a_clear_error)
{
    struct agent_rig *ar = full(NULL);
    int64_t before;

    agent_rig_start(ar, "And now?");
    before = ar->session->message_count;
    until_asked(ar, 0);
    fail(0, MODEL_ERROR_CONTEXT, "too many tokens");
    until_asked(ar, 1);
    fail(1, MODEL_ERROR_UNKNOWN, "the server is down");
    until_ended(ar);
    t_ok(ar->result < 0);
    t_eq(ar->error_kind, MODEL_ERROR_CONTEXT);
    t_has(ar->fault.text, "the server is down");
    t_has(ar->fault.text, "Nothing is lost");
    t_eq(ar->session->message_count, before);
    kit_free(ar);
}

/* Results of tools fill the window in the middle of a run: old ones are shortened first. */
T(old_results_are_shortened_in_a_long_run)
{
    struct agent_rig *ar = kit_new("{" SMALL "}");
    CLEAN(mem_free) char *text = words(5000);

    agent_rig_start(ar, "go");
    for (int i = 0; i < 5; i++) {
        CLEAN(mem_free) char *id = mem_format("c%d", i);

        until_asked(ar, i);
        call_tool(i, id, "look", "{}");
        done_with(i, "stop", 0);
        until_begun(ar, i);
        text[0] = (char)('0' + i);
        answer_tool(i, text);
    }
    until_asked(ar, 5);
    t_eq(json_count(ar->streams), 10); /* tools only */
    t_eq(json_count(asked[5].messages), 11);
    t_has(agent_rig_print(json_at(asked[5].messages, 2)), "left out here");
    t_ok(!strstr(agent_rig_print(json_at(asked[5].messages, 10)), "left out here"));
    done(5);
    until_ended(ar);
    kit_free(ar);
}

/* What a long run has done is summarised when even that is too much; the question stays. */
T(a_long_run_is_summarised_in_the_middle)
{
    struct agent_rig *ar =
        kit_new("{agents:{defaults:{compaction:{keepRecentTokens:256}}}," SMALL "}");
    CLEAN(mem_free) char *text = words(3500);
    int i;

    agent_rig_start(ar, "The question.");
    for (i = 0; i < 20; i++) {
        CLEAN(mem_free) char *id = mem_format("c%d", i);
        CLEAN(mem_free) char *arguments = mem_format("{'text':'%d%s'}", i, text);

        until_asked(ar, i);
        if (strstr(asked[i].system, "notes"))
            break;
        call_tool(i, id, "look", arguments);
        done_with(i, "stop", 0);
        until_begun(ar, i);
        answer_tool(i, "ok");
    }
    t_ok(i < 20);
    i = write_notes(ar, i, "Looked a lot.");
    t_has(asked_messages(i), "Looked a lot.");
    t_has(asked_messages(i), "The question.");
    t_ok(json_count(asked[i].messages) < 8);
    done(i);
    until_ended(ar);
    t_eq(ar->result, 0);
    kit_free(ar);
}

T(cancel_and_drop_during_a_summary)
{
    for (int act = ACT_CANCEL; act <= ACT_DROP; act++) {
        struct agent_rig *ar = full("{" SMALL "}");

        agent_rig_start(ar, "And now?");
        until_asked(ar, 0);
        if (act == ACT_CANCEL)
            ar->kind->cancel(ar->run);
        else
            ar->kind->drop(TAKE(ar->run));
        t_ok(asked[0].run == NULL);
        agent_rig_settle(ar);
        t_eq(ar->ends, act == ACT_CANCEL ? 1 : 0);
        t_eq(asked_count, 1);
        t_eq(session_number(ar->session, "compactionCount", 0), 0);
        kit_free(ar);
    }
}

/* Inside the events of a summary, too. */
T(cancel_and_drop_inside_its_events)
{
    for (int act = ACT_CANCEL; act <= ACT_DROP; act++) {
        struct agent_rig *ar = full("{" SMALL "}");

        ar->act = (enum agent_act)act;
        ar->act_at = "compaction";
        agent_rig_start(ar, "And now?");
        agent_rig_acted(ar);
        t_eq(ar->ends, act == ACT_CANCEL ? 1 : 0);
        t_eq(asked_count, 0);
        kit_free(ar);
    }
}

T(another_model_may_summarise)
{
    struct agent_rig *ar = full("{agents:{defaults:{compaction:{model:'echo/small'}}}," SMALL "}");

    int next;

    agent_rig_start(ar, "And now?");
    until_asked(ar, 0);
    t_str(asked[0].name, "echo/small");
    next = write_notes(ar, 0, "x");
    t_str(asked[next].name, "echo/echo");
    done(next);
    until_ended(ar);
    kit_free(ar);
}

/* Longer than the summarising model's own window: piece by piece, each on top of the notes so far. */
T(a_very_long_conversation_is_summarised_in_pieces)
{
    struct agent_rig *ar = kit_new("{" SMALL "}");
    int i;

    fill(ar, 12);
    agent_rig_start(ar, "And now?");
    until_asked(ar, 0);
    for (i = 0; strstr(asked[i].system, "notes"); i++) {
        CLEAN(mem_free) char *notes = mem_format("Notes %d.", i);
        CLEAN(mem_free) char *before = mem_format("Notes %d.", i - 1);

        t_ok(i < 10);
        if (i > 0)
            t_has(asked_messages(i), before);
        say(i, notes);
        done(i);
        until_asked(ar, i + 1);
    }
    t_ok(i > 3);
    t_ok(!strstr(asked_messages(i), "Notes 0."));
    done(i);
    until_ended(ar);
    t_eq(session_number(ar->session, "compactionCount", 0), 1);
    kit_free(ar);
}

/* The session was renewed while its summary was written: it is not put into the new one. */
T(a_summary_of_a_renewed_session_is_not_kept)
{
    struct agent_rig *ar = full("{" SMALL "}");
    int next;

    agent_rig_start(ar, "And now?");
    until_asked(ar, 0);
    session_renew(ar->rig->gw, ar->session);
    next = write_notes(ar, 0, "They counted.");
    t_has(asked_messages(next), "left out here");
    done(next);
    until_ended(ar);
    t_eq(ar->session->message_count, 0);
    kit_free(ar);
}
