/* Listeners: a table of doors that may be opened and closed while the gateway runs. Where to bind at the start is a
 * table of kinds; a wider bind without authentication does not start (design.md section 3 "Ports"). Owns the
 * servers. */
#include "gateway/listen.h"

#define LOG_SUBSYSTEM "listen"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/conn/conn.h"
#include "gateway/http/http.h"
#include "gateway/tailnet/tailscale.h"
#include "gateway/tls.h"
#include "gateway/tunnel/tunnels.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HEAD_TIMEOUT_MS 15000

static struct ws_server_config base_config(struct gateway *gw)
{
    return (struct ws_server_config){
        .arg = gw,
        .upgrade = conns_upgrade,
        .open = conns_open,
        .http_head = http_head,
        .http = http_route,
        .make_room = conns_make_room,
        .released = tunnels_released,
        .tls_certificate = gw->tls ? gw->tls->certificate : NULL,
        .tls_key = gw->tls ? gw->tls->key : NULL,
        .message_max = CONN_PREAUTH_MAX,
        .output_max = CONN_OUTPUT_MAX,
        .half_open_max = CONN_HALF_OPEN_MAX,
        .head_timeout_ms = HEAD_TIMEOUT_MS,
        .http_body_max = WEB_BODY_MAX,
    };
}

struct listeners {
    struct {
        enum door door;
        struct ws_server *server;
    } list[LISTENERS_MAX];
    size_t count;
};

int listen_add(struct gateway *gw, const struct listen_at *at, struct ws_server **ret,
               struct fault *reterr_fault)
{
    struct ws_server_config config = base_config(gw);
    int r;

    if (!gw->listeners)
        gw->listeners = NEW(struct listeners);
    if (gw->listeners->count == LISTENERS_MAX)
        return fault_set(reterr_fault, -ERR_FULL, "more than %d addresses to listen on",
                         LISTENERS_MAX);
    config.door = (int)at->door;
    config.host = at->host;
    config.port = at->port;
    config.unix_path = at->unix_path;
    config.unix_mode = listen_mode(gw);
    if (at->unix_path || at->door == DOOR_PROXY)
        config.tls_certificate = config.tls_key = NULL;
    if ((r = ws_listen(gw->loop, &config, ret, reterr_fault)) < 0)
        return r;
    gw->listeners->list[gw->listeners->count].door = at->door;
    gw->listeners->list[gw->listeners->count++].server = *ret;
    return 0;
}

void listen_remove(struct gateway *gw, struct ws_server *server)
{
    struct listeners *all = gw->listeners;

    for (size_t i = 0; all && server && i < all->count; i++) {
        if (all->list[i].server != server)
            continue;
        all->list[i] = all->list[--all->count];
        ws_server_free(server);
        return;
    }
}

bool listen_has(const struct gateway *gw, enum door door)
{
    const struct listeners *all = gw->listeners;

    for (size_t i = 0; all && i < all->count; i++)
        if (all->list[i].door == door)
            return true;
    return false;
}

struct ws_server *listen_server(const struct gateway *gw, enum door door)
{
    const struct listeners *all = gw->listeners;

    for (size_t i = 0; all && i < all->count; i++)
        if (all->list[i].door == door)
            return all->list[i].server;
    return NULL;
}

/* ---- what the configuration names ---- */

static int open_one(struct gateway *gw, enum door door, const char *host, int port,
                    struct fault *reterr_fault)
{
    struct ws_server *server;
    int r = listen_add(gw, &(struct listen_at){.door = door, .host = host, .port = port}, &server,
                       reterr_fault);

    return r < 0 ? r : ws_server_port(server);
}

static const char *shared_folder(const struct gateway *gw)
{
    const char *folder = config_str(gw->config, KNOB_socket_directory);

    return folder && folder[0] ? folder : NULL;
}

char *listen_path(const struct gateway *gw, const char *name)
{
    const char *shared = shared_folder(gw);

    return mem_format("%s/%s", shared ? shared : gw->state_dir, name);
}

uint32_t listen_mode(const struct gateway *gw)
{
    return shared_folder(gw) ? 0666 : 0600;
}

/* Others connect to what stands there, so nobody else may put something else in its place. */
static int check_shared(const struct gateway *gw, struct fault *reterr_fault)
{
    const char *folder = shared_folder(gw);
    struct stat st;

    if (!folder)
        return 0;
    if (folder[0] != '/')
        return fault_set(reterr_fault, -ERR_INVALID,
                         "gateway.socketDirectory must be an absolute path, such as /run/culvert");
    if (lstat(folder, &st) < 0)
        return fault_set(reterr_fault, -ERR_NOT_FOUND,
                         "gateway.socketDirectory %s: %s; make it (0755, owned by the gateway's "
                         "user), or let systemd: RuntimeDirectory=",
                         folder, strerror(errno));
    if (!S_ISDIR(st.st_mode) || (st.st_uid != geteuid() && st.st_uid != 0) || (st.st_mode & 022))
        return fault_set(reterr_fault, -ERR_DENIED,
                         "gateway.socketDirectory %s must be a folder that belongs to us or to "
                         "root and that nobody else may write to (chmod 0755)",
                         folder);
    return 0;
}

static int open_socket(struct gateway *gw, struct fault *reterr_fault)
{
    CLEAN(mem_free) char *path = listen_path(gw, "gateway.sock");
    struct ws_server *server;
    int r = check_shared(gw, reterr_fault);

    if (r < 0)
        return r;
    return listen_add(gw, &(struct listen_at){.door = DOOR_SOCKET, .unix_path = path}, &server,
                      reterr_fault);
}

static int wide_loopback(struct gateway *gw, char *out, size_t size, struct fault *reterr_fault)
{
    (void)gw, (void)size, (void)reterr_fault;
    out[0] = '\0';
    return 0;
}

static int wide_lan(struct gateway *gw, char *out, size_t size, struct fault *reterr_fault)
{
    (void)gw, (void)reterr_fault;
    snprintf(out, size, "0.0.0.0");
    return 0;
}

/* Its addresses come and go: gateway/tailnet opens and closes their doors. */
static int wide_tailnet(struct gateway *gw, char *out, size_t size, struct fault *reterr_fault)
{
    return wide_loopback(gw, out, size, reterr_fault);
}

static int wide_custom(struct gateway *gw, char *out, size_t size, struct fault *reterr_fault)
{
    const char *host = config_str(gw->config, KNOB_gateway_custom_bind);

    if (!host)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "gateway.bind is custom but gateway.customBindHost is not set");
    snprintf(out, size, "%s", host);
    return 0;
}

static const struct {
    const char *kind;
    int (*wide)(struct gateway *gw, char *out, size_t size, struct fault *reterr_fault);
} binds[] = {{"loopback", wide_loopback},
             {"auto", wide_loopback},
             {"lan", wide_lan},
             {"tailnet", wide_tailnet},
             {"custom", wide_custom}};

/* The address besides loopback, "" for none. Not a kind: an address itself. */
static int wide_address(struct gateway *gw, char *out, size_t size, struct fault *reterr_fault)
{
    const char *bind = config_str(gw->config, KNOB_gateway_bind);
    struct in6_addr parsed;

    for (size_t i = 0; i < COUNT(binds); i++)
        if (strcmp(bind, binds[i].kind) == 0)
            return binds[i].wide(gw, out, size, reterr_fault);
    if (inet_pton(AF_INET, bind, &parsed) != 1 && inet_pton(AF_INET6, bind, &parsed) != 1)
        return fault_set(
            reterr_fault, -ERR_INVALID,
            "gateway.bind \"%s\" is neither loopback, lan, tailnet, auto, custom nor an address",
            bind);
    bool loopback = strncmp(bind, "127.", 4) == 0 || strcmp(bind, "::1") == 0;
    snprintf(out, size, "%s", loopback ? "" : bind);
    return 0;
}

static int check_auth(struct gateway *gw, const char *wide, struct fault *reterr_fault)
{
    const char *bind = config_str(gw->config, KNOB_gateway_bind);
    const char *where = strcmp(bind, "tailnet") == 0 ? "the tailnet" : wide;

    if (!where[0] || strcmp(config_str(gw->config, KNOB_auth_mode), "none") != 0)
        return 0;
    return fault_set(
        reterr_fault, -ERR_DENIED,
        "refusing to listen on %s without authentication; set a token or password, or bind to "
        "loopback",
        where);
}

static bool is_everywhere(const char *wide)
{
    return strcmp(wide, "0.0.0.0") == 0 || strcmp(wide, "::") == 0;
}

static int open_tcp(struct gateway *gw, const char *wide, struct fault *reterr_fault)
{
    int port = (int)config_int(gw->config, KNOB_gateway_port), r;
    bool everywhere = is_everywhere(wide);

    r = everywhere ? open_one(gw, DOOR_WIDE, wide, port, reterr_fault)
                   : open_one(gw, DOOR_LOOPBACK, "127.0.0.1", port, reterr_fault);
    if (r < 0)
        return r;
    gw->port = r;

    struct fault ignored = {0};
    if (strcmp(wide, "::") != 0 && open_one(gw, DOOR_LOOPBACK, "::1", gw->port, &ignored) < 0)
        log_warn("not listening on [::1]: %s", ignored.text);
    if (wide[0] && !everywhere && (r = open_one(gw, DOOR_WIDE, wide, gw->port, reterr_fault)) < 0)
        return r;
    return 0;
}

int listen_open(struct gateway *gw, struct fault *reterr_fault)
{
    char wide[INET6_ADDRSTRLEN] = "";
    int r;

    if ((r = tailscale_check(gw, reterr_fault)) < 0 ||
        (r = wide_address(gw, wide, sizeof(wide), reterr_fault)) < 0 ||
        (r = check_auth(gw, wide, reterr_fault)) < 0 || (r = open_socket(gw, reterr_fault)) < 0 ||
        (r = tunnels_open(gw, reterr_fault)) < 0)
        return r;
    return open_tcp(gw, wide, reterr_fault);
}

char *listen_url(struct gateway *gw)
{
    bool tls = config_bool(gw->config, KNOB_tls_enabled);
    char wide[INET6_ADDRSTRLEN] = "", machine[HOST_NAME_MAX + 1] = "";
    const char *host = "127.0.0.1";
    struct fault ignored = {0};

    if (tailscale_url(gw))
        return mem_string(tailscale_url(gw));
    if (tls && wide_address(gw, wide, sizeof(wide), &ignored) == 0 && wide[0])
        host = wide;
    if (is_everywhere(host))
        host = gethostname(machine, sizeof(machine) - 1) == 0 ? machine : "127.0.0.1";
    return mem_format(strchr(host, ':') ? "%s://[%s]:%d" : "%s://%s:%d", tls ? "https" : "http",
                      host, gw->port);
}

void listen_stop(struct gateway *gw)
{
    tunnels_stop(gw);
    for (size_t i = 0; gw->listeners && i < gw->listeners->count; i++)
        ws_server_stop(gw->listeners->list[i].server);
}

void listen_close(struct gateway *gw)
{
    while (gw->listeners && gw->listeners->count)
        ws_server_free(gw->listeners->list[--gw->listeners->count].server);
    gw->listeners = mem_free(gw->listeners);
}
