/* sessions.compact: with maxLines the newest so many messages are kept and the rest is archived, as v3 has
 * it; without, the older part is summarised by the model and nothing is taken away. protocol.md 4.1, 4.3. */
#include "gateway/method/sessions.h"

#include "base/mem.h"
#include "gateway/agent/compact.h"
#include "gateway/gateway.h"
#include "gateway/method/call.h"
#include "gateway/session/row.h"
#include "gateway/session/transcript.h"
#include "gateway/session/turn.h"

#include <stdio.h>
#include <string.h>

#define SETTLE_MS 15000

const struct field sessions_compact_fields[] = {
    K_STR(sessions_compact, "key", key, REQUIRED | FIELD_NONEMPTY, KEY_CAP),
    K_STR(sessions_compact, "agentId", agent_id, FIELD_NONEMPTY, 128),
    K_STR(sessions_compact, "instructions", instructions, OPTIONAL, 4000),
    K_INT(sessions_compact, "maxLines", lines, OPTIONAL, 1, 1e12, 0),
    F_END,
};
const struct field sessions_compact_reply[] = {
    R_BOOL("ok", REQUIRED),        R_STR("key", REQUIRED),
    R_BOOL("compacted", REQUIRED), R_STR("reason", OPTIONAL),
    R_STR("archived", OPTIONAL),   R_INT("kept", OPTIONAL),
    R_ANY("result", OPTIONAL),     F_END,
};

static int compact_nothing(struct call *call, const char *key, bool ok, const char *reason,
                           int64_t kept)
{
    struct json_writer *w = call_reply(call);

    jw_object(w);
    jw_kbool(w, "ok", ok);
    jw_kstr(w, "key", key);
    jw_kbool(w, "compacted", false);
    jw_kstr(w, "reason", reason);
    if (!reason)
        jw_kint(w, "kept", kept);
    jw_object_end(w);
    return call_send(call);
}

/* ---- with maxLines: the newest are kept ---- */

static void compact_lines_reply(struct call *call, const struct sessions_change *change)
{
    struct json_writer *w = call_reply(call);

    jw_object(w);
    jw_kbool(w, "ok", true);
    jw_kstr(w, "key", change->key);
    json_each (member, change->detail)
        jw_ktree(w, json_key(member), member);
    jw_object_end(w);
    call_send(call);
}

static int compact_lines(struct call *call, struct session *session, int64_t lines)
{
    static const char *const counts[] = {"inputTokens", "outputTokens", "totalTokens"};
    struct gateway *gw = call_gateway(call);
    int64_t have = session->message_count - session_number(session, "firstSeq", 1) + 1;
    struct sessions_change *change;
    struct store_batch *batch;

    if (have < 1)
        return compact_nothing(call, session->key, true, "no transcript", 0);
    if (have <= lines)
        return compact_nothing(call, session->key, true, NULL, have);

    CLEAN(mem_free) char *name = sessions_archive_name(gw, session->session_id, "bak");
    change = sessions_change_new(call, session->key, compact_lines_reply);
    change->detail = json_new_object();
    json_put(change->detail, "compacted", json_new_boolean(true));
    json_put(change->detail, "archived", json_new_string(name));
    json_put(change->detail, "kept", json_new_number((double)lines));
    batch = store_batch(gw->store);
    store_messages_drop(batch, session->session_id, session->message_count - lines, true,
                        loop_wall(gw->loop));
    session_set_number(session, "firstSeq", session->message_count - lines + 1);
    session_set_number(session, "compactionCount",
                       session_number(session, "compactionCount", 0) + 1);
    for (size_t i = 0; i < COUNT(counts); i++)
        json_remove(session->entry, counts[i]);
    session_put(gw, session, batch, true);
    row_emit_changed(gw, batch, session, "compact", NULL, NULL);
    sessions_commit(gw, change, batch);
    return 0;
}

/* ---- without: a summary ---- */

struct summarising {
    struct call *call;
    char key[SESSION_KEY_MAX + 1];
    char *instructions;
};

static struct summarising *summarising_free(struct summarising *summarising)
{
    mem_free(summarising->instructions);
    return mem_free(summarising);
}

static void summary_reply(struct call *call, const char *key, const struct compaction_result *out)
{
    struct json_writer *w = call_reply(call);

    jw_object(w);
    jw_kbool(w, "ok", true);
    jw_kstr(w, "key", key);
    jw_kbool(w, "compacted", true);
    jw_kobject(w, "result");
    jw_kstr(w, "summary", out->summary);
    jw_kstr(w, "entryId", out->entry_id);
    jw_kint(w, "firstKeptSeq", out->through_seq + 1);
    jw_kint(w, "tokensBefore", (int64_t)out->tokens_before);
    jw_kint(w, "tokensAfter", (int64_t)out->tokens_after);
    jw_key(w, "usage");
    transcript_write_usage(&out->usage, w);
    jw_object_end(w);
    jw_object_end(w);
    call_send(call);
}

static void summary_on_end(void *arg, int result, const struct compaction_result *out,
                           const struct fault *fault)
{
    struct summarising *summarising = arg;

    if (result == 0)
        summary_reply(summarising->call, summarising->key, out);
    else if (result == -ERR_NOT_FOUND)
        compact_nothing(summarising->call, summarising->key, false, fault->text, 0);
    else
        call_fail(summarising->call, WIRE_UNAVAILABLE,
                  "Session %s was not summarised: %s. Its messages are as they were.",
                  summarising->key, fault->text);
    summarising_free(summarising);
}

static void summary_begin(struct summarising *summarising)
{
    struct call *call = summarising->call;
    struct fault fault = {0};
    int r = compact_session(call_gateway(call), summarising->key, summarising->instructions,
                            summary_on_end, summarising, &fault);

    if (r == 0)
        return;
    if (r == -ERR_BUSY)
        call_fail(call, WIRE_INVALID_REQUEST, "%s", fault.text);
    else
        compact_nothing(call, summarising->key, r == -ERR_NOT_FOUND,
                        r == -ERR_NOT_FOUND ? "no transcript" : fault.text, 0);
    summarising_free(summarising);
}

static void summary_on_settled(void *arg, int result, const struct json *outcome)
{
    struct summarising *summarising = arg;

    (void)outcome;
    if (result == 0) {
        summary_begin(summarising);
        return;
    }
    call_fail(summarising->call, WIRE_UNAVAILABLE,
              "Session %s is still active; try again in a moment.", summarising->key);
    summarising_free(summarising);
}

/* v3 stops what runs in the session, v4 refuses while something does. */
static int compact_summary(struct call *call, const struct session *session,
                           const char *instructions)
{
    struct summarising *summarising = NEW(struct summarising);

    summarising->call = call;
    summarising->instructions = mem_string(instructions);
    snprintf(summarising->key, sizeof(summarising->key), "%s", session->key);
    if (call_version(call) >= 4)
        summary_begin(summarising);
    else if (turn_settle(call_gateway(call), session->key, "restart", SETTLE_MS, summary_on_settled,
                         summarising) < 0)
        summary_on_settled(summarising, -ERR_FULL, NULL);
    return 0;
}

int sessions_compact_run(struct call *call, const void *params)
{
    const struct sessions_compact *p = params;
    struct gateway *gw = call_gateway(call);
    char key[SESSION_KEY_MAX + 1];
    struct fault fault = {0};
    struct session *session;

    if (session_canonical(gw, p->key, p->agent_id, key, &fault) < 0)
        return call_fail_fault(call, &fault);
    if (p->lines > 0 && turn_active(gw, key))
        return call_fail(call, WIRE_INVALID_REQUEST,
                         "Session %s has an active run; retry after it finishes.", p->key);
    session = session_find(gw, key);
    if (!session)
        return compact_nothing(call, key, true, "no sessionId", 0);
    return p->lines > 0 ? compact_lines(call, session, p->lines)
                        : compact_summary(call, session, p->instructions);
}
