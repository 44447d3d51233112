/* A connection's life as a table of states: OPENED (challenge sent) -> CHECKING (connect is being
 * judged) -> OPEN -> CLOSING. What a state does not list is ignored there. The table of connections and
 * the ceilings are in conns.c, the judging in handshake.c. Owns struct conn. protocol.md sections 1, 2. */
#include "gateway/conn/internal.h"

#define LOG_SUBSYSTEM "conn"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/conn/conns.h"
#include "gateway/event/event.h"
#include "gateway/event/presence.h"
#include "gateway/method/call.h"
#include "gateway/method/method.h"

#include <stdio.h>
#include <string.h>

#define UNAUTHORISED_MAX 10
#define BEAT_MS          25000

typedef void conn_on_fn(struct conn *conn, const char *text, size_t length);

struct conn_row {
    const char *name;
    void (*enter)(struct conn *conn);
    conn_on_fn *on[EV_EVENTS];
};

static void enter_opened(struct conn *conn);
static void enter_open(struct conn *conn);
static void enter_closing(struct conn *conn);
static conn_on_fn on_late, on_held, on_request, on_beat, on_drained;

static const struct conn_row conn_rows[CONN_STATES] = {
    [CONN_OPENED] =
        {
            .name = "opened",
            .enter = enter_opened,
            .on = {[EV_MESSAGE] = handshake_start, [EV_TIMEOUT] = on_late},
        },
    [CONN_CHECKING] =
        {
            .name = "checking",
            .on = {[EV_MESSAGE] = on_held, [EV_TIMEOUT] = on_late},
        },
    [CONN_OPEN] =
        {
            .name = "open",
            .enter = enter_open,
            .on = {[EV_MESSAGE] = on_request, [EV_BEAT] = on_beat, [EV_DRAINED] = on_drained},
        },
    [CONN_CLOSING] =
        {
            .name = "closing",
            .enter = enter_closing,
        },
};

void conn_enter(struct conn *conn, enum conn_state state)
{
    log_debug("%s: %s -> %s", conn->uuid, conn_rows[conn->state].name, conn_rows[state].name);
    conns_state_changed(conn, state);
    conn->state = state;
    if (conn_rows[state].enter)
        conn_rows[state].enter(conn);
}

static void conn_event(struct conn *conn, enum conn_event event, const char *text, size_t length)
{
    conn_on_fn *on = conn_rows[conn->state].on[event];

    if (on)
        on(conn, text, length);
}

/* ---- what the socket says ---- */

static void on_message(struct ws *ws, void *arg, const char *text, size_t length)
{
    struct conn *conn = arg;

    CHECK(conn, CONN_MAGIC);
    require(conn->ws == ws);
    conn_event(conn, EV_MESSAGE, text, length);
}

static void on_socket_drained(struct ws *ws, void *arg)
{
    (void)ws;
    conn_event(arg, EV_DRAINED, NULL, 0);
}

bool conn_is_probe(const struct conn *conn)
{
    return !conn->device_id && conn->client.mode && strcmp(conn->client.mode, "probe") == 0;
}

/* The last word: nothing of the connection is left afterwards. */
static void on_closed(struct ws *ws, void *arg, uint16_t code, const char *reason)
{
    struct conn *conn = arg;

    CHECK(conn, CONN_MAGIC);
    (void)ws;
    if (conn->connected_at && !conn_is_probe(conn))
        log_info("%s %s gone: %u%s%s", conn->client.id, conn->uuid, code,
                 reason && reason[0] ? " " : "", reason ? reason : "");
    else
        log_debug("%s gone before hello: %u %s", conn->uuid, code, reason ? reason : "");
    conn_free(conn);
}

const struct ws_events conn_ws_events = {
    .message = on_message,
    .drained = on_socket_drained,
    .closed = on_closed,
};

/* ---- opened: challenge and wait ---- */

static void on_deadline(void *arg)
{
    conn_event(arg, EV_TIMEOUT, NULL, 0);
}

static void enter_opened(struct conn *conn)
{
    char text[192];
    int length = snprintf(text, sizeof(text),
                          "{\"type\":\"event\",\"event\":\"connect.challenge\",\"payload\":"
                          "{\"nonce\":\"%s\",\"ts\":%lld}}",
                          conn->handshake->nonce, (long long)loop_wall(conn->gw->loop));

    ws_set_message_max(conn->ws, CONN_PREAUTH_MAX);
    conn_send(conn, text, (size_t)length, NULL);
    timer_start(conn->gw->loop, &conn->handshake->deadline, CONN_HANDSHAKE_MS, 0, on_deadline,
                conn);
}

static void on_late(struct conn *conn, const char *text, size_t length)
{
    (void)text, (void)length;
    conn_close(conn, 1000, "");
}

/* ---- checking: what comes meanwhile waits ---- */

static void on_held(struct conn *conn, const char *text, size_t length)
{
    struct conn_handshake *h = conn->handshake;

    if (h->held_count == CONN_PENDING_FRAMES_MAX ||
        h->held_bytes + length > CONN_PENDING_BYTES_MAX) {
        conn_close(conn, 1008, "too many pending handshake frames");
        return;
    }
    struct held_frame *held = mem_new(sizeof(*held) + length);
    held->length = length;
    memcpy(held->text, text, length);
    *h->held_tail = held;
    h->held_tail = &held->next;
    h->held_count++;
    h->held_bytes += length;
}

/* ---- open ---- */

static void on_beat_timer(void *arg)
{
    conn_event(arg, EV_BEAT, NULL, 0);
}

static void enter_open(struct conn *conn)
{
    ws_set_message_max(conn->ws, conn->version < 4 ? CONN_MESSAGE_MAX_V3 : CONN_MESSAGE_MAX);
    conn->connected_at = loop_wall(conn->gw->loop);
    if (conn->device_id)
        pairing_connected(conn->gw, conn->device_id, true);
    conns_beat_start(conn, BEAT_MS, on_beat_timer);
}

/* A ping every beat; whoever has sent nothing since the last one, not even its pong, is gone. */
static void on_beat(struct conn *conn, const char *text, size_t length)
{
    (void)text, (void)length;
    if (conn->pinged_at && ws_last_read(conn->ws) < conn->pinged_at) {
        log_info("%s %s: no pong in %d s", conn->client.id, conn->uuid, BEAT_MS / 1000);
        ws_abort(conn->ws);
        conn_enter(conn, CONN_CLOSING);
        return;
    }
    conn->pinged_at = loop_now(conn->gw->loop);
    ws_ping(conn->ws);
}

static void on_drained(struct conn *conn, const char *text, size_t length)
{
    (void)text, (void)length;
    event_conn_drained(conn);
}

/* Text that is no JSON is ignored; JSON that is no request, or more of it than we take, is answered.
 * protocol.md 1.3, 1.5. */
static void answer_malformed(struct conn *conn, const char *text, size_t length,
                             const struct frame *frame, const struct fault *fault)
{
    char message[FAULT_TEXT_MAX + 32];
    struct json_slice id = frame->id;

    if (json_scan(text, length, NULL) == -ERR_INVALID)
        return;
    if (!id.at)
        id = (struct json_slice){"\"invalid\"", strlen("\"invalid\"")};
    snprintf(message, sizeof(message), "invalid request frame: %s", fault->text);
    conn_send_error(conn, id, wire_error_name(WIRE_INVALID_REQUEST), message);
}

static void on_request(struct conn *conn, const char *text, size_t length)
{
    struct frame frame;
    LATER struct fault fault;

    fault_clear(&fault);
    if (frame_parse(text, length, &frame, &fault) < 0) {
        answer_malformed(conn, text, length, &frame, &fault);
        return;
    }
    if (frame.kind != FRAME_REQUEST) {
        fault_set(&fault, -ERR_INVALID, "at /type: must be equal to constant");
        answer_malformed(conn, text, length, &frame, &fault);
        return;
    }
    if (frame_is(&frame, "connect")) {
        conn_send_error(conn, frame.id, wire_error_name(WIRE_INVALID_REQUEST),
                        "connect is only valid as the first request");
        return;
    }
    method_dispatch(conn, &frame);
    if (conn->unauthorised_calls > UNAUTHORISED_MAX)
        conn_close(conn, 1008, "repeated unauthorized calls");
}

/* Hello first (events wait for OPEN), then whatever the client sent without waiting for it. */
void conn_opened(struct conn *conn)
{
    struct conn_handshake *h = TAKE(conn->handshake);

    presence_conn(conn, "connect");
    hello_send(conn, h);
    if (conn->state == CONN_CHECKING)
        conn_enter(conn, CONN_OPEN);
    if (conn_is_probe(conn))
        log_debug("%s looks whether we answer", conn->uuid);
    else
        log_info("%s %s open: version %d, %s%s, %s", conn->client.id, conn->uuid, conn->version,
                 conn->role == ROLE_NODE ? "node" : "operator", conn->local ? ", local" : "",
                 conn->auth_method);
    for (struct held_frame *held = h->held; held; held = held->next)
        conn_event(conn, EV_MESSAGE, held->text, held->length);
    handshake_free(h);
}

/* ---- closing and the end ---- */

static void enter_closing(struct conn *conn)
{
    if (conn->handshake) {
        timer_stop(conn->gw->loop, &conn->handshake->deadline);
        timer_stop(conn->gw->loop, &conn->handshake->delay);
        op_drop(&conn->handshake->op);
        handshake_forget(conn->handshake);
    }
    conns_beat_stop(conn);
}

void conn_close(struct conn *conn, uint16_t code, const char *reason)
{
    if (conn->state == CONN_CLOSING)
        return;
    ws_close(conn->ws, code, reason);
    conn_enter(conn, CONN_CLOSING);
}

static void client_done(struct conn_client *client)
{
    mem_free(client->id);
    mem_free(client->display_name);
    mem_free(client->version);
    mem_free(client->platform);
    mem_free(client->device_family);
    mem_free(client->model_identifier);
    mem_free(client->mode);
    mem_free(client->instance_id);
    mem_free(client->time_zone);
    mem_free(client->user_agent);
    mem_free(client->locale);
}

void conn_free(struct conn *conn)
{
    if (conn->state != CONN_CLOSING)
        conn_enter(conn, CONN_CLOSING);
    event_conn_done(conn);
    calls_conn_gone(conn->gw, conn->id);
    conns_remove(conn);
    if (conn->connected_at && conn->device_id)
        pairing_connected(conn->gw, conn->device_id, false);
    if (conn->connected_at && !conn->gw->stopping)
        presence_conn(conn, "disconnect");
    handshake_free(conn->handshake);
    client_done(&conn->client);
    mem_free(conn->device_id);
    mem_free(conn->remote_ip);
    peer_identity_unref(conn->identity);
    conn->magic = 0;
    mem_free(conn);
}

/* ---- sending ---- */

void conn_send(struct conn *conn, const void *head, size_t length, struct bytes *tail)
{
    size_t all = length + (tail ? tail->length : 0);
    size_t most = conn->version == 3 ? CONN_OUTPUT_MAX_V3 : CONN_OUTPUT_MAX;

    if (conn->state == CONN_CLOSING)
        return;
    if (all > most - (ws_queued(conn->ws) < most ? ws_queued(conn->ws) : most) ||
        ws_send(conn->ws, head, length, tail) == -ERR_FULL) {
        log_warn("%s: slow consumer, %zu bytes wait", conn->uuid, ws_queued(conn->ws));
        conn_close(conn, 1008, "slow consumer");
        return;
    }
    conns_relieve(conn->gw);
}

void conn_send_error(struct conn *conn, struct json_slice id, const char *code, const char *message)
{
    CLEAN(buf_done) struct buf b;
    struct json_writer w;

    buf_init(&b, CONN_PREAUTH_MAX * 2);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "type", "res");
    jw_key(&w, "id");
    jw_raw(&w, id.at, id.length);
    jw_kbool(&w, "ok", false);
    jw_kobject(&w, "error");
    jw_kstr(&w, "code", code);
    jw_kstr(&w, "message", message);
    jw_object_end(&w);
    jw_object_end(&w);
    if (!b.bad)
        conn_send(conn, b.data, b.length, NULL);
}
