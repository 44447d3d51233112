/* The floor's work through our own WebSocket door: what base/io/ws costs above bare libwebsockets, with
 * no gateway above it. */
#include "base/crypto.h"
#include "base/io/ws.h"
#include "base/mem.h"
#include "tests/bench/ws/server_options.h"

#include <signal.h>

#define CONNECTIONS_MAX 4096

struct connection {
    struct ws *ws;
    size_t place;
    bool challenged;
};

static struct server_options options;
static struct connection *connections[CONNECTIONS_MAX];
static size_t connection_count;
static struct bytes *event;

static void on_message(struct ws *ws, void *arg, const char *text, size_t length)
{
    struct connection *c = arg;
    (void)text;
    (void)length;

    ws_send(ws, options.reply, strlen(options.reply), NULL);
    if (c->challenged)
        c->challenged = false;
    else if (event)
        for (size_t i = 0; i < connection_count; i++)
            ws_send(connections[i]->ws, NULL, 0, event);
}

static void on_closed(struct ws *ws, void *arg, uint16_t code, const char *reason)
{
    struct connection *c = arg;
    (void)ws;
    (void)code;
    (void)reason;

    connections[c->place] = connections[--connection_count];
    connections[c->place]->place = c->place;
    mem_free(c);
}

static const struct ws_events events = {.message = on_message, .closed = on_closed};

static void on_open(void *arg, struct ws *ws, const struct ws_request *request,
                    const struct ws_events **ret_events, void **ret_arg)
{
    struct connection *c = NEW(struct connection);
    (void)arg;
    (void)request;

    c->ws = ws;
    c->challenged = options.handshake;
    c->place = connection_count;
    connections[connection_count++] = c;
    if (options.handshake)
        ws_send(ws, challenge_text, strlen(challenge_text), NULL);
    *ret_events = &events;
    *ret_arg = c;
}

static int on_upgrade(void *arg, const struct ws_request *request)
{
    (void)arg;
    (void)request;
    return connection_count < CONNECTIONS_MAX ? 0 : 503;
}

static void on_signal(void *arg, int number)
{
    (void)number;
    loop_stop(arg);
}

int main(int argc, char **argv)
{
    struct ws_server_config config = {.upgrade = on_upgrade, .open = on_open, .host = "127.0.0.1"};
    struct ws_server *server = NULL;
    struct fault fault = {0};

    if (!server_options_parse(argc, argv, &options) || crypto_init() < 0) {
        fprintf(stderr, "door [--port N | --unix PATH] [--handshake] [--reply T] [--event T]\n");
        return 2;
    }
    struct loop *loop = loop_new(LOOP_REAL);
    event = options.event ? bytes_new(options.event, strlen(options.event)) : NULL;
    config.unix_path = options.unix_path;
    config.port = options.port;
    if (ws_listen(loop, &config, &server, &fault) < 0) {
        fprintf(stderr, "door: %s\n", fault.text);
        return 1;
    }
    printf("{\"port\":%d}\n", ws_server_port(server));
    fflush(stdout);
    loop_on_signal(loop, SIGTERM, on_signal, loop);
    loop_run(loop);
    ws_server_free(server);
    bytes_unref(event);
    loop_free(loop);
    return 0;
}
