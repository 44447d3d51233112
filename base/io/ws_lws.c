/* The lws side of the door. Lives here: one lws context per loop (a second one that has started OpenSSL
 * when TLS is first asked for), and what lws tells us about a connection. Output is ws_lws_write.c. */
#include "base/io/ws_internal.h"

#include "base/mem.h"

#include <fcntl.h>
#include <libwebsockets.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#define HEAD_BYTES_MAX 8192 /* of a request's head */
#define HEADS_MAX      1024 /* being read at the same time */
#define REAP_ROUNDS    8    /* turns that lws's handles may take to close */
#define LWS_TIMEOUT_S  60   /* longer than any of ours, which come first */
#define KEEP_ALIVE_S   15
#define LAST_WORDS     256
/* TLS 1.2 and 1.3 only (protocol.md 9.4), and nobody makes us renegotiate. */
#define TLS_OPTIONS                                                                                \
    ((long)(SSL_OP_NO_SSLv3 | SSL_OP_NO_TLSv1 | SSL_OP_NO_TLSv1_1 | SSL_OP_NO_RENEGOTIATION))

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t length);

static const struct lws_protocols protocols[] = {
    {.name = "culvert",
     .callback = on_lws,
     .rx_buffer_size = WS_READ_MAX,
     .tx_packet_size = WS_BATCH_MAX},
    {0},
};

/* ---- the door ---- */

/* A door belongs to its loop, a loop to its thread. */
static _Thread_local struct ws_door *doors;
/* What lws said last, for the sentence of a fault. */
static _Thread_local char last_words[LAST_WORDS];

static void on_log(int level, const char *line)
{
    (void)level;
    const char *text = strstr(line, ": ");
    text = text ? text + 2 : line;
    size_t length = strcspn(text, "\r\n");
    if (length >= sizeof(last_words))
        length = sizeof(last_words) - 1;
    memcpy(last_words, text, length);
    last_words[length] = '\0';
}

/* The raw write was proved on 4.1 (tests/wire/base/io/ws_*_test.c). */
static bool output_proved(void)
{
    const char *version = lws_get_library_version();
    return strncmp(version, "4.1.", 4) == 0;
}

/* lws sizes two tables by the descriptor limit and touches every byte of them. */
static struct lws_context *create_context(struct lws_context_creation_info *info)
{
    struct rlimit before, less;
    bool lower = getrlimit(RLIMIT_NOFILE, &before) == 0 && before.rlim_cur > WS_FD_MAX;

    if (lower) {
        less = before;
        less.rlim_cur = WS_FD_MAX;
        setrlimit(RLIMIT_NOFILE, &less);
    }
    struct lws_context *context = lws_create_context(info);
    if (lower)
        setrlimit(RLIMIT_NOFILE, &before);
    return context;
}

static struct lws_vhost *create_vhost(struct ws_door *door, const char *name, uint64_t options,
                                      const char *certificate, const char *key)
{
    struct lws_context_creation_info info = {
        .vhost_name = name,
        .port = CONTEXT_PORT_NO_LISTEN_SERVER,
        .protocols = protocols,
        .options = options | (door->tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
        .ssl_cert_filepath = certificate,
        .ssl_private_key_filepath = key,
        .alpn = "http/1.1",
        .ssl_options_set = TLS_OPTIONS,
        .ssl_client_options_set = TLS_OPTIONS,
        .timeout_secs = LWS_TIMEOUT_S,
        .keepalive_timeout = KEEP_ALIVE_S,
    };
    if (!certificate)
        info.port = CONTEXT_PORT_NO_LISTEN;
    last_words[0] = '\0';
    return lws_create_vhost(door->context, &info);
}

static void on_event_handle(uv_handle_t *handle, void *arg)
{
    struct ws_door *door = arg;
    uv_os_fd_t fd;

    /* The last poll handle in the list is the youngest: the one lws has just made. */
    if (handle->type == UV_POLL && uv_fileno(handle, &fd) == 0)
        door->event_fd = fd;
}

static struct ws_door *door_new(struct loop *loop, bool tls, struct fault *reterr_fault)
{
    void *foreign[] = {loop_uv(loop)};
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = LWS_SERVER_OPTION_EXPLICIT_VHOSTS | LWS_SERVER_OPTION_LIBUV |
                   (tls ? LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT : 0),
        .foreign_loops = foreign,
        .count_threads = 1,
        .max_http_header_data = HEAD_BYTES_MAX,
        .max_http_header_pool = HEADS_MAX,
        .timeout_secs = LWS_TIMEOUT_S,
        .gid = -1,
        .uid = -1,
    };
    struct ws_door *door = NEW(struct ws_door);

    lws_set_log_level(LLL_ERR | LLL_WARN, on_log);
    door->loop = loop;
    door->tls = tls;
    door->flush_tail = &door->flush;
    door->turn = 1;
    door->raw = output_proved();
    door->event_fd = -1;
    door->context = create_context(&info);
    uv_walk(loop_uv(loop), on_event_handle, door);
    if (door->context)
        door->plain =
            create_vhost(door, "plain", LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS, NULL, NULL);
    if (!door->plain) {
        fault_set(reterr_fault, -ERR_IO,
                  "libwebsockets did not start: %s (is its libuv plug-in, package "
                  "libwebsockets-evlib-uv, installed?)",
                  last_words);
        lws_context_destroy(door->context);
        return mem_free(door);
    }
    door->next = doors;
    doors = door;
    return door;
}

struct ws_door *ws_door_ref(struct loop *loop, bool tls, struct fault *reterr_fault)
{
    struct ws_door *door = doors;

    while (door && (door->loop != loop || door->tls != tls))
        door = door->next;
    if (!door)
        door = door_new(loop, tls, reterr_fault);
    if (door)
        door->refs++;
    return door;
}

/* lws 4.1 closes its event descriptor twice, turns apart; were the number given away in between, it
 * would close somebody else's file. So the number is taken again at once; lws then closes that. */
static void guard_event_fd(const struct ws_door *door)
{
    if (door->event_fd < 0 || fcntl(door->event_fd, F_GETFD) >= 0)
        return;
    int placeholder = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (placeholder < 0 || placeholder == door->event_fd)
        return;
    int taken = fcntl(placeholder, F_DUPFD_CLOEXEC, door->event_fd);
    close(placeholder);
    if (taken >= 0 && taken != door->event_fd)
        close(taken);
}

/* lws's handles close over a few turns of the loop, then its context may be freed: the second call. */
static void on_reaper_closed(uv_handle_t *handle)
{
    struct ws_door *door = handle->data;

    if (++door->rounds < REAP_ROUNDS) {
        uv_idle_init(loop_uv(door->loop), door->reaper);
        uv_close(handle, on_reaper_closed);
        return;
    }
    lws_context_destroy(door->context);
    mem_free(door->reaper);
    mem_free(door->batch);
    mem_free(door);
}

static void door_destroy(void *arg)
{
    struct ws_door *door = arg;

    if (door->refs > 0)
        return;
    struct ws_door **at = &doors;
    while (*at && *at != door)
        at = &(*at)->next;
    if (*at)
        *at = door->next;

    defer_stop(door->loop, &door->flush_later);
    defer_stop(door->loop, &door->turn_over);
    lws_context_destroy(door->context);
    guard_event_fd(door);
    uv_idle_t *reaper = NEW(uv_idle_t);
    uv_idle_init(loop_uv(door->loop), reaper);
    reaper->data = door;
    door->reaper = reaper;
    uv_close((uv_handle_t *)reaper, on_reaper_closed);
}

void ws_door_unref(struct ws_door *door)
{
    if (--door->refs > 0)
        return;
    /* Not from inside lws. */
    defer_start(door->loop, &door->destroy_later, door_destroy, door);
}

struct lws_vhost *ws_door_server_tls(struct ws_door *door, const char *certificate, const char *key,
                                     struct fault *reterr_fault)
{
    struct lws_vhost *vhost =
        create_vhost(door, "server", LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS, certificate, key);
    if (!vhost)
        fault_set(reterr_fault, -ERR_INVALID, "cannot use TLS certificate %s with key %s: %s",
                  certificate, key, last_words[0] ? last_words : "they do not fit");
    return vhost;
}

void ws_door_drop_vhost(struct lws_vhost *vhost)
{
    lws_vhost_destroy(vhost);
}

struct lws_vhost *ws_door_client_tls(struct ws_door *door, bool pinned, struct fault *reterr_fault)
{
    struct lws_vhost **slot = pinned ? &door->pinned : &door->trust;

    if (!*slot)
        *slot = create_vhost(door, pinned ? "pinned" : "trust",
                             pinned ? LWS_SERVER_OPTION_DISABLE_OS_CA_CERTS : 0, NULL, NULL);
    if (!*slot)
        fault_set(reterr_fault, -ERR_IO, "TLS did not start: %s", last_words);
    return *slot;
}

void ws_lws_kill(struct ws_door *door, struct lws *wsi)
{
    lws_set_opaque_user_data(wsi, NULL);
    int fd = lws_get_socket_fd(wsi);
    if (fd >= 0)
        shutdown(fd, SHUT_RDWR);
    lws_set_timeout(wsi, PENDING_TIMEOUT_USER_OK,
                    door->depth ? LWS_TO_KILL_ASYNC : LWS_TO_KILL_SYNC);
}

/* ---- what lws tells ---- */

static int on_ws_receive(struct ws *ws, struct lws *wsi, const char *data, size_t length)
{
    struct ws_door *door = ws->door;

    if (lws_frame_is_binary(wsi)) {
        ws_close(ws, 1003, "text frames only");
        return 0;
    }
    door->reading = ws;
    ws_input(ws, data, length, lws_is_final_fragment(wsi) != 0, lws_remaining_packet_payload(wsi));
    door->reading = NULL;
    return 0;
}

/* Codes that lws 4.1 takes for illegal and shows as 1002; the reason text tells which it was
 * (protocol.md 1.3). */
static uint16_t restore_code(uint16_t code, const char *reason, size_t length)
{
    static const struct {
        uint16_t code;
        const char *reason;
    } known[] = {
        {1012, "service restart"},
        {1012, "node capabilities changed"},
        {1012, "gateway protocol upgraded"},
        {1013, "gateway starting"},
        {1013, "gateway restart in progress"},
    };

    for (size_t i = 0; code == 1002 && i < COUNT(known); i++)
        if (length == strlen(known[i].reason) && memcmp(reason, known[i].reason, length) == 0)
            return known[i].code;
    return code;
}

static int on_ws_peer_close(struct ws *ws, const uint8_t *data, size_t length)
{
    bool answer_to_ours = ws->state != WS_OPEN;
    const char *reason = length > 2 ? (const char *)data + 2 : "";
    size_t reason_length = length > 2 ? length - 2 : 0;
    uint16_t code = length >= 2 ? (uint16_t)((unsigned)data[0] << 8 | data[1]) : 1005;

    ws_input_close(ws, restore_code(code, reason, reason_length), reason, reason_length);
    return answer_to_ours ? -1 : 0; /* -1: lws closes; 0: lws answers, then closes */
}

static void on_ws_gone(struct ws *ws)
{
    ws->wsi = NULL;
    if (ws->state == WS_CONNECTING)
        ws_connect_failed(ws, "the connection was closed before the upgrade");
    else if (ws->state == WS_CLOSING)
        ws_end(ws, ws->close_code, NULL);
    else
        ws_end(ws, 1006, NULL);
}

static int on_ws(struct ws *ws, struct lws *wsi, enum lws_callback_reasons reason, void *user,
                 void *in, size_t length)
{
    switch ((int)reason) {
    case LWS_CALLBACK_RECEIVE:
    case LWS_CALLBACK_CLIENT_RECEIVE: return on_ws_receive(ws, wsi, in, length);
    case LWS_CALLBACK_SERVER_WRITEABLE:
    case LWS_CALLBACK_CLIENT_WRITEABLE: ws_lws_write_some(ws, true); return 0;
    case LWS_CALLBACK_RECEIVE_PONG:
    case LWS_CALLBACK_CLIENT_RECEIVE_PONG:
        ws->last_read = loop_now(ws->loop);
        if (ws->state == WS_OPEN && ws->events && ws->events->pong)
            ws->events->pong(ws, ws->arg);
        return 0;
    case LWS_CALLBACK_WS_PEER_INITIATED_CLOSE: return on_ws_peer_close(ws, in, length);
    case LWS_CALLBACK_CLIENT_ESTABLISHED: ws_connect_opened(ws); return 0;
    case LWS_CALLBACK_CLIENT_APPEND_HANDSHAKE_HEADER: return ws_connect_check_pin(ws);
    case LWS_CALLBACK_OPENSSL_PERFORM_SERVER_CERT_VERIFICATION:
        return ws_connect_verify(ws, user, length != 0);
    case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
        ws->status = (int)lws_http_client_http_response(wsi);
        lws_set_opaque_user_data(wsi, NULL);
        ws->wsi = NULL;
        ws_connect_failed(ws, in ? in : "");
        return 0;
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_CLIENT_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(wsi, NULL);
        on_ws_gone(ws);
        return 0;
    default: return 0;
    }
}

static int on_half(struct ws_half *half, struct lws *wsi, enum lws_callback_reasons reason,
                   void *in, size_t length)
{
    switch ((int)reason) {
    case LWS_CALLBACK_HTTP_CONFIRM_UPGRADE: return ws_http_confirm_upgrade(half, in);
    case LWS_CALLBACK_ESTABLISHED: ws_half_open(half); return 0;
    case LWS_CALLBACK_HTTP: return ws_http_begin(half);
    case LWS_CALLBACK_HTTP_BODY: return ws_http_body(half, in, length);
    case LWS_CALLBACK_HTTP_BODY_COMPLETION: return ws_http_whole(half);
    case LWS_CALLBACK_HTTP_WRITEABLE: return ws_http_writable(half);
    case LWS_CALLBACK_CLOSED_HTTP:
    case LWS_CALLBACK_CLOSED:
    case LWS_CALLBACK_WSI_DESTROY:
        lws_set_opaque_user_data(wsi, NULL);
        half->wsi = NULL;
        ws_half_free(half);
        return 0;
    default: return 0;
    }
}

static struct ws_door *door_of(struct lws *wsi)
{
    struct lws_context *context = lws_get_context(wsi);
    struct ws_door *door = doors;

    while (door && door->context != context)
        door = door->next;
    return door;
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t length)
{
    struct ws_any *any = wsi ? lws_get_opaque_user_data(wsi) : NULL;
    if (!any)
        return 0;

    struct ws_door *door = door_of(wsi);
    int r = 0;
    if (door)
        door->depth++;
    if (any->magic == WS_MAGIC)
        r = on_ws((struct ws *)any, wsi, reason, user, in, length);
    else if (!fails(any->magic == HALF_MAGIC))
        r = on_half((struct ws_half *)any, wsi, reason, in, length);
    if (door)
        door->depth--;
    return r;
}
