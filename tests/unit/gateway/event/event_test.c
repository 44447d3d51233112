/* Events as connections hear them: numbering, entitlement, merging for slow readers, order behind
 * commits, fan-out over many. */
#include "gateway/event/event.h"

#include "base/json.h"
#include "base/mem.h"
#include "gateway/event/health.h"
#include "gateway/event/presence.h"
#include "tests/rig/rig.h"

static int64_t seq_of(const char *text)
{
    CLEAN(json_free) struct json *tree = json_parse(text, strlen(text), NULL);
    return json_integer(json_get(tree, "seq"), -1);
}

static void emit_text(struct rig *rig, enum event_id id, const char *session, const char *run,
                      const char *json, const char *replace)
{
    CLEAN(bytes_unref) struct bytes *payload = bytes_new(json, strlen(json));
    CLEAN(bytes_unref) struct bytes *whole = replace ? bytes_new(replace, strlen(replace)) : NULL;

    event_emit(
        rig->gw,
        &(struct event){
            .id = id, .session_key = session, .run_id = run, .payload = payload, .replace = whole});
}

/* Everything the handshakes caused is out of the way. */
static void settle(struct rig *rig, struct peer *peer)
{
    rig_advance(rig, 1000);
    while (peer_pending(peer) > 0)
        peer_next(peer);
}

T(seq_is_contiguous_for_each_connection_after_the_scope_filter)
{
    struct rig *rig = rig_new(NULL);
    struct peer *reader = peer_connect(rig, 4, "operator.read");
    struct peer *admin = peer_connect(rig, 4, "operator.admin");

    emit_text(rig, EVENT_chat_delta, "agent:main:main", "r1", "{\"n\":1}", NULL);
    emit_text(rig, EVENT_device_pair_requested, NULL, NULL, "{\"requestId\":\"x\"}", NULL);
    emit_text(rig, EVENT_chat_delta, "agent:main:main", "r1", "{\"n\":2}", NULL);
    int64_t last = 0;
    for (int chats = 0; chats < 2;) {
        const char *text = peer_next(reader);
        t_ok(text[0]);
        if (!text[0])
            break;
        t_ok(!strstr(text, "device.pair.requested"));
        t_ok(last == 0 || seq_of(text) == last + 1);
        last = seq_of(text);
        chats += strstr(text, "\"chat\"") != NULL;
    }
    t_has(peer_event(admin, "device.pair.requested"), "\"requestId\":\"x\"");
    rig_free(rig);
}

T(a_connection_without_read_hears_only_what_needs_no_scope)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "");

    settle(rig, peer);
    emit_text(rig, EVENT_agent, "agent:main:main", NULL, "{}", NULL);
    emit_text(rig, EVENT_presence, NULL, NULL, "{\"presence\":[]}", NULL);
    rig_advance(rig, EVENT_TICK_MS);
    t_has(peer_next(peer), "\"tick\"");
    rig_free(rig);
}

T(state_events_leave_at_most_once_per_interval_with_the_newest_value)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "operator.read");

    settle(rig, peer);
    for (int i = 0; i < 10; i++) {
        CLEAN(mem_free) char *json = mem_format("{\"n\":%d}", i);
        emit_text(rig, EVENT_presence, NULL, NULL, json, NULL);
    }
    t_has(peer_event(peer, "presence"), "\"n\":0");
    rig_advance(rig, EVENT_STATE_MS - 1);
    t_eq(peer_pending(peer), 0);
    rig_advance(rig, 1);
    const char *text = peer_event(peer, "presence");
    t_has(text, "\"n\":9");
    t_has(text, "\"stateVersion\":{\"presence\":");
    rig_advance(rig, 5 * EVENT_STATE_MS);
    t_eq(peer_pending(peer), 0);
    rig_free(rig);
}

T(what_follows_a_log_event_in_its_lane_waits_for_the_commit)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "operator.read");
    struct store_batch *batch = store_batch(rig->gw->store);
    CLEAN(bytes_unref) struct bytes *final = bytes_new("{\"state\":\"final\"}", 17);

    settle(rig, peer);
    event_emit_in(
        rig->gw, batch,
        &(struct event){.id = EVENT_chat, .session_key = "a", .run_id = "r", .payload = final});
    emit_text(rig, EVENT_agent, "a", NULL, "{\"after\":true}", NULL);
    emit_text(rig, EVENT_agent, "b", NULL, "{\"other\":true}", NULL);
    t_has(peer_next(peer), "other"); /* another lane does not wait */
    rig_advance(rig, 50);
    t_eq(peer_pending(peer), 0);
    store_commit(batch, NULL);
    t_has(peer_next(peer), "final");
    t_has(peer_next(peer), "after");
    rig_free(rig);
}

T(a_slow_reader_gets_the_full_text_instead_of_every_delta)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "operator.read");
    CLEAN(mem_free) char *filler = mem_array(EVENT_SLOW_BYTES + 1000, 1);
    CLEAN(mem_free) char *big = NULL;

    settle(rig, peer);
    peer_pause(peer, true);
    memset(filler, 'x', EVENT_SLOW_BYTES);
    big = mem_format("{\"filler\":\"%s\"}", filler);
    emit_text(rig, EVENT_agent, "s", NULL, big, NULL);
    emit_text(rig, EVENT_agent, "s", NULL, big, NULL);
    for (int i = 0; i < 50; i++) {
        CLEAN(mem_free) char *delta = mem_format("{\"deltaText\":\"d%d\"}", i);
        CLEAN(mem_free) char *whole = mem_format("{\"deltaText\":\"whole%d\",\"replace\":true}", i);
        emit_text(rig, EVENT_chat_delta, "s", "run", delta, whole);
        rig_advance(rig, 10);
    }
    peer_pause(peer, false);
    t_has(peer_event(peer, "agent"), "filler");
    t_has(peer_event(peer, "agent"), "filler");
    const char *text = peer_event(peer, "chat");
    t_has(text, "\"replace\":true");
    t_has(text, "whole49");
    emit_text(rig, EVENT_chat_delta, "s", "run", "{\"deltaText\":\"next\"}", NULL);
    text = peer_event(peer, "chat");
    t_has(text, "next");
    rig_free(rig);
}

T(the_end_of_a_run_is_a_slow_readers_last_word_of_it)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "operator.read");
    CLEAN(mem_free) char *filler = mem_array(EVENT_SLOW_BYTES + 1000, 1);

    settle(rig, peer);
    peer_pause(peer, true);
    memset(filler, 'x', EVENT_SLOW_BYTES);
    CLEAN(mem_free) char *big = mem_format("{\"filler\":\"%s\"}", filler);
    emit_text(rig, EVENT_agent, "s", NULL, big, NULL);
    emit_text(rig, EVENT_agent, "s", NULL, big, NULL);
    rig_advance(rig, 10);
    emit_text(rig, EVENT_chat_delta, "s", "run", "{\"deltaText\":\"held\"}", "{\"replace\":true}");
    rig_advance(rig, 10);
    emit_text(rig, EVENT_chat, "s", "run", "{\"state\":\"final\"}", NULL);
    rig_advance(rig, 50);
    peer_pause(peer, false);
    t_has(peer_event(peer, "chat"), "\"replace\":true");
    t_has(peer_event(peer, "chat"), "final");
    rig_advance(rig, 1000);
    t_eq(peer_pending(peer), 0);
    rig_free(rig);
}

T(a_thousand_viewers_hear_everything_in_order)
{
    enum { VIEWERS = 200, EVENTS = 20 };
    struct rig *rig = rig_new(NULL);
    static struct peer *peers[VIEWERS];

    for (int i = 0; i < VIEWERS; i++)
        peers[i] = peer_connect(rig, 4, "operator.read");
    for (int i = 0; i < VIEWERS; i++)
        settle(rig, peers[i]);
    for (int n = 0; n < EVENTS; n++) {
        CLEAN(mem_free) char *json = mem_format("{\"n\":%d}", n);
        emit_text(rig, EVENT_agent, "s", NULL, json, NULL);
        if (n == EVENTS / 2)
            peer_close(peers[VIEWERS / 2]); /* in the middle of a fan-out */
    }
    rig_advance(rig, 10);
    for (int i = 0; i < VIEWERS; i++) {
        if (i == VIEWERS / 2)
            continue;
        for (int n = 0; n < EVENTS; n++) {
            CLEAN(mem_free) char *part = mem_format("{\"n\":%d}", n);
            t_has(peer_event(peers[i], "agent"), part);
        }
    }
    rig_free(rig);
}

T(a_refresh_raises_the_health_version_and_is_told)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "operator.read");

    settle(rig, peer);
    int64_t before = health_version(rig->gw);
    peer_send(peer, "{'type':'req','id':'h','method':'health','params':{'probe':true}}");
    t_has(peer_response(peer, "h"), "\"ok\":true");
    t_has(peer_event(peer, "health"), "stateVersion"); /* at the end of the turn */
    t_eq(health_version(rig->gw), before + 1);
    rig_free(rig);
}

T(presence_expires_and_the_gateway_stays)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "operator.admin");

    t_has(peer_call(peer, "system-event", "{'text':'Node: box','host':'box','reason':'launch'}"),
          "\"ok\":true");
    t_has(peer_call(peer, "system-presence", NULL), "\"host\":\"box\"");
    t_has(peer_call(peer, "status", NULL), "Node: box");
    for (int64_t passed = 0; passed < PRESENCE_TTL_MS * 2; passed += 10000)
        rig_advance(rig, 10000);
    const char *text = peer_call(peer, "system-presence", NULL);
    t_ok(!strstr(text, "\"host\":\"box\""));
    t_has(text, "\"mode\":\"gateway\"");
    rig_free(rig);
}

T(shutdown_is_told_before_1012)
{
    struct rig *rig = rig_new(NULL);
    struct peer *peer = peer_connect(rig, 4, "operator.read");

    gateway_shutdown(rig->gw, "test", -1);
    rig_advance(rig, 30);
    const char *text = peer_event(peer, "shutdown");
    t_has(text, "\"reason\":\"test\"");
    t_ok(!strstr(text, "restartExpectedMs"));
    t_eq(peer_closed(peer), 1012);
    t_str(peer_close_reason(peer), "service restart");
    rig_free(rig);
}

/* The close frames come a moment later, however long the fan-outs of that moment take. */
T(shutdown_does_not_wait_for_a_slice)
{
    struct rig *rig = rig_new(NULL);
    size_t told = 0, all = EVENT_SLICE + 10;
    CLEAN(mem_free) int64_t *before = mem_array(all, sizeof(*before));

    for (size_t i = 0; i < all; i++)
        peer_connect(rig, 4, "operator.read");
    rig_advance(rig, EVENT_STATE_MS);
    conn_each (conn, rig->gw)
        before[told++] = conn->outlet.seq;
    t_eq(told, all);
    gateway_shutdown(rig->gw, "test", -1);
    told = 0;
    conn_each (conn, rig->gw) {
        t_eq(conn->outlet.seq, before[told] + 1);
        told++;
    }
    rig_free(rig);
}
