/* agent, agent.wait, agents.list, agent.identity.get. protocol.md 6.1, 4.1. */
#include "tests/unit/gateway/session/script_model.h"

#include "gateway/session/turn.h"
#include "store/store.h"

T(two_answers_with_one_id)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    struct peer *p3 = peer_connect(rig, 3, SCOPES);

    script_reset();
    peer_send(p, "{'type':'req','id':'9','method':'agent','params':{'message':'hi','sessionKey':'x'"
                 ",'timeout':60,"
                 "'idempotencyKey':'a1','extraSystemPrompt':'Speak Latin.'}}");
    t_json(peer_response(p, "9"),
           "{'ok':true,'payload':{'runId':'a1','status':'accepted','acceptedAt':1700000000000,"
           "'sessionKey':'agent:main:x','agentId':'main'}}");
    t_ok(script_wait(rig, 0));
    t_has(script_runs[0].system, "Speak Latin.");
    t_json(peer_call(p, "agent", "{'message':'hi','sessionKey':'x','idempotencyKey':'a1'}"),
           "{'payload':{'runId':'a1','status':'in_flight','sessionKey':'agent:main:x'}}");
    t_json(peer_call(p3, "agent", "{'message':'hi','sessionKey':'x','idempotencyKey':'a1'}"),
           "{'payload':{'runId':'a1','status':'accepted'}}");
    script_say(0, "Salve");
    rig_advance(rig, 500);
    script_end(0);
    t_json(peer_response(p, "9"), "{'ok':true,'payload':{'runId':'a1','status':'ok','summary':'"
                                  "completed','result':{'payloads':[{'text':'Salve',"
                                  "'mediaUrl':null}],'meta':{'durationMs':500,'agentMeta':{'"
                                  "provider':'echo','model':'echo','usage':{'output':5}}}}}}");
    t_json(peer_call(p, "agent", "{'message':'hi','sessionKey':'x','idempotencyKey':'a1'}"),
           "{'ok':true,'payload':{'status':'ok','result':{'payloads':[{'text':'Salve'}]}}}");
    t_eq(script_count, 1);
    rig_free(rig);
}

/* So many runs ago that their outcomes are no longer in memory. */
static void age_outcomes(struct rig *rig, struct peer *p)
{
    struct store_batch *batch = store_batch(rig->gw->store);

    for (int i = 0; i < STORE_IDEMPOTENCY_KEEP; i++) {
        char key[32];
        snprintf(key, sizeof(key), "chat:other-%d", i);
        store_idempotency_put(batch, key, "{}", loop_wall(rig->gw->loop));
    }
    store_commit(batch, NULL);
    t_has(peer_call(p, "sessions.create", "{'key':'after'}"), "\"ok\":true"); /* stored behind it */
}

T(a_key_from_long_ago_is_answered_from_the_disk)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    const char *agent = "{'message':'hi','sessionKey':'x','idempotencyKey':'a1'}";
    const char *chat = "{'message':'hi','sessionKey':'x','idempotencyKey':'c1'}";
    const char *outcome;

    script_reset();
    peer_send(p, "{'type':'req','id':'9','method':'agent','params':{'message':'hi','sessionKey':'x'"
                 ",'idempotencyKey':'a1'}}");
    t_ok(script_wait(rig, 0));
    script_say(0, "Salve");
    script_end(0);
    t_json(peer_response(p, "9"), "{'payload':{'status':'accepted'}}");
    t_json(peer_response(p, "9"), "{'payload':{'status':'ok'}}");
    t_json(peer_call(p, "chat.send", chat), "{'payload':{'status':'started'}}");
    t_ok(script_wait(rig, 1));
    script_end(1);
    rig_advance(rig, 10);
    t_has(peer_call(p, "sessions.create", "{'key':'made','idempotencyKey':'s1'}"), "made");

    age_outcomes(rig, p);
    t_eq(store_idempotency_find(rig->gw->store, "agent:a1", &outcome), STORE_ON_DISK);
    t_json(peer_call(p, "agent.wait", "{'runId':'a1','timeoutMs':0}"),
           "{'payload':{'status':'ok'}}");
    t_json(peer_call(p, "agent", agent),
           "{'ok':true,'payload':{'status':'ok','result':{'payloads':[{'text':'Salve'}]}}}");
    t_json(peer_call(p, "chat.send", chat), "{'ok':true,'payload':{'runId':'c1','status':'ok'}}");
    t_has(peer_call(p, "sessions.create", "{'key':'other','idempotencyKey':'s1'}"), "made");
    t_eq(script_count, 2);
    rig_free(rig);
}

T(an_aborted_run_ends_as_each_version_says)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    struct peer *p3 = peer_connect(rig, 3, SCOPES);

    script_reset();
    peer_send(p, "{'type':'req','id':'9','method':'agent','params':{'message':'hi','sessionKey':'x'"
                 ",'idempotencyKey':'a1'}}");
    t_has(peer_response(p, "9"), "accepted");
    t_ok(script_wait(rig, 0));
    script_say(0, "Part");
    t_json(peer_call(p, "agent", "{'message':'/stop','sessionKey':'x','idempotencyKey':'a2'}"),
           "{'ok':true,'payload':{'status':'ok','result':{'payloads':[{'text':'Stopped.'}]}}}");
    t_json(peer_response(p, "9"),
           "{'ok':true,'payload':{'runId':'a1','status':'timeout','summary':'aborted',"
           "'stopReason':'stop'}}");
    t_json(peer_call(p3, "agent", "{'message':'hi','sessionKey':'x','idempotencyKey':'a1'}"),
           "{'ok':true,'payload':{'status':'ok','summary':'aborted','result':{'payloads':[{'text':"
           "'Part'}],'meta':{'aborted':true}}}}");
    t_json(peer_call(p, "agent", "{'message':'/stop','sessionKey':'y','idempotencyKey':'a3'}"),
           "{'ok':true,'payload':{'result':{'payloads':[{'text':'Nothing was running.'}]}}}");
    rig_free(rig);
}

T(a_message_goes_where_it_was_sent_or_nowhere)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    t_has(peer_call(p, "agent", "{'message':'hi','sessionId':'mine','idempotencyKey':'a1'}"),
          "\"sessionKey\":\"agent:main:explicit:mine\"");
    t_has(peer_call(p, "agent", "{'message':'hi','sessionKey':'agent:no:x','idempotencyKey':'a2'}"),
          "Agent \\\"no\\\" no longer exists in configuration");
    t_has(peer_call(p, "agent", "{'message':'hi','deliver':true,'idempotencyKey':'a3'}"),
          "no channel to deliver to");
    rig_free(rig);
}

T(a_failed_run_has_payload_and_error)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    peer_send(
        p,
        "{'type':'req','id':'9','method':'agent','params':{'message':'hi','idempotencyKey':'a1'}}");
    t_has(peer_response(p, "9"), "accepted");
    t_ok(script_wait(rig, 0));
    script_fail(0, MODEL_ERROR_AUTH, "the key was refused");
    t_json(peer_response(p, "9"),
           "{'ok':false,'payload':{'runId':'a1','status':'error','summary':'the key was refused'},"
           "'error':{'code':'UNAVAILABLE','message':'the key was refused'}}");
    t_json(peer_call(p, "agent.wait", "{'runId':'a1'}"),
           "{'payload':{'status':'error','error':'the key was refused'}}");
    rig_free(rig);
}

T(wait_sees_runs_before_during_and_after)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    struct peer *q = peer_connect(rig, 4, SCOPES);

    script_reset();
    peer_send(
        q,
        "{'type':'req','id':'w','method':'agent.wait','params':{'runId':'k1','timeoutMs':60000}}");
    t_eq(strlen(peer_response(q, "w")), 0);
    chat_send(p, "main", "hi", "k1");
    t_ok(script_wait(rig, 0));
    peer_send(
        q,
        "{'type':'req','id':'v','method':'agent.wait','params':{'runId':'k1','timeoutMs':1000}}");
    t_eq(strlen(peer_response(q, "v")), 0);
    rig_advance(rig, 1001);
    t_json(peer_response(q, "v"), "{'ok':true,'payload':{'runId':'k1','status':'timeout'}}");
    script_end(0);
    t_json(peer_response(q, "w"),
           "{'ok':true,'payload':{'runId':'k1','status':'ok','startedAt':1700000000000}}");
    t_json(peer_call(q, "agent.wait", "{'runId':'k1'}"), "{'payload':{'status':'ok'}}");
    chat_send(p, "main", "hi", "k2");
    t_ok(script_wait(rig, 1));
    peer_call(p, "chat.abort", "{'sessionKey':'main'}");
    t_json(peer_call(q, "agent.wait", "{'runId':'k2','timeoutMs':0}"),
           "{'payload':{'runId':'k2'}}");
    peer_send(q, "{'type':'req','id':'u','method':'agent.wait','params':{'runId':'never','"
                 "timeoutMs':60000}}");
    t_eq(strlen(peer_response(q, "u")), 0);
    rig_free(rig); /* a waiter is left: it is answered */
}

T(a_waiter_whose_client_left_is_forgotten)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    for (int i = 0; i < 3 * TURN_WAITERS_MAX / 100; i++) {
        struct peer *q = peer_connect(rig, 4, SCOPES);

        for (int n = 0; n < 100; n++)
            peer_send(q,
                      "{'type':'req','id':'w%d','method':'agent.wait','params':{'runId':'never','"
                      "timeoutMs':600000}}",
                      n);
        t_has(peer_call(q, "agents.list", "{}"), "\"ok\":true");
        peer_close(q);
        rig_advance(rig, 10);
    }
    peer_send(p, "{'type':'req','id':'w','method':'agent.wait','params':{'runId':'never','"
                 "timeoutMs':1000}}");
    t_eq(strlen(peer_response(p, "w")), 0);
    rig_advance(rig, 1001);
    t_json(peer_response(p, "w"), "{'ok':true,'payload':{'status':'timeout'}}");
    rig_free(rig);
}

T(refusals)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, "operator.write");

    t_json(peer_call(p, "agent", "{'message':'x','agentId':'nope','idempotencyKey':'a2'}"),
           "{'ok':false,'error':{'code':'INVALID_REQUEST','message':'invalid agent params: unknown "
           "agent id \\\"nope\\\"'}}");
    t_has(peer_call(
              p, "agent",
              "{'message':'x','agentId':'main','sessionKey':'agent:ops:x','idempotencyKey':'a3'}"),
          "does not match session key agent");
    t_json(peer_call(p, "agent", "{'message':'/new','idempotencyKey':'a4'}"),
           "{'ok':false,'error':{'code':'FORBIDDEN','details':{'missingScope':'operator.admin'}}}");
    t_json(peer_call(p, "agent", "{'message':' /Reset now','idempotencyKey':'a4'}"),
           "{'ok':false,'error':{'code':'FORBIDDEN'}}");
    rig_free(rig);
}

T(new_by_agent)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    peer_send(p, "{'type':'req','id':'9','method':'agent','params':{'message':'/"
                 "new','idempotencyKey':'n1'}}");
    t_has(peer_response(p, "9"), "accepted");
    t_json(peer_response(p, "9"),
           "{'ok':true,'payload':{'status':'ok','result':{'payloads':[{'text':'New session "
           "started.'}]}}}");
    t_json(peer_call(p, "agent", "{'message':'/new','idempotencyKey':'n1'}"),
           "{'ok':true,'payload':{'status':'ok','result':{'payloads':[{'text':'New session "
           "started.'}]}}}");
    t_eq(script_count, 0);
    rig_free(rig);
}

T(agents_of_the_configuration)
{
    struct rig *rig = rig_new(
        "{agents:{list:[{id:'ops',name:'Ops'},{id:'home',default:true,identity:{name:'Homer',"
        "emoji:'H'},model:'echo/big'}]}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    t_json(peer_call(p, "agents.list", "{}"),
           "{'payload':{'defaultId':'home','ownership':'explicit','agents':[{'id':'home','identity'"
           ":{'name':'Homer'},"
           "'model':{'primary':'echo/big'}},{'id':'ops','name':'Ops','model':{'primary':'echo/"
           "echo'}}]}}");
    t_json(peer_call(p, "agent.identity.get", "{}"),
           "{'payload':{'agentId':'home','name':'Homer','avatar':'H','nameSource':'agent'}}");
    t_json(peer_call(p, "agent.identity.get", "{'sessionKey':'agent:ops:x'}"),
           "{'payload':{'agentId':'ops','name':'Ops','avatar':'O'}}");
    t_json(peer_call(p, "agent.identity.get", "{'sessionKey':'agent:ops:x','agentId':'home'}"),
           "{'ok':false}");
    chat_send(p, "main", "hi", "k1");
    t_ok(script_wait(rig, 0));
    t_has(script_runs[0].system, "Homer");
    script_end(0);
    t_json(chat_next(p, "final"), "{'payload':{'sessionKey':'agent:home:main','agentId':'home'}}");
    rig_free(rig);
}
