/* Proof of the output path on the lws that is installed (design.md section 4): raw batches survive
 * partial sends, closes, pings in between and TLS, in order and to the byte. */
#include "base/crypto.h"
#include "base/io/ws_internal.h"
#include "tests/wire/base/io/ws_certificate.h"
#include "tests/wire/base/io/ws_rig.h"

#include <sys/stat.h>

#define KIB 1024u
#define MIB (1024u * 1024u)

/* Both ends compute the same hash over "length:bytes" of each message in order. */
struct stream {
    uint64_t hash;
    size_t count;
};

static void stream_add(struct stream *s, const char *text, size_t length)
{
    uint64_t h = s->hash ^ length;
    for (size_t i = 0; i < length; i++)
        h = (h ^ (uint8_t)text[i]) * 0x100000001b3u;
    s->hash = h;
    s->count++;
}

static struct stream received;
static size_t pongs;
static uint16_t close_code;
static bool closed;

static void on_message(struct ws *ws, void *arg, const char *text, size_t length)
{
    (void)ws;
    (void)arg;
    stream_add(&received, text, length);
}
static void on_pong(struct ws *ws, void *arg)
{
    (void)ws;
    (void)arg;
    pongs++;
}
static void on_closed(struct ws *ws, void *arg, uint16_t code, const char *reason)
{
    (void)ws;
    (void)arg;
    (void)reason;
    closed = true;
    close_code = code;
}
static const struct ws_events stream_events = {
    .message = on_message, .pong = on_pong, .closed = on_closed};

/* Text whose every place tells where it is. */
static char *pattern(size_t length, unsigned seed)
{
    char *text = mem_array(length + 1, 1);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)('!' + (i * 31 + i / 89 + seed) % 90);
    return text;
}

static void send_pattern(struct ws *ws, struct stream *sent, size_t length, unsigned seed)
{
    CLEAN(mem_free) char *text = pattern(length, seed);
    size_t head = length > 100 ? 61 : length;
    CLEAN(bytes_unref) struct bytes *tail = bytes_new(text + head, length - head);

    t_eq(ws_send(ws, text, head, tail), 0);
    stream_add(sent, text, length);
}

static struct ws *connect_stream(struct rig *g, const char *pin)
{
    struct rig_connect c = {0};
    struct ws *ws;
    struct ws_target target = {.host = "127.0.0.1",
                               .port = ws_server_port(g->server),
                               .unix_path = g->config.unix_path,
                               .tls = pin != NULL,
                               .pin = pin,
                               .message_max = 32 * MIB,
                               .output_max = 64 * MIB};

    received = (struct stream){0};
    pongs = 0;
    closed = false;
    op_init(&c.op, g->loop, rig_connected, 8000);
    ws_connect(&c.op, &target, &stream_events, NULL, &ws);
    rig_until(g, c.done);
    if (c.result < 0)
        printf("connect: %s\n", c.fault.text);
    t_eq(c.result, 0);
    rig_until(g, g->accepted_count == 1);
    return ws;
}

/* Little in the kernel, so that nearly every write is partial. */
static void shrink(struct ws *server_end, struct ws *client_end)
{
    int little = 4096, some = 65536;
    setsockopt(ws_peer(server_end)->fd, SOL_SOCKET, SO_SNDBUF, &little, sizeof(little));
    setsockopt(ws_peer(client_end)->fd, SOL_SOCKET, SO_RCVBUF, &some, sizeof(some));
}

/* Everything at once: sizes around every boundary, a reader that sleeps, pings both ways, a close. */
static void torture(struct rig *g, const char *pin)
{
    struct stream sent = {0};
    struct ws *client = connect_stream(g, pin);
    struct heard *server = g->accepted[0];
    static const size_t sizes[] = {1,     125,   126,   127,   1000,  4095,   65507,
                                   65508, 65521, 65522, 65523, 65536, 131072, 300000};

    shrink(server->ws, client);
    ws_pause(client, true);
    for (unsigned round = 0; round < 6; round++) {
        for (size_t i = 0; i < COUNT(sizes); i++)
            send_pattern(server->ws, &sent, sizes[i], round * 100 + (unsigned)i);
        for (int i = 0; i < 5; i++)
            loop_turn(g->loop, false);
        ws_ping(server->ws);
        ws_ping(client);
    }
    t_ok(ws_queued(server->ws) > 0);
    ws_pause(client, false);
    for (int i = 0; i < 40; i++) {
        ws_ping(client); /* lws's pongs fall between our batches */
        rig_until(g, pongs > (size_t)i || closed);
    }
    rig_until(g, received.count >= sent.count / 2);
    ws_pause(client, true);
    for (int i = 0; i < 20; i++)
        loop_turn(g->loop, false);
    send_pattern(server->ws, &sent, 77, 77);
    ws_pause(client, false);
    rig_until(g, received.count == sent.count);
    t_ok(received.hash == sent.hash);
    // The last bytes may be read before this end is told that they left.
    rig_until(g, ws_queued(server->ws) == 0 && server->drained >= 1);
    t_ok(server->pongs >= 1); /* lws answers the last of several */

    send_pattern(server->ws, &sent, 200000, 5);
    ws_close(server->ws, 1001, "done");
    rig_until(g, closed && server->closes == 1);
    t_eq(close_code, 1001);
    t_eq(server->code, 1001);
    t_eq(received.count, sent.count);
    t_ok(received.hash == sent.hash);
}

T(tcp_with_tiny_buffers)
{
    struct rig *g = rig_new();
    rig_listen(g);
    torture(g, NULL);
    rig_free(g);
}

/* On an lws the raw write was not proved on. */
T(one_lws_write_for_each_frame_does_the_same)
{
    struct rig *g = rig_new();
    rig_listen(g);
    struct ws_door *door = ws_door_ref(g->loop, false, NULL);
    door->raw = false;
    torture(g, NULL);
    ws_door_unref(door);
    rig_free(g);
}

T(unix_with_tiny_buffers)
{
    struct rig *g = rig_new();
    char path[300];
    struct stat made;
    snprintf(path, sizeof(path), "%s/s", t_tmpdir());
    g->config.host = NULL;
    g->config.unix_path = path;
    rig_listen(g);
    t_eq(stat(path, &made), 0);
    t_eq(made.st_mode & 0777, 0600); // the mode nobody gave
    torture(g, NULL);
    rig_free(g);
}

T(tls_with_tiny_buffers)
{
    struct rig *g = rig_new();
    struct certificate certificate;
    certificate_make("gateway.test", &certificate);
    g->config.tls_certificate = certificate.certificate;
    g->config.tls_key = certificate.key;
    rig_listen(g);
    torture(g, certificate.pin);
    rig_free(g);
}

static void giant(const char *pin, struct rig *g)
{
    struct stream sent = {0};
    struct ws *client = connect_stream(g, pin);
    struct heard *server = g->accepted[0];

    send_pattern(server->ws, &sent, 25 * MIB, 1);
    send_pattern(server->ws, &sent, 10, 2);
    t_eq(ws_output_total(), 25 * MIB + 10);
    ws_ping(client);
    rig_until(g, received.count == 2);
    t_ok(received.hash == sent.hash);
    t_eq(ws_output_total(), 0);
    t_eq(pongs, 1);

    /* and the other way, masked */
    CLEAN(mem_free) char *text = pattern(25 * MIB, 3);
    server->keep = true;
    t_eq(ws_send(client, text, 25 * MIB, NULL), 0);
    rig_until(g, server->messages == 1);
    t_eq(server->last_length, 25 * MIB);
    t_ok(memcmp(server->text.data, text, 25 * MIB) == 0);
    ws_abort(client);
    rig_until(g, closed && server->closes == 1);
}

T(giant_messages)
{
    struct rig *g = rig_new();
    rig_listen(g);
    giant(NULL, g);
    rig_free(g);
}

T(giant_messages_over_tls)
{
    struct rig *g = rig_new();
    struct certificate certificate;
    certificate_make("gateway.test", &certificate);
    g->config.tls_certificate = certificate.certificate;
    g->config.tls_key = certificate.key;
    rig_listen(g);
    giant(certificate.pin, g);
    rig_free(g);
}

T(a_full_queue_refuses_and_keeps_what_it_has)
{
    struct rig *g = rig_new();
    g->config.output_max = 400 * KIB;
    rig_listen(g);
    struct stream sent = {0};
    struct ws *client = connect_stream(g, NULL);
    struct heard *server = g->accepted[0];
    CLEAN(mem_free) char *text = pattern(100 * KIB, 9);

    shrink(server->ws, client);
    ws_pause(client, true);
    for (int i = 0; i < 50; i++) {
        if (ws_send(server->ws, text, 100 * KIB, NULL) < 0)
            break;
        stream_add(&sent, text, 100 * KIB);
        loop_turn(g->loop, false);
    }
    t_ok(sent.count < 40);
    t_eq(ws_send(server->ws, text, 100 * KIB, NULL), -ERR_FULL);
    t_ok(ws_queued(server->ws) <= 400 * KIB);
    ws_pause(client, false);
    rig_until(g, received.count == sent.count);
    t_ok(received.hash == sent.hash);
    ws_abort(client);
    rig_until(g, closed);
    rig_free(g);
}

T(a_peer_that_never_reads_is_gone_two_seconds_after_close)
{
    struct rig *g = rig_new();
    rig_listen(g);
    struct stream sent = {0};
    struct ws *client = connect_stream(g, NULL);
    struct heard *server = g->accepted[0];

    shrink(server->ws, client);
    ws_pause(client, true);
    send_pattern(server->ws, &sent, 4 * MIB, 1);
    for (int i = 0; i < 10; i++)
        loop_turn(g->loop, false);
    int64_t began = real_ms();
    ws_close(server->ws, 1008, "slow consumer");
    rig_until(g, server->closes == 1);
    t_ok(real_ms() - began >= 1900 && real_ms() - began < 4000);
    t_eq(server->code, 1008);
    t_eq(ws_output_total(), 0);
    ws_pause(client, false);
    rig_until(g, closed);
    t_eq(close_code, 1006);
    rig_free(g);
}
