/* Queue modes: what becomes of messages that come while their session is busy. Every key ends once, also
 * over a crash. design.md section 8. */
#include "tests/unit/gateway/session/crash.h"
#include "tests/unit/gateway/session/script_agent.h"

#include "gateway/session/turn.h"

#define MODE(mode, more) "{messages:{queue:{mode:'" mode "'" more "}}}"

static void patch(struct peer *p, const char *members)
{
    CLEAN(mem_free) char *params = mem_format("{'key':'main',%s}", members);

    t_has(peer_call(p, "sessions.patch", params), "\"ok\":true");
}

/* Every row of the transcript as role:text, joined by blanks. */
static char *said(struct peer *p)
{
    const char *text = peer_call(p, "chat.history", "{'sessionKey':'main'}");
    CLEAN(json_free) struct json *reply = json_parse(text, strlen(text), NULL);
    struct buf b;

    buf_init(&b, 65536);
    json_each (message, json_path(reply, "payload.messages")) {
        const struct json *content = json_get(message, "content");
        const char *first = json_string(json_get(json_at(content, 0), "text"), "");

        buf_addf(&b, "%s%c:%s", b.length ? " " : "", json_string(json_get(message, "role"), "")[0],
                 json_kind(content) == JSON_STRING ? json_string(content, "") : first);
    }
    return buf_take(&b);
}

static void ends_ok(struct peer *p, const char *run_id)
{
    t_has(chat_send(p, "main", "again", run_id), "\"status\":\"ok\"");
}

T(steer_is_the_default_and_joins_the_run)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "one", "k1");
    t_ok(actor_wait(rig, 0));
    t_json(chat_send(p, "main", "two", "k2"), "{'payload':{'runId':'k2','status':'started'}}");
    chat_send(p, "main", "three", "k3");
    rig_advance(rig, 1000);
    t_eq(actor_count, 1);
    t_str(actors[0].steered ? actors[0].steered : "", "two|three");
    t_json(chat_send(p, "main", "two", "k2"), "{'payload':{'runId':'k2','status':'in_flight'}}");
    actor_say(0, "all");
    actor_end(0);
    t_json(chat_next(p, "final"),
           "{'payload':{'runId':'k1','message':{'content':[{'text':'all'}]}}}");
    const char *joined = chat_next(p, "final");
    t_json(joined, "{'payload':{'runId':'k2','stopReason':'stop'}}");
    t_ok(!strstr(joined, "message")); /* the answer is told once */
    t_json(chat_next(p, "final"), "{'payload':{'runId':'k3'}}");
    ends_ok(p, "k1");
    ends_ok(p, "k2");
    ends_ok(p, "k3");
    t_json(peer_call(p, "agent.wait", "{'runId':'k3'}"), "{'payload':{'status':'ok'}}");
    CLEAN(mem_free) char *all = said(p);
    t_str(all, "u:one u:two u:three a:all");
    rig_free(rig);
}

T(a_run_that_cannot_be_steered_is_waited_for)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    actor_steers = false;
    chat_send(p, "main", "one", "k1");
    t_ok(actor_wait(rig, 0));
    chat_send(p, "main", "two", "k2");
    actor_steers = true;
    chat_send(p, "main", "three", "k3"); /* does not overtake */
    t_ok(actors[0].steered == NULL);
    actor_end(0);
    t_ok(actor_wait(rig, 1));
    t_str(actors[1].run_id, "k2");
    t_ok(actors[1].steered == NULL);
    actor_end(1);
    t_ok(actor_wait(rig, 2));
    t_str(actors[2].run_id, "k3");
    actor_end(2);
    t_has(chat_next(p, "final"), "k1");
    t_has(chat_next(p, "final"), "k2");
    t_has(chat_next(p, "final"), "k3");
    rig_free(rig);
}

T(turns_of_agent_are_never_steered)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "one", "k1");
    t_ok(actor_wait(rig, 0));
    peer_send(p, "{'type':'req','id':'a','method':'agent','params':{'message':'two','sessionKey':"
                 "'main','idempotencyKey':'k2'}}");
    t_has(peer_response(p, "a"), "accepted");
    t_ok(actors[0].steered == NULL);
    actor_end(0);
    t_ok(actor_wait(rig, 1));
    actor_say(1, "two!");
    actor_end(1);
    t_has(peer_response(p, "a"), "two!");
    rig_free(rig);
}

T(one_message_may_ask_for_another_mode)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "one", "k1");
    t_ok(actor_wait(rig, 0));
    t_has(peer_call(
              p, "chat.send",
              "{'sessionKey':'main','message':'two','queueMode':'followup','idempotencyKey':'k2'}"),
          "started");
    t_ok(actors[0].steered == NULL);
    t_has(
        peer_call(p, "chat.send",
                  "{'sessionKey':'main','message':'three','queueMode':'interrupt','idempotencyKey':"
                  "'k3'}"),
        "started");
    t_json(chat_next(p, "aborted"), "{'payload':{'runId':'k1'}}");
    t_json(chat_next(p, "aborted"), "{'payload':{'runId':'k2'}}");
    t_ok(actor_wait(rig, 1));
    t_str(actors[1].run_id, "k3");
    rig_free(rig);
}

T(followup_waits_for_a_turn_of_its_own)
{
    struct rig *rig = rig_new(MODE("followup", ""));
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "one", "k1");
    t_ok(actor_wait(rig, 0));
    chat_send(p, "main", "two", "k2");
    chat_send(p, "main", "three", "k3");
    t_ok(actors[0].steered == NULL);
    actor_end(0);
    t_ok(actor_wait(rig, 1));
    t_str(actors[1].run_id, "k2");
    rig_advance(rig, 5000);
    t_eq(actor_count, 2);
    actor_end(1);
    t_ok(actor_wait(rig, 2));
    t_str(actors[2].run_id, "k3");
    rig_free(rig);
}

T(collect_answers_all_that_waited_in_one_turn)
{
    struct rig *rig = rig_new(MODE("collect", ""));
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "one", "k1");
    t_ok(actor_wait(rig, 0));
    chat_send(p, "main", "two", "k2");
    chat_send(p, "main", "three", "k3");
    actor_say(0, "ONE");
    actor_end(0);
    t_has(chat_next(p, "final"), "k1");
    rig_advance(rig, 300);
    t_eq(actor_count, 1); /* not quiet yet */
    chat_send(p, "main", "four", "k4");
    rig_advance(rig, 300);
    t_eq(actor_count, 1); /* quiet began anew */
    rig_advance(rig, 250);
    t_ok(actor_wait(rig, 1));
    t_eq(actors[1].user_seq, 5);
    t_str(actors[1].run_id, "k2");
    actor_say(1, "REST");
    actor_end(1);
    t_json(chat_next(p, "final"),
           "{'payload':{'runId':'k2','message':{'content':[{'text':'REST'}]}}}");
    t_json(chat_next(p, "final"), "{'payload':{'runId':'k3'}}");
    t_json(chat_next(p, "final"), "{'payload':{'runId':'k4'}}");
    rig_advance(rig, 5000);
    t_eq(actor_count, 2);
    ends_ok(p, "k4");
    chat_send(p, "main", "five", "k5"); /* nothing runs: at once */
    t_ok(actor_wait(rig, 2));
    rig_free(rig);
}

T(collecting_has_an_end)
{
    struct rig *rig = rig_new(MODE("collect", ",cap:64"));
    struct peer *p = peer_connect(rig, 4, SCOPES);
    char run[16];

    actor_reset();
    chat_send(p, "main", "one", "k");
    t_ok(actor_wait(rig, 0));
    actor_end(0);
    chat_send(p, "main", "x",
              "x0"); /* may come before the end is on disk, or after: then it runs */
    for (int i = 1; i < 40 && actor_count < 2; i++) {
        snprintf(run, sizeof(run), "x%d", i);
        chat_send(p, "main", "x", run);
        rig_advance(rig, 400);
    }
    t_eq(actor_count, 2);
    rig_free(rig);
}

T(interrupt_stops_what_runs)
{
    struct rig *rig = rig_new(MODE("interrupt", ""));
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "one", "k1");
    t_ok(actor_wait(rig, 0));
    actor_say(0, "half");
    chat_send(p, "main", "two", "k2");
    t_ok(actors[0].cancelled);
    t_json(chat_next(p, "aborted"), "{'payload':{'runId':'k1','stopReason':'interrupt','message':{'"
                                    "content':[{'text':'half'}]}}}");
    t_ok(actor_wait(rig, 1));
    t_str(actors[1].run_id, "k2");
    actor_say(1, "TWO");
    actor_end(1);
    t_has(chat_next(p, "final"), "TWO");
    CLEAN(mem_free) char *all = said(p);
    t_str(all, "u:one u:two a:half a:TWO");
    rig_free(rig);
}

T(past_the_cap_the_policy_decides)
{
    struct rig *rig = rig_new(MODE("followup", ",cap:2"));
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "one", "k1");
    t_ok(actor_wait(rig, 0));
    chat_send(p, "main", "two", "k2");
    chat_send(p, "main", "three", "k3");
    chat_send(p, "main", "four", "k4"); /* summarize: two goes with three */
    patch(p, "'queueDrop':'new'");
    t_json(chat_send(p, "main", "five", "k5"),
           "{'ok':false,'error':{'code':'UNAVAILABLE','retryable':true}}");
    patch(p, "'queueDrop':'old'");
    chat_send(p, "main", "six", "k6"); /* three is given up, and two with it */
    t_json(chat_next(p, "aborted"), "{'payload':{'runId':'k3','stopReason':'dropped'}}");
    t_json(chat_next(p, "aborted"), "{'payload':{'runId':'k2'}}");
    actor_end(0);
    t_has(chat_next(p, "final"), "k1");
    t_ok(actor_wait(rig, 1));
    t_str(actors[1].run_id, "k4");
    actor_end(1);
    t_ok(actor_wait(rig, 2));
    t_str(actors[2].run_id, "k6");
    t_has(chat_send(p, "main", "again", "k5"), "started"); /* it was never taken */
    rig_free(rig);
}

T(a_session_may_have_its_own_rules)
{
    struct rig *rig =
        rig_new("{messages:{queue:{mode:'interrupt',byChannel:{webchat:'followup'}}}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "one", "k1");
    t_ok(actor_wait(rig, 0));
    chat_send(p, "main", "two", "k2");
    t_ok(!actors[0].cancelled); /* followup by channel */
    patch(p, "'queueMode':'STEER-backlog'");
    t_json(peer_call(p, "sessions.list", "{}"),
           "{'payload':{'sessions':[{'queueMode':'followup'}]}}");
    t_json(peer_call(p, "sessions.patch", "{'key':'main','queueMode':'sometimes'}"),
           "{'ok':false,'error':{'message':'invalid queueMode (use \\\"steer\\\"|\\\"followup\\\"|"
           "\\\"collect\\\"|\\\"interrupt\\\")'}}");
    t_has(peer_call(p, "sessions.patch", "{'key':'main','queueCap':0}"), "invalid queueCap");
    patch(p, "'queueMode':'collect','queueDebounceMs':2000,'queueCap':5");
    chat_send(p, "main", "three", "k3");
    actor_end(0);
    t_has(chat_next(p, "final"), "k1");
    t_ok(actor_wait(rig, 1)); /* k2 waits for nobody */
    actor_end(1);
    t_has(chat_next(p, "final"), "k2");
    rig_advance(rig, 1900);
    t_eq(actor_count, 2);
    rig_advance(rig, 200);
    t_ok(actor_wait(rig, 2));
    patch(p, "'queueMode':null,'queueDebounceMs':null,'queueCap':null");
    rig_free(rig);
}

T(stopping_a_message_that_joined_stops_its_run)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "one", "k1");
    t_ok(actor_wait(rig, 0));
    chat_send(p, "main", "two", "k2");
    t_json(peer_call(p, "chat.abort", "{'sessionKey':'main','runId':'k2'}"),
           "{'payload':{'aborted':true,'runIds':['k1','k2']}}");
    t_json(chat_next(p, "aborted"), "{'payload':{'runId':'k1','stopReason':'rpc'}}");
    t_json(chat_next(p, "aborted"), "{'payload':{'runId':'k2','stopReason':'rpc'}}");
    t_json(chat_send(p, "main", "two", "k2"),
           "{'payload':{'status':'timeout','summary':'aborted'}}");
    rig_free(rig);
}

T(a_crash_ends_what_had_joined_once)
{
    CLEAN(mem_free) char *dir = fresh_dir("joined");
    struct rig *rig = rig_new_at(dir, NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "one", "k1");
    t_ok(actor_wait(rig, 0));
    actor_message(0, "assistant", NULL,
                  "{'role':'assistant','content':[{'type':'toolCall','id':'c1','name':'read',"
                  "'arguments':{}}],'stopReason':'toolUse','timestamp':1}");
    chat_send(p, "main", "two", "k2");
    t_str(actors[0].steered ? actors[0].steered : "", "two");
    chat_send(p, "main", "/new", "k3"); /* behind: the join is on disk */
    CLEAN(mem_free) char *image = crash_image(dir, "joined-crash");
    rig_free(rig);

    actor_reset();
    rig = rig_new_at(image, NULL);
    p = peer_connect(rig, 4, SCOPES);
    chat_send(p, "other", "/status", "s1"); /* on disk behind what the start wrote */
    const char *text = peer_call(p, "chat.history", "{'sessionKey':'main'}");
    t_json(
        text,
        "{'payload':{'totalMessages':6,'messages':[{'content':'one'},{'stopReason':'toolUse'},"
        "{'content':'two','__openclaw':{'runId':'k1'}},{'role':'toolResult','toolCallId':"
        "'c1','isError':true},{'role':'assistant','stopReason':'error'},{'role':'assistant'}]}}");
    t_json(chat_send(p, "main", "one", "k1"),
           "{'ok':false,'payload':{'runId':'k1','status':'error'}}");
    t_json(chat_send(p, "main", "two", "k2"),
           "{'ok':false,'payload':{'runId':'k2','status':'error'}}");
    t_eq(actor_count, 0);
    rig_free(rig);
}
