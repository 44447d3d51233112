/* What is known already: the response that a request goes on from, and whether the request itself has been
 * answered. The Idempotency-Key names its run: a repeated one is told the
 * answer that is stored, and its turn does not run twice, also after a restart. Without the header each
 * request is a run of its own. */
#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "gateway/http/api_internal.h"
#include "gateway/session/session.h"
#include "gateway/session/transcript.h"
#include "gateway/session/turn.h"
#include "store/store.h"

#include <stdio.h>
#include <string.h>

#define RECALL_MS 10000
#define KEY_MAX   255
#define HASH_KEPT 40

/* Reads the stored answer. It outlives its run when the client leaves. */
struct api_replay {
    struct store_page page;
    struct api_run *run; /* NULL: gone */
    struct json *outcome;
};

void api_replay_forget(struct api_run *run)
{
    if (run->replay)
        run->replay->run = NULL;
}

static void on_replayed(struct op *op, int result)
{
    struct api_replay *replay = CONTAINER(op, struct api_replay, page.op);
    struct api_run *run = replay->run;
    const char *json = result == 0 && replay->page.count > 0 ? replay->page.rows[0].message : NULL;
    CLEAN(json_free) struct json *message = json ? json_parse(json, strlen(json), NULL) : NULL;
    CLEAN(mem_free) char *text = message ? transcript_text(message) : NULL;
    CLEAN(json_free) struct json *outcome = TAKE(replay->outcome);

    store_page_done(&replay->page);
    mem_free(replay);
    if (!run)
        return;
    run->replay = NULL;
    if (message)
        json_put(outcome, "content", json_copy(json_get(message, "content")));
    if (run->request.stream)
        api_stream_begin(run);
    api_ended(run, outcome, text);
}

/* Takes outcome. */
static void replay(struct api_run *run, struct json *outcome)
{
    const char *message_id = json_string(json_get(outcome, "messageId"), NULL);

    if (!message_id) {
        CLEAN(json_free) struct json *own = outcome;
        if (run->request.stream)
            api_stream_begin(run);
        api_ended(run, own, json_string(json_get(own, "text"), NULL));
        return;
    }
    run->replay = NEW(struct api_replay);
    run->replay->run = run;
    run->replay->outcome = outcome;
    op_init(&run->replay->page.op, run->gw->loop, on_replayed, RECALL_MS);
    store_message_read(run->gw->store, &run->replay->page,
                       json_string(json_get(outcome, "sessionId"), ""), message_id);
}

static void on_fetched(struct op *op, int result)
{
    struct api_run *run = CONTAINER(op, struct api_run, op);

    CHECK(run, API_RUN_MAGIC);
    if (result < 0)
        api_fail(run, &(struct api_error){503, "api_error",
                                          "what is known of this key cannot be read", true});
    else
        api_recall(run);
}

static void fetch(struct api_run *run, const char *key)
{
    op_init(&run->op, run->gw->loop, on_fetched, RECALL_MS);
    store_idempotency_fetch(run->gw->store, &run->op, key);
}

/* The run's id is what the key, the address and the API make of it. False: the header is no key. */
static bool name_run(struct api_run *run)
{
    const char *key = web_header(run->call, "idempotency-key");
    char id[UUID_TEXT], hash[SHA256_HEX];

    if (!key) {
        crypto_uuid(id);
        snprintf(run->run_id, sizeof(run->run_id), "%s%s", run->shape->run_prefix, id);
        return true;
    }
    if (!*key || strlen(key) > KEY_MAX)
        return false;
    CLEAN(mem_free)
    char *whole = mem_format("%s %s %s", run->call->device_id, run->target.agent_id, key);
    crypto_sha256_hex(whole, strlen(whole), hash);
    snprintf(run->run_id, sizeof(run->run_id), "%s%.*s", run->shape->run_prefix, HASH_KEPT, hash);
    return true;
}

/* Goes on in the session of an earlier response. False: the run has been failed, or waits for the store. */
static bool follow_previous(struct api_run *run)
{
    const char *previous = run->request.previous;
    char agent_id[AGENT_ID_MAX + 1];
    const char *stored;

    if (!previous || run->followed)
        return true;
    CLEAN(mem_free) char *name = turn_outcome_key(TURN_AGENT, previous);
    if (store_idempotency_find(run->gw->store, name, &stored) == STORE_ON_DISK) {
        fetch(run, name);
        return false;
    }
    bool ours = strncmp(previous, run->shape->run_prefix, strlen(run->shape->run_prefix)) == 0;
    CLEAN(json_free)
    struct json *known = ours ? turn_known(run->gw, TURN_AGENT, previous) : NULL;
    const char *key = json_string(json_get(known, "sessionKey"), "");
    struct key_rules rules = session_rules(run->gw);
    key_agent(&rules, key, agent_id);
    if (!known || strcmp(agent_id, run->target.agent_id) != 0 || !session_find(run->gw, key)) {
        api_fail(run,
                 &(struct api_error){400, "invalid_request_error",
                                     "there is no response previous_response_id that this agent "
                                     "could go on from; they are known for 24 hours",
                                     false});
        return false;
    }
    snprintf(run->target.session_key, sizeof(run->target.session_key), "%s", key);
    run->target.fresh = false;
    run->followed = true;
    return true;
}

void api_recall(struct api_run *run)
{
    const char *outcome;

    if (!follow_previous(run))
        return;
    if (!run->run_id[0] && !name_run(run)) {
        api_fail(run, &(struct api_error){400, "invalid_request_error",
                                          "Idempotency-Key must have 1 to 255 characters", false});
        return;
    }
    CLEAN(mem_free) char *name = turn_outcome_key(TURN_AGENT, run->run_id);
    if (store_idempotency_find(run->gw->store, name, &outcome) == STORE_ON_DISK) {
        fetch(run, name);
        return;
    }
    struct json *known = turn_known(run->gw, TURN_AGENT, run->run_id);
    if (!known) {
        api_submit(run);
        return;
    }
    if (strcmp(json_string(json_get(known, "status"), ""), "started") != 0) {
        replay(run, known);
        return;
    }
    json_free(known);
    api_fail(run, &(struct api_error){409, "conflict_error",
                                      "a request with this Idempotency-Key is still being answered",
                                      true});
}
