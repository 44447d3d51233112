/* A disk that is full: what cannot be stored is not acknowledged, a run whose end cannot be stored still
 * ends for everyone who listens, and nothing runs twice. */
#include "tests/tool/vfs_powercut.h"
#include "tests/unit/gateway/session/script_model.h"

/* A rig whose database lies on that disk. */
static struct rig *rig_on(struct powercut *disk, const char *dir)
{
    struct rig *rig = NEW(struct rig);
    struct fault fault = {0};
    struct gateway_options options = {.state_dir = dir,
                                      .token = RIG_TOKEN,
                                      .virtual_clock = true,
                                      .no_listen = true,
                                      .store = {.vfs = powercut_name(disk)}};

    rig->dir = mem_string(dir);
    if (gateway_start(&options, &rig->gw, &fault) < 0)
        t_fail(__FILE__, __LINE__, "the gateway does not start: %s", fault.text);
    return rig;
}

T(a_message_that_cannot_be_stored_is_refused)
{
    struct powercut *disk = powercut_new(1);
    struct rig *rig = rig_on(disk, t_tmpdir());
    struct peer *p = peer_connect(rig, 4, SCOPES);

    script_reset();
    powercut_set_room(disk, 0);
    t_json(chat_send(p, "main", "hello", "k1"), "{'ok':false,'error':{'code':'UNAVAILABLE'}}");
    rig_advance(rig, 1000);
    t_eq(script_count, 0);
    powercut_set_room(disk, -1);
    for (int i = 0; i < 10 && store_state(rig->gw->store) != STORE_OK; i++) {
        rig_advance(rig, 5000);
        peer_call(p, "chat.history", "{'sessionKey':'main'}");
    }
    t_json(chat_send(p, "main", "hello", "k1"),
           "{'ok':true,'payload':{'status':'started'}}"); /* the same key */
    t_ok(script_wait(rig, 0));
    script_end(0);
    t_has(chat_next(p, "final"), "k1");
    t_json(peer_call(p, "chat.history", "{'sessionKey':'main'}"),
           "{'payload':{'totalMessages':1,'messages':[{'content':'hello'}],'hasMore':'*'}}");
    rig_free(rig);
    powercut_free(disk);
}

T(an_end_that_cannot_be_stored_is_still_told)
{
    struct powercut *disk = powercut_new(1);
    struct rig *rig = rig_on(disk, t_tmpdir());
    struct peer *p = peer_connect(rig, 4, SCOPES);
    struct peer *q = peer_connect(rig, 4, SCOPES);

    script_reset();
    t_has(chat_send(p, "x", "hello", "k1"), "started");
    t_ok(script_wait(rig, 0));
    peer_send(
        q,
        "{'type':'req','id':'w','method':'agent.wait','params':{'runId':'k1','timeoutMs':60000}}");
    script_say(0, "half");
    t_has(chat_next(p, "delta"), "half");
    powercut_set_room(disk, 0);
    script_end(0);
    t_json(chat_next(p, "error"), "{'payload':{'runId':'k1','state':'error'}}");
    t_json(peer_response(q, "w"), "{'payload':{'runId':'k1','status':'error'}}");
    t_json(chat_send(p, "x", "hello", "k1"),
           "{'ok':false,'payload':{'runId':'k1','status':'error'}}");
    powercut_set_room(disk, -1);
    rig_advance(rig, 1000);
    t_eq(script_count, 1);
    rig_free(rig);

    rig = rig_on(disk, t_tmpdir());
    p = peer_connect(rig, 4, SCOPES);
    t_has(peer_call(p, "sessions.create", "{'key':'probe'}"), "\"ok\":true");
    t_has(peer_call(p, "chat.history", "{'sessionKey':'x'}"), "interrupted");
    t_json(chat_send(p, "x", "hello", "k1"),
           "{'ok':false,'payload':{'runId':'k1','status':'error'}}");
    rig_free(rig);
    powercut_free(disk);
}
