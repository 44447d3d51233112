/* What stands between the gateway and the parts of its tailnet: start-up rules, life, what is told to whom. Owns the
 * parts. */
#include "gateway/tailnet/tailscale.h"

#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/conn/auth.h"
#include "gateway/gateway.h"
#include "gateway/tailnet/internal.h"

#include <stdio.h>
#include <string.h>

/* ---- what cannot go together ---- */

static bool is_loopback_bind(const char *bind)
{
    return strcmp(bind, "loopback") == 0 || strcmp(bind, "auto") == 0 ||
           strncmp(bind, "127.", 4) == 0 || strcmp(bind, "::1") == 0;
}

int tailscale_check(const struct gateway *gw, struct fault *reterr_fault)
{
    enum serve_mode mode = serve_mode_of(gw);
    const char *bind = config_str(gw->config, KNOB_gateway_bind);
    const char *name = config_str(gw->config, KNOB_tailscale_mode);
    struct auth_policy policy;

    if (mode == SERVE_OFF)
        return 0;
    if (!is_loopback_bind(bind))
        return fault_set(reterr_fault, -ERR_INVALID,
                         "gateway.tailscale.mode %s needs gateway.bind loopback, and it is %s: "
                         "tailscaled's proxy comes to loopback. Set gateway.bind to loopback, or "
                         "gateway.tailscale.mode to off",
                         name, bind);
    auth_policy_read(gw->config, &policy);
    if (mode == SERVE_FUNNEL && policy.mode != AUTH_PASSWORD)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "gateway.tailscale.mode funnel is open to the whole Internet and needs "
                         "gateway.auth.mode password, and it is %s. Set gateway.auth.mode to "
                         "password and a long gateway.auth.password, or gateway.tailscale.mode to "
                         "serve",
                         auth_mode_name(policy.mode));
    return 0;
}

/* ---- life ---- */

/* Another tailnet, or tailscaled has begun anew: addresses may be others' now. */
static void forget_strangers(struct tailscale *tailscale)
{
    const struct tailnet_status *status = daemon_status(tailscale->daemon);
    char seen[sizeof(tailscale->seen)];

    snprintf(seen, sizeof(seen), "%.60s %.200s %.200s", status ? status->state : "",
             status ? status->self.name : "", daemon_session(tailscale->daemon));
    if (strcmp(seen, tailscale->seen) == 0)
        return;
    memcpy(tailscale->seen, seen, sizeof(seen));
    whois_forget(tailscale->whois);
}

static void on_daemon_changed(void *arg)
{
    struct tailscale *tailscale = arg;

    if (tailscale->gw->stopping)
        return;
    forget_strangers(tailscale);
    if (tailscale->bind)
        bind_daemon_changed(tailscale->bind);
    if (tailscale->serve)
        serve_daemon_changed(tailscale->serve);
}

struct tailscale *tailscale_new(struct gateway *gw)
{
    struct tailscale *tailscale = NEW(struct tailscale);

    tailscale->gw = gw;
    tailscale->daemon = daemon_new(gw->loop, on_daemon_changed, tailscale);
    tailscale->whois = whois_new(gw->loop, daemon_api(tailscale->daemon));
    return tailscale;
}

struct tailscale *tailscale_free(struct tailscale *tailscale)
{
    if (!tailscale)
        return NULL;
    serve_free(tailscale->serve);
    bind_free(tailscale->bind);
    whois_free(tailscale->whois);
    daemon_free(tailscale->daemon);
    return mem_free(tailscale);
}

void tailscale_start(struct gateway *gw)
{
    struct tailscale *tailscale = gw->tailscale;

    if (strcmp(config_str(gw->config, KNOB_gateway_bind), "tailnet") == 0)
        tailscale->bind = bind_new(gw, tailscale->daemon);
    if (serve_mode_of(gw) != SERVE_OFF || serve_left_something(gw))
        tailscale->serve = serve_new(gw, tailscale->daemon);
}

void tailscale_stop(struct gateway *gw)
{
    if (gw->tailscale->serve)
        serve_stop(gw->tailscale->serve);
    daemon_stop(gw->tailscale->daemon);
}

bool tailscale_busy(const struct gateway *gw)
{
    return gw->tailscale->serve && serve_busy(gw->tailscale->serve);
}

/* ---- told ---- */

const char *tailscale_name(const struct gateway *gw)
{
    const struct tailnet_status *status =
        gw->tailscale ? daemon_status(gw->tailscale->daemon) : NULL;

    return status && status->self.name && status->self.name[0] ? status->self.name : NULL;
}

const char *tailscale_url(const struct gateway *gw)
{
    return gw->tailscale && gw->tailscale->serve ? serve_url(gw->tailscale->serve) : NULL;
}

/* protocol.md 9.5: by default with Serve, where no password was asked for. */
bool tailscale_allows_users(const struct gateway *gw)
{
    struct auth_policy policy;

    if (config_given(gw->config, KNOB_auth_allow_tailscale))
        return config_bool(gw->config, KNOB_auth_allow_tailscale);
    auth_policy_read(gw->config, &policy);
    return serve_mode_of(gw) == SERVE_TAILNET && policy.mode != AUTH_PASSWORD;
}

void tailscale_write(struct gateway *gw, struct json_writer *w)
{
    const struct tailscale *tailscale = gw->tailscale;

    if (!tailscale || (!tailscale->bind && !tailscale->serve))
        return;
    jw_kobject(w, "tailscale");
    jw_kstr(w, "name", tailscale_name(gw));
    if (tailscale->bind)
        bind_write(tailscale->bind, w);
    if (tailscale->serve)
        serve_write(tailscale->serve, w);
    jw_object_end(w);
}

char *tailscale_line(const struct gateway *gw)
{
    const struct tailscale *tailscale = gw->tailscale;

    if (tailscale && tailscale->bind)
        return mem_string(bind_detail(tailscale->bind));
    if (tailscale && tailscale->serve && serve_mode_of(gw) != SERVE_OFF)
        return mem_string(serve_detail(tailscale->serve));
    return NULL;
}
