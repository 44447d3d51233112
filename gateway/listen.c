/* Listeners. Where to bind is a table of kinds; a wider bind without authentication does not start
 * (design.md section 3 "Ports"). */
#include "gateway/listen.h"

#define LOG_SUBSYSTEM "listen"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/conn/conn.h"
#include "gateway/http/http.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define HEAD_TIMEOUT_MS 15000

static struct ws_server_config base_config(struct gateway *gw)
{
    bool tls = config_bool(gw->config, KNOB_tls_enabled);

    return (struct ws_server_config){
        .arg = gw,
        .upgrade = conns_upgrade,
        .open = conns_open,
        .http_head = http_head,
        .http = http_route,
        .make_room = conns_make_room,
        .tls_certificate = tls ? config_str(gw->config, KNOB_tls_cert) : NULL,
        .tls_key = tls ? config_str(gw->config, KNOB_tls_key) : NULL,
        .message_max = CONN_PREAUTH_MAX,
        .output_max = CONN_OUTPUT_MAX,
        .half_open_max = CONN_HALF_OPEN_MAX,
        .head_timeout_ms = HEAD_TIMEOUT_MS,
        .http_body_max = WEB_BODY_MAX,
    };
}

static int open_one(struct gateway *gw, int slot, const char *host, int port,
                    struct fault *reterr_fault)
{
    struct ws_server_config config = base_config(gw);

    config.host = host;
    config.port = port;
    return ws_listen(gw->loop, &config, &gw->servers[slot], reterr_fault);
}

static int open_socket(struct gateway *gw, struct fault *reterr_fault)
{
    CLEAN(mem_free) char *path = mem_format("%s/gateway.sock", gw->state_dir);
    struct ws_server_config config = base_config(gw);

    config.unix_path = path;
    config.unix_mode = 0600;
    config.tls_certificate = config.tls_key = NULL;
    return ws_listen(gw->loop, &config, &gw->servers[3], reterr_fault);
}

/* The address tailscaled gave an interface (100.64.0.0/10). */
static bool tailnet_address(char *out, size_t size)
{
    struct ifaddrs *list = NULL;
    bool found = false;

    if (getifaddrs(&list) < 0)
        return false;
    for (struct ifaddrs *i = list; i && !found; i = i->ifa_next) {
        if (!i->ifa_addr || i->ifa_addr->sa_family != AF_INET)
            continue;
        struct sockaddr_in in;
        memcpy(&in, i->ifa_addr, sizeof(in));
        found = (ntohl(in.sin_addr.s_addr) & 0xffc00000u) == 0x64400000u &&
                inet_ntop(AF_INET, &in.sin_addr, out, (socklen_t)size);
    }
    freeifaddrs(list);
    return found;
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

static int wide_tailnet(struct gateway *gw, char *out, size_t size, struct fault *reterr_fault)
{
    (void)gw;
    if (tailnet_address(out, size))
        return 0;
    return fault_set(
        reterr_fault, -ERR_NOT_FOUND,
        "gateway.bind is tailnet but no interface has a tailnet address (100.64.0.0/10); is "
        "tailscaled up?");
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
    if (!wide[0] || strcmp(config_str(gw->config, KNOB_auth_mode), "none") != 0)
        return 0;
    return fault_set(
        reterr_fault, -ERR_DENIED,
        "refusing to listen on %s without authentication; set a token or password, or bind to "
        "loopback",
        wide);
}

static bool is_everywhere(const char *wide)
{
    return strcmp(wide, "0.0.0.0") == 0 || strcmp(wide, "::") == 0;
}

static int open_tcp(struct gateway *gw, const char *wide, struct fault *reterr_fault)
{
    int port = (int)config_int(gw->config, KNOB_gateway_port), r;
    bool everywhere = is_everywhere(wide);

    if ((r = open_one(gw, 0, everywhere ? wide : "127.0.0.1", port, reterr_fault)) < 0)
        return r;
    gw->port = ws_server_port(gw->servers[0]);

    struct fault ignored = {0};
    if (strcmp(wide, "::") != 0 && open_one(gw, 1, "::1", gw->port, &ignored) < 0)
        log_warn("not listening on [::1]: %s", ignored.text);
    if (wide[0] && !everywhere)
        return open_one(gw, 2, wide, gw->port, reterr_fault);
    return 0;
}

int listen_open(struct gateway *gw, struct fault *reterr_fault)
{
    char wide[INET6_ADDRSTRLEN] = "";
    int r;

    if ((r = wide_address(gw, wide, sizeof(wide), reterr_fault)) < 0 ||
        (r = check_auth(gw, wide, reterr_fault)) < 0 || (r = open_socket(gw, reterr_fault)) < 0)
        return r;
    return open_tcp(gw, wide, reterr_fault);
}

char *listen_url(struct gateway *gw)
{
    bool tls = config_bool(gw->config, KNOB_tls_enabled);
    char wide[INET6_ADDRSTRLEN] = "", machine[HOST_NAME_MAX + 1] = "";
    const char *host = "127.0.0.1";
    struct fault ignored = {0};

    if (tls && wide_address(gw, wide, sizeof(wide), &ignored) == 0 && wide[0])
        host = wide;
    if (is_everywhere(host))
        host = gethostname(machine, sizeof(machine) - 1) == 0 ? machine : "127.0.0.1";
    return mem_format(strchr(host, ':') ? "%s://[%s]:%d" : "%s://%s:%d", tls ? "https" : "http",
                      host, gw->port);
}

void listen_stop(struct gateway *gw)
{
    for (size_t i = 0; i < COUNT(gw->servers); i++)
        if (gw->servers[i])
            ws_server_stop(gw->servers[i]);
}

void listen_close(struct gateway *gw)
{
    for (size_t i = 0; i < COUNT(gw->servers); i++)
        gw->servers[i] = ws_server_free(gw->servers[i]);
}
