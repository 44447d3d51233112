/* A server and peers on one real loop, for the tests of the WebSocket door. */
#pragma once

#include "base/buf.h"
#include "base/io/ws.h"
#include "base/mem.h"
#include "tests/t.h"

#include <time.h>

/* What one end heard. */
struct heard {
    struct ws *ws; /* NULL after closed */
    struct buf text;
    size_t messages, last_length, pongs, drained, closes;
    uint16_t code;
    char reason[128];
    bool keep; /* append texts to `text`, one line each */
    bool echo;
};

static inline void heard_message(struct ws *ws, void *arg, const char *text, size_t length)
{
    struct heard *h = arg;
    h->messages++;
    h->last_length = length;
    if (h->keep) {
        buf_add(&h->text, text, length);
        buf_add_char(&h->text, '\n');
    }
    if (h->echo)
        t_eq(ws_send(ws, text, length, NULL), 0);
}
static inline void heard_drained(struct ws *ws, void *arg)
{
    (void)ws;
    ((struct heard *)arg)->drained++;
}
static inline void heard_pong(struct ws *ws, void *arg)
{
    (void)ws;
    ((struct heard *)arg)->pongs++;
}
static inline void heard_closed(struct ws *ws, void *arg, uint16_t code, const char *reason)
{
    struct heard *h = arg;
    (void)ws;
    h->closes++;
    h->code = code;
    snprintf(h->reason, sizeof(h->reason), "%s", reason);
    h->ws = NULL;
}
static const struct ws_events heard_events = {heard_message, heard_drained, heard_pong,
                                              heard_closed};

static inline struct heard *heard_new(void)
{
    struct heard *h = NEW(struct heard);
    buf_init(&h->text, 64u << 20);
    h->keep = true;
    return h;
}
static inline void heard_free(struct heard *h)
{
    buf_done(&h->text);
    mem_free(h);
}

struct rig {
    struct loop *loop;
    struct ws_server *server;
    struct ws_server_config config;
    struct heard *accepted[1100]; /* server ends in order */
    size_t accepted_count, upgrades;
    int refuse; /* upgrade answers this */
    bool echo;
    const char *greet; /* sent as soon as a connection is open */
    char header_name[64], header_value[256], path[128], query[128];
    struct ws_peer peer; /* of the last accepted */
};

static inline int rig_upgrade(void *arg, const struct ws_request *request)
{
    struct rig *g = arg;
    g->upgrades++;
    const char *value = ws_header(request, g->header_name);
    snprintf(g->header_value, sizeof(g->header_value), "%s", value ? value : "(absent)");
    snprintf(g->path, sizeof(g->path), "%s", request->path);
    snprintf(g->query, sizeof(g->query), "%s", request->query);
    return g->refuse;
}
static inline void rig_open(void *arg, struct ws *ws, const struct ws_request *request,
                            const struct ws_events **ret_events, void **ret_arg)
{
    struct rig *g = arg;
    struct heard *h = heard_new();
    (void)request;
    h->ws = ws;
    h->echo = g->echo;
    h->keep = !g->echo;
    g->peer = *ws_peer(ws);
    g->accepted[g->accepted_count++] = h;
    *ret_events = &heard_events;
    *ret_arg = h;
    if (g->greet)
        t_eq(ws_send(ws, g->greet, strlen(g->greet), NULL), 0);
}
static inline struct rig *rig_new(void)
{
    struct rig *g = NEW(struct rig);
    g->loop = loop_new(LOOP_REAL);
    snprintf(g->header_name, sizeof(g->header_name), "host");
    g->config = (struct ws_server_config){.arg = g,
                                          .upgrade = rig_upgrade,
                                          .open = rig_open,
                                          .host = "127.0.0.1",
                                          .message_max = 32u << 20,
                                          .output_max = 64u << 20};
    return g;
}
static inline void rig_listen(struct rig *g)
{
    struct fault fault = {0};
    int r = ws_listen(g->loop, &g->config, &g->server, &fault);
    if (r < 0)
        printf("listen: %s\n", fault.text);
    t_eq(r, 0);
}
static inline void rig_free(struct rig *g)
{
    g->server = ws_server_free(g->server);
    g->loop = loop_free(g->loop);
    t_eq(ws_output_total(), 0);
    t_eq(ws_input_total(), 0);
    for (size_t i = 0; i < g->accepted_count; i++) {
        t_eq(g->accepted[i]->closes, 1);
        heard_free(g->accepted[i]);
    }
    mem_free(g);
}

static inline int64_t real_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}
/* Turns the loop until the condition holds; fails the case after 10 s. */
#define rig_until(g, condition)                                                                    \
    do {                                                                                           \
        struct timer tick_ = {0};                                                                  \
        int64_t end_ = real_ms() + 10000;                                                          \
        timer_start((g)->loop, &tick_, 20, 20, rig_tick, NULL);                                    \
        while (!(condition) && real_ms() < end_)                                                   \
            loop_turn((g)->loop, true);                                                            \
        timer_stop((g)->loop, &tick_);                                                             \
        if (!(condition))                                                                          \
            t_fail(__FILE__, __LINE__, "never happened: %s", #condition);                          \
    } while (0)
static inline void rig_tick(void *arg)
{
    (void)arg;
}

struct rig_connect {
    struct op op;
    int result;
    bool done;
    struct fault fault;
    struct heard *heard;
};
static inline void rig_connected(struct op *op, int result)
{
    struct rig_connect *c = CONTAINER(op, struct rig_connect, op);
    c->result = result;
    c->done = true;
    c->fault = op->fault;
}
/* Connects and waits for the op; the result is 0 or negative, the fault in *ret. */
static inline int rig_connect_to(struct rig *g, struct heard *h, const struct ws_target *target,
                                 struct fault *ret)
{
    struct rig_connect c = {0};
    op_init(&c.op, g->loop, rig_connected, 8000);
    ws_connect(&c.op, target, &heard_events, h, &h->ws);
    rig_until(g, c.done);
    if (ret)
        *ret = c.fault;
    if (c.result < 0)
        h->ws = NULL;
    return c.result;
}
static inline struct heard *rig_client(struct rig *g)
{
    struct heard *h = heard_new();
    struct fault fault;
    struct ws_target target = {.host = "127.0.0.1",
                               .port = ws_server_port(g->server),
                               .unix_path = g->config.unix_path,
                               .output_max = 64u << 20,
                               .message_max = 32u << 20};
    int r = rig_connect_to(g, h, &target, &fault);
    if (r < 0)
        printf("connect: %s\n", fault.text);
    t_eq(r, 0);
    rig_until(g, g->accepted_count > 0 && g->accepted[g->accepted_count - 1]->ws);
    return h;
}
