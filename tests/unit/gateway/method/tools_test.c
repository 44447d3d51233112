/* tools.catalog and tools.effective. protocol.md 4.3. */
#include "gateway/tools/tool.h"
#include "tests/rig/rig.h"

#define ADMIN "operator.admin operator.read operator.write"

T(the_catalog)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, ADMIN);

    t_json(
        peer_call(peer, "tools.catalog", "{'agentId':'main'}"),
        "{'ok':true,'payload':{'agentId':'main','profiles':[{'id':'minimal','label':'Minimal'},"
        "{'id':'coding','label':'Coding'},{'id':'messaging','label':'Messaging'},{'id':'full',"
        "'label':'Full'}],'groups':[{'id':'fs','label':'Files','source':'core','tools':[{'id':'ls',"
        "'label':'*','description':'*','source':'core','defaultProfiles':['coding']},'*','*','*']},"
        "'*','*',"
        "'*','*']}}");
    t_json(peer_call(peer, "tools.catalog", "{}"), "{'ok':true,'payload':{'agentId':'main'}}");
    t_json(
        peer_call(peer, "tools.catalog", "{'agentId':'zz'}"),
        "{'ok':false,'error':{'code':'INVALID_REQUEST','message':'unknown agent id \\\"zz\\\"'}}");
    rig_free(rig);
}

T(what_is_effective)
{
    struct rig *rig = rig_new("{tools:{profile:'coding',deny:['group:web']}}");
    struct peer *peer = peer_connect(rig, 4, ADMIN);
    const char *answer;

    t_json(peer_call(peer, "tools.effective", "{'sessionKey':'main'}"),
           "{'ok':false,'error':{'code':'INVALID_REQUEST','message':'unknown session key "
           "\\\"main\\\"'}}");
    t_json(peer_call(peer, "tools.effective", "{}"),
           "{'ok':false,'error':{'message':'invalid tools.effective params: must have required "
           "property "
           "\\'sessionKey\\''}}");
    peer_call(peer, "sessions.create", "{'key':'main'}");
    answer = peer_call(peer, "tools.effective", "{'sessionKey':'main'}");
    t_json(
        answer,
        "{'ok':true,'payload':{'agentId':'main','profile':'coding','groups':[{'id':'core','label':"
        "'Built-in tools','source':'core','tools':'*'}]}}");
    t_has(answer, "\"id\":\"read\"");
    t_ok(!strstr(answer, "web_fetch") && !strstr(answer, "\"exec\"") &&
         !strstr(answer, "agents_list"));
    t_json(peer_call(peer, "tools.effective", "{'sessionKey':'main','agentId':'zz'}"),
           "{'ok':false,'error':{'message':'unknown agent id \\\"zz\\\"'}}");
    rig_free(rig);
}

T(who_may_ask)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "operator.pairing");

    t_json(peer_call(peer, "tools.catalog", "{}"), "{'ok':false}");
    rig_free(rig);
}

T(one_tool_by_a_client)
{
    struct rig *rig = rig_new("{tools:{exec:{mode:'full'}}}");
    struct peer *peer = peer_connect(rig, 4, ADMIN);

    t_json(peer_call(peer, "tools.invoke", "{'name':'agents_list'}"),
           "{'ok':true,'payload':{'ok':true,'toolName':'agents_list','source':'core','output':{'"
           "content':"
           "[{'type':'text','text':'*'}],'details':{'requester':'main'}}}}");
    t_json(
        peer_call(peer, "tools.invoke", "{'name':'nope'}"),
        "{'ok':true,'payload':{'ok':false,'toolName':'nope','error':{'code':'not_found','message':"
        "'Tool not available: nope'}}}");
    t_json(peer_call(peer, "tools.invoke", "{'name':'exec','args':{'command':'id'}}"),
           "{'ok':true,'payload':{'ok':false,'error':{'code':'not_found'}}}");
    t_json(peer_call(peer, "tools.invoke", "{'name':'read','args':{'path':'../x'}}"),
           "{'ok':true,'payload':{'ok':false,'error':{'code':'tool_error'}}}");
    t_json(peer_call(peer, "tools.invoke", "{'name':'read','agentId':'zz'}"), "{'ok':false}");
    t_json(peer_call(peer, "tools.invoke", "{'name':'read','args':3}"), "{'ok':false}");
    rig_free(rig);
}

T(a_client_that_leaves)
{
    struct rig *rig = rig_new("{tools:{exec:{mode:'full'}},gateway:{tools:{allow:['exec']}}}");
    struct peer *peer = peer_connect(rig, 4, ADMIN);

    peer_send(
        peer,
        "{'type':'req','id':'x','method':'tools.invoke','params':{'name':'exec','args':{'command':"
        "'sleep 60'}}}");
    t_str(peer_response(peer, "x"), ""); /* nothing comes */
    t_eq(tools_running(rig->gw), 1);
    peer_close(peer);
    rig_advance(rig, 100);
    t_eq(tools_running(rig->gw), 0);
    peer = peer_connect(rig, 4, ADMIN); /* and one that is still there when the gateway stops */
    peer_send(
        peer,
        "{'type':'req','id':'y','method':'tools.invoke','params':{'name':'exec','args':{'command':"
        "'sleep 60'}}}");
    t_str(peer_response(peer, "y"), "");
    t_eq(tools_running(rig->gw), 1);
    rig_free(rig);
}
