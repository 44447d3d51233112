/* What survives a stop and a crash: acknowledged messages are there exactly once, a known key is not run
 * again, a turn that was cut off is ended as interrupted and its session goes on. design.md section 8. */
#include "tests/unit/gateway/session/crash.h"
#include "tests/unit/gateway/session/script_model.h"

#define IN_LINE "{messages:{queue:{mode:'followup'}}}" /* every message a turn of its own */

T(a_finished_run_is_known_after_a_restart)
{
    CLEAN(mem_free) char *dir = fresh_dir("finished");
    struct rig *rig = rig_new_at(dir, IN_LINE);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "main", "hello", "k1");
    t_ok(script_wait(rig, 0));
    script_say(0, "the answer");
    script_end(0);
    t_has(chat_next(p, "final"), "the answer");
    peer_send(p, "{'type':'req','id':'a','method':'agent','params':{'message':'hey','"
                 "idempotencyKey':'a1'}}");
    t_has(peer_response(p, "a"), "accepted");
    t_ok(script_wait(rig, 1));
    script_say(1, "agent's answer");
    script_end(1);
    t_has(peer_response(p, "a"), "agent's answer");
    rig_free(rig);

    rig = rig_new_at(dir, IN_LINE);
    p = peer_connect(rig, 4, SCOPES);
    script_reset();
    t_json(chat_send(p, "main", "hello", "k1"),
           "{'ok':true,'payload':{'runId':'k1','status':'ok'}}");
    t_json(peer_call(p, "agent", "{'message':'hey','idempotencyKey':'a1'}"),
           "{'ok':true,'payload':{'runId':'a1','status':'ok','summary':'completed','result':{'"
           "payloads':[{'text':'*'}],"
           "'meta':{'agentMeta':{'provider':'echo'}}}}}");
    t_json(peer_call(p, "agent.wait", "{'runId':'a1'}"),
           "{'payload':{'runId':'a1','status':'ok'}}");
    rig_advance(rig, 1000);
    t_eq(script_count, 0);
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'totalMessages':4}}");
    rig_free(rig);
}

/* Commits end in order: when this one is answered, what the start put into the store is on disk, where
 * reads find it. */
static struct peer *connect_settled(struct rig *rig)
{
    struct peer *p = peer_connect(rig, 4, SCOPES);

    t_has(peer_call(p, "sessions.create", "{'key':'probe'}"), "\"ok\":true");
    return p;
}

/* On what a stop or a crash in the middle of k1 (k2 behind it) left. */
static void check_interrupted(const char *dir)
{
    struct rig *rig = rig_new_at(dir, IN_LINE);
    struct peer *p = connect_settled(rig);

    script_reset();
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'totalMessages':4,'messages':[{'role':'user','content':'one'},{'role':'"
           "user','content':'two'},"
           "{'role':'assistant','stopReason':'error','openclawAbort':{'origin':'interrupted'}},"
           "{'role':'assistant','stopReason':'error','openclawAbort':{'origin':'interrupted'}}],"
           "'sessionInfo':{'abortedLastRun':true,'hasActiveRun':false,'status':'failed'}}}");
    t_json(chat_send(p, "main", "one", "k1"),
           "{'ok':false,'payload':{'runId':'k1','status':'error'},'error':{'code':'UNAVAILABLE'}}");
    t_json(chat_send(p, "main", "two", "k2"), "{'ok':false,'error':{'code':'UNAVAILABLE'}}");
    rig_advance(rig, 1000);
    t_eq(script_count, 0); /* neither ran again */

    t_has(chat_send(p, "main", "three", "k3"), "started"); /* the session is not stuck */
    t_ok(script_wait(rig, 0));
    t_json(script_runs[0].messages, "[{'content':'one'},{'content':'two'},{'content':'three'}]");
    script_end(0);
    t_has(chat_next(p, "final"), "k3");
    rig_free(rig);

    rig = rig_new_at(dir, IN_LINE); /* interrupted once, not at every start */
    p = connect_settled(rig);
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'totalMessages':5}}");
    rig_free(rig);
}

T(a_turn_cut_off_by_a_stop_is_interrupted)
{
    CLEAN(mem_free) char *dir = fresh_dir("stopped");
    struct rig *rig = rig_new_at(dir, IN_LINE);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "main", "one", "k1");
    chat_send(p, "main", "two", "k2");
    t_ok(script_wait(rig, 0));
    script_say(0, "half");
    t_has(chat_next(p, "delta"), "half");
    rig_free(rig);
    check_interrupted(dir);
}

T(a_crash_in_the_middle_of_a_turn_is_the_same)
{
    CLEAN(mem_free) char *dir = fresh_dir("crashed");
    CLEAN(mem_free) char *image = NULL;
    struct rig *rig = rig_new_at(dir, IN_LINE);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "main", "one", "k1");
    chat_send(p, "main", "two", "k2");
    t_ok(script_wait(rig, 0));
    script_say(0, "half");
    t_has(chat_next(p, "delta"), "half");
    image = crash_image(dir, "crashed-image");
    script_end(0);
    rig_free(rig);
    check_interrupted(image);
}

T(an_acknowledged_message_is_in_the_image_at_once)
{
    CLEAN(mem_free) char *dir = fresh_dir("acknowledged");
    CLEAN(mem_free) char *image = NULL;
    struct rig *rig = rig_new_at(dir, IN_LINE);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    t_has(chat_send(p, "main", "precious", "k1"), "started");
    image = crash_image(dir, "acknowledged-image");
    rig_free(rig);

    rig = rig_new_at(image, IN_LINE);
    p = connect_settled(rig);
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'totalMessages':2,'messages':[{'content':'precious'},{'stopReason':'error'}"
           "]}}");
    rig_free(rig);
}

T(a_message_behind_new_is_not_lost_by_a_crash)
{
    CLEAN(mem_free) char *dir = fresh_dir("behind");
    CLEAN(mem_free) char *image = NULL;
    struct rig *rig = rig_new_at(dir, IN_LINE);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "main", "one", "k1");
    t_ok(script_wait(rig, 0));
    chat_send(p, "main", "/new", "k2");
    t_has(chat_send(p, "main", "precious", "k3"), "started");
    image = crash_image(dir, "behind-image");
    rig_free(rig);

    rig = rig_new_at(image, IN_LINE);
    p = connect_settled(rig);
    t_has(peer_call(p, "chat.history", "{'sessionKey':'main'}"), "precious");
    rig_free(rig);
}

T(sessions_survive)
{
    CLEAN(mem_free) char *dir = fresh_dir("sessions");
    struct rig *rig = rig_new_at(dir, IN_LINE);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    t_has(peer_call(p, "sessions.create", "{'key':'kept','label':'Kept','model':'echo/other'}"),
          "\"ok\":true");
    t_has(peer_call(p, "sessions.patch", "{'key':'kept','thinkingLevel':'high','pinned':true}"),
          "\"ok\":true");
    t_has(peer_call(p, "sessions.create", "{'key':'gone'}"), "\"ok\":true");
    t_has(peer_call(p, "sessions.delete", "{'key':'gone'}"), "\"deleted\":true");
    rig_free(rig);

    rig = rig_new_at(dir, IN_LINE);
    p = peer_connect(rig, 4, SCOPES);
    t_json(peer_call(p, "sessions.list", "{}"),
           "{'payload':{'count':1,'sessions':[{'key':'agent:main:kept','label':'Kept','"
           "thinkingLevel':'high','pinned':"
           "true,'modelProvider':'echo','model':'other'}]}}");
    rig_free(rig);
}
