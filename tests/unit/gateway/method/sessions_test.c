/* sessions.*: lists, settings, life, subscriptions. protocol.md 4.1, 4.3, 3.3. */
#include "tests/unit/gateway/session/script_model.h"

static void make(struct peer *p, const char *key, const char *more)
{
    CLEAN(mem_free) char *params = mem_format("{'key':'%s'%s}", key, more);

    t_has(peer_call(p, "sessions.create", params), "\"ok\":true");
}

T(create_and_list)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    struct peer *p3 = peer_connect(rig, 3, SCOPES);
    const char *text;

    t_json(peer_call(p, "sessions.list", "{}"),
           "{'payload':{'count':0,'totalCount':0,'limitApplied':100,'nextOffset':null,'hasMore':"
           "false,'owners':[],"
           "'defaults':{'modelProvider':'echo','model':'echo'},'sessions':[]}}");
    t_json(peer_call(p, "sessions.create", "{'label':'one'}"),
           "{'payload':{'ok':true,'key':'*','sessionId':'*','entry':{'label':'one'},'runStarted':"
           "false,'resolved':"
           "{'model':'echo'}}}");
    for (int i = 0; i < 5; i++) {
        char key[16];
        snprintf(key, sizeof(key), "s%d", i);
        rig_advance(rig, 60000);
        make(p, key, "");
    }
    t_json(peer_call(p, "sessions.list", "{'limit':2,'offset':1}"),
           "{'payload':{'count':2,'totalCount':6,'limitApplied':2,'nextOffset':3,'hasMore':true,'"
           "sessions':[{'key':"
           "'agent:main:s3','kind':'direct'},{'key':'agent:main:s2'}]}}");
    t_json(peer_call(p, "sessions.list", "{'search':'S4'}"),
           "{'payload':{'count':1,'sessions':[{'key':'agent:main:s4'}]}}");
    t_json(peer_call(p, "sessions.list", "{'label':'one'}"),
           "{'payload':{'count':1,'sessions':[{'label':'one'}]}}");
    t_json(peer_call(p, "sessions.list", "{'activeMinutes':2}"), "{'payload':{'count':3}}");
    t_json(peer_call(p, "sessions.list", "{'agentId':'ops'}"), "{'payload':{'count':0}}");
    text = peer_call(p3, "sessions.list", "{}");
    t_json(text, "{'payload':{'count':6,'path':'*','defaults':{'contextTokens':null}}}");
    t_ok(!strstr(text, "totalCount"));
    t_ok(!strstr(text, "hasActiveRun"));
    rig_free(rig);
}

T(titles_and_previews)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    chat_send(p, "x",
              "  What   is the\\nweather like in a town with a name so long that it does not fit "
              "here at all?",
              "k1");
    t_ok(script_wait(rig, 0));
    script_say(0, "Sunny.");
    script_end(0);
    chat_next(p, "final");
    t_json(peer_call(p, "sessions.list", "{'includeDerivedTitles':true,'includeLastMessage':true}"),
           "{'payload':{'sessions':[{'derivedTitle':'What is the weather like in a town with a "
           "name so long th',"
           "'lastMessagePreview':'Sunny.'}]}}");
    t_ok(!strstr(peer_call(p, "sessions.list", "{}"), "derivedTitle"));
    t_json(peer_call(p, "sessions.preview", "{'keys':['x','none'],'limit':1,'maxChars':20}"),
           "{'payload':{'previews':[{'key':'x','status':'ok','items':[{'role':'assistant','text':'"
           "Sunny.'}]},{'key':"
           "'none','status':'missing','items':[]}]}}");
    make(p, "empty", "");
    t_json(peer_call(p, "sessions.preview", "{'keys':['empty']}"),
           "{'payload':{'previews':[{'status':'empty'}]}}");
    t_json(peer_call(p, "sessions.get", "{'key':'x','limit':1}"),
           "{'payload':{'messages':[{'role':'assistant'}]}}");
    rig_free(rig);
}

T(describe_and_resolve)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    make(p, "x", ",'label':'L'");
    t_json(peer_call(p, "sessions.describe", "{'key':'nope'}"),
           "{'ok':true,'payload':{'session':null}}");
    t_json(peer_call(p, "sessions.describe", "{'key':'X'}"),
           "{'payload':{'session':{'key':'agent:main:x','label':'L'}}}");
    t_json(peer_call(p, "sessions.resolve", "{'label':'L'}"),
           "{'payload':{'ok':true,'key':'agent:main:x','agentId':'main'}}");
    t_json(peer_call(p, "sessions.resolve", "{'key':'x'}"),
           "{'payload':{'ok':true,'key':'agent:main:x'}}");
    t_has(peer_call(p, "sessions.resolve", "{}"), "Either key, sessionId, or label is required");
    t_has(peer_call(p, "sessions.resolve", "{'key':'x','label':'L'}"), "(not multiple)");
    t_has(peer_call(p, "sessions.resolve", "{'key':'y'}"), "No session found: y");
    t_json(peer_call(p, "sessions.resolve", "{'key':'y','allowMissing':true}"),
           "{'ok':true,'payload':{'ok':false}}");
    rig_free(rig);
}

static const struct {
    const char *patch, *says;
} patch_errors[] = {
    {"'label':'taken'", "label already in use: taken"},
    {"'label':''", "invalid label"},
    {"'label':7", "invalid label"},
    {"'thinkingLevel':'zzz'", "invalid thinkingLevel (use "},
    {"'reasoningLevel':'x'", "invalid reasoningLevel (use \\\"on\\\"|\\\"off\\\"|\\\"stream\\\")"},
    {"'responseUsage':'x'", "invalid responseUsage (use \\\"off\\\"|\\\"tokens\\\"|\\\"full\\\""},
    {"'elevatedLevel':'x'",
     "invalid elevatedLevel (use \\\"on\\\"|\\\"off\\\"|\\\"ask\\\"|\\\"full\\\")"},
    {"'execHost':'x'", "invalid execHost (use \\\"sandbox\\\"|\\\"gateway\\\"|\\\"node\\\")"},
    {"'execSecurity':'x'",
     "invalid execSecurity (use \\\"deny\\\"|\\\"allowlist\\\"|\\\"full\\\")"},
    {"'execAsk':'x'", "invalid execAsk (use \\\"off\\\"|\\\"on-miss\\\"|\\\"always\\\")"},
    {"'model':' '", "invalid model: empty"},
    {"'model':'nothing'", "is not a model"},
    {"'model':'nobody/x'", "Unknown provider \\\"nobody\\\""},
    {"'spawnedBy':'main'", "spawnedBy is only supported for subagent:* sessions"},
    {"'sendPolicy':'x'", "invalid sendPolicy"},
    {"'archived':'yes'", "invalid archived"},
    {"'expectedSessionId':'other'", "session changed since it was read"},
};

T(patch_says_what_is_wrong_and_changes_nothing)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    make(p, "other", ",'label':'taken'");
    make(p, "x", "");
    for (size_t i = 0; i < COUNT(patch_errors); i++) {
        CLEAN(mem_free)
        char *params = mem_format("{'key':'x','verboseLevel':'on',%s}", patch_errors[i].patch);
        const char *text = peer_call(p, "sessions.patch", params);

        t_has(text, "INVALID_REQUEST");
        t_has(text, patch_errors[i].says);
    }
    t_ok(!strstr(peer_call(p, "sessions.describe", "{'key':'x'}"), "verboseLevel"));
    t_has(peer_call(p, "sessions.patch", "{'key':'new','label':'taken'}"), "already in use");
    t_json(peer_call(p, "sessions.describe", "{'key':'new'}"), "{'payload':{'session':null}}");
    rig_free(rig);
}

T(patch_sets_and_clears)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    t_json(peer_call(
               p, "sessions.patch",
               "{'key':'x','label':'L','thinkingLevel':'HIGH','model':'echo/big','pinned':true}"),
           "{'payload':{'ok':true,'key':'agent:main:x','entry':{'label':'L','thinkingLevel':'high',"
           "'modelOverride':'big',"
           "'pinned':true},'resolved':{'modelProvider':'echo','model':'big'}}}");
    t_json(
        peer_call(p, "sessions.describe", "{'key':'x'}"),
        "{'payload':{'session':{'label':'L','thinkingLevel':'high','model':'big','pinned':true}}}");
    const char *text = peer_call(p, "sessions.patch",
                                 "{'key':'x','label':null,'thinkingLevel':null,'model':null}");
    t_json(text, "{'payload':{'resolved':{'model':'echo'}}}");
    t_ok(!strstr(text, "\"label\"") && !strstr(text, "thinkingLevel"));
    t_has(peer_call(p, "sessions.patch", "{'key':'x','archived':true}"), "archivedAt");
    t_json(peer_call(p, "sessions.list", "{}"), "{'payload':{'count':0}}");
    t_json(peer_call(p, "sessions.list", "{'archived':true}"), "{'payload':{'count':1}}");
    t_json(peer_call(p, "sessions.list", "{'archived':'all'}"), "{'payload':{'count':1}}");
    t_has(peer_call(p, "sessions.patch", "{'key':'agent:main:subagent:1','spawnedBy':'main'}"),
          "\"ok\":true");
    t_has(peer_call(p, "sessions.patch", "{'key':'agent:main:subagent:1','spawnedBy':'other'}"),
          "cannot be changed");
    t_has(peer_call(p, "sessions.patch", "{'key':'agent:main:subagent:1','spawnedBy':null}"),
          "cannot be changed");
    rig_free(rig);
}

T(patch_scopes)
{
    struct rig *rig = rig_new(NULL);
    struct peer *w4 = peer_connect(rig, 4, "operator.write");
    struct peer *w3 = peer_connect(rig, 3, "operator.write");

    t_json(peer_call(w4, "sessions.patch",
                     "{'key':'x','label':'L','thinkingLevel':'low','permissionMode':'guarded'}"),
           "{'ok':true}");
    t_json(peer_call(w4, "sessions.patch", "{'key':'x','execSecurity':'full'}"),
           "{'ok':false,'error':{'code':'FORBIDDEN','details':{'missingScope':'operator.admin'}}}");
    t_json(peer_call(w4, "sessions.patch", "{'key':'x','execSecurity':null}"), "{'ok':false}");
    t_json(peer_call(w4, "sessions.patch", "{'key':'x','permissionMode':'full'}"), "{'ok':false}");
    t_json(peer_call(w3, "sessions.patch", "{'key':'x','label':'M'}"),
           "{'ok':false,'error':{'code':'INVALID_REQUEST','message':'missing scope: "
           "operator.admin'}}");
    t_json(peer_call(w4, "sessions.reset", "{'key':'x'}"), "{'ok':false}");
    t_json(peer_call(w4, "sessions.delete", "{'key':'x'}"), "{'ok':false}");
    t_has(peer_call(w4, "sessions.delete", "{'key':'x','archivedOnly':true}"), "is not archived");
    t_json(peer_call(w4, "sessions.patch", "{'key':'x','archived':true}"), "{'ok':true}");
    t_json(peer_call(w4, "sessions.delete", "{'key':'x','archivedOnly':true}"),
           "{'ok':true,'payload':{'deleted':true}}");
    rig_free(rig);
}

T(send_policy)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    t_has(peer_call(p, "sessions.patch", "{'key':'x','sendPolicy':'deny'}"), "\"ok\":true");
    t_has(chat_send(p, "x", "hi", "k1"), "send blocked by session policy");
    t_has(peer_call(p, "agent", "{'sessionKey':'x','message':'hi','idempotencyKey':'k2'}"),
          "send blocked");
    rig_free(rig);
}

T(reset_and_delete_stop_what_runs)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    make(p, "x", ",'label':'L'");
    chat_send(p, "x", "hi", "k1");
    t_ok(script_wait(rig, 0));
    script_say(0, "par");
    t_json(peer_call(p, "sessions.reset", "{'key':'x'}"),
           "{'payload':{'ok':true,'key':'agent:main:x','entry':{'label':'L','totalTokens':0}}}");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'x'}"),
           "{'payload':{'messages':[],'totalMessages':0}}");
    t_json(chat_send(p, "x", "hi", "k1"),
           "{'payload':{'status':'timeout','stopReason':'restart'}}");

    chat_send(p, "x", "again", "k2");
    t_ok(script_wait(rig, 1));
    t_json(script_runs[1].messages, "[{'content':'again'}]");
    t_json(
        peer_call(p, "sessions.compact", "{'key':'x','maxLines':1}"),
        "{'ok':false,'error':{'message':'Session x has an active run; retry after it finishes.'}}");
    t_json(peer_call(p, "sessions.delete", "{'key':'x'}"),
           "{'payload':{'ok':true,'key':'agent:main:x','deleted':true,'archived':['*']}}");
    t_json(peer_call(p, "sessions.describe", "{'key':'x'}"), "{'payload':{'session':null}}");
    t_json(peer_call(p, "sessions.delete", "{'key':'x'}"),
           "{'payload':{'deleted':false,'archived':[]}}");
    t_has(peer_call(p, "sessions.delete", "{'key':'main'}"),
          "Cannot delete the main session (agent:main:main).");
    rig_free(rig);
}

T(compact_keeps_the_last_lines)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    t_json(peer_call(p, "sessions.compact", "{'key':'x'}"),
           "{'payload':{'compacted':false,'reason':'no sessionId'}}");
    make(p, "x", "");
    t_json(peer_call(p, "sessions.compact", "{'key':'x'}"),
           "{'payload':{'compacted':false,'reason':'no transcript'}}");
    for (int i = 0; i < 6; i++)
        t_has(peer_call(p, "chat.inject", "{'sessionKey':'x','message':'m'}"), "\"ok\":true");
    t_json(peer_call(p, "sessions.compact", "{'key':'x','maxLines':2}"),
           "{'payload':{'ok':true,'compacted':true,'kept':2,'archived':'*'}}");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'x'}"),
           "{'payload':{'totalMessages':2,'hasMore':false,'messages':[{'__openclaw':{'seq':5}},{'__"
           "openclaw':{'seq':6}}]}}");
    t_json(peer_call(p, "sessions.compact", "{'key':'x','maxLines':2}"),
           "{'payload':{'compacted':false,'kept':2}}");
    rig_free(rig);
}

T(create_with_a_message_runs_it)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    t_json(peer_call(p, "sessions.create", "{'key':'x','message':'go','label':'L'}"),
           "{'payload':{'ok':true,'key':'agent:main:x','runStarted':true,'runId':'*','entry':{'"
           "label':'L'}}}");
    t_ok(script_wait(rig, 0));
    t_json(script_runs[0].messages, "[{'content':'go'}]");
    t_json(peer_call(p, "sessions.abort", "{'key':'x'}"),
           "{'payload':{'ok':true,'abortedRunId':'*','status':'aborted'}}");
    t_json(peer_call(p, "sessions.abort", "{'key':'x'}"),
           "{'payload':{'abortedRunId':null,'status':'no-active-run'}}");
    t_json(peer_call(p, "sessions.send", "{'key':'x','message':'yo','idempotencyKey':'s1'}"),
           "{'payload':{'runId':'s1','status':'started'}}");
    t_has(peer_call(p, "sessions.create", "{'key':'y','label':'L'}"), "label already in use");
    t_json(peer_call(p, "sessions.describe", "{'key':'y'}"), "{'payload':{'session':null}}");
    rig_free(rig);
}

T(a_repeated_create_makes_no_second_session)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    CLEAN(mem_free)
    char *first =
        mem_string(peer_call(p, "sessions.create", "{'idempotencyKey':'c1','message':'hi'}"));
    const char *again = peer_call(p, "sessions.create", "{'idempotencyKey':'c1','message':'hi'}");
    const char *id = strstr(first, "\"sessionId\":\"");
    CLEAN(mem_free) char *same = mem_format("%.50s", id ? id : "?");
    t_has(again, same);
    t_has(again, "\"runStarted\":true");
    t_has(peer_call(p, "sessions.list", "{}"), "\"totalCount\":1");
    t_ok(script_wait(rig, 0));
    t_eq(script_count, 1);
    t_has(peer_call(p, "sessions.create", "{'key':'agent:no:x'}"), "no longer exists");
    t_has(peer_call(p, "sessions.send", "{'key':'nowhere','message':'hi'}"),
          "session not found: nowhere");
    t_has(peer_call(p, "sessions.list", "{'archived':'some'}"), "at /archived");
    rig_free(rig);
}

T(only_subscribers_hear_of_sessions)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, SCOPES);
    struct peer *q = peer_connect(rig, 4, SCOPES);

    script_reset();
    t_json(peer_call(p, "sessions.subscribe", "{}"), "{'payload':{'subscribed':true}}");
    t_json(peer_call(p, "sessions.messages.subscribe", "{'key':'X'}"),
           "{'payload':{'subscribed':true,'key':'agent:main:x'}}");
    chat_send(q, "x", "hi", "k1");
    t_json(peer_event(p, "session.message"), "{'payload':{'sessionKey':'agent:main:x','messageSeq':"
                                             "1,'message':{'role':'user','content':'hi'}}}");
    t_json(peer_event(p, "sessions.changed"),
           "{'payload':{'sessionKey':'agent:main:x','reason':'send','runId':'k1',"
           "'session':{'key':'agent:main:x','hasActiveRun':true}}}");
    t_json(peer_event(p, "sessions.changed"), "{'payload':{'phase':'start'}}");
    t_ok(script_wait(rig, 0));
    script_end(0);
    t_json(peer_event(p, "sessions.changed"),
           "{'payload':{'phase':'end','session':{'hasActiveRun':false}}}");
    t_has(chat_next(q, "final"), "k1");
    t_eq(strlen(peer_event(q, "sessions.changed")), 0);
    t_json(peer_call(p, "sessions.messages.unsubscribe", "{'key':'x'}"),
           "{'payload':{'subscribed':false}}");
    chat_send(q, "x", "hi", "k2");
    t_eq(strlen(peer_event(p, "session.message")), 0);
    rig_free(rig);
}
