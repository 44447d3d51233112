/* Who hears of what:
 *
 *   link found a session -> bulk begins, publish asks for its ports, way looks for one -> link_way -> up -> held
 *   connections go; link lost it -> everything over it is cut; failed or closed -> what is held is refused.
 *   A connection asks engine_route; one that could not be opened puts the way in doubt (way_failed).
 *
 * The status is written to the board at the end of a turn in which anything changed. */
#include "tunnel/engine.h"

#include "base/mem.h"
#include "tunnel/bulk.h"
#include "tunnel/link.h"
#include "tunnel/publish.h"
#include "tunnel/wake.h"
#include "tunnel/way.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ENGINE_BRIDGE      "culvert bridge"
#define ENGINE_PORT        18789
#define ENGINE_WINDOW_ROOT 600000.0 /* bytes, times the square root of the round trip in ms */

struct asked {
    struct tunnel_question face; /* first: what the owner holds */
    struct ssh_question *question;
    struct asked *next, **link;
};

struct engine {
    struct engine_config config;
    struct ssh_target target;
    struct ssh_options ssh_options;
    struct ssh_secrets *secrets;
    struct link *link;
    struct bulk *bulk;
    struct way *way;
    struct forward *forward;
    struct publish *publish;
    struct ssh *publishing; /* the session publish was started with */
    struct wake *wake;
    struct asked *asked;
    struct tunnel_status status;
    struct defer show;
    bool tell; /* the owner hears of this change */
};

static const struct link_ssh engine_ssh = {ssh_open, ssh_close, ssh_probe, ssh_facts};

/* ---- status ---- */

static void engine_show_session(struct engine *engine)
{
    struct tunnel_status *status = &engine->status;
    struct ssh *control = link_control(engine->link);
    struct ssh_facts facts;

    status->rtt_ms = -1;
    if (!control)
        return; /* what was known of the last one stays */
    ssh_facts(control, &facts);
    status->rtt_ms = facts.rtt_ms;
    snprintf(status->peer, sizeof status->peer, "%.48s@%.64s:%d%s%.46s%s", facts.user, facts.host,
             facts.port, facts.address[0] ? " (" : "", facts.address, facts.address[0] ? ")" : "");
    snprintf(status->host_key, sizeof status->host_key, "%s", facts.host_key);
    snprintf(status->key, sizeof status->key, "%s", facts.key);
}

static void engine_show(void *arg)
{
    struct engine *engine = arg;
    struct tunnel_status *status = &engine->status;
    size_t local = engine->config.first->endpoint_count;
    struct link_facts facts;

    link_facts(engine->link, &facts);
    status->state = facts.state;
    status->since = facts.since;
    status->reconnects = facts.reconnects;
    status->lost_at = facts.lost_at;
    status->back_at = facts.back_at;
    status->next_attempt_at = facts.next_attempt_at;
    snprintf(status->way, sizeof status->way, "%s", engine->way ? way_name(engine->way) : "");
    engine_show_session(engine);
    status->endpoint_count = local + publish_endpoints(engine->publish, status->endpoints + local,
                                                       TUNNEL_ENDPOINTS_MAX - local);
    board_write(engine->config.board, status);
    if (engine->tell)
        engine->config.changed(engine->config.arg);
    engine->tell = false;
}

static void engine_changed(void *arg)
{
    struct engine *engine = arg;

    engine->tell = true;
    defer_start(engine->config.loop, &engine->show, engine_show, engine);
}

/* A fault worth the last error, from a stream or a published port. */
static void engine_trouble(void *arg, const struct fault *why)
{
    struct engine *engine = arg;

    snprintf(engine->status.last_error, sizeof engine->status.last_error, "%s", why->text);
    engine_changed(engine);
}

static void engine_notice(void *arg, const char *text)
{
    struct engine *engine = arg;
    engine->config.notice(engine->config.arg, text);
}

/* ---- link ---- */

static void engine_on_found(void *arg, struct ssh *control)
{
    struct engine *engine = arg;
    struct ssh_facts facts;

    if (engine->publishing != control) {
        engine->publishing = control;
        publish_start(engine->publish, control);
    }
    if (!engine->way) {
        link_way(engine->link, NULL);
        return;
    }
    ssh_facts(control, &facts);
    if (engine->bulk && !facts.child)
        bulk_start(engine->bulk);
    way_look(engine->way, control);
}

static void engine_on_lost(void *arg)
{
    struct engine *engine = arg;

    forward_cut(engine->forward, NULL);
    publish_stop(engine->publish);
    engine->publishing = NULL;
    if (engine->way)
        way_look(engine->way, NULL);
    if (engine->bulk)
        bulk_stop(engine->bulk);
}

static void engine_on_link(void *arg)
{
    struct engine *engine = arg;
    struct link_facts facts;
    struct fault why;

    link_facts(engine->link, &facts);
    if (facts.last_error[0])
        snprintf(engine->status.last_error, sizeof engine->status.last_error, "%s",
                 facts.last_error);
    if (facts.state == TUNNEL_UP)
        forward_flow(engine->forward);
    if (!facts.hold) {
        fault_set(&why, -ERR_CONNECT, "%s", facts.last_error);
        forward_refuse(engine->forward, &why);
    }
    if (facts.state == TUNNEL_CLOSED)
        forward_close(engine->forward);
    engine_changed(engine);
}

static void engine_on_arrived(void *arg, struct ssh_channel *channel,
                              const struct ssh_arrival *arrival)
{
    struct engine *engine = arg;
    publish_arrived(engine->publish, channel, arrival);
}

/* ---- way ---- */

static void engine_on_way(void *arg)
{
    struct engine *engine = arg;
    link_way(engine->link, NULL);
    engine_changed(engine);
}

static void engine_on_no_way(void *arg, const struct fault *why)
{
    struct engine *engine = arg;
    link_way(engine->link, why);
    engine_changed(engine);
}

static const struct way_events engine_way_events = {engine_on_way, engine_on_no_way, engine_notice};

/* ---- streams ---- */

/* What a stream may have under way. sshd reads ahead as far as it may into one buffer, and moves what is in there for
 * each 32 KiB it adds: where the window is larger than what the line holds, that costs more than the line gives. Between
 * the two the best window grows with the square root of the round trip: 2 MiB up to 12 ms, 6 MB at 100 ms (measured with
 * OpenSSH 9.2: at 100 ms 8 MiB carry less than 5, at none 16 MiB a quarter of 2). */
static uint32_t engine_window(const struct engine *engine, const struct ssh *ssh, bool control)
{
    struct ssh_facts facts;
    double round_trip = (double)way_round_trip(engine->way);

    if (control)
        return SSH_WINDOW_SMALL;
    ssh_facts(ssh, &facts);
    if (facts.rtt_ms >= 0 && (round_trip < 0 || facts.rtt_ms < round_trip))
        round_trip = facts.rtt_ms;
    double window = ENGINE_WINDOW_ROOT * sqrt(round_trip > 0 ? round_trip : 0);
    if (window < SSH_WINDOW_SMALL)
        return SSH_WINDOW_SMALL;
    return window < SSH_WINDOW_BULK ? (uint32_t)window : SSH_WINDOW_BULK;
}

static int engine_route(void *arg, enum bridge_service service, bool control,
                        struct forward_route *ret, struct fault *reterr_fault)
{
    struct engine *engine = arg;
    struct ssh *bulk = engine->bulk ? bulk_session(engine->bulk) : NULL;
    struct link_facts facts;

    link_facts(engine->link, &facts);
    if (!facts.hold)
        return fault_set(reterr_fault, -ERR_CONNECT, "%s", facts.last_error);
    if (facts.state != TUNNEL_UP || !engine->way || !way_ready(engine->way))
        return -ERR_BUSY;
    int r = way_route(engine->way, service, &ret->spec, ret->first, &ret->gated, reterr_fault);
    if (r < 0)
        return r;
    ret->ssh = control || !bulk ? link_control(engine->link) : bulk;
    ret->spec.window = engine_window(engine, ret->ssh, control);
    return 0;
}

static bool engine_stream_failed(void *arg, const struct fault *why)
{
    struct engine *engine = arg;
    return engine->way && way_failed(engine->way, why);
}

static void engine_bulk_gone(void *arg, struct ssh *ssh)
{
    struct engine *engine = arg;
    forward_cut(engine->forward, ssh);
}

/* ---- questions ---- */

static void engine_ask(void *arg, struct ssh_question *question)
{
    struct engine *engine = arg;
    struct asked *asked = NEW(struct asked);

    asked->question = question;
    asked->face.kind = (int)question->kind;
    asked->face.echo = question->echo;
    snprintf(asked->face.prompt, sizeof asked->face.prompt, "%s", question->prompt);
    asked->next = engine->asked;
    asked->link = &engine->asked;
    if (asked->next)
        asked->next->link = &asked->next;
    engine->asked = asked;
    engine->config.ask(engine->config.arg, &asked->face);
}

void engine_answer(struct engine *engine, struct tunnel_question *question, const char *answer)
{
    struct asked *asked = CONTAINER(question, struct asked, face);

    (void)engine;
    ssh_answer(asked->question, answer);
    *asked->link = asked->next;
    if (asked->next)
        asked->next->link = asked->link;
    mem_free(asked);
}

/* ---- life ---- */

void engine_nudge(struct engine *engine)
{
    link_nudge(engine->link);
    if (engine->bulk)
        bulk_nudge(engine->bulk);
}

static void engine_on_woke(void *arg)
{
    engine_nudge(arg);
}

/* Now and then the round trip is written down; nobody is told. */
static void engine_on_tick(void *arg)
{
    struct engine *engine = arg;
    defer_start(engine->config.loop, &engine->show, engine_show, engine);
}

static const struct link_events engine_link_events = {
    .changed = engine_on_link,
    .found = engine_on_found,
    .lost = engine_on_lost,
    .arrived = engine_on_arrived,
    .notice = engine_notice,
    .ask = engine_ask,
};
static const struct link_events engine_link_events_alone = {
    .changed = engine_on_link,
    .found = engine_on_found,
    .lost = engine_on_lost,
    .arrived = engine_on_arrived,
    .notice = engine_notice,
};

static void engine_new_parts(struct engine *engine)
{
    const struct tunnel_options *options = engine->config.options;
    struct loop *loop = engine->config.loop;
    struct way_config way = {
        .loop = loop,
        .bridge_command = options->bridge_command ? options->bridge_command : ENGINE_BRIDGE,
        .gateway_port = options->gateway_port ? options->gateway_port : ENGINE_PORT,
        .events = &engine_way_events,
        .arg = engine,
    };
    struct forward_config forward = {.loop = loop,
                                     .board = engine->config.board,
                                     .arg = engine,
                                     .route = engine_route,
                                     .failed = engine_stream_failed,
                                     .refused = engine_trouble};
    struct publish_config publish = {.loop = loop,
                                     .board = engine->config.board,
                                     .rows = options->publish,
                                     .count = options->publish_count,
                                     .arg = engine,
                                     .changed = engine_changed,
                                     .trouble = engine_trouble};

    engine->way = options->no_gateway ? NULL : way_new(&way);
    engine->forward = forward_new(&forward, engine->config.doors, engine->config.door_count);
    engine->publish = publish_new(&publish);
    engine->wake = wake_new(loop, engine_on_woke, engine_on_tick, engine);
}

struct engine *engine_new(const struct engine_config *config)
{
    const struct tunnel_options *options = config->options;
    struct engine *engine = NEW(struct engine);
    struct fault ignored; /* tunnel_start has parsed it once already */

    engine->config = *config;
    engine->status = *config->first;
    require(ssh_target_parse(options->target, &engine->target, &ignored) >= 0);
    engine->ssh_options = (struct ssh_options){.config_file = options->config_file,
                                               .identity = options->identity,
                                               .ssh_program = options->ssh_program};
    engine->secrets = ssh_secrets_new();
    engine_new_parts(engine);

    struct link_config link = {
        .loop = config->loop,
        .ssh = &engine_ssh,
        .target = &engine->target,
        .options = &engine->ssh_options,
        .secrets = engine->secrets,
        .accept_new = options->accept_new,
        .password = options->password,
        .allow_child = options->allow_child,
        .once = options->once,
        .events = config->ask ? &engine_link_events : &engine_link_events_alone,
        .arg = engine,
    };
    /* Publishing has nothing that runs beside it, a command's one connection neither. */
    if (!options->no_gateway && !options->once)
        engine->bulk = bulk_new(&link, engine_bulk_gone);
    engine->link = link_new(&link);
    return engine;
}

struct engine *engine_free(struct engine *engine)
{
    if (!engine)
        return NULL;
    wake_free(engine->wake);
    bulk_free(engine->bulk); /* cuts its streams */
    forward_free(engine->forward);
    publish_free(engine->publish);
    way_free(engine->way);
    link_free(engine->link);
    defer_stop(engine->config.loop, &engine->show);
    while (engine->asked)
        engine_answer(engine, &engine->asked->face, NULL);
    ssh_secrets_free(engine->secrets);
    ssh_target_done(&engine->target);
    return mem_free(engine);
}
