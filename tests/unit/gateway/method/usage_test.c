/* Accounting: what turns used, by session, day and model, with prices; also after a restart. */
#include "tests/unit/gateway/session/crash.h"
#include "tests/unit/gateway/session/script_agent.h"

/* Dollars per million tokens: easy to add up. */
#define PRICED                                                                                     \
    "{models:{providers:{lab:{baseUrl:'http://127.0.0.1:1/v1',apiKey:'k',models:[{id:'big',"       \
    "contextWindow:1000,cost:{input:500000,output:1000000,cacheRead:0,cacheWrite:0}}]}}},"         \
    "agents:{defaults:{model:{primary:'lab/big'}}}}"

static void turn(struct rig *rig, struct peer *p, const char *key, const char *run, int number,
                 struct model_usage usage)
{
    chat_send(p, key, "hi", run);
    t_ok(actor_wait(rig, number));
    actor_say(number, "yes");
    actor_end_as(number, "lab", "big", usage);
    t_has(chat_next(p, "final"), run);
}

T(a_turn_is_counted_in_its_session_and_day)
{
    CLEAN(mem_free) char *dir = fresh_dir("counted");
    struct rig *rig = rig_new_at(dir, PRICED);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    turn(rig, p, "main", "k1", 0, (struct model_usage){2, 1, 0, 0}); /* $2 */
    rig_advance(rig, 86400000);
    turn(rig, p, "main", "k2", 1, (struct model_usage){3, 0, 1, 0});  /* $1.5 */
    turn(rig, p, "other", "k3", 2, (struct model_usage){1, 1, 0, 0}); /* $1.5 */
    t_json(
        peer_call(p, "sessions.describe", "{'key':'main'}"),
        "{'payload':{'session':{'inputTokens':5,'outputTokens':1,'totalTokens':4,'contextTokens':"
        "1000,'estimatedCostUsd':3.5}}}");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'other'}"),
           "{'payload':{'messages':[{},{'usage':{'input':1,'totalTokens':2,'cost':{'input':0.5,'"
           "output':1,'total':1.5}}}]}}");
    t_has(
        peer_call(p, "chat.send", "{'sessionKey':'main','message':'/usage','idempotencyKey':'u'}"),
        "started");
    t_has(chat_next(p, "final"), "about $3.5000");
    rig_free(rig);

    rig = rig_new_at(dir, PRICED);
    p = peer_connect(rig, 4, SCOPES);
    rig_advance(rig, 86400000);
    t_json(peer_call(p, "usage.cost", "{'days':2}"),
           "{'payload':{'days':2,'daily':[{'date':'2023-11-14','totalTokens':3,'totalCost':2,'"
           "inputCost':"
           "1,'outputCost':1,'missingCostEntries':0},{'date':'2023-11-15','input':4,'output':1,"
           "'cacheRead':1,'totalCost':3}],'totals':{'totalTokens':9,'totalCost':5}}}");
    t_json(peer_call(p, "usage.cost", "{'startDate':'2023-11-15','endDate':'2023-11-15'}"),
           "{'payload':{'totals':{'totalCost':3}}}");
    t_json(peer_call(p, "usage.cost", "{'agentId':'nobody'}"), "{'payload':{'daily':[]}}");
    t_has(peer_call(p, "usage.cost", "{'startDate':'yesterday'}"), "startDate");
    t_json(
        peer_call(p, "sessions.usage", "{'range':'7d','limit':1}"),
        "{'payload':{'sessions':['*'],'totals':{'totalCost':5},'aggregates':{'messages':{'user':3,"
        "'assistant':3,'errors':0},'byModel':[{'provider':'lab','model':'big','count':3,'totals':{"
        "'totalCost':5}}],'byProvider':[{'provider':'lab'}],'byAgent':[{'agentId':'main'}],"
        "'byChannel':[{'channel':'webchat'}],'daily':[{'date':'2023-11-14','tokens':3,'cost':2,"
        "'messages':2},{'date':'2023-11-15'}]}}}");
    t_json(peer_call(p, "sessions.usage", "{'key':'main'}"),
           "{'payload':{'sessions':[{'key':'agent:main:main','agentId':'main','usage':{'totalCost':"
           "3.5,"
           "'dailyBreakdown':[{'tokens':3},{'tokens':4}],'modelUsage':[{'model':'big','count':2}],"
           "'messageCounts':{'total':4}}}]}}");
    t_json(peer_call(p, "usage.status", "{}"), "{'payload':{'providers':[]}}");
    rig_free(rig);
}

T(messages_on_the_way_are_counted_once)
{
    struct rig *rig = rig_new(PRICED);
    struct peer *p = peer_connect(rig, 4, SCOPES);

    actor_reset();
    chat_send(p, "main", "hi", "k1");
    t_ok(actor_wait(rig, 0));
    actor_message(0, "assistant", NULL,
                  "{'role':'assistant','content':[{'type':'toolCall','id':'c1','name':'read',"
                  "'arguments':{}}],'usage':{'input':10,'output':2,'cacheRead':0,'cacheWrite':0},"
                  "'stopReason':'toolUse','timestamp':1}");
    actor_message(0, "toolResult", NULL,
                  "{'role':'toolResult','toolCallId':'c1','toolName':'read','content':[],'isError':"
                  "false,'timestamp':1}");
    actor_say(0, "done");
    actor_end_as(0, "lab", "big", (struct model_usage){25, 5, 0, 0});
    t_json(chat_next(p, "final"), "{'payload':{'usage':{'input':25,'output':5}}}");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'messages':[{},{},{},{'usage':{'input':15,'output':3}}],'sessionInfo':{"
           "'inputTokens':25,'totalTokens':18}}}");
    t_json(peer_call(p, "sessions.usage", "{}"),
           "{'payload':{'sessions':[{'usage':{'input':25,'messageCounts':{'total':4,'user':1,"
           "'assistant':2,'toolCalls':1,'toolResults':1}}}]}}");
    rig_free(rig);
}

T(a_model_without_prices_is_counted_as_such)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 3, SCOPES);

    actor_reset();
    chat_send(p, "main", "hi", "k1");
    t_ok(actor_wait(rig, 0));
    actor_end(0);
    t_has(chat_next(p, "final"), "k1");
    t_json(peer_call(p, "usage.cost", "{'days':'30'}"),
           "{'payload':{'days':30,'totals':{'input':10,'output':5,'totalCost':0,'"
           "missingCostEntries':1}}}");
    rig_free(rig);
}
