/* Being in tailscaled's serve-config. Path: advance (whenever something changed) -> choose_target -> read -> on_read
 * edits (serve_config.c) -> on_written -> read again -> on_checked: SERVING; after a conflict from the top, a few
 * times. The claim is a foreground one under the session of the held bus, so that it dies with us; a tailscaled that
 * does not know those gets one in the background, with a record on disk until it is out again. Owns the door's place,
 * the configuration in hand and the record. */
#include "gateway/tailnet/serve.h"

#define LOG_SUBSYSTEM "tailnet"
#include "base/backoff.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/listen.h"
#include "gateway/tailnet/holder.h"
#include "gateway/tailnet/serve_config.h"
#include "gateway/tailnet/serve_record.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONFLICTS_MAX  5
#define RETRY_FIRST_MS 1000
#define RETRY_CAP_MS   60000
#define LOOK_AGAIN_MS  60000 /* somebody may have taken it out */
#define UNIX_MAJOR     1     /* tailscaled's first version that proxies to a unix socket */
#define UNIX_MINOR     94

enum serve_state { SERVE_WAITING, SERVE_WORKING, SERVE_SERVING, SERVE_FAILED, SERVE_STOPPED };
static const char *const state_names[] = {
    [SERVE_WAITING] = "waiting", [SERVE_WORKING] = "working", [SERVE_SERVING] = "serving",
    [SERVE_FAILED] = "failed",   [SERVE_STOPPED] = "stopped",
};
static const char *const mode_names[] = {
    [SERVE_OFF] = "off", [SERVE_TAILNET] = "serve", [SERVE_FUNNEL] = "funnel"};

struct serve {
    struct gateway *gw;
    struct daemon *daemon;
    enum serve_mode mode;
    enum serve_state state;
    char detail[FAULT_TEXT_MAX];
    char url[300];

    struct ws_server *door;
    char tried[128];             /* the session of the last try */
    bool no_unix, no_foreground; /* tried, and this tailscaled does not take it */
    char *target;
    struct serve_record claimed; /* what was written last; host NULL: nothing */

    struct op op;
    struct json *config;
    char etag[128];
    unsigned conflicts;
    bool checking, removing; /* what the configuration is read for */
    struct timer retry;
    struct backoff backoff;
};

static void advance(void *arg);
static void read_config(struct serve *serve);

enum serve_mode serve_mode_of(const struct gateway *gw)
{
    return (enum serve_mode)config_enum(gw->config, KNOB_tailscale_mode);
}

/* One line per change. */
static void enter_state(struct serve *serve, enum serve_state state, const char *detail)
{
    bool same = serve->state == state && strcmp(serve->detail, detail) == 0;

    serve->state = state;
    if (same || state == SERVE_WORKING)
        return;
    snprintf(serve->detail, sizeof(serve->detail), "%s", detail);
    if (state == SERVE_FAILED)
        log_warn("tailscale %s: %s", mode_names[serve->mode], detail);
    else
        log_info("tailscale %s: %s", mode_names[serve->mode], detail);
}

static void again_later(struct serve *serve)
{
    double random = (double)crypto_random_below(1u << 20) / (double)(1u << 20);

    timer_start(serve->gw->loop, &serve->retry, backoff_next(&serve->backoff, random), 0, advance,
                serve);
}

static void fail(struct serve *serve, const char *why)
{
    serve->url[0] = '\0';
    enter_state(serve, SERVE_FAILED, why);
    again_later(serve);
}

/* ---- what we claim ---- */

static struct serve_claim claim_of(const struct serve *serve)
{
    return (struct serve_claim){
        .host = serve->claimed.host,
        .target = serve->claimed.target,
        .session = serve->claimed.session[0] ? serve->claimed.session : NULL,
        .funnel = serve->mode == SERVE_FUNNEL,
    };
}

/* Only root and our own user can reach a socket in the state directory. */
static bool may_use_unix(const struct serve *serve)
{
    int32_t pid;
    uint32_t uid;
    struct fault ignored = {0};

    return !serve->no_unix && daemon_is_at_least(serve->daemon, UNIX_MAJOR, UNIX_MINOR) &&
           holder_daemon(tailnet_socket(daemon_api(serve->daemon)), &pid, &uid, &ignored) == 0 &&
           (uid == 0 || uid == (uint32_t)geteuid());
}

/* The door stands before anybody is sent to it, and stays for the next round. */
static int open_door(struct serve *serve, struct fault *fault)
{
    CLEAN(mem_free) char *path = mem_format("%s/proxy.sock", serve->gw->state_dir);
    struct listen_at at = {.door = DOOR_PROXY, .unix_path = path};
    bool by_unix = may_use_unix(serve);

    if (serve->door && by_unix == (strncmp(serve->target, "unix:", 5) == 0))
        return 0;
    listen_remove(serve->gw, TAKE(serve->door));
    serve->target = mem_free(serve->target);
    if (by_unix && listen_add(serve->gw, &at, &serve->door, fault) == 0) {
        serve->target = mem_format("unix:%s", path);
        return 0;
    }
    at = (struct listen_at){.door = DOOR_PROXY, .host = "127.0.0.1"};
    if (listen_add(serve->gw, &at, &serve->door, fault) < 0)
        return fault->code;
    serve->target = mem_format("http://127.0.0.1:%d", ws_server_port(serve->door));
    return 0;
}

/* The name the daemon can get a certificate for. NULL: HTTPS is not there. */
static const char *https_name(const struct tailnet_status *status)
{
    for (char **name = status->cert_domains; name && *name; name++)
        if (strcmp(*name, status->self.name) == 0)
            return *name;
    return status->cert_domains ? status->cert_domains[0] : NULL;
}

/* ---- forward ---- */

/* What has to be there first. NULL: all of it. */
static const char *waits_for(const struct serve *serve)
{
    const struct tailnet_status *status = daemon_status(serve->daemon);

    if (!status)
        return daemon_trouble(serve->daemon);
    if (!daemon_running(serve->daemon))
        return "tailscaled is not connected to its tailnet (tailscale up)";
    if (!https_name(status))
        return "this tailnet gives out no certificates: switch HTTPS on (admin console, DNS, HTTPS "
               "Certificates)";
    if (!daemon_session(serve->daemon)[0] && !daemon_without_bus(serve->daemon))
        return "tailscaled's bus is not held yet";
    return NULL;
}

static bool is_current(const struct serve *serve)
{
    const struct tailnet_status *status = daemon_status(serve->daemon);

    return serve->state == SERVE_SERVING && serve->claimed.host && status && https_name(status) &&
           strcmp(https_name(status), serve->claimed.host) == 0 &&
           (!serve->claimed.session[0] ||
            strcmp(serve->claimed.session, daemon_session(serve->daemon)) == 0);
}

static void begin(struct serve *serve)
{
    struct fault fault = {0};
    const char *session = serve->no_foreground ? "" : daemon_session(serve->daemon);

    if (open_door(serve, &fault) < 0) {
        fail(serve, fault.text);
        return;
    }
    serve_record_set(&serve->claimed, https_name(daemon_status(serve->daemon)), serve->target,
                     session);
    snprintf(serve->tried, sizeof(serve->tried), "%s", daemon_session(serve->daemon));
    enter_state(serve, SERVE_WORKING, "");
    serve->checking = serve->removing = false;
    read_config(serve);
}

static void look_again(void *arg)
{
    struct serve *serve = arg;

    if (op_running(&serve->op) || serve->state != SERVE_SERVING)
        return;
    serve->checking = true;
    read_config(serve);
}

static void remove_left(struct serve *serve);

static void advance(void *arg)
{
    struct serve *serve = arg;

    if (op_running(&serve->op) || serve->state == SERVE_STOPPED)
        return;
    const char *missing = waits_for(serve);
    if (missing && serve->state != SERVE_SERVING) {
        enter_state(serve, SERVE_WAITING, missing);
        return;
    }
    if (is_current(serve))
        return;
    serve->url[0] = '\0';
    if (missing)
        enter_state(serve, SERVE_WAITING, missing);
    else if (serve_left_something(serve->gw))
        remove_left(serve);
    else if (serve->mode != SERVE_OFF)
        begin(serve);
}

/* ---- reading ---- */

static void write_config(struct serve *serve);
static void on_checked(struct serve *serve);
static void on_config_to_clean(struct serve *serve);

static void on_trouble(struct serve *serve, const struct op *op, int result)
{
    const char *why = op->fault.text[0] ? op->fault.text : err_text(result);

    if (serve->removing)
        log_warn("our handler stays in tailscaled's serve configuration, the next start takes it "
                 "out: %s",
                 why);
    if (serve->state != SERVE_STOPPED)
        fail(serve, why);
}

static void on_read(struct op *op, int result)
{
    struct serve *serve = CONTAINER(op, struct serve, op);
    struct fault fault = {0};

    if (result < 0) {
        on_trouble(serve, op, result);
    } else if (serve->removing) {
        on_config_to_clean(serve);
    } else if (serve->checking) {
        on_checked(serve);
    } else {
        struct serve_claim claim = claim_of(serve);
        if (serve_config_add(&serve->config, &claim, &fault) < 0)
            fail(serve, fault.text);
        else
            write_config(serve);
    }
}

static void read_config(struct serve *serve)
{
    serve->config = json_free(serve->config);
    op_init(&serve->op, serve->gw->loop, on_read, TAILNET_CALL_MS);
    tailnet_serve_get(daemon_api(serve->daemon), &serve->op, &serve->config, serve->etag);
}

/* ---- writing ---- */

/* A unix target needs more rights than a port does. */
static bool try_without_unix(struct serve *serve, int result)
{
    if (result != -ERR_DENIED || serve->removing || strncmp(serve->target, "unix:", 5) != 0)
        return false;
    log_info("tailscaled does not let this user name a socket as the target: a loopback port is "
             "used instead");
    serve->no_unix = true;
    return true;
}

static void on_written(struct op *op, int result)
{
    struct serve *serve = CONTAINER(op, struct serve, op);

    if (result == -ERR_CONFLICT && ++serve->conflicts < CONFLICTS_MAX) {
        read_config(serve); /* the same purpose again */
        return;
    }
    serve->conflicts = 0;
    if (result < 0) {
        if (try_without_unix(serve, result))
            begin(serve);
        else
            on_trouble(serve, op, result);
        return;
    }
    if (serve->removing) {
        serve_record_remove(serve->gw->state_dir);
        serve_record_done(&serve->claimed);
        serve->removing = false;
        if (serve->state != SERVE_STOPPED)
            advance(serve);
        return;
    }
    serve->checking = true;
    read_config(serve);
}

static void write_config(struct serve *serve)
{
    struct fault fault = {0};

    /* The record first: a crash in between leaves a record without a handler, which harms nobody. */
    if (!serve->removing && !serve->claimed.session[0] &&
        serve_record_write(serve->gw->state_dir, &serve->claimed, &fault) < 0) {
        fail(serve, fault.text);
        return;
    }
    op_init(&serve->op, serve->gw->loop, on_written, TAILNET_CALL_MS);
    tailnet_serve_set(daemon_api(serve->daemon), &serve->op, serve->config, serve->etag);
}

/* ---- read back ---- */

static void enter_serving(struct serve *serve)
{
    char text[FAULT_TEXT_MAX];

    snprintf(serve->url, sizeof(serve->url), "https://%.255s", serve->claimed.host);
    snprintf(text, sizeof(text), "%s/ leads here%s (by %s%s)", serve->url,
             serve->mode == SERVE_FUNNEL ? ", from the whole Internet" : "", serve->claimed.target,
             serve->claimed.session[0] ? ""
                                       : "; this tailscaled keeps it when the gateway is killed, "
                                         "the next start takes it out");
    enter_state(serve, SERVE_SERVING, text);
    backoff_reset(&serve->backoff);
    timer_start(serve->gw->loop, &serve->retry, LOOK_AGAIN_MS, 0, look_again, serve);
}

static void on_checked(struct serve *serve)
{
    struct serve_claim claim = claim_of(serve);

    serve->checking = false;
    if (serve_config_has(serve->config, &claim)) {
        enter_serving(serve);
        return;
    }
    bool was_serving = serve->state == SERVE_SERVING;
    if (was_serving) {
        fail(serve, "somebody took our handler out of tailscaled's serve configuration");
    } else if (claim.session) {
        serve->no_foreground = true; /* it took the words and forgot them: too old for sessions */
        begin(serve);
    } else {
        fail(serve, "tailscaled took our handler and does not have it");
    }
}

/* ---- taking out ---- */

static void on_config_to_clean(struct serve *serve)
{
    struct serve_claim claim = claim_of(serve);
    bool changed = claim.host && serve_config_remove(serve->config, &claim);

    if (serve->state == SERVE_STOPPED &&
        config_bool(serve->gw->config, KNOB_tailscale_reset_on_exit))
        changed |= serve_config_remove_port(serve->config, serve->gw->port);
    if (changed) {
        write_config(serve);
        return;
    }
    serve_record_remove(serve->gw->state_dir);
    serve_record_done(&serve->claimed);
    serve->removing = false;
    if (serve->state != SERVE_STOPPED)
        advance(serve);
}

static void remove_left(struct serve *serve)
{
    if (serve_record_read(serve->gw->state_dir, &serve->claimed) < 0) {
        serve_record_remove(serve->gw->state_dir);
        advance(serve);
        return;
    }
    log_info("taking out what an earlier run left in tailscaled's serve configuration");
    serve->removing = true;
    read_config(serve);
}

bool serve_left_something(const struct gateway *gw)
{
    return serve_record_exists(gw->state_dir);
}

/* A foreground claim goes with the bus (daemon_free); one in the background is taken out by hand. */
void serve_stop(struct serve *serve)
{
    bool in_background = serve->claimed.host && !serve->claimed.session[0];
    bool reset =
        serve->mode != SERVE_OFF && config_bool(serve->gw->config, KNOB_tailscale_reset_on_exit);

    op_drop(&serve->op);
    timer_stop(serve->gw->loop, &serve->retry);
    serve->state = SERVE_STOPPED;
    serve->url[0] = '\0';
    serve->conflicts = 0;
    if (!in_background && !reset)
        return;
    serve->removing = true;
    read_config(serve);
}

bool serve_busy(const struct serve *serve)
{
    return op_running(&serve->op);
}

/* ---- life ---- */

struct serve *serve_new(struct gateway *gw, struct daemon *daemon)
{
    struct serve *serve = NEW(struct serve);

    serve->gw = gw;
    serve->daemon = daemon;
    serve->mode = serve_mode_of(gw);
    backoff_init(&serve->backoff, RETRY_FIRST_MS, RETRY_CAP_MS);
    daemon_want(daemon);
    advance(serve);
    return serve;
}

struct serve *serve_free(struct serve *serve)
{
    if (!serve)
        return NULL;
    op_drop(&serve->op);
    timer_stop(serve->gw->loop, &serve->retry);
    json_free(serve->config);
    serve_record_done(&serve->claimed);
    mem_free(serve->target);
    return mem_free(serve);
}

void serve_daemon_changed(struct serve *serve)
{
    /* What failed waits for its time, unless tailscaled has begun anew. */
    if (serve->state != SERVE_FAILED || strcmp(serve->tried, daemon_session(serve->daemon)) != 0)
        advance(serve);
}

const char *serve_url(const struct serve *serve)
{
    return serve->url[0] ? serve->url : NULL;
}

const char *serve_detail(const struct serve *serve)
{
    return serve->detail;
}

void serve_write(const struct serve *serve, struct json_writer *w)
{
    jw_kobject(w, "serve");
    jw_kstr(w, "mode", mode_names[serve->mode]);
    jw_kstr(w, "state", state_names[serve->state]);
    jw_kstr(w, "detail", serve->detail);
    jw_kstr(w, "url", serve_url(serve));
    jw_kstr(w, "target", serve->target);
    jw_object_end(w);
}
