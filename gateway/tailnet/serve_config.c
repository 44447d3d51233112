/* Editing a serve-config: first whose the port is, then our handler in a foreground session or in the background; and
 * out again with whatever it alone needed. The document is edited as a tree, so that members we do not know stay.
 * Pure; owns nothing. */
#include "gateway/tailnet/serve_config.h"

#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOST_PORT_MAX 300

/* A member that is an object; NULL: there is none. What tailscaled tells is not always what we know. */
static const struct json *object_at(const struct json *parent, const char *key)
{
    const struct json *child = json_kind(parent) == JSON_OBJECT ? json_get(parent, key) : NULL;

    return json_kind(child) == JSON_OBJECT ? child : NULL;
}

static struct json *edit_at(struct json *parent, const char *key)
{
    return parent && object_at(parent, key) ? json_edit(parent, key) : NULL;
}

static void host_port_of(const struct serve_claim *claim, char out[HOST_PORT_MAX])
{
    snprintf(out, HOST_PORT_MAX, "%.255s:%d", claim->host, SERVE_PORT);
}

static const char *port_text(void)
{
    static const char text[] = "443";

    _Static_assert(SERVE_PORT == 443, "the text above");
    return text;
}

/* ---- whose is the port? ---- */

static bool ends_with_port(const char *host_port)
{
    const char *colon = strrchr(host_port, ':');

    return colon && strcmp(colon + 1, port_text()) == 0;
}

/* "/ -> http://127.0.0.1:3000" */
static void describe_handler(const struct json *handler, struct buf *out)
{
    static const char *const kinds[] = {"Proxy", "Path", "Text", "Redirect"};

    buf_addf(out, "%s%.100s", out->length ? ", " : "", json_key(handler));
    for (size_t i = 0; i < COUNT(kinds); i++) {
        const char *value = json_string(json_get(handler, kinds[i]), NULL);
        if (value && strcmp(kinds[i], "Text") == 0)
            buf_add_str(out, " -> a text");
        else if (value)
            buf_addf(out, " -> %.200s", value);
    }
}

static void describe_web(const struct json *part, struct buf *out)
{
    json_each (site, object_at(part, "Web"))
        if (ends_with_port(json_key(site)))
            json_each (handler, object_at(site, "Handlers"))
                describe_handler(handler, out);
}

/* What a part (the background, or one session) has on our port; "" for nothing. */
static void describe_part(const struct json *part, struct buf *out)
{
    const struct json *tcp = json_get(object_at(part, "TCP"), port_text());
    const char *forward = json_string(json_get(tcp, "TCPForward"), NULL);

    describe_web(part, out);
    if (forward)
        buf_addf(out, "%sTCP -> %.200s", out->length ? ", " : "", forward);
    else if (tcp && !out->length)
        buf_add_str(out, "a listener without a handler");
}

static int taken(struct fault *reterr_fault, const struct buf *what, const char *by)
{
    return fault_set(
        reterr_fault, -ERR_EXISTS,
        "port %s of this host's tailnet name already serves somebody else's %.300s (%s)",
        port_text(), what->data, by);
}

static int check_port(const struct json *config, const struct serve_claim *claim,
                      struct fault *reterr_fault)
{
    struct buf what;
    int r = 0;

    buf_init(&what, 4096);
    describe_part(config, &what);
    if (what.length)
        r = taken(reterr_fault, &what, "see tailscale serve status; tailscale serve reset ends it");
    json_each (session, object_at(config, "Foreground")) {
        if (r < 0 || (claim->session && strcmp(json_key(session), claim->session) == 0))
            continue;
        describe_part(session, &what);
        if (what.length)
            r = taken(reterr_fault, &what, "a program that runs in the foreground; end it first");
    }
    buf_done(&what);
    return r;
}

/* Somebody's Funnel for our name would make public what is meant for the tailnet. */
static int check_funnel(const struct json *config, const struct serve_claim *claim,
                        struct fault *reterr_fault)
{
    char host_port[HOST_PORT_MAX];

    host_port_of(claim, host_port);
    if (claim->funnel ||
        !json_boolean(json_get(object_at(config, "AllowFunnel"), host_port), false))
        return 0;
    return fault_set(reterr_fault, -ERR_EXISTS,
                     "Funnel is on for %s, so what is served there would be public: turn it off "
                     "(tailscale funnel --https=%s off)",
                     host_port, port_text());
}

/* A session of a bus that we have lost, which tailscaled has not noticed yet: the target is ours alone. */
static void drop_lost_sessions(struct json *config, const struct serve_claim *claim)
{
    struct json *foreground = edit_at(config, "Foreground");
    const struct json *session = foreground ? json_first(foreground) : NULL;

    while (session) {
        CLEAN(mem_free) char *name = mem_string(json_key(session));
        struct serve_claim lost = *claim;

        session = json_next(session);
        lost.session = name;
        if ((!claim->session || strcmp(name, claim->session) != 0) &&
            serve_config_has(config, &lost))
            json_remove(foreground, name);
    }
}

/* ---- in ---- */

static struct json *object_in(struct json *parent, const char *key)
{
    if (!object_at(parent, key))
        json_put(parent, key, json_new_object());
    return json_edit(parent, key);
}

static void add_to(struct json *part, const struct serve_claim *claim)
{
    char host_port[HOST_PORT_MAX];
    struct json *https = object_in(object_in(part, "TCP"), port_text());

    host_port_of(claim, host_port);
    json_put(https, "HTTPS", json_new_boolean(true));
    struct json *handlers = object_in(object_in(object_in(part, "Web"), host_port), "Handlers");
    json_put(object_in(handlers, "/"), "Proxy", json_new_string(claim->target));
    if (claim->funnel)
        json_put(object_in(part, "AllowFunnel"), host_port, json_new_boolean(true));
}

/* Members we walk through must be objects (or null, which Go prints for an empty map). */
static int check_shape(const struct json *part, bool is_session, struct fault *reterr_fault)
{
    static const char *const maps[] = {"TCP", "Web", "AllowFunnel", "Foreground"};

    if (json_kind(part) != JSON_OBJECT)
        return fault_set(reterr_fault, -ERR_CORRUPT,
                         "tailscaled's serve configuration is not what we know: %s",
                         json_kind_name(json_kind(part)));
    for (size_t i = 0; i < COUNT(maps); i++) {
        const struct json *map = json_get(part, maps[i]);
        if (map && json_kind(map) != JSON_OBJECT && json_kind(map) != JSON_NULL)
            return fault_set(reterr_fault, -ERR_CORRUPT,
                             "tailscaled's serve configuration is not what we know: %s is %s",
                             maps[i], json_kind_name(json_kind(map)));
    }
    if (!is_session)
        json_each (session, json_get(part, "Foreground"))
            if (check_shape(session, true, reterr_fault) < 0)
                return -ERR_CORRUPT;
    return 0;
}

int serve_config_add(struct json **config, const struct serve_claim *claim,
                     struct fault *reterr_fault)
{
    int r;

    if (!*config || json_kind(*config) == JSON_NULL) {
        json_free(*config);
        *config = json_new_object();
    }
    if ((r = check_shape(*config, false, reterr_fault)) < 0)
        return r;
    CLEAN(json_free) struct json *edited = json_copy(*config);
    drop_lost_sessions(edited, claim);
    if ((r = check_port(edited, claim, reterr_fault)) < 0 ||
        (r = check_funnel(edited, claim, reterr_fault)) < 0)
        return r;
    add_to(claim->session ? object_in(object_in(edited, "Foreground"), claim->session) : edited,
           claim);
    json_free(*config);
    *config = TAKE(edited);
    return 0;
}

/* ---- is it there? ---- */

static const struct json *part_of(const struct json *config, const struct serve_claim *claim)
{
    return claim->session ? object_at(object_at(config, "Foreground"), claim->session) : config;
}

bool serve_config_has(const struct json *config, const struct serve_claim *claim)
{
    char host_port[HOST_PORT_MAX];
    const struct json *part = part_of(config, claim);

    host_port_of(claim, host_port);
    const struct json *handlers =
        object_at(object_at(object_at(part, "Web"), host_port), "Handlers");
    const char *proxy = json_string(json_get(object_at(handlers, "/"), "Proxy"), "");
    bool public = json_boolean(json_get(object_at(part, "AllowFunnel"), host_port), false);
    return strcmp(proxy, claim->target) == 0 && (!claim->funnel || public) &&
           json_boolean(json_get(object_at(object_at(part, "TCP"), port_text()), "HTTPS"), false);
}

/* ---- out ---- */

static void remove_if_empty(struct json *parent, const char *key)
{
    if (object_at(parent, key) && json_count(object_at(parent, key)) == 0)
        json_remove(parent, key);
}

static bool port_is_used(const struct json *config, const char *port)
{
    json_each (site, object_at(config, "Web")) {
        const char *colon = strrchr(json_key(site), ':');
        if (colon && strcmp(colon + 1, port) == 0)
            return true;
    }
    return false;
}

/* After a site's last handler: the site, its Funnel, and the listener when no other site has the port. */
static void remove_site(struct json *config, const char *host_port)
{
    const char *colon = strrchr(host_port, ':');
    struct json *tcp = edit_at(config, "TCP"), *funnel = edit_at(config, "AllowFunnel");

    json_remove(edit_at(config, "Web"), host_port);
    if (funnel)
        json_remove(funnel, host_port);
    if (tcp && colon && !port_is_used(config, colon + 1))
        json_remove(tcp, colon + 1);
    remove_if_empty(config, "Web");
    remove_if_empty(config, "TCP");
    remove_if_empty(config, "AllowFunnel");
}

static bool remove_handler(struct json *config, const char *host_port, const char *path,
                           const char *target)
{
    struct json *handlers = edit_at(edit_at(edit_at(config, "Web"), host_port), "Handlers");
    const struct json *handler = object_at(handlers, path);

    if (strcmp(json_string(json_get(handler, "Proxy"), ""), target) != 0)
        return false;
    /* The arguments may be keys of what goes. */
    CLEAN(mem_free) char *site_name = mem_string(host_port);
    json_remove(handlers, path);
    if (json_count(handlers) == 0)
        remove_site(config, site_name);
    return true;
}

bool serve_config_remove(struct json *config, const struct serve_claim *claim)
{
    char host_port[HOST_PORT_MAX];
    struct json *foreground = edit_at(config, "Foreground");

    host_port_of(claim, host_port);
    if (!claim->session)
        return remove_handler(config, host_port, "/", claim->target);
    if (!foreground || !json_get(foreground, claim->session))
        return false;
    json_remove(foreground, claim->session);
    remove_if_empty(config, "Foreground");
    return true;
}

/* "18789", "127.0.0.1:18789", "http://localhost:18789/" … */
static bool leads_to(const char *target, int port)
{
    static const char *const heads[] = {"http://", "127.0.0.1:", "localhost:", "[::1]:"};

    for (size_t i = 0; i < COUNT(heads); i++)
        if (strncmp(target, heads[i], strlen(heads[i])) == 0)
            target += strlen(heads[i]);
    char *end;
    long number = strtol(target, &end, 10);
    return end != target && number == port && (*end == '\0' || strcmp(end, "/") == 0);
}

static bool remove_first_to(struct json *config, int port)
{
    json_each (site, object_at(config, "Web"))
        json_each (handler, object_at(site, "Handlers")) {
            const char *proxy = json_string(json_get(handler, "Proxy"), NULL);
            if (!proxy || !leads_to(proxy, port))
                continue;
            CLEAN(mem_free) char *path = mem_string(json_key(handler));
            CLEAN(mem_free) char *target = mem_string(proxy);
            return remove_handler(config, json_key(site), path, target);
        }
    return false;
}

bool serve_config_remove_port(struct json *config, int port)
{
    bool changed = false;

    while (remove_first_to(config, port))
        changed = true;
    return changed;
}
