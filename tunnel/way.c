/* The search is a walk down the rows: way_try begins a row, its end is way_found or way_next with the reason. A row is
 * done in one step over one channel (bridge in two: its line, then a streamlocal channel to try).
 *
 * Owns the bridge's channel (its gateway keeps the ticket alive as long), the probe's, the offer. */
#include "tunnel/way.h"

#include "base/mem.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define WAY_MAGIC        0x77617900u
#define WAY_WORDS_MAX    160 /* of what a command said on its stderr */
#define WAY_NOT_FOUND    127 /* a shell's status for a command it does not have */
#define WAY_CANVAS_AFTER 4   /* canvas host = gateway port + 4 (design.md section 3) */

struct way_row {
    const char *name;
    void (*look)(struct way *way);
    int (*route)(struct way *way, enum bridge_service service, struct ssh_channel_spec *ret,
                 struct buf *first);
    bool gated;
};
enum way_place { WAY_BRIDGE, WAY_DIRECT, WAY_EXEC, WAY_END };
static const struct way_row way_rows[WAY_END];

struct way {
    uint32_t magic;
    struct way_config config;
    struct ssh *control;
    enum way_place at;
    bool ready, offered; /* offered: offer is what a bridge said over this session */
    struct ssh_channel *bridge, *probe;
    struct buf line; /* of the bridge, until its end */
    size_t noise;    /* bytes passed over before it */
    char words[WAY_WORDS_MAX];
    struct bridge_offer offer;
    struct timer step;
    int64_t asked_at, round_trip; /* of the probe */
    struct defer tell;
    struct fault why; /* why not this far, row by row */
    char command[BRIDGE_LINE_MAX];
    bool told;  /* the notice of a lesser way */
    bool knows; /* a bridge has led to its gateway before */
    bool down;  /* and says now that there is none */
};

static void way_try(struct way *way, enum way_place place);
static void way_next(struct way *way, const struct fault *why);

/* ---- life ---- */

struct way *way_new(const struct way_config *config)
{
    struct way *way = NEW(struct way);

    way->magic = WAY_MAGIC;
    way->config = *config;
    way->at = WAY_END;
    way->round_trip = -1;
    buf_init(&way->line, BRIDGE_LINE_MAX);
    return way;
}

static void way_drop_bridge(struct way *way)
{
    way->bridge = ssh_channel_drop(way->bridge);
    bridge_offer_done(&way->offer);
    memset(&way->offer, 0, sizeof way->offer);
    way->offered = false;
}

static void way_forget(struct way *way)
{
    way_drop_bridge(way);
    way->probe = ssh_channel_drop(way->probe);
    timer_stop(way->config.loop, &way->step);
    defer_stop(way->config.loop, &way->tell);
    way->ready = way->down = false;
    way->at = WAY_END;
}

struct way *way_free(struct way *way)
{
    if (!way)
        return NULL;
    way_forget(way);
    buf_done(&way->line);
    return mem_free(way);
}

int64_t way_round_trip(const struct way *way)
{
    return way->round_trip;
}

bool way_ready(const struct way *way)
{
    return way->ready;
}

const char *way_name(const struct way *way)
{
    struct ssh_facts facts;

    if (!way->ready)
        return "";
    ssh_facts(way->control, &facts);
    return facts.child ? "ssh" : way_rows[way->at].name;
}

/* ---- the walk ---- */

void way_look(struct way *way, struct ssh *control)
{
    way_forget(way);
    way->control = control;
    fault_clear(&way->why);
    if (control)
        way_try(way, WAY_BRIDGE);
}

static void way_on_late(void *arg)
{
    struct way *way = arg;
    struct fault late;

    fault_set(&late, -ERR_TIMEOUT, "%s gave no answer within %d s", way_rows[way->at].name,
              WAY_STEP_MS / 1000);
    if (way->at == WAY_BRIDGE && !way->offered)
        way_drop_bridge(way);
    way_next(way, &late);
}

static void way_try(struct way *way, enum way_place place)
{
    way->at = place;
    timer_start(way->config.loop, &way->step, WAY_STEP_MS, 0, way_on_late, way);
    way_rows[place].look(way);
}

static void way_tell(void *arg)
{
    struct way *way = arg;

    if (way->ready)
        way->config.events->ready(way->config.arg);
    else
        way->config.events->none(way->config.arg, &way->why);
}

static void way_found(struct way *way)
{
    timer_stop(way->config.loop, &way->step);
    way->ready = true;
    way->knows = way->knows || way->at == WAY_BRIDGE;
    if (way->at != WAY_BRIDGE && !way->told && way->why.code) {
        struct fault notice = way->why;
        way->told = true;
        fault_prefix(&notice, "connections go by %s", way_rows[way->at].name);
        way->config.events->notice(way->config.arg, notice.text);
    }
    defer_start(way->config.loop, &way->tell, way_tell, way);
}

static void way_next(struct way *way, const struct fault *why)
{
    struct fault before = way->why;

    way->probe = ssh_channel_drop(way->probe);
    if (before.code)
        fault_set(&way->why, why->code, "%s; %s: %s", before.text, way_rows[way->at].name,
                  why->text);
    else
        fault_set(&way->why, why->code, "%s: %s", way_rows[way->at].name, why->text);
    /* While the gateway we know is down, whoever has its port must not be taken for it. */
    if (way->at + 1 < WAY_END && !(way->knows && way->down)) {
        way_try(way, way->at + 1);
        return;
    }
    timer_stop(way->config.loop, &way->step);
    way->at = WAY_END;
    defer_start(way->config.loop, &way->tell, way_tell, way);
}

bool way_failed(struct way *way, const struct fault *why)
{
    if (why->code == -ERR_FULL || why->code == -ERR_BUSY)
        return false; /* of this one stream */
    if (!way->ready)
        return true; /* already being looked for */
    way->ready = false;
    way->why = *why;
    defer_start(way->config.loop, &way->tell, way_tell, way);
    return true;
}

int way_route(struct way *way, enum bridge_service service, struct ssh_channel_spec *ret,
              struct buf *first, bool *ret_gated, struct fault *reterr_fault)
{
    const struct way_row *row = &way_rows[way->at];

    if (way->offered && !way->offer.services[service])
        return fault_set(reterr_fault, -ERR_NOT_FOUND, "the gateway there offers no %s",
                         bridge_service_name(service));
    *ret_gated = row->gated;
    return row->route(way, service, ret, first);
}

/* ---- bridge ---- */

static void way_probe(struct way *way, const struct ssh_channel_spec *spec);

static void way_bridge_failed(struct way *way, int code, const char *what)
{
    struct fault why;

    fault_set(&why, code, "%s%s%s", what, way->words[0] ? ": " : "", way->words);
    timer_stop(way->config.loop, &way->step);
    way_drop_bridge(way);
    way_next(way, &why);
}

static void way_bridge_opened(void *arg, int result, const struct fault *why)
{
    struct way *way = arg;

    CHECK(way, WAY_MAGIC);
    if (result >= 0)
        return;
    way->bridge = ssh_channel_drop(way->bridge);
    way_next(way, why);
}

static void way_take_offer(struct way *way)
{
    struct fault why;
    struct ssh_channel_spec spec = {.kind = SSH_STREAMLOCAL, .window = SSH_WINDOW_SMALL};

    fault_clear(&why);
    if (bridge_read_offer(way->line.data, way->line.length, &way->offer, &why) < 0) {
        way_bridge_failed(way, why.code, why.text);
        return;
    }
    if (way->offer.error) {
        fault_set(&why, -ERR_NOT_FOUND, "%.400s", way->offer.error);
        way_drop_bridge(way);
        way->down = true;
        way_next(way, &why);
        return;
    }
    way->offered = true;
    spec.path = way->offer.socket;
    way_probe(way, &spec);
}

/* Its line, past whatever a login script says first. */
static size_t way_bridge_data(void *arg, const void *data, size_t length)
{
    struct way *way = arg;
    const char *at = data, *end = at + length;

    CHECK(way, WAY_MAGIC);
    for (; at < end && !way->offered; at++) {
        if (*at != '\n') {
            buf_add_char(&way->line, *at); /* too long: bad, and noise */
            continue;
        }
        if (!way->line.bad && way->line.length > 0 && way->line.data[0] == '{') {
            way_take_offer(way);
            return length;
        }
        buf_clear(&way->line);
    }
    way->noise += way->offered ? 0 : length;
    if (way->noise > BRIDGE_NOISE_MAX)
        way_bridge_failed(way, -ERR_TOO_LARGE,
                          "a login script there writes too much before culvert bridge can speak; "
                          "make it silent where there is no terminal");
    return length; /* after its line it only answers pings, and we send none */
}

static void way_bridge_noise(void *arg, const char *text, size_t length)
{
    struct way *way = arg;
    size_t n = 0;

    for (size_t i = 0; i < length && n < sizeof way->words - 1; i++)
        if (!iscntrl((unsigned char)text[i]))
            way->words[n++] = text[i];
    if (n > 0)
        way->words[n] = '\0';
}

static void way_bridge_closed(void *arg, int exit_status, const struct fault *why)
{
    struct way *way = arg;

    CHECK(way, WAY_MAGIC);
    way->bridge = ssh_channel_drop(way->bridge);
    if (way->at != WAY_BRIDGE) { /* it was kept only for what it had said */
        return;
    } else if (way->ready) { /* its gateway went, or somebody ended it: the session lives */
        struct fault gone;

        if (why && why->code == -ERR_CLOSED)
            return; /* the session went: its owner says so in a moment */
        fault_set(&gone, -ERR_CLOSED, "the gateway there ended its side of the bridge");
        way_failed(way, &gone);
    } else if (why) {
        way_next(way, why);
    } else if (exit_status == WAY_NOT_FOUND) {
        way->words[0] = '\0';
        way_bridge_failed(way, -ERR_NOT_FOUND,
                          "culvert is not in PATH there; install it, or say where it is with "
                          "--culvert");
    } else {
        way_bridge_failed(way, -ERR_CLOSED, "culvert bridge ended there before it spoke");
    }
}

static const struct ssh_channel_events way_bridge_events = {
    .opened = way_bridge_opened,
    .data = way_bridge_data,
    .noise = way_bridge_noise,
    .closed = way_bridge_closed,
};

static void way_bridge_look(struct way *way)
{
    struct ssh_channel_spec spec = {
        .kind = SSH_EXEC, .command = way->config.bridge_command, .window = SSH_WINDOW_SMALL};

    buf_clear(&way->line);
    way->noise = 0;
    way->words[0] = '\0';
    way->bridge = ssh_channel_open(way->control, &spec, &way_bridge_events, way);
}

static int way_bridge_route(struct way *way, enum bridge_service service,
                            struct ssh_channel_spec *ret, struct buf *first)
{
    *ret = (struct ssh_channel_spec){.kind = SSH_STREAMLOCAL, .path = way->offer.socket};
    bridge_write_stream(first, way->offer.ticket, service, NULL);
    return 0;
}

/* ---- a channel opened to see whether it can be, and closed again ---- */

static void way_probe_opened(void *arg, int result, const struct fault *why)
{
    struct way *way = arg;

    CHECK(way, WAY_MAGIC);
    way->round_trip = loop_now(way->config.loop) - way->asked_at;
    if (result < 0) {
        struct fault told = *why;
        if (way->at == WAY_DIRECT && why->code == -ERR_CONNECT)
            fault_set(&told, why->code, "%s (--gateway-port names another)", why->text);
        way_next(way, &told);
        return;
    }
    way->probe = ssh_channel_drop(way->probe);
    if (way->at == WAY_DIRECT)
        way_drop_bridge(way); /* nobody needs its ticket */
    way_found(way);
}

static size_t way_probe_data(void *arg, const void *data, size_t length)
{
    (void)arg;
    (void)data;
    return length;
}

static void way_probe_closed(void *arg, int exit_status, const struct fault *why)
{
    (void)arg;
    (void)exit_status;
    (void)why;
}

static const struct ssh_channel_events way_probe_events = {
    .opened = way_probe_opened,
    .data = way_probe_data,
    .closed = way_probe_closed,
};

static void way_probe(struct way *way, const struct ssh_channel_spec *spec)
{
    way->asked_at = loop_now(way->config.loop);
    way->probe = ssh_channel_open(way->control, spec, &way_probe_events, way);
}

/* ---- direct-tcpip ---- */

static int way_direct_route(struct way *way, enum bridge_service service,
                            struct ssh_channel_spec *ret, struct buf *first)
{
    (void)first;
    *ret = (struct ssh_channel_spec){.kind = SSH_TCP,
                                     .host = "127.0.0.1",
                                     .port = way->config.gateway_port +
                                             (service == BRIDGE_CANVAS ? WAY_CANVAS_AFTER : 0)};
    return 0;
}

static void way_direct_look(struct way *way)
{
    struct ssh_channel_spec spec;

    way_direct_route(way, BRIDGE_GATEWAY, &spec, NULL);
    spec.window = SSH_WINDOW_SMALL;
    way_probe(way, &spec);
}

/* ---- exec ---- */

/* The same program as the bridge, so it is there when the bridge made an offer. */
static void way_exec_look(struct way *way)
{
    if (way->offered) {
        way->bridge = ssh_channel_drop(way->bridge); /* one session channel more for streams */
        way_found(way);
    } else {
        struct fault why;

        fault_set(&why, -ERR_NOT_FOUND, "needs culvert and its gateway there");
        way_next(way, &why);
    }
}

static int way_exec_route(struct way *way, enum bridge_service service,
                          struct ssh_channel_spec *ret, struct buf *first)
{
    (void)first;
    snprintf(way->command, sizeof way->command, "%s --stdio %s", way->config.bridge_command,
             bridge_service_name(service));
    *ret = (struct ssh_channel_spec){.kind = SSH_EXEC, .command = way->command};
    return 0;
}

static const struct way_row way_rows[WAY_END] = {
    [WAY_BRIDGE] = {"bridge", way_bridge_look, way_bridge_route, .gated = true},
    [WAY_DIRECT] = {"direct-tcpip", way_direct_look, way_direct_route, .gated = false},
    [WAY_EXEC] = {"exec", way_exec_look, way_exec_route, .gated = false},
};
