/* Send policy, reset by age. protocol.md 6.1, 10.4. */
#include "tests/unit/gateway/session/script_agent.h"

#include "gateway/session/policy.h"

#include <stdlib.h>
#include <time.h>

T(rules_decide_who_may_send)
{
    struct rig *rig = rig_new("{session:{sendPolicy:{default:'deny',rules:["
                              "{action:'deny',match:{keyPrefix:'agent:main:secret'}},"
                              "{action:'allow',match:{chatType:'direct'}},"
                              "{action:'allow',match:{channel:'discord',chatType:'group'}}]}}}");

    t_ok(policy_allows(rig->gw, "agent:main:main", NULL));
    t_ok(!policy_allows(rig->gw, "agent:main:secret-plans", NULL));
    t_ok(policy_allows(rig->gw, "agent:main:discord:group:7", NULL));
    t_ok(!policy_allows(rig->gw, "agent:main:telegram:group:7", NULL));
    t_ok(!policy_allows(rig->gw, "agent:main:discord:channel:7", NULL));
    t_ok(policy_allows(rig->gw, "agent:main:discord:group:7:thread:1", NULL));
    rig_free(rig);
}

T(a_closed_session_says_so_and_can_be_opened)
{
    struct rig *rig =
        rig_new("{session:{sendPolicy:{rules:[{action:'deny',match:{keyPrefix:'shut'}}]}}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    t_json(chat_send(p, "shut", "hi", "k1"), "{'ok':false,'error':{'code':'INVALID_REQUEST','"
                                             "message':'send blocked by session policy'}}");
    t_has(peer_call(p, "agent", "{'message':'hi','sessionKey':'shut','idempotencyKey':'a1'}"),
          "send blocked by session policy");
    t_has(chat_send(p, "shut", "/send on", "k2"), "started");
    t_has(chat_next(p, "final"), "allowed");
    t_has(chat_send(p, "shut", "hi", "k3"), "started"); /* its own policy wins */
    t_ok(actor_wait(rig, 0));
    t_has(peer_call(p, "sessions.patch", "{'key':'main','sendPolicy':'deny'}"), "\"ok\":true");
    t_has(chat_send(p, "main", "hi", "k4"), "send blocked by session policy");
    t_has(chat_send(p, "main", "/new hello", "k5"), "send blocked by session policy");
    rig_free(rig);
}

static int64_t at(int day, int hour, int minute)
{
    struct tm local = {.tm_year = 126,
                       .tm_mon = 2,
                       .tm_mday = day,
                       .tm_hour = hour,
                       .tm_min = minute,
                       .tm_isdst = -1};

    return (int64_t)mktime(&local) * 1000;
}

T(the_hour_before_is_in_local_time)
{
    setenv("TZ", "Europe/Berlin", 1);
    tzset();
    t_eq(policy_hour_before(at(10, 12, 0), 4), at(10, 4, 0));
    t_eq(policy_hour_before(at(10, 3, 59), 4), at(9, 4, 0));
    t_eq(policy_hour_before(at(10, 4, 0), 4), at(10, 4, 0));
    t_eq(policy_hour_before(at(29, 12, 0), 4), at(29, 4, 0)); /* the night that summer time began */
    t_eq(policy_hour_before(at(29, 12, 0), 4) - policy_hour_before(at(28, 12, 0), 4), 23 * 3600000);
    setenv("TZ", "UTC", 1);
    tzset();
}

static const char *session_id_of(struct peer *p, const char *key)
{
    static char id[80];
    CLEAN(mem_free) char *params = mem_format("{'key':'%s'}", key);
    const char *text = peer_call(p, "sessions.describe", params);
    CLEAN(json_free) struct json *reply = json_parse(text, strlen(text), NULL);

    snprintf(id, sizeof(id), "%s", json_string(json_path(reply, "payload.session.sessionId"), ""));
    return id;
}

static int answered;

static void say(struct rig *rig, struct peer *p, const char *key, const char *text)
{
    CLEAN(mem_free) char *run = mem_format("say-%d", answered);

    chat_send(p, key, text, run);
    t_ok(actor_wait(rig, answered));
    actor_say(answered, "ok");
    actor_end(answered++);
    t_has(chat_next(p, "final"), run);
}

T(silence_begins_a_session_anew)
{
    struct rig *rig =
        rig_new("{session:{reset:{mode:'idle',idleMinutes:30},resetByType:{group:{mode:"
                "'idle',idleMinutes:5},thread:{mode:'none'}}}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);
    char first[80];

    actor_reset();
    answered = 0;
    say(rig, p, "main", "one");
    snprintf(first, sizeof(first), "%s", session_id_of(p, "main"));
    rig_advance(rig, 29 * 60000);
    say(rig, p, "main", "two");
    t_str(session_id_of(p, "main"), first);
    rig_advance(rig, 30 * 60000);
    say(rig, p, "main", "three");
    t_ok(strcmp(session_id_of(p, "main"), first) != 0);
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'totalMessages':2,'messages':[{'content':'three','__openclaw':{'seq':1}},{}"
           "]}}");
    say(rig, p, "agent:main:x:group:1", "one");
    say(rig, p, "agent:main:x:group:1:thread:2", "one");
    rig_advance(rig, 6 * 60000);
    say(rig, p, "agent:main:x:group:1", "two");
    say(rig, p, "agent:main:x:group:1:thread:2", "two");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'agent:main:x:group:1'}"),
           "{'payload':{'totalMessages':2}}");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'agent:main:x:group:1:thread:2'}"),
           "{'payload':{'totalMessages':4}}");
    rig_free(rig);
}

T(a_new_day_begins_a_session_anew)
{
    struct rig *rig = rig_new("{session:{reset:{mode:'daily',atHour:4}}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);
    char first[80];

    actor_reset();
    answered = 0;
    int64_t to_four =
        policy_hour_before(loop_wall(rig->gw->loop), 4) + 86400000 - loop_wall(rig->gw->loop);
    say(rig, p, "main", "one");
    snprintf(first, sizeof(first), "%s", session_id_of(p, "main"));
    rig_advance(rig, to_four - 60000);
    say(rig, p, "main", "two");
    t_str(session_id_of(p, "main"), first);
    rig_advance(rig, 120000);
    say(rig, p, "main", "three");
    t_ok(strcmp(session_id_of(p, "main"), first) != 0);
    rig_free(rig);
}

T(nothing_is_reset_unless_asked_for)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    char first[80];

    actor_reset();
    answered = 0;
    say(rig, p, "main", "one");
    snprintf(first, sizeof(first), "%s", session_id_of(p, "main"));
    rig_advance(rig, 40LL * 86400000);
    peer_close(p);
    p = peer_connect(rig, 4, SCOPES);
    say(rig, p, "main", "two");
    t_str(session_id_of(p, "main"), first);
    rig_free(rig);
}

T(the_older_spelling_of_idle)
{
    struct rig *rig = rig_new("{session:{idleMinutes:10}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);
    char first[80];

    actor_reset();
    answered = 0;
    say(rig, p, "main", "one");
    snprintf(first, sizeof(first), "%s", session_id_of(p, "main"));
    rig_advance(rig, 11 * 60000);
    say(rig, p, "main", "two");
    t_ok(strcmp(session_id_of(p, "main"), first) != 0);
    rig_free(rig);
}
