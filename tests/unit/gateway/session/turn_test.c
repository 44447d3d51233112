/* Turns through the wire with a scripted model: order, cap, throttle, ends, stops. design.md section 8,
 * protocol.md section 6. */
#include "tests/unit/gateway/session/script_model.h"

#include "gateway/session/turn.h"

T(a_turn_from_send_to_final)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    t_json(chat_send(p, "main", "hello", "k1"),
           "{'ok':true,'payload':{'runId':'k1','status':'started'}}");
    t_ok(script_wait(rig, 0));
    t_has(script_runs[0].messages, "\"content\":\"hello\"");
    t_has(script_runs[0].system, "Assistant");
    script_say(0, "Hi");
    t_json(peer_event(p, "agent"),
           "{'payload':{'runId':'k1','seq':1,'stream':'lifecycle','data':{'phase':'start'},"
           "'sessionKey':'agent:main:main','agentId':'main'}}");
    t_json(peer_event(p, "agent"),
           "{'payload':{'seq':2,'stream':'assistant','data':{'text':'Hi','delta':'Hi'}}}");
    t_json(peer_event(p, "chat"), "{'payload':{'runId':'k1','sessionKey':'agent:main:main','seq':2,"
                                  "'state':'delta','deltaText':'Hi','message':"
                                  "{'role':'assistant','content':[{'type':'text','text':'Hi'}]}}}");
    script_end(0);
    t_json(peer_event(p, "agent"),
           "{'payload':{'seq':3,'stream':'lifecycle','data':{'phase':'end','aborted':false}}}");
    t_json(peer_event(p, "chat"), "{'payload':{'runId':'k1','seq':3,'state':'final','stopReason':'"
                                  "stop','message':{'content':[{'text':'Hi'}]},"
                                  "'usage':{'input':10,'output':5,'totalTokens':15}}}");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'messages':[{'role':'user','content':'hello','__openclaw':{'seq':1,'runId':"
           "'k1'}},"
           "{'role':'assistant','provider':'echo','model':'echo','stopReason':'stop','__openclaw':{"
           "'seq':2}}],"
           "'hasMore':false,'totalMessages':2,'pendingInputs':{'total':0},'sessionInfo':{'"
           "hasActiveRun':false,"
           "'status':'done','totalTokens':15}}}");
    rig_free(rig);
}

T(v3_hears_the_key_its_caller_gave)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 3, SCOPES);
    struct peer *p4 = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "Main", "hello", "k1");
    t_ok(script_wait(rig, 0));
    script_say(0, "Hi");
    script_end(0);
    t_json(chat_next(p, "final"), "{'payload':{'sessionKey':'Main','state':'final'}}");
    t_json(chat_next(p4, "final"), "{'payload':{'sessionKey':'agent:main:main','state':'final'}}");
    rig_free(rig);
}

T(deltas_leave_at_most_every_150_ms)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "main", "go", "k1");
    t_ok(script_wait(rig, 0));
    script_say(0, "a");
    t_json(chat_next(p, "delta"), "{'payload':{'deltaText':'a'}}");
    script_say(0, "b");
    rig_advance(rig, 100);
    script_say(0, "c");
    t_eq(strlen(chat_next(p, "delta")), 0); /* 100 ms after the first */
    rig_advance(rig, 49);
    t_eq(strlen(chat_next(p, "delta")), 0);
    rig_advance(rig, 1);
    t_json(chat_next(p, "delta"),
           "{'payload':{'deltaText':'bc','message':{'content':[{'text':'abc'}]}}}");
    rig_advance(rig, 400);
    script_say(0, "d"); /* silence before: at once */
    t_json(chat_next(p, "delta"),
           "{'payload':{'deltaText':'d','message':{'content':[{'text':'abcd'}]}}}");
    script_say(0, "e");
    script_end(0);
    t_json(chat_next(p, "final"), "{'payload':{'message':{'content':[{'text':'abcde'}]}}}");
    rig_free(rig);
}

T(a_stop_keeps_what_was_said)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "main", "go", "k1");
    t_ok(script_wait(rig, 0));
    script_say(0, "half an ans");
    t_json(peer_call(p, "chat.abort", "{'sessionKey':'other','runId':'k1'}"),
           "{'ok':false,'error':{'code':'INVALID_REQUEST','message':'runId does not match "
           "sessionKey'}}");
    t_json(peer_call(p, "chat.abort", "{'sessionKey':'main','runId':'k1'}"),
           "{'payload':{'ok':true,'aborted':true,'runIds':['k1']}}");
    t_ok(script_runs[0].run == NULL); /* the model was told */
    t_json(chat_next(p, "aborted"), "{'payload':{'runId':'k1','stopReason':'rpc','message':{'"
                                    "content':[{'text':'half an ans'}]}}}");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'messages':[{'role':'user'},{'role':'assistant','stopReason':'aborted','"
           "content':[{'text':"
           "'half an "
           "ans'}],'openclawAbort':{'aborted':true,'origin':'rpc'}}],'sessionInfo':{'"
           "abortedLastRun':true}}}");
    t_json(peer_call(p, "chat.abort", "{'sessionKey':'main'}"),
           "{'payload':{'aborted':false,'runIds':[]}}");
    t_json(chat_send(p, "main", "go", "k1"), "{'ok':true,'payload':{'runId':'k1','status':'timeout'"
                                             ",'summary':'aborted','stopReason':'rpc'}}");
    t_eq(turn_count(rig->gw), 0);
    t_eq(strlen(chat_next(p, "aborted")), 0); /* one end */
    rig_free(rig);
}

T(stop_words)
{
    static const char *const words[] = {"/stop", "stop", " Abort ", "esc"};
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    for (int i = 0; i < (int)COUNT(words); i++) {
        char run[16];

        snprintf(run, sizeof(run), "r%d", i);
        chat_send(p, "main", "go", run);
        t_ok(script_wait(rig, i));
        t_json(chat_send(p, "main", words[i], "x"),
               "{'payload':{'ok':true,'aborted':true,'runIds':['*']}}");
        t_json(chat_next(p, "aborted"), "{'payload':{'stopReason':'stop'}}");
    }
    t_json(chat_send(p, "main", "stop", "y"),
           "{'payload':{'ok':true,'aborted':false,'runIds':[]}}");
    rig_free(rig);
}

T(turns_of_a_session_are_serial_and_see_one_another)
{
    struct rig *rig = rig_new("{messages:{queue:{mode:'followup'}}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "main", "one", "k1");
    chat_send(p, "main", "two", "k2");
    chat_send(p, "main", "three", "k3");
    t_ok(script_wait(rig, 0));
    rig_advance(rig, 1000);
    t_eq(script_count, 1); /* the others wait */
    t_ok(!strstr(script_runs[0].messages, "two"));
    t_json(chat_send(p, "main", "two", "k2"), "{'payload':{'runId':'k2','status':'in_flight'}}");
    script_say(0, "ONE");
    script_end(0);
    t_ok(script_wait(rig, 1));
    /* The question stands before its answer although it came after the next question. */
    t_json(script_runs[1].messages,
           "[{'content':'one'},{'content':[{'text':'ONE'}]},{'content':'two'}]");
    t_json(peer_call(p, "chat.abort", "{'sessionKey':'main','runId':'k3'}"),
           "{'payload':{'runIds':['k3']}}");
    t_json(chat_next(p, "aborted"), "{'payload':{'runId':'k3'}}");
    script_end(1);
    t_json(chat_next(p, "final"), "{'payload':{'runId':'k2'}}");
    rig_advance(rig, 1000);
    t_eq(script_count, 2);
    rig_free(rig);
}

T(lanes_run_side_by_side_under_the_cap)
{
    struct rig *rig = rig_new("{agents:{defaults:{maxConcurrent:2}}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "a", "hi", "ka");
    chat_send(p, "b", "hi", "kb");
    chat_send(p, "c", "hi", "kc");
    t_ok(script_wait(rig, 1));
    rig_advance(rig, 1000);
    t_eq(script_count, 2);
    t_eq(turn_count(rig->gw), 2);
    script_end(1);
    t_ok(script_wait(rig, 2));
    t_eq(turn_count(rig->gw), 2);
    t_json(
        peer_call(p, "sessions.describe", "{'key':'c'}"),
        "{'payload':{'session':{'hasActiveRun':true,'activeRunIds':['kc'],'status':'running'}}}");
    rig_free(rig); /* two still run: they are interrupted */
}

T(a_full_lane_refuses_and_recovers)
{
    struct rig *rig = rig_new("{messages:{queue:{mode:'followup',cap:64,drop:'new'}}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);
    char run[16];

    script_reset();
    for (int i = 0; i <= TURN_QUEUE_MAX; i++) {
        snprintf(run, sizeof(run), "k%d", i);
        t_has(chat_send(p, "main", "hi", run), "started");
    }
    t_json(chat_send(p, "main", "hi", "one-more"),
           "{'ok':false,'error':{'code':'UNAVAILABLE','retryable':true}}");
    t_has(chat_send(p, "main", "stop", "x"), "\"aborted\":true");
    t_json(chat_next(p, "aborted"), "{'payload':{'runId':'k0'}}");
    rig_advance(rig, 1000);
    t_has(chat_send(p, "main", "hi", "one-more"), "started");
    rig_free(rig);
}

T(a_turn_that_takes_too_long_is_stopped)
{
    struct rig *rig = rig_new("{agents:{defaults:{timeoutSeconds:60}}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "main", "go", "k1");
    t_ok(script_wait(rig, 0));
    script_say(0, "so far");
    rig_advance(rig, 59000);
    t_eq(strlen(chat_next(p, "aborted")), 0);
    rig_advance(rig, 1001);
    t_json(chat_next(p, "aborted"),
           "{'payload':{'stopReason':'timeout','message':{'content':[{'text':'so far'}]}}}");
    t_json(peer_call(p, "chat.send",
                     "{'sessionKey':'main','message':'go','idempotencyKey':'k2','timeoutMs':2000}"),
           "{'ok':true}");
    t_ok(script_wait(rig, 1));
    rig_advance(rig, 2001);
    t_json(chat_next(p, "aborted"), "{'payload':{'runId':'k2','stopReason':'timeout'}}");
    rig_free(rig);
}

T(a_failing_model_says_why)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "main", "go", "k1");
    t_ok(script_wait(rig, 0));
    script_fail(0, MODEL_ERROR_CONTEXT, "the prompt is too long");
    t_json(chat_next(p, "error"), "{'payload':{'runId':'k1','errorMessage':'the prompt is too "
                                  "long','errorKind':'context_length'}}");
    t_json(chat_send(p, "main", "go", "k1"), "{'ok':false,'payload':{'runId':'k1','status':'error',"
                                             "'summary':'the prompt is too long'},'error':{'code':"
                                             "'UNAVAILABLE','message':'the prompt is too long'}}");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'messages':[{'role':'user'},{'stopReason':'error','errorMessage':'the "
           "prompt is too long'}]}}");
    rig_free(rig);
}

T(new_starts_the_session_anew)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "main", "old words", "k1");
    t_ok(script_wait(rig, 0));
    chat_send(p, "main", "/new", "k2");
    chat_send(p, "main", "behind", "k3");
    script_say(0, "old answer");
    script_end(0);
    t_json(chat_next(p, "final"), "{'payload':{'runId':'k1'}}");
    t_json(chat_next(p, "final"),
           "{'payload':{'runId':'k2','message':{'content':[{'text':'New session started.'}]}}}");
    t_ok(script_wait(rig, 1));
    t_json(script_runs[1].messages, "[{'content':'behind'}]"); /* it belongs to the new session */
    t_ok(!strstr(script_runs[1].messages, "old"));
    script_end(1);
    t_json(chat_next(p, "final"), "{'payload':{'runId':'k3'}}");
    chat_send(p, "main", "/reset fresh start", "k4");
    t_ok(script_wait(rig, 2));
    t_json(script_runs[2].messages, "[{'content':'fresh start'}]");
    script_end(2);
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'totalMessages':1,'messages':[{'content':'fresh "
           "start','__openclaw':{'seq':1}}]}}");
    t_json(chat_send(p, "main", "/new", "k2"), "{'payload':{'status':'ok'}}"); /* not again */
    rig_free(rig);
}

T(status_and_help_answer_without_a_model)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "main", "/status", "k1");
    t_has(chat_next(p, "final"), "Model echo/echo");
    chat_send(p, "main", "/help", "k2");
    t_has(chat_next(p, "final"), "/new");
    t_eq(script_count, 0);
    rig_free(rig);
}
