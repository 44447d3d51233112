/* The floor: what libwebsockets on libuv can do with this output path when nothing is above it. Frames
 * are made once at start; a reply is a memcpy, what a connection owes leaves in one raw write at the
 * end of the turn, an event is written to every connection at once. No JSON, no queue, no ceilings. */
#include "tests/bench/ws/server_options.h"

#include <arpa/inet.h>
#include <libwebsockets.h>
#include <signal.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>

#define BATCH_MAX       65536
#define CONNECTIONS_MAX 4096

struct connection {
    struct lws *wsi;
    unsigned replies, events; /* owed */
    bool challenged, dirty;
    struct connection *next_dirty;
};

struct frame {
    uint8_t *data;
    size_t length;
};

static struct server_options options;
static struct frame reply, event, challenge;
static struct connection *connections[CONNECTIONS_MAX];
static size_t connection_count;
static struct connection *dirty;
static uint8_t batch[LWS_PRE + BATCH_MAX];
static struct lws_context *context;
static struct lws_vhost *vhost;
static int listen_fd;

static struct frame frame_of(const char *text)
{
    size_t length = strlen(text), head = length < 126 ? 2 : length < 65536 ? 4 : 10;
    struct frame f = {malloc(length + head), length + head};

    f.data[0] = 0x81;
    f.data[1] = (uint8_t)(head == 2 ? length : head == 4 ? 126 : 127);
    for (size_t i = 2; i < head; i++)
        f.data[i] = (uint8_t)(length >> (8 * (head - 1 - i)));
    memcpy(f.data + head, text, length);
    return f;
}

static size_t fill(uint8_t *to, size_t room, const struct frame *f, unsigned *owed)
{
    size_t filled = 0;

    for (; *owed > 0 && filled + f->length <= room; --*owed, filled += f->length)
        memcpy(to + filled, f->data, f->length);
    return filled;
}

static int flush(struct connection *c)
{
    uint8_t *to = batch + LWS_PRE;

    if (lws_partial_buffered(c->wsi))
        return lws_callback_on_writable(c->wsi) < 0;
    size_t length = fill(to, BATCH_MAX, &reply, &c->replies);
    length += fill(to + length, BATCH_MAX - length, &event, &c->events);
    if (length && lws_write(c->wsi, to, length, LWS_WRITE_HTTP) < (int)length)
        return -1;
    if (c->replies || c->events)
        lws_callback_on_writable(c->wsi);
    return 0;
}

static void mark_dirty(struct connection *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->next_dirty = dirty;
    dirty = c;
}

static void on_check(uv_check_t *check)
{
    (void)check;
    while (dirty) {
        struct connection *c = dirty;
        dirty = c->next_dirty;
        c->dirty = false;
        flush(c);
    }
}

static void send_event_to_all(void)
{
    uint8_t *to = batch + LWS_PRE;

    memcpy(to, event.data, event.length);
    for (size_t i = 0; i < connection_count; i++) {
        struct connection *c = connections[i];
        if (c->events || c->replies || lws_partial_buffered(c->wsi)) {
            c->events++;
            mark_dirty(c);
        } else if (lws_write(c->wsi, to, event.length, LWS_WRITE_HTTP) < 0) {
            c->events = 0;
        }
    }
}

static void opened(struct connection *c, struct lws *wsi)
{
    uint8_t *to = batch + LWS_PRE;

    c->wsi = wsi;
    connections[connection_count++] = c;
    c->challenged = options.handshake;
    if (!options.handshake)
        return;
    memcpy(to, challenge.data, challenge.length);
    lws_write(wsi, to, challenge.length, LWS_WRITE_HTTP);
}

static void closed(struct connection *c)
{
    for (size_t i = 0; i < connection_count; i++)
        if (connections[i] == c)
            connections[i] = connections[--connection_count];
    for (struct connection **at = &dirty; *at; at = &(*at)->next_dirty)
        if (*at == c) {
            *at = c->next_dirty;
            break;
        }
}

static void received(struct connection *c)
{
    c->replies++;
    mark_dirty(c);
    if (c->challenged)
        c->challenged = false;
    else if (options.event)
        send_event_to_all();
}

static int on_lws(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                  size_t length)
{
    (void)in;
    (void)length;
    switch ((int)reason) {
    case LWS_CALLBACK_ESTABLISHED: opened(user, wsi); return 0;
    case LWS_CALLBACK_CLOSED: closed(user); return 0;
    case LWS_CALLBACK_RECEIVE:
        if (lws_is_final_fragment(wsi))
            received(user);
        return 0;
    case LWS_CALLBACK_SERVER_WRITEABLE: return flush(user);
    default: return 0;
    }
}

static const struct lws_protocols protocols[] = {
    {.name = "floor",
     .callback = on_lws,
     .per_session_data_size = sizeof(struct connection),
     .rx_buffer_size = 2048,
     .tx_packet_size = BATCH_MAX},
    {0},
};

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    int fd;
    (void)poll;
    (void)status;
    (void)events;
    while (connection_count < CONNECTIONS_MAX &&
           (fd = accept4(listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
        lws_adopt_socket_vhost(vhost, fd);
}

static int listen_somewhere(void)
{
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)options.port)};
    bool local = options.unix_path != NULL;
    int on = 1, fd = socket(local ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    socklen_t length = sizeof(in);

    if (local)
        snprintf(un.sun_path, sizeof(un.sun_path), "%s", options.unix_path);
    inet_pton(AF_INET, "127.0.0.1", &in.sin_addr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (bind(fd, local ? (struct sockaddr *)&un : (struct sockaddr *)&in,
             local ? (socklen_t)sizeof(un) : length) < 0 ||
        listen(fd, 1024) < 0) {
        perror("floor: listen");
        return -1;
    }
    if (!local) {
        getsockname(fd, (struct sockaddr *)&in, &length);
        printf("{\"port\":%d}\n", ntohs(in.sin_port));
        fflush(stdout);
    }
    return fd;
}

static void on_signal(uv_signal_t *handle, int number)
{
    (void)number;
    uv_stop(handle->loop);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    void *foreign[] = {loop};
    struct lws_context_creation_info info = {.port = CONTEXT_PORT_NO_LISTEN,
                                             .options = LWS_SERVER_OPTION_LIBUV |
                                                        LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
                                             .protocols = protocols,
                                             .foreign_loops = foreign,
                                             .gid = -1,
                                             .uid = -1};
    uv_check_t check;
    uv_poll_t acceptable;
    uv_signal_t term;

    if (!server_options_parse(argc, argv, &options)) {
        fprintf(stderr, "floor [--port N | --unix PATH] [--handshake] [--reply T] [--event T]\n");
        return 2;
    }
    reply = frame_of(options.reply);
    event = frame_of(options.event ? options.event : "");
    challenge = frame_of(challenge_text);
    lws_set_log_level(0, NULL);
    context = lws_create_context(&info);
    vhost = context ? lws_create_vhost(context, &info) : NULL;
    listen_fd = vhost ? listen_somewhere() : -1;
    if (listen_fd < 0)
        return 1;
    uv_poll_init(loop, &acceptable, listen_fd);
    uv_poll_start(&acceptable, UV_READABLE, on_acceptable);
    uv_check_init(loop, &check);
    uv_check_start(&check, on_check);
    uv_signal_init(loop, &term);
    uv_signal_start(&term, on_signal, SIGTERM);
    uv_run(loop, UV_RUN_DEFAULT);
    if (options.unix_path)
        unlink(options.unix_path);
    _exit(0); /* measured, not tidied */
}
