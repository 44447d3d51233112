/* sessions.compact with the model: alone in its lane, told to everybody, nothing lost when it fails. */
#include "tests/unit/gateway/agent/kit.h"

#define SCOPES "operator.admin operator.read operator.write"

static void inject(struct peer *p, int count)
{
    peer_call(p, "sessions.create", "{'key':'main'}");
    for (int i = 0; i < count; i++) {
        CLEAN(mem_free)
        char *params = mem_format("{'sessionKey':'main','message':'message %d of a long talk'}", i);

        t_has(peer_call(p, "chat.inject", params), "\"ok\":true");
    }
}

static bool has_asked(void *arg)
{
    return kit_has_asked(arg);
}

static void wait_asked(struct rig *rig, int number)
{
    t_ok(rig_until(rig, has_asked, &number));
}

static const char *history(struct peer *p)
{
    return peer_call(p, "chat.history", "{'sessionKey':'main'}");
}

/* Begins a summary; its answer is to come. */
static void begin(struct peer *p, const char *id)
{
    peer_send(p,
              "{'type':'req','id':'%s','method':'sessions.compact','params':{'key':'main',"
              "'instructions':'the numbers'}}",
              id);
}

T(a_summary_replaces_nothing_in_the_transcript)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    kit_reset();
    inject(p, 6);
    peer_call(p, "sessions.subscribe", "{}");
    begin(p, "x1");
    wait_asked(rig, 0);
    t_has(asked_messages(0), "message 0 of");
    t_has(asked_messages(0), "the numbers");
    t_ok(!strstr(asked_messages(0), "message 5 of"));
    say(0, "They counted to five.");
    done(0);
    t_json(peer_response(p, "x1"),
           "{'ok':true,'payload':{'ok':true,'key':'agent:main:main','compacted':true,'result':{"
           "'summary':'They counted to five.','firstKeptSeq':'*','tokensBefore':'*','tokensAfter':"
           "'*','entryId':'*'}}}");
    t_json(history(p),
           "{'payload':{'totalMessages':7,'messages':['*','*','*','*','*','*',{'role':"
           "'system','content':[{'text':'Compaction'}],'__openclaw':{'kind':'compaction',"
           "'seq':7}}]}}");
    t_eq(session_number(session_find(rig->gw, "agent:main:main"), "compactionCount", 0), 1);

    /* The next turn begins with it. */
    peer_call(p, "chat.send", "{'sessionKey':'main','message':'go on','idempotencyKey':'k1'}");
    wait_asked(rig, 1);
    t_has(asked_messages(1), "They counted to five.");
    t_ok(!strstr(asked_messages(1), "message 0 of"));
    t_has(asked_messages(1), "message 5 of");
    t_has(asked_messages(1), "go on");
    rig_free(rig);
    kit_reset();
}

T(watchers_hear_of_it)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES), *w = peer_connect(rig, 4, "operator.read");

    kit_reset();
    inject(p, 6);
    peer_call(w, "sessions.subscribe", "{}");
    begin(p, "x1");
    t_json(peer_event(w, "session.operation"),
           "{'payload':{'operation':'compact','phase':'start','sessionKey':'agent:main:main'}}");
    t_json(peer_event(w, "agent"),
           "{'payload':{'stream':'compaction','data':{'phase':'start'},'sessionKey':"
           "'agent:main:main'}}");
    wait_asked(rig, 0);
    say(0, "Short.");
    done(0);
    t_json(peer_event(w, "agent"),
           "{'payload':{'stream':'compaction','data':{'phase':'end','completed':true}}}");
    t_json(peer_event(w, "session.operation"),
           "{'payload':{'operation':'compact','phase':'end','completed':true}}");
    rig_free(rig);
    kit_reset();
}

T(a_message_waits_for_the_summary)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    kit_reset();
    inject(p, 6);
    begin(p, "x1");
    wait_asked(rig, 0);
    t_json(
        peer_call(p, "chat.send", "{'sessionKey':'main','message':'go on','idempotencyKey':'k'}"),
        "{'payload':{'status':'started'}}");
    rig_advance(rig, 1000);
    t_eq(asked_count, 1);
    peer_send(p, "{'type':'req','id':'x2','method':'sessions.compact','params':{'key':'main'}}");
    t_json(peer_response(p, "x2"), "{'ok':false,'error':{'code':'INVALID_REQUEST'}}");
    say(0, "Short.");
    done(0);
    t_json(peer_response(p, "x1"), "{'payload':{'compacted':true}}");
    wait_asked(rig, 1);
    t_has(asked_messages(1), "Short.");
    say(1, "On.");
    done(1);
    rig_advance(rig, 200);
    t_json(peer_call(p, "agent.wait", "{'runId':'k','timeoutMs':5000}"),
           "{'payload':{'status':'ok'}}");
    t_has(history(p), "On.");
    rig_free(rig);
    kit_reset();
}

T(a_running_turn_is_not_disturbed_by_v4_and_stopped_by_v3)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES), *p3 = peer_connect(rig, 3, SCOPES);

    kit_reset();
    inject(p, 6);
    peer_call(p, "chat.send", "{'sessionKey':'main','message':'go','idempotencyKey':'k'}");
    wait_asked(rig, 0);
    t_json(
        peer_call(p, "sessions.compact", "{'key':'main'}"),
        "{'ok':false,'error':{'code':'INVALID_REQUEST','message':'Session agent:main:main has an "
        "active run; retry after it finishes.'}}");
    t_ok(asked[0].run != NULL);
    begin(p3, "x3");
    wait_asked(rig, 1);
    t_ok(asked[0].run == NULL);
    say(1, "Short.");
    done(1);
    t_json(peer_response(p3, "x3"), "{'payload':{'compacted':true}}");
    rig_free(rig);
    kit_reset();
}

T(a_model_that_fails_changes_nothing)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    kit_reset();
    inject(p, 6);
    begin(p, "x1");
    wait_asked(rig, 0);
    fail(0, MODEL_ERROR_AUTH, "the key was refused");
    const char *answer = peer_response(p, "x1");
    t_json(answer, "{'ok':false,'error':{'code':'UNAVAILABLE'}}");
    t_has(answer, "the key was refused");
    t_has(answer, "as they were");
    t_json(history(p), "{'payload':{'totalMessages':6}}");
    peer_call(p, "chat.send", "{'sessionKey':'main','message':'go','idempotencyKey':'k'}");
    wait_asked(rig, 1); /* the lane is free again */
    t_has(asked_messages(1), "message 0 of");
    rig_free(rig);
    kit_reset();
}

T(stop_ends_a_summary)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    kit_reset();
    inject(p, 6);
    begin(p, "x1");
    wait_asked(rig, 0);
    peer_send(p, "{'type':'req','id':'x9','method':'chat.abort','params':{'sessionKey':'main'}}");
    t_json(peer_response(p, "x1"), "{'ok':false,'error':{'code':'UNAVAILABLE'}}");
    t_json(peer_response(p, "x9"), "{'ok':true,'payload':{'ok':true,'aborted':true}}");
    t_ok(asked[0].run == NULL);
    t_json(history(p), "{'payload':{'totalMessages':6}}");

    begin(p, "x2"); /* reset and delete stop it too */
    wait_asked(rig, 1);
    t_json(peer_call(p, "sessions.reset", "{'key':'main'}"), "{'payload':{'ok':true}}");
    t_ok(asked[1].run == NULL);
    rig_free(rig);
    kit_reset();
}

T(the_gateway_may_go_during_a_summary)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    kit_reset();
    inject(p, 6);
    begin(p, "x1");
    wait_asked(rig, 0);
    rig_free(rig);
    kit_reset();
}

T(what_cannot_be_summarised)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    kit_reset();
    t_json(peer_call(p, "sessions.compact", "{'key':'main'}"),
           "{'payload':{'ok':true,'compacted':false,'reason':'no sessionId'}}");
    inject(p, 1);
    t_json(peer_call(p, "sessions.compact", "{'key':'main'}"),
           "{'payload':{'ok':false,'compacted':false,'reason':'*'}}");
    t_eq(asked_count, 0);
    rig_free(rig);
    kit_reset();
}

static const char *chat_of(struct peer *p, const char *state)
{
    const char *text;

    do
        text = peer_event(p, "chat");
    while (text[0] && !strstr(text, state));
    return text;
}

T(by_command_in_its_turn)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    kit_reset();
    peer_call(p, "chat.send", "{'sessionKey':'main','message':'/compact','idempotencyKey':'k0'}");
    t_has(chat_of(p, "final"), "nothing was said");
    inject(p, 6);
    peer_call(p, "chat.send",
              "{'sessionKey':'main','message':'/compact the numbers','idempotencyKey':'k1'}");
    wait_asked(rig, 0);
    t_has(asked_messages(0), "the numbers");
    peer_call(p, "chat.send", "{'sessionKey':'main','message':'and then','idempotencyKey':'k2'}");
    say(0, "They counted to five.");
    done(0);
    t_has(chat_of(p, "\"runId\":\"k1\""), "Summarised");
    wait_asked(rig, 1); /* what came meanwhile waited */
    t_has(asked_messages(1), "They counted to five.");
    t_has(asked_messages(1), "and then");
    done(1);
    t_has(chat_of(p, "final"), "k2");
    peer_call(p, "chat.send", "{'sessionKey':'main','message':'/compact','idempotencyKey':'k3'}");
    wait_asked(rig, 2);
    t_has(peer_call(p, "chat.abort", "{'sessionKey':'main'}"), "k3");
    t_has(chat_of(p, "aborted"), "k3");
    peer_call(p, "chat.send", "{'sessionKey':'main','message':'/compact','idempotencyKey':'k4'}");
    rig_free(rig); /* in the middle */
    kit_reset();
}
