/* Options, URL forms, and the search for the local gateway. */
#include "gateway/cli/target.h"

#include "base/crypto.h"
#include "base/io/tls_certificate.h"
#include "base/mem.h"
#include "gateway/conn/conn.h"
#include "gateway/state_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_MAX         4096
#define DEFAULT_PORT       18789
#define DEFAULT_TIMEOUT_MS 30000

enum {
    OPTION_URL = 1000,
    OPTION_TOKEN,
    OPTION_TOKEN_FILE,
    OPTION_PASSWORD,
    OPTION_PIN,
    OPTION_ACCEPT_NEW,
    OPTION_CULVERT,
    OPTION_GATEWAY_PORT,
    OPTION_JSON,
    OPTION_TIMEOUT
};

static const struct argp_option options[] = {
    {"url", OPTION_URL, "URL", 0,
     "unix:PATH, ws://HOST[:PORT], wss://HOST[:PORT], ssh://[USER@]HOST[:PORT] or ssh://ALIAS, "
     "ts://NAME[:PORT]",
     0},
    {"token", OPTION_TOKEN, "TOKEN", 0, "shared token of the gateway", 0},
    {"token-file", OPTION_TOKEN_FILE, "FILE", 0, "file that holds the token", 0},
    {"password", OPTION_PASSWORD, "PASSWORD", 0, "shared password of the gateway", 0},
    {"pin", OPTION_PIN, "SHA256", 0,
     "with wss: the certificate's fingerprint; then only it decides", 0},
    {"accept-new", OPTION_ACCEPT_NEW, NULL, 0,
     "with ssh: trust the key of a host seen for the first time, and remember it", 0},
    {"culvert", OPTION_CULVERT, "COMMAND", 0,
     "with ssh: how the bridge is started there (culvert bridge)", 0},
    {"gateway-port", OPTION_GATEWAY_PORT, "N", 0,
     "with ssh: the gateway's port there (18789), for when culvert is not on the PATH there", 0},
    {"json", OPTION_JSON, NULL, 0, "print exactly the reply's payload", 0},
    {"timeout", OPTION_TIMEOUT, "SECONDS", 0, "how long to wait for an answer", 0},
    {0},
};

/* Takes a secret out of argv, where ps would show it. */
static void take_secret(char **slot, char *arg)
{
    mem_free(*slot);
    *slot = mem_string(arg);
    crypto_wipe(arg, strlen(arg));
}

int target_read_token(struct target *target, const char *path)
{
    char text[SECRET_MAX + 1];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text));
    int reason = length < 0 ? errno : length > SECRET_MAX ? EFBIG : 0;

    if (fd >= 0)
        close(fd);
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    if (!reason) {
        mem_wipe_free(target->token, target->token ? strlen(target->token) : 0);
        target->token = mem_slice(text, (size_t)length);
    }
    crypto_wipe(text, sizeof(text));
    return reason;
}

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct target *target = state->input;
    char *end;
    long port;
    int reason;

    switch (key) {
    case OPTION_URL: target->url = mem_string(arg); return 0;
    case OPTION_TOKEN: take_secret(&target->token, arg); return 0;
    case OPTION_PASSWORD: take_secret(&target->password, arg); return 0;
    case OPTION_PIN: target->pin = mem_string(arg); return 0;
    case OPTION_ACCEPT_NEW: target->accept_new = true; return 0;
    case OPTION_CULVERT: target->culvert = mem_string(arg); return 0;
    case OPTION_JSON: target->json = true; return 0;
    case OPTION_TOKEN_FILE:
        if ((reason = target_read_token(target, arg)) != 0)
            argp_error(state, "cannot read the token file %s: %s", arg, strerror(reason));
        return 0;
    case OPTION_GATEWAY_PORT:
        port = strtol(arg, &end, 10);
        if (*end || port < 1 || port > 65535)
            argp_error(state, "--gateway-port takes 1 to 65535, not \"%s\"", arg);
        target->gateway_port = (int)port;
        return 0;
    case OPTION_TIMEOUT:
        target->timeout_ms = strtol(arg, &end, 10) * 1000;
        if (*end || target->timeout_ms <= 0 || target->timeout_ms > 86400000)
            argp_error(state, "--timeout takes 1 to 86400 seconds, not \"%s\"", arg);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

const struct argp target_argp = {.options = options, .parser = parse_option};

static const char *from_env(const char *ours, const char *theirs)
{
    const char *value = getenv(ours);

    if (!value || !value[0])
        value = getenv(theirs);
    return value && value[0] ? value : NULL;
}

/* ---- the local gateway ---- */

static bool has_socket(const char *folder)
{
    CLEAN(mem_free) char *path = mem_format("%s/gateway.sock", folder);
    struct stat st;

    return stat(path, &st) == 0 && S_ISSOCK(st.st_mode);
}

/* Takes the folder. */
static int use_socket(struct target *target, char *folder)
{
    if (folder != target->state_dir)
        mem_free(target->state_dir);
    target->state_dir = folder;
    target->unix_path = mem_format("%s/gateway.sock", folder);
    target->ws.unix_path = target->unix_path;
    target->place = mem_format("unix:%s", target->unix_path);
    target->local = true;
    return 0;
}

char *target_local_folder(struct fault *reterr_fault)
{
    static const char system_dir[] = "/run/culvert";
    CLEAN(mem_free) char *own = state_dir_path(NULL, reterr_fault);

    if (!own)
        return NULL;
    if (has_socket(own))
        return TAKE(own);
    if (!getenv("CULVERT_STATE_DIR") && has_socket(system_dir))
        return mem_string(system_dir);
    fault_set(reterr_fault, -ERR_CONNECT,
              "no gateway is running here (looked for %s/gateway.sock%s); start one with: culvert "
              "gateway, or name another with --url",
              own, getenv("CULVERT_STATE_DIR") ? "" : " and /run/culvert/gateway.sock");
    return NULL;
}

static int find_local(struct target *target, struct fault *reterr_fault)
{
    char *folder = target_local_folder(reterr_fault);

    return folder ? use_socket(target, folder) : reterr_fault->code;
}

/* ---- URLs ---- */

static int bad_url(const struct target *target, const char *why, struct fault *reterr_fault)
{
    return fault_set(reterr_fault, -ERR_INVALID,
                     "%s in --url %s; use unix:PATH, ws://HOST[:PORT], wss://HOST[:PORT], "
                     "ssh://[USER@]HOST[:PORT] or ts://NAME[:PORT]",
                     why, target->url);
}

/* host, [v6], host:port, each with an optional /path. */
static int parse_authority(struct target *target, const char *rest, struct fault *reterr_fault)
{
    const char *end = rest + strcspn(rest, "/");
    const char *host = rest, *host_end, *port;

    if (strchr(rest, '@') || strchr(rest, '?') || strchr(rest, '#'))
        return bad_url(target, "user, query and fragment are not used", reterr_fault);
    if (*rest == '[') {
        host = rest + 1;
        host_end = memchr(host, ']', (size_t)(end - host));
        if (!host_end)
            return bad_url(target, "a ] is missing", reterr_fault);
        port = host_end + 1;
    } else {
        host_end = rest + strcspn(rest, ":/");
        port = host_end;
    }
    if (host == host_end)
        return bad_url(target, "no host", reterr_fault);

    target->ws.port = DEFAULT_PORT;
    if (port < end) {
        char *digits_end;
        long number = *port == ':' ? strtol(port + 1, &digits_end, 10) : 0;
        if (number < 1 || number > 65535 || digits_end != end)
            return bad_url(target, "a bad port", reterr_fault);
        target->ws.port = (int)number;
    }
    target->host = mem_slice(host, (size_t)(host_end - host));
    target->path = *end ? mem_string(end) : mem_string("/");
    target->ws.host = target->host;
    target->ws.path = target->path;
    target->place =
        mem_format("%s://%s:%d", target->ws.tls ? "wss" : "ws", target->host, target->ws.port);
    return 0;
}

static int parse_unix(struct target *target, const char *rest, struct fault *reterr_fault)
{
    if (rest[0] != '/')
        return bad_url(target, "the path must begin with /", reterr_fault);
    target->unix_path = mem_string(rest);
    target->ws.unix_path = target->unix_path;
    target->place = mem_format("unix:%s", target->unix_path);
    target->local = true;
    return 0;
}

static int parse_ws(struct target *target, const char *rest, struct fault *reterr_fault)
{
    return parse_authority(target, rest, reterr_fault);
}

static int parse_wss(struct target *target, const char *rest, struct fault *reterr_fault)
{
    target->ws.tls = true;
    target->ws.pin = target->pin;
    return parse_authority(target, rest, reterr_fault);
}

/* The tunnel makes what it can of it; a path would lead nowhere. */
static int parse_ssh(struct target *target, const char *rest, struct fault *reterr_fault)
{
    size_t length = strcspn(rest, "/?#");

    if (length == 0 || rest[length + strspn(rest + length, "/")])
        return bad_url(target, length ? "a path, query or fragment" : "no host", reterr_fault);
    target->road = TARGET_SSH;
    target->place = mem_format("ssh://%.*s", (int)length, rest);
    return 0;
}

/* The port is the gateway's own; with a pin it speaks TLS. */
static int parse_ts(struct target *target, const char *rest, struct fault *reterr_fault)
{
    int r;

    target->ws.tls = target->pin != NULL;
    target->ws.pin = target->pin;
    if ((r = parse_authority(target, rest, reterr_fault)) < 0)
        return r;
    mem_free(target->place);
    target->place = mem_format("ts://%s:%d", target->host, target->ws.port);
    target->road = TARGET_TAILNET;
    return 0;
}

static const struct {
    const char *prefix;
    int (*parse)(struct target *target, const char *rest, struct fault *reterr_fault);
} schemes[] = {{"unix:", parse_unix},
               {"ws://", parse_ws},
               {"wss://", parse_wss},
               {"ssh://", parse_ssh},
               {"ts://", parse_ts}};

static int parse_url(struct target *target, struct fault *reterr_fault)
{
    for (size_t i = 0; i < COUNT(schemes); i++) {
        size_t length = strlen(schemes[i].prefix);
        if (strncmp(target->url, schemes[i].prefix, length) == 0)
            return schemes[i].parse(target, target->url + length, reterr_fault);
    }
    return bad_url(target, "an unknown scheme", reterr_fault);
}

int target_resolve(struct target *target, struct fault *reterr_fault)
{
    const char *token = from_env("CULVERT_GATEWAY_TOKEN", "OPENCLAW_GATEWAY_TOKEN");
    const char *password = from_env("CULVERT_GATEWAY_PASSWORD", "OPENCLAW_GATEWAY_PASSWORD");
    char fingerprint[TLS_SHA256];

    if (!target->token && token)
        target->token = mem_string(token);
    if (!target->password && password)
        target->password = mem_string(password);
    if (target->timeout_ms == 0)
        target->timeout_ms = DEFAULT_TIMEOUT_MS;
    target->ws.message_max = CONN_MESSAGE_MAX;
    target->ws.output_max = CONN_OUTPUT_MAX;
    target->ws.path = "/";
    target->state_dir = state_dir_path(NULL, reterr_fault);
    if (!target->state_dir)
        return reterr_fault->code;
    if (target->pin && (!target->url || (strncmp(target->url, "wss://", 6) != 0 &&
                                         strncmp(target->url, "ts://", 5) != 0)))
        return fault_set(reterr_fault, -ERR_INVALID, "--pin goes with --url wss://… or ts://…");
    if ((target->gateway_port || target->culvert) &&
        (!target->url || strncmp(target->url, "ssh://", 6) != 0))
        return fault_set(reterr_fault, -ERR_INVALID, "%s goes with --url ssh://…%s",
                         target->culvert ? "--culvert" : "--gateway-port",
                         target->culvert ? "" : "; in other URLs the port follows the host");
    if (target->pin && !tls_fingerprint_parse(target->pin, fingerprint))
        return fault_set(reterr_fault, -ERR_INVALID,
                         "--pin takes the SHA-256 fingerprint of the certificate, 64 hex digits as "
                         "culvert status prints them, not \"%s\"",
                         target->pin);
    return target->url ? parse_url(target, reterr_fault) : find_local(target, reterr_fault);
}

static char *wipe(char *secret)
{
    return mem_wipe_free(secret, secret ? strlen(secret) : 0);
}

void target_done(struct target *target)
{
    mem_free(target->url);
    mem_free(target->pin);
    mem_free(target->culvert);
    mem_free(target->state_dir);
    mem_free(target->place);
    mem_free(target->host);
    mem_free(target->path);
    mem_free(target->unix_path);
    wipe(target->token);
    wipe(target->password);
}
