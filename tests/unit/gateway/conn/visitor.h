/* Somebody at the gateway's door in a rig: a pair whose socket facts the test makes up. Keeps what was
 * said to it and how it was closed. */
#pragma once

#include "gateway/conn/conn.h"
#include "gateway/conn/ingress.h"
#include "tests/rig/rig.h"
#include "tests/unit/gateway/conn/kit.h"

#include <arpa/inet.h>

struct visitor {
    struct rig *rig;
    struct ws *ws; /* NULL: closed */
    char *said[64];
    size_t count, read;
    int close_code;
    char close_reason[256];
    char nonce[64];
    int64_t ts;
};

static void visitor_on_message(struct ws *ws, void *arg, const char *text, size_t length)
{
    struct visitor *v = arg;

    (void)ws;
    if (v->count < COUNT(v->said))
        v->said[v->count++] = mem_slice(text, length);
}

static void visitor_on_closed(struct ws *ws, void *arg, uint16_t code, const char *reason)
{
    struct visitor *v = arg;

    (void)ws;
    v->ws = NULL;
    v->close_code = code;
    snprintf(v->close_reason, sizeof(v->close_reason), "%s", reason ? reason : "");
}

static bool visitor_has_news(void *arg)
{
    const struct visitor *v = arg;
    return v->read < v->count || !v->ws;
}

/* The next thing said, "" when it was closed instead. */
static inline __attribute__((unused)) const char *visitor_next(struct visitor *v)
{
    if (!rig_until(v->rig, visitor_has_news, v))
        t_fail(__FILE__, __LINE__, "the gateway says nothing");
    return v->read < v->count ? v->said[v->read++] : "";
}

static bool visitor_is_gone(void *arg)
{
    return ((struct visitor *)arg)->ws == NULL;
}

static inline __attribute__((unused)) void visitor_wait_close(struct visitor *v)
{
    if (!rig_until(v->rig, visitor_is_gone, v))
        t_fail(__FILE__, __LINE__, "the connection stays open");
}

static inline __attribute__((unused)) struct sockaddr_storage visitor_address(const char *text)
{
    struct sockaddr_storage s = {0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(40000)};

    require(inet_pton(AF_INET, text, &in.sin_addr) == 1);
    memcpy(&s, &in, sizeof(in));
    return s;
}

static inline __attribute__((unused)) struct visitor *visitor_open(
    struct rig *rig, const struct ingress_facts *facts, struct peer_identity *identity)
{
    static const struct ws_events events = {.message = visitor_on_message,
                                            .closed = visitor_on_closed};
    struct visitor *v = NEW(struct visitor);
    const struct ws_events *ours_events = NULL;
    struct ws *ours;
    void *arg = NULL;

    v->rig = rig;
    ws_pair(rig->gw->loop, CONN_OUTPUT_MAX, &ours, &v->ws);
    ws_set_events(v->ws, &events, v);
    conns_open_as(rig->gw, ours, facts, identity, &ours_events, &arg);
    ws_set_events(ours, ours_events, arg);

    CLEAN(json_free) struct json *challenge = kit_json(visitor_next(v));
    const struct json *payload = json_get(challenge, "payload");
    snprintf(v->nonce, sizeof(v->nonce), "%s", json_string(json_get(payload, "nonce"), ""));
    v->ts = json_integer(json_get(payload, "ts"), 0);
    return v;
}

/* from: "pair" (on this host, may pair silently), "tunnel" (a pair that brings somebody from elsewhere), or
 * an address it comes from. */
static inline __attribute__((unused)) struct visitor *visitor_new(struct rig *rig, const char *from)
{
    struct sockaddr_storage remote, local;
    struct ingress_facts facts = {.transport = WS_PAIR, .own_uid = strcmp(from, "pair") == 0};

    if (strcmp(from, "pair") != 0 && strcmp(from, "tunnel") != 0) {
        remote = visitor_address(from);
        local = visitor_address(strncmp(from, "127.", 4) == 0 ? "127.0.0.1" : "192.0.2.1");
        facts = (struct ingress_facts){
            .transport = WS_TCP, .remote = &remote, .local = &local, .host = "gateway"};
    }
    return visitor_open(rig, &facts, NULL);
}

/* Through a tunnel, as the identity (borrowed) says; own_uid: the tunnel's socket is of our own user. */
static inline __attribute__((unused)) struct visitor *visitor_through(
    struct rig *rig, struct peer_identity *identity)
{
    struct ingress_facts facts = {
        .transport = WS_TUNNEL, .own_uid = true, .identity = identity, .host = "localhost"};

    return visitor_open(rig, &facts, identity);
}

static inline __attribute__((unused)) struct visitor *visitor_free(struct visitor *v)
{
    if (v->ws) {
        ws_close(v->ws, 1000, "");
        visitor_wait_close(v);
    }
    for (size_t i = 0; i < v->count; i++)
        mem_free(v->said[i]);
    return mem_free(v);
}

static inline __attribute__((unused)) void visitor_say(struct visitor *v, const char *text)
{
    CLEAN(mem_free) char *copy = mem_string(text);

    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    if (v->ws)
        ws_send(v->ws, copy, strlen(copy), NULL);
}

/* connect with these parameters (single quotes), signed by the device when there is one. */
static inline __attribute__((unused)) void visitor_connect(struct visitor *v, const char *params,
                                                           const struct kit_device *device)
{
    CLEAN(mem_free)
    char *signed_params = device ? kit_sign(device, params, 3, v->nonce, v->ts) : NULL;
    CLEAN(mem_free)
    char *text = mem_format("{'type':'req','id':'1','method':'connect','params':%s}",
                            signed_params ? signed_params : params);

    visitor_say(v, text);
}

/* The answer to the connect (events that overtake it would be a bug). */
static inline __attribute__((unused)) const char *visitor_hello(struct visitor *v,
                                                                const char *params,
                                                                const struct kit_device *device)
{
    visitor_connect(v, params, device);
    return visitor_next(v);
}

/* A member of a JSON text by dotted path, as text the caller owns; NULL: absent. */
static inline __attribute__((unused)) char *visitor_pick(const char *text, const char *path)
{
    CLEAN(json_free) struct json *tree = json_parse(text, strlen(text), NULL);
    const struct json *at = tree ? json_path(tree, path) : NULL;

    if (!at)
        return NULL;
    return json_kind(at) == JSON_STRING ? mem_string(json_string(at, "")) : json_print(at, false);
}
