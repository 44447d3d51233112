/* exec.approval.*: asked once, answered once, by who may; and what is shown to a person. */
#include "gateway/pairing/approval.h"

#include "base/mem.h"
#include "tests/rig/rig.h"

#define ASK "{'id':'a1','command':'ls -l','cwd':'/srv','agentId':'main','timeoutMs':5000%s}"

struct scene {
    struct rig *rig;
    struct peer *asker, *reviewer, *reader;
};

static struct scene scene_new(int version)
{
    struct rig *rig = rig_new(NULL);

    return (struct scene){
        .rig = rig,
        .asker = peer_connect(rig, version, "operator.approvals"),
        .reviewer = peer_connect(rig, 4, "operator.approvals"),
        .reader = peer_connect(rig, 4, "operator.read operator.write"),
    };
}

static void scene_ask(struct scene *s, const char *more)
{
    CLEAN(mem_free) char *params = mem_format(ASK, more);

    peer_send(s->asker, "{'type':'req','id':'ask','method':'exec.approval.request','params':%s}",
              params);
}

static const char *scene_resolve(struct scene *s, const char *id, const char *decision)
{
    CLEAN(mem_free) char *params = mem_format("{'id':'%s','decision':'%s'}", id, decision);

    return peer_call(s->reviewer, "exec.approval.resolve", params);
}

T(asked_decided_and_told)
{
    struct scene s = scene_new(3);

    scene_ask(&s, "");
    t_json(peer_event(s.reviewer, "exec.approval.requested"),
           "{'payload':{'id':'a1','request':{'command':'ls -l','cwd':'/srv','agentId':'main',"
           "'host':null,'security':null,'ask':null,'resolvedPath':null,'sessionKey':null,"
           "'allowedDecisions':['allow-once','allow-always','deny']},'createdAtMs':'*','"
           "expiresAtMs':'*'}}");
    t_json(peer_call(s.reviewer, "exec.approval.list", "{}"),
           "{'payload':[{'id':'a1','request':{'command':'ls -l'}}]}");
    t_json(peer_call(s.reviewer, "exec.approval.get", "{'id':'A1'}"),
           "{'payload':{'id':'a1','commandText':'ls -l','agentId':'main','host':null}}");
    t_json(scene_resolve(&s, "a1", "allow-once"), "{'ok':true,'payload':{'ok':true}}");
    t_json(peer_response(s.asker, "ask"), "{'ok':true,'payload':{'id':'a1','decision':'allow-once',"
                                          "'createdAtMs':'*','expiresAtMs':'*'}}");
    t_json(peer_event(s.reviewer, "exec.approval.resolved"),
           "{'payload':{'id':'a1','decision':'allow-once','resolvedBy':'*','ts':'*'}}");
    t_json(peer_call(s.reviewer, "exec.approval.list", "{}"), "{'payload':[]}");
    rig_free(s.rig);
}

T(only_those_with_the_scope_hear_and_answer)
{
    struct scene s = scene_new(3);

    scene_ask(&s, "");
    peer_event(s.reviewer, "exec.approval.requested");
    t_json(peer_call(s.reader, "exec.approval.resolve", "{'id':'a1','decision':'deny'}"),
           "{'ok':false}");
    t_json(peer_call(s.reader, "exec.approval.list", "{}"), "{'ok':false}");
    t_eq(peer_pending(s.reader), 0);
    scene_resolve(&s, "a1", "deny");
    t_json(peer_response(s.asker, "ask"), "{'payload':{'decision':'deny'}}");
    t_str(peer_event(s.reader, "exec.approval.resolved"), "");
    rig_free(s.rig);
}

T(the_same_answer_again_is_fine_another_is_not)
{
    struct scene s = scene_new(3);

    scene_ask(&s, "");
    peer_event(s.reviewer, "exec.approval.requested");
    t_json(scene_resolve(&s, "a1", "maybe"), "{'error':{'message':'invalid decision'}}");
    t_json(scene_resolve(&s, "zz", "deny"),
           "{'error':{'code':'INVALID_REQUEST','message':'unknown or expired approval id',"
           "'details':{'reason':'APPROVAL_NOT_FOUND'}}}");
    t_json(scene_resolve(&s, "a", "deny"), "{'ok':true}"); /* a beginning is enough */
    t_json(scene_resolve(&s, "a1", "deny"), "{'ok':true}");
    t_json(scene_resolve(&s, "a1", "allow-once"),
           "{'error':{'message':'approval already "
           "resolved','details':{'reason':'APPROVAL_ALREADY_RESOLVED'}}}");
    t_json(peer_response(s.asker, "ask"), "{'payload':{'decision':'deny'}}");
    rig_advance(s.rig, APPROVAL_ENDED_MS + 1);
    t_json(scene_resolve(&s, "a1", "deny"), "{'ok':false}"); /* forgotten */
    rig_free(s.rig);
}

T(version_3_has_its_own_word_for_unknown)
{
    struct scene s = scene_new(3);

    t_json(peer_call(s.asker, "exec.approval.resolve", "{'id':'zz','decision':'deny'}"),
           "{'error':{'code':'INVALID_REQUEST','message':'unknown approval id'}}");
    rig_free(s.rig);
}

T(an_ambiguous_beginning_is_refused)
{
    struct scene s = scene_new(3);

    scene_ask(&s, "");
    peer_send(s.asker, "{'type':'req','id':'b','method':'exec.approval.request',"
                       "'params':{'id':'a2','command':'x'}}");
    peer_event(s.reviewer, "exec.approval.requested");
    peer_event(s.reviewer, "exec.approval.requested");
    t_has(scene_resolve(&s, "a", "deny"), "ambiguous approval id prefix; use the full id");
    t_json(scene_resolve(&s, "a2", "deny"), "{'ok':true}");
    rig_free(s.rig);
}

T(nobody_answers_in_time)
{
    struct scene s = scene_new(3);

    scene_ask(&s, "");
    peer_event(s.reviewer, "exec.approval.requested");
    rig_advance(s.rig, 4999);
    t_json(peer_call(s.reviewer, "exec.approval.list", "{}"), "{'payload':[{'id':'a1'}]}");
    rig_advance(s.rig, 2);
    t_json(peer_response(s.asker, "ask"), "{'ok':true,'payload':{'id':'a1','decision':null}}");
    t_json(scene_resolve(&s, "a1", "allow-once"), "{'ok':false}");
    rig_free(s.rig);
}

T(two_phases_and_waiters)
{
    struct scene s = scene_new(4);

    scene_ask(&s, ",'twoPhase':true");
    t_json(peer_response(s.asker, "ask"),
           "{'payload':{'status':'accepted','id':'a1','deliveryRoute':'approval-client'}}");
    t_json(peer_call(s.asker, "exec.approval.waitDecision", "{'id':'b'}"),
           "{'error':{'message':'approval expired or not found'}}");
    peer_send(s.asker, "{'type':'req','id':'wait','method':'exec.approval.waitDecision',"
                       "'params':{'id':'a1'}}");
    peer_event(s.reviewer, "exec.approval.requested");
    scene_resolve(&s, "a1", "allow-always");
    t_json(peer_response(s.asker, "ask"), "{'payload':{'decision':'allow-always'}}");
    t_json(peer_response(s.asker, "wait"), "{'payload':{'decision':'allow-always'}}");
    t_json(peer_call(s.asker, "exec.approval.waitDecision", "{'id':'a1'}"),
           "{'payload':{'decision':'allow-always'}}");
    rig_free(s.rig);
}

T(v4_does_not_wait_where_nobody_could_answer)
{
    struct rig *rig = rig_new(NULL);
    struct peer *asker = peer_connect(rig, 4, "operator.approvals");

    t_json(peer_call(asker, "exec.approval.request", "{'command':'ls'}"),
           "{'payload':{'decision':null,'terminalReason':'no-route'}}");
    peer_send(asker, "{'type':'req','id':'k','method':'exec.approval.request','params':{'id':'x',"
                     "'command':'ls','requireDeliveryRoute':false}}");
    t_json(peer_call(asker, "exec.approval.list", "{}"), "{'payload':[{'id':'x'}]}");
    rig_free(rig); /* the open call ends with the gateway */
}

T(bad_requests)
{
    struct scene s = scene_new(3);

    scene_ask(&s, "");
    peer_event(s.reviewer, "exec.approval.requested");
    t_json(peer_call(s.reviewer, "exec.approval.request", "{'id':'a1','command':'x'}"),
           "{'error':{'code':'INVALID_REQUEST','message':'approval id already pending'}}");
    t_json(peer_call(s.reviewer, "exec.approval.request", "{'id':'a2'}"),
           "{'error':{'message':'command is required'}}");
    t_json(peer_call(s.reviewer, "exec.approval.request", "{'host':'node','command':'x'}"),
           "{'error':{'message':'nodeId is required for host=node'}}");
    t_json(peer_call(s.reviewer, "exec.approval.request", "{'id':'plugin:1','command':'x'}"),
           "{'error':{'message':'approval ids starting with plugin: are reserved'}}");
    rig_free(s.rig);
}

T(allow_always_only_where_it_is_offered)
{
    struct scene s = scene_new(3);

    scene_ask(&s, ",'ask':'always'");
    t_json(peer_event(s.reviewer, "exec.approval.requested"),
           "{'payload':{'request':{'allowedDecisions':['allow-once','deny']}}}");
    t_json(scene_resolve(&s, "a1", "allow-always"),
           "{'error':{'details':{'reason':'APPROVAL_ALLOW_ALWAYS_UNAVAILABLE'}}}");
    t_json(scene_resolve(&s, "a1", "allow-once"), "{'ok':true}");
    rig_free(s.rig);
}

/* ---- what the gateway itself asks ---- */

struct answer {
    int count, result;
    enum approval_decision decision;
};

static void on_answer(void *arg, int result, enum approval_decision decision,
                      const char *resolved_by)
{
    struct answer *answer = arg;

    (void)resolved_by;
    answer->count++;
    answer->result = result;
    answer->decision = decision;
}

T(withdrawn_is_told_and_not_called)
{
    struct scene s = scene_new(4);
    struct answer answer = {0};
    struct fault fault = {0};
    struct approval *approval = approval_ask(
        s.rig->gw, &(struct approval_request){.command = "rm x"}, on_answer, &answer, &fault);

    t_ok(approval != NULL);
    peer_event(s.reviewer, "exec.approval.requested");
    approval_withdraw(approval);
    t_json(peer_event(s.reviewer, "exec.approval.resolved"),
           "{'payload':{'decision':'deny','reason':'withdrawn'}}");
    t_eq(answer.count, 0);
    rig_free(s.rig);
}

T(the_table_has_a_ceiling)
{
    struct scene s = scene_new(4);
    struct answer answer = {0};
    struct fault fault = {0};
    const struct approval_request request = {.command = "x", .timeout_ms = 1000};

    for (int i = 0; i < APPROVALS_MAX; i++)
        t_ok(approval_ask(s.rig->gw, &request, on_answer, &answer, &fault) != NULL);
    t_ok(approval_ask(s.rig->gw, &request, on_answer, &answer, &fault) == NULL);
    t_eq(fault.code, -ERR_FULL);
    t_has(fault.text, "culvert approvals list");
    rig_advance(s.rig, 1001);
    t_eq(answer.count, APPROVALS_MAX);
    t_eq(answer.result, -ERR_TIMEOUT);
    t_eq(answer.decision, APPROVAL_DENY);
    for (int i = 0; i < APPROVALS_MAX; i++) /* the ended ones make room */
        t_ok(approval_ask(s.rig->gw, &request, on_answer, &answer, &fault) != NULL);
    rig_free(s.rig);
    t_eq(answer.count, 2 * APPROVALS_MAX);
    t_eq(answer.result, -ERR_INTERRUPTED);
}

struct busy {
    struct gateway *gw;
    struct answer answer, waiter;
};

/* More than are kept end while the first one's callback runs. */
static void on_busy(void *arg, int result, enum approval_decision decision, const char *resolved_by)
{
    struct busy *busy = arg;
    struct approval *found = NULL;
    struct fault fault = {0};

    on_answer(&busy->answer, result, decision, resolved_by);
    for (int i = 0; i < 2 * APPROVALS_ENDED_MAX; i++) {
        struct approval *other = approval_ask(busy->gw, &(struct approval_request){.command = "x"},
                                              on_answer, NULL, &fault);
        t_ok(other != NULL);
        approval_withdraw(other);
    }
    t_eq(approval_find(busy->gw, "first", &found), 0);
}

T(one_that_is_telling_is_not_forgotten)
{
    struct rig *rig = rig_new(NULL);
    struct busy busy = {.gw = rig->gw};
    struct fault fault = {0};
    struct approval *first = approval_ask(
        rig->gw, &(struct approval_request){.id = "first", .command = "x"}, on_busy, &busy, &fault);

    t_ok(first != NULL);
    t_eq(approval_wait(first, on_answer, &busy.waiter), 0);
    t_eq(approval_decide(first, APPROVAL_ALLOW_ONCE, "me"), 0);
    t_eq(busy.answer.count, 1);
    t_eq(busy.waiter.count, 1);
    t_eq(busy.waiter.decision, APPROVAL_ALLOW_ONCE);
    t_eq(approval_find(rig->gw, "first", &first), -ERR_NOT_FOUND); /* now it is the oldest */
    rig_free(rig);
}

T(what_cannot_be_seen_is_shown)
{
    const char *const cases[][2] = {
        {"plain text\nnext", "plain text\nnext"},
        {"a\xE2\x80\xAE"
         "b",
         "a\\u{202E}b"},
        {"tab\there\x1B[2J", "tab\\u{9}here\\u{1B}[2J"},
        {"caf\xC3\xA9 \xF0\x9F\x98\x80", "caf\xC3\xA9 \xF0\x9F\x98\x80"},
        {"z\xE2\x80\x8Bw\xC2\xA0n", "z\\u{200B}w\\u{A0}n"},
        {"cut \xE2\x80", "cut \xEF\xBF\xBD\xEF\xBF\xBD"},
        {"", ""},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEAN(mem_free) char *shown = approval_display(cases[i][0]);
        t_str(shown, cases[i][1]);
    }
}
