/* The client's road: open the socket, wait for the challenge, sign, connect, hello-ok; then calls, one at
 * a time. protocol.md section 2, from the other side. */
#include "gateway/cli/client.h"

#include "base/mem.h"
#include "gateway/cli/device_store.h"
#include "gateway/cli/hello.h"
#include "gateway/cli/road.h"
#include "gateway/conn/conn.h"
#include "gateway/gateway.h"
#include "gateway/identity.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CLIENT_MAGIC 0x636c6965u
#define CONNECT_MS   15000

struct client {
    uint32_t magic;
    struct target *target; /* borrowed */
    struct loop *loop;
    struct road *road; /* NULL: straight there */
    struct ws *ws;
    struct op opening;
    struct identity *identity;
    struct json *hello;
    client_event_fn *on_event;
    void *event_arg;
    uint64_t last_id;
    /* The call that is waited for. */
    char waiting_id[24];
    bool final, answered, interrupted, closed, vanished, opened;
    struct json *payload;
    int result;
    struct fault fault;
    char challenge_nonce[128];
    int64_t challenge_ts;
};

/* ---- what comes in ---- */

static int code_of(const char *wire_code)
{
    static const struct {
        const char *wire;
        int code;
    } codes[] = {{"NOT_PAIRED", -ERR_AUTH},
                 {"FORBIDDEN", -ERR_DENIED},
                 {"INVALID_REQUEST", -ERR_INVALID},
                 {"UNAVAILABLE", -ERR_BUSY}};

    for (size_t i = 0; i < COUNT(codes); i++)
        if (strcmp(codes[i].wire, wire_code) == 0)
            return codes[i].code;
    return -ERR_IO;
}

/* What a person can do about a refusal, where the gateway's words are meant for other programs' settings. */
static const char *advice_for(const char *code, bool local)
{
    static const struct {
        const char *code, *text;
        bool local; /* also for the gateway of this host */
    } rows[] = {
        {"AUTH_TOKEN_MISSING",
         "unauthorized: that gateway has given this device no token of its own. Show it the "
         "gateway's token, with --token-file FILE, until the device is approved and was let in "
         "once; it lies in <state>/identity/token at the gateway's host",
         false},
        {"AUTH_TOKEN_MISMATCH",
         "unauthorized: the token that was given is not that gateway's. Unless its configuration "
         "names another, it lies in <state>/identity/token at the gateway's host",
         true},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        if (strcmp(rows[i].code, code) == 0 && (rows[i].local || !local))
            return rows[i].text;
    return NULL;
}

static void take_error(struct client *client, const struct frame *frame)
{
    CLEAN(json_free) struct json *error = json_parse(frame->error.at, frame->error.length, NULL);
    const char *message =
        json_string(json_get(error, "message"), "the gateway refused without a reason");
    const char *code = json_string(json_get(error, "code"), "");
    const struct json *details = json_get(error, "details");
    const char *request_id = json_string(json_get(details, "requestId"), NULL);
    const char *advice =
        advice_for(json_string(json_get(details, "code"), ""), client->target->local);

    client->result = code_of(code);
    if (!client->hello)
        client->result = -ERR_AUTH;
    if (request_id)
        fault_set(&client->fault, client->result,
                  "%s. At the gateway's host, run: culvert devices approve %s — then the same "
                  "command here again",
                  message, request_id);
    else
        fault_set(&client->fault, client->result, "%s", advice ? advice : message);
}

static void take_answer(struct client *client, const struct frame *frame)
{
    size_t length = strlen(client->waiting_id);

    if (client->answered || frame->id.length != length + 2 ||
        strncmp(frame->id.at + 1, client->waiting_id, length) != 0)
        return;

    CLEAN(json_free)
    struct json *payload =
        frame->body.at ? json_parse(frame->body.at, frame->body.length, NULL) : json_new_null();
    if (frame->ok && client->final &&
        strcmp(json_string(json_get(payload, "status"), ""), "accepted") == 0)
        return;
    client->answered = true;
    if (!frame->ok) {
        take_error(client, frame);
        return;
    }
    client->result = 0;
    client->payload = TAKE(payload);
}

static void take_event(struct client *client, const struct frame *frame)
{
    CLEAN(json_free)
    struct json *payload =
        frame->body.at ? json_parse(frame->body.at, frame->body.length, NULL) : NULL;

    if (frame_is(frame, "connect.challenge")) {
        snprintf(client->challenge_nonce, sizeof(client->challenge_nonce), "%s",
                 json_string(json_get(payload, "nonce"), ""));
        client->challenge_ts = json_integer(json_get(payload, "ts"), 0);
        return;
    }
    if (!client->on_event)
        return;
    CLEAN(mem_free) char *name = mem_slice(frame->name.at, frame->name.length);
    client->on_event(client->event_arg, name, payload);
}

static void on_message(struct ws *ws, void *arg, const char *text, size_t length)
{
    struct client *client = arg;
    struct frame frame;

    (void)ws;
    CHECK(client, CLIENT_MAGIC);
    if (frame_parse(text, length, &frame, NULL) < 0)
        return; /* a newer gateway may send what we do not know */
    if (frame.kind == FRAME_RESPONSE)
        take_answer(client, &frame);
    else if (frame.kind == FRAME_EVENT)
        take_event(client, &frame);
}

static void on_closed(struct ws *ws, void *arg, uint16_t code, const char *reason)
{
    struct client *client = arg;

    (void)ws;
    client->closed = true;
    client->vanished = code == 1006;
    client->ws = NULL;
    if (!client->fault.code)
        fault_set(&client->fault, -ERR_CLOSED, "the gateway closed the connection (%u%s%s)", code,
                  reason && reason[0] ? ": " : "", reason ? reason : "");
}

static const struct ws_events client_events = {.message = on_message, .closed = on_closed};

static void on_opened(struct op *op, int result)
{
    struct client *client = CONTAINER(op, struct client, opening);

    client->opened = true;
    client->result = result;
    if (result < 0) {
        client->fault = op->fault;
        client->ws = NULL; /* the door has let it go */
    }
}

/* ---- waiting ---- */

static void on_time(void *arg)
{
    *(bool *)arg = true;
}

/* Turns the loop until one of the two flags is set or something ended it. wait_ms 0: no limit. */
static int turn_until(struct client *client, const bool *done, int64_t wait_ms,
                      struct fault *reterr_fault)
{
    struct timer timer = {0};
    bool late = false;

    if (wait_ms > 0)
        timer_start(client->loop, &timer, wait_ms, 0, on_time, &late);
    while (!*done && !client->closed && !late && !client->interrupted)
        loop_turn(client->loop, true);
    timer_stop(client->loop, &timer);

    if (*done)
        return 0;
    if (client->interrupted)
        return fault_set(reterr_fault, -ERR_INTERRUPTED, "interrupted");
    if (client->closed) {
        if (client->vanished && client->road)
            road_why(client->road, &client->fault);
        if (reterr_fault)
            *reterr_fault = client->fault;
        return client->fault.code;
    }
    return fault_set(reterr_fault, -ERR_TIMEOUT, "no answer within %lld s; --timeout allows more",
                     (long long)(wait_ms / 1000));
}

int client_wait(struct client *client, const bool *done, int64_t wait_ms,
                struct fault *reterr_fault)
{
    return turn_until(client, done, wait_ms, reterr_fault);
}

static void on_interrupt(void *arg, int signum)
{
    (void)signum;
    ((struct client *)arg)->interrupted = true;
}

void client_catch_interrupt(struct client *client)
{
    loop_on_signal(client->loop, SIGINT, on_interrupt, client);
}

/* ---- calls ---- */

static struct json *call_with_fault(struct client *client, const char *method, const char *params,
                                    bool final, struct fault *reterr_fault)
{
    struct buf b;
    struct json_writer w;

    snprintf(client->waiting_id, sizeof(client->waiting_id), "%llu",
             (unsigned long long)++client->last_id);
    client->answered = false;
    client->final = final;
    client->payload = json_free(client->payload);
    client->fault = (struct fault){0};

    buf_init(&b, CONN_MESSAGE_MAX);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "type", "req");
    jw_kstr(&w, "id", client->waiting_id);
    jw_kstr(&w, "method", method);
    jw_kraw(&w, "params", params);
    jw_object_end(&w);
    int r = b.bad            ? -ERR_TOO_LARGE
            : client->closed ? -ERR_CLOSED
                             : ws_send(client->ws, b.data, b.length, NULL);
    buf_done(&b);
    if (r < 0) {
        fault_set(reterr_fault, r, "cannot send the request: %s", err_text(r));
        return NULL;
    }
    if (turn_until(client, &client->answered, client->target->timeout_ms, reterr_fault) < 0)
        return NULL;
    if (client->result < 0 && reterr_fault)
        *reterr_fault = client->fault;
    return client->result < 0 ? NULL : TAKE(client->payload);
}

struct json *client_call(struct client *client, const char *method, const char *params, bool final,
                         struct fault *reterr_fault)
{
    return call_with_fault(client, method, params, final, reterr_fault);
}

void client_on_event(struct client *client, client_event_fn *fn, void *arg)
{
    client->on_event = fn;
    client->event_arg = arg;
}

const struct json *client_hello(const struct client *client)
{
    return client->hello;
}

/* ---- connect ---- */

static char *wipe(char *secret)
{
    return mem_wipe_free(secret, secret ? strlen(secret) : 0);
}

static int say_hello(struct client *client, const struct credentials *credentials,
                     struct fault *reterr_fault)
{
    char *params =
        hello_params(client->identity, client->challenge_nonce, client->challenge_ts, credentials);

    if (params)
        client->hello = call_with_fault(client, "connect", params, false, reterr_fault);
    else
        fault_set(reterr_fault, -ERR_TOO_LARGE, "the token or password is too long to send");
    wipe(params);
    return client->hello ? 0 : reterr_fault->code;
}

static bool challenge_came(const struct client *client)
{
    return client->challenge_ts != 0;
}

static int await_challenge(struct client *client, struct fault *reterr_fault)
{
    struct timer timer = {0};
    bool late = false;

    timer_start(client->loop, &timer, CONNECT_MS, 0, on_time, &late);
    while (!challenge_came(client) && !client->closed && !late)
        loop_turn(client->loop, true);
    timer_stop(client->loop, &timer);
    if (challenge_came(client))
        return 0;
    return fault_set(reterr_fault, -ERR_CONNECT,
                     "something answers there but it is not a gateway (no challenge came)");
}

static int open_socket(struct client *client, struct fault *reterr_fault)
{
    client->opened = client->closed = false;
    op_init(&client->opening, client->loop, on_opened, CONNECT_MS);
    ws_connect(&client->opening, &client->target->ws, &client_events, client, &client->ws);
    while (!client->opened)
        loop_turn(client->loop, true);
    if (client->result == 0)
        return 0;
    *reterr_fault = client->fault;
    reterr_fault->code = -ERR_CONNECT;
    return -ERR_CONNECT;
}

/* Order: what the person gave, a device token of an earlier pairing, the local gateway's own token. */
static void gather(struct client *client, struct credentials *ret)
{
    struct target *target = client->target;

    ret->token = target->token;
    ret->password = target->password;
    ret->device_token = NULL;
    if (ret->token || ret->password)
        return;
    ret->device_token = device_store_get(target);
    if (!ret->device_token && target->local)
        target->token = device_store_local_secret(target, &target->password);
    ret->token = target->token;
    ret->password = target->password;
}

static int handshake(struct client *client, struct fault *reterr_fault)
{
    struct credentials credentials;
    int r;

    client->challenge_ts = 0;
    if ((r = open_socket(client, reterr_fault)) < 0 ||
        (r = await_challenge(client, reterr_fault)) < 0)
        return r;
    gather(client, &credentials);
    bool by_device_token = credentials.device_token != NULL;
    r = say_hello(client, &credentials, reterr_fault);
    wipe(credentials.device_token);
    if (r < 0 && by_device_token && r == -ERR_AUTH)
        device_store_forget(client->target);
    if (r < 0)
        return r;
    device_store_put(client->target,
                     json_string(json_path(client->hello, "auth.deviceToken"), NULL));
    return 0;
}

/* The close is waited for: its callbacks are over then. */
static void close_socket(struct client *client)
{
    op_drop(&client->opening);
    if (client->ws && !client->closed)
        ws_close(client->ws, 1000, "");
    while (client->opened && client->ws && !client->closed)
        loop_turn(client->loop, true);
}

/* A stored device token that no longer holds (revoked, another gateway) is forgotten and the handshake is
 * tried once more without it, by the same road. */
static int try_handshake(struct client *client, struct fault *reterr_fault)
{
    bool had_token = device_store_has(client->target);
    int r = handshake(client, reterr_fault);

    if (r != -ERR_AUTH || !had_token || device_store_has(client->target))
        return r;
    close_socket(client);
    client->fault = (struct fault){0};
    return handshake(client, reterr_fault);
}

int client_open(struct target *target, struct client **ret, struct fault *reterr_fault)
{
    CLEAN(client_close) struct client *client = NEW(struct client);
    int r;

    client->magic = CLIENT_MAGIC;
    client->target = target;
    client->loop = loop_new(LOOP_REAL);
    if ((r = device_store_identity(target, &client->identity, reterr_fault)) < 0 ||
        (target->road != TARGET_DIRECT && (r = road_open(target, client->loop, &client->interrupted,
                                                         &client->road, reterr_fault)) < 0) ||
        (r = try_handshake(client, reterr_fault)) < 0)
        return r;
    if (client->road)
        road_seal(client->road);
    *ret = TAKE(client);
    return 0;
}

struct client *client_close(struct client *client)
{
    if (!client)
        return NULL;
    close_socket(client);
    client->road = road_close(client->road);
    identity_free(client->identity);
    json_free(client->hello);
    json_free(client->payload);
    loop_free(client->loop);
    return mem_free(client);
}
