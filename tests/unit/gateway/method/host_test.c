/* What clients show of the gateway itself: updates, machines, lanes, the exec policy, and lists of what is not
 * there. */
#include "tests/unit/gateway/session/script_model.h"

T(updates_and_machines)
{
    struct rig *rig = rig_new(NULL);
    struct peer *reader = peer_connect(rig, 4, "operator.read"),
                *admin = peer_connect(rig, 4, "operator.admin");

    t_json(
        peer_call(admin, "update.status", "{'refreshCheckout':true}"),
        "{'ok':true,'payload':{'sentinel':null,'updateAvailable':null,'effectiveChannel':'stable',"
        "'schedule':{'channel':'stable','autoEnabled':false}}}");
    t_json(peer_call(reader, "update.status", NULL), "{'ok':false,'error':{'code':'FORBIDDEN'}}");
    t_json(peer_call(reader, "environments.list", NULL),
           "{'ok':true,'payload':{'environments':[{'id':'gateway','type':'local','label':'*',"
           "'status':'available','platform':'linux','sessionHost':true}]}}");
    rig_free(rig);
}

/* One place for turns: the second session's waits for it. */
T(lanes_tell_what_runs_and_what_waits)
{
    struct rig *rig = rig_new("{agents:{defaults:{maxConcurrent:1}}}");
    struct peer *p = peer_connect(rig, 4, SCOPES);
    static const char lanes[] =
        "{'payload':{'lanes':[{'lane':'main','activeCount':%d,'queuedCount':%d,'maxConcurrent':1,"
        "'draining':false,'blockedBy':%s}]}}";
    CLEAN(mem_free) char *idle = mem_format(lanes, 0, 0, "null");
    CLEAN(mem_free) char *full = mem_format(lanes, 1, 1, "'lane'");

    script_reset();
    t_json(peer_call(p, "diagnostics.lanes", NULL), idle);
    chat_send(p, "agent:main:one", "hello", "k1");
    t_ok(script_wait(rig, 0));
    chat_send(p, "agent:main:two", "hello", "k2");
    t_json(peer_call(p, "diagnostics.lanes", NULL), full);
    script_end(0);
    t_ok(script_wait(rig, 1));
    script_end(1);
    t_json(peer_event(p, "chat"), "{'payload':{'runId':'k1','state':'final'}}");
    t_json(peer_event(p, "chat"), "{'payload':{'runId':'k2','state':'final'}}");
    t_json(peer_call(p, "diagnostics.lanes", NULL), idle);
    rig_free(rig);
}

T(the_exec_policy_in_force)
{
    struct rig *rig = rig_new("{tools:{exec:{security:'allowlist',ask:'always',"
                              "allowlist:['/usr/bin/uname']}}}");
    struct peer *admin = peer_connect(rig, 4, "operator.admin"),
                *three = peer_connect(rig, 3, "operator.admin");

    t_json(
        peer_call(admin, "exec.approvals.get", NULL),
        "{'ok':true,'payload':{'path':'*','exists':true,'hash':'*','file':{'version':1,'agents':{"
        "'main':{'security':'allowlist','ask':'always','allowlist':[{'pattern':'/usr/bin/uname'}]"
        "}}},'resolvedDefaults':{'security':'allowlist','ask':'always','askFallback':'deny',"
        "'autoAllowSkills':false}}}");
    t_ok(!strstr(peer_call(three, "exec.approvals.get", NULL), "resolvedDefaults"));
    t_json(peer_call(peer_connect(rig, 4, "operator.approvals"), "exec.approvals.get", NULL),
           "{'ok':false,'error':{'code':'FORBIDDEN'}}");
    rig_free(rig);
}

T(what_is_not_there_is_empty)
{
    static const struct {
        const char *method, *payload;
    } rows[] = {
        {"cron.list", "{'jobs':[],'total':0,'hasMore':false}"},
        {"cron.runs", "{'entries':[],'total':0}"},
        {"cron.status", "{'enabled':false,'jobs':0}"},
        {"artifacts.list", "{'artifacts':[]}"},
        {"tasks.list", "{'tasks':[]}"},
        {"talk.catalog", "{'modes':[],'speech':{'providers':[]}}"},
        {"plugins.list", "{'plugins':[],'mutationAllowed':false}"},
        {"skills.status", "{'workspaceDir':'*','skills':[]}"},
        {"progressCard.get", "{'card':null}"},
        {"sessions.branches.list", "{'branches':[]}"},
        {"channels.pairing.list", "{'accounts':[],'requests':[]}"},
        {"users.prefs.get", "{'status':'no_durable_identity'}"},
        {"plugin.approval.list", "[]"},
        {"openclaw.approval.list", "[]"},
        {"node.list", "{'nodes':[]}"},
        {"node.pair.list", "{'pending':[]}"},
        {"question.list", "{'questions':[]}"},
        {"taskSuggestions.list", "{'suggestions':[]}"},
        {"sessions.groups.list", "{'groups':[]}"},
        {"sessions.catalog.list", "{'catalogs':[]}"},
    };
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, "operator.admin");

    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(mem_free) char *expected = mem_format("{'ok':true,'payload':%s}", rows[i].payload);
        t_json(peer_call(p, rows[i].method, "{'sessionKey':'agent:main:main'}"), expected);
    }
    rig_free(rig);
}

/* What the Control UI's lists ask besides. */
T(sessions_by_activity_without_subagents_and_boards)
{
    struct rig *rig = rig_new(NULL);
    struct peer *p = peer_connect(rig, 4, "operator.admin");

    t_json(peer_call(p, "sessions.patch", "{'key':'agent:main:main','label':'first'}"),
           "{'ok':true}");
    t_json(peer_call(p, "sessions.patch", "{'key':'agent:main:subagent:x','label':'second'}"),
           "{'ok':true}");
    t_json(peer_call(p, "sessions.list", "{'sortBy':'activity'}"), "{'payload':{'count':2}}");
    t_json(peer_call(p, "sessions.list", "{'excludeSubagents':true}"),
           "{'payload':{'count':1,'sessions':[{'key':'agent:main:main'}]}}");
    t_json(peer_call(p, "sessions.list", "{'hasBoard':true}"), "{'payload':{'count':0}}");
    rig_free(rig);
}
