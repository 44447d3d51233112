/* culvert gateway: options, signals, the first words, and the loop until it is told to stop. */
#define LOG_SUBSYSTEM "gateway"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/cli/cli.h"
#include "gateway/config/config.h"
#include "gateway/conn/auth.h"
#include "gateway/credential.h"
#include "gateway/gateway.h"
#include "gateway/http/pages.h"
#include "gateway/notify.h"
#include "gateway/pairing/signin.h"
#include "gateway/state_dir.h"
#include "gateway/tailnet/tailscale.h"
#include "gateway/tls.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECRET_MAX         4096
#define DESCRIPTORS_WANTED 8192

enum {
    OPTION_PORT = 1000,
    OPTION_BIND,
    OPTION_AUTH,
    OPTION_TOKEN,
    OPTION_TOKEN_FILE,
    OPTION_CONFIG,
    OPTION_STATE_DIR,
    OPTION_LOG_JSON,
    OPTION_LINK
};

struct input {
    struct gateway_options gateway;
    char *token;
    bool log_json, link;
};

static const struct argp_option options[] = {
    {"port", OPTION_PORT, "N", 0, "TCP port (18789; 0: any free one)", 0},
    {"bind", OPTION_BIND, "WHERE", 0, "loopback, lan, tailnet, auto, or an address", 0},
    {"auth", OPTION_AUTH, "MODE", 0, "token, password, none or trusted-proxy", 0},
    {"token", OPTION_TOKEN, "TOKEN", 0, "the shared token", 0},
    {"token-file", OPTION_TOKEN_FILE, "FILE", 0, "file that holds the shared token", 0},
    {"config", OPTION_CONFIG, "FILE", 0, "configuration ($CULVERT_CONFIG, <state>/culvert.json)",
     0},
    {"state-dir", OPTION_STATE_DIR, "DIR", 0, "state directory ($CULVERT_STATE_DIR, ~/.culvert)",
     0},
    {"log-json", OPTION_LOG_JSON, NULL, 0, "log to stderr as JSON lines", 0},
    {"link", OPTION_LINK, NULL, 0,
     "print a WebChat sign-in link at the start also where stdout is no terminal", 0},
    {0},
};

static int parse_port(const char *text, struct argp_state *state)
{
    char *end;
    long port = strtol(text, &end, 10);

    if (!*text || *end || port < 0 || port > 65535)
        argp_error(state, "--port takes 0 to 65535, not \"%s\"", text);
    return (int)port;
}

static char *read_token(const char *path, struct argp_state *state)
{
    char text[SECRET_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text));

    if (fd >= 0)
        close(fd);
    if (length < 0)
        argp_error(state, "cannot read the token file %s: %s", path, strerror(errno));
    while (length > 0 && (text[length - 1] == '\n' || text[length - 1] == '\r'))
        length--;
    if (length <= 0)
        argp_error(state, "the token file %s is empty", path);
    char *token = mem_slice(text, (size_t)length);
    crypto_wipe(text, sizeof(text));
    return token;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct input *input = state->input;

    switch (key) {
    case OPTION_PORT: input->gateway.port = parse_port(arg, state); return 0;
    case OPTION_BIND: input->gateway.bind = arg; return 0;
    case OPTION_AUTH: input->gateway.auth = arg; return 0;
    case OPTION_CONFIG: input->gateway.config_path = arg; return 0;
    case OPTION_STATE_DIR: input->gateway.state_dir = arg; return 0;
    case OPTION_LOG_JSON: input->log_json = true; return 0;
    case OPTION_LINK: input->link = true; return 0;
    case OPTION_TOKEN_FILE: input->token = read_token(arg, state); return 0;
    case OPTION_TOKEN:
        input->token = mem_string(arg);
        crypto_wipe(arg, strlen(arg));
        return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected word \"%s\"", arg); return EINVAL;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .doc = "Run the gateway in the foreground. SIGTERM and Ctrl-C stop it, SIGHUP reloads the "
           "configuration.",
};

/* ---- signals ---- */

static void on_stop(void *arg, int signum)
{
    struct gateway *gw = arg;

    if (gw->stopping) { /* the second one: at once */
        loop_stop(gw->loop);
        return;
    }
    notify_service("STOPPING=1");
    gateway_shutdown(gw, signum == SIGINT ? "interrupted" : "terminated", -1);
}

static void on_reload(void *arg, int signum)
{
    struct gateway *gw = arg;
    struct fault fault = {0};
    bool restart = false;

    (void)signum;
    notify_service("RELOADING=1");
    if (config_reload(gw->config, &restart, &fault) < 0)
        log_error("configuration not reloaded, the running one is kept: %s", fault.text);
    else
        log_info("configuration reloaded%s", restart ? "; some of it needs a restart" : "");
    notify_service("READY=1");
}

/* ---- first words ---- */

/* On a terminal, or when a script asks for it (deploy/run): a service's output ends in a journal, and a
 * link that signs in belongs in none. It carries what the shared secret does on this host. */
static void print_link(struct gateway *gw)
{
    const struct ingress here = {.transport = WS_PAIR, .own_uid = true};
    struct auth_policy policy;
    char code[TOKEN_TEXT];

    auth_policy_read(gw->config, &policy);
    signin_make(gw, NULL, auth_secret_scopes(&policy, &here), code);
    char *link = signin_link(gw, code);
    printf("Open WebChat:  %s\n"
           "               (signs one browser in, within ten minutes; a fresh link: culvert "
           "webchat)\n",
           link);
    mem_wipe_free(link, strlen(link));
    crypto_wipe(code, sizeof(code));
}

static void print_welcome(struct gateway *gw, bool link)
{
    const char *scheme = gw->tls ? "wss" : "ws";

    printf("culvert %s is listening on %s://127.0.0.1:%d and %s/gateway.sock\n", CULVERT_VERSION,
           scheme, gw->port, gw->state_dir);
    if (gw->tls)
        printf("TLS certificate sha256:%s\n", gw->tls->leaf.sha256);
    CLEAN(mem_free) char *tailnet = tailscale_line(gw);
    if (tailnet)
        printf("Tailnet: %s\n", tailnet);
    if (gw->token_made)
        printf("A token was made for this gateway (kept in %s/identity/token):\n\n  %s\n\n",
               gw->state_dir, config_str(gw->config, KNOB_auth_token));
    printf("Talk to it:    culvert agent -m hello\n"
           "Look at it:    culvert status\n"
           "Other clients: %s://127.0.0.1:%d with the token%s\n",
           scheme, gw->port, gw->tls ? " and --pin of that certificate" : "");
    if (pages_enabled(gw) && (link || isatty(STDOUT_FILENO)))
        print_link(gw);
    fflush(stdout);
}

static int setup_log(const struct gateway *gw, bool json, struct fault *fault)
{
    static const char *const levels[] = {"debug", "info", "warn", "error"};
    const char *wanted = config_str(gw->config, KNOB_log_level);
    CLEAN(mem_free) char *directory = mem_format("%s/logs", gw->state_dir);
    enum log_level level = LOG_INFO;

    for (size_t i = 0; i < COUNT(levels); i++)
        if (strcmp(levels[i], wanted) == 0)
            level = (enum log_level)i;
    return log_setup(&(struct log_config){.level = level, .json = json, .directory = directory},
                     fault);
}

static int serve(struct gateway *gw, const struct input *input)
{
    struct fault fault = {0};

    if (setup_log(gw, input->log_json, &fault) < 0)
        return cli_fail_fault(&fault);
    loop_on_signal(gw->loop, SIGTERM, on_stop, gw);
    loop_on_signal(gw->loop, SIGINT, on_stop, gw);
    loop_on_signal(gw->loop, SIGHUP, on_reload, gw);
    print_welcome(gw, input->link);
    char *warning;
    for (size_t i = 0; (warning = config_warning(gw->config, i)) != NULL; i++) {
        log_warn("config: %s", warning);
        mem_free(warning);
    }
    log_info("culvert %s started, pid %d, port %d", CULVERT_VERSION, (int)getpid(), gw->port);
    notify_service("READY=1");
    loop_run(gw->loop);
    log_info("stopped");
    return CLI_OK;
}

/* Every connection is a descriptor; the usual 1,024 would be fewer than we take. */
static void raise_descriptor_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur >= DESCRIPTORS_WANTED)
        return;
    limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED ? limit.rlim_max : DESCRIPTORS_WANTED;
    if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
        log_debug("the limit of open files stays as it is: %s", strerror(errno));
}

int cmd_gateway(int argc, char **argv)
{
    struct input input = {.gateway = {.port = -1, .config_path = getenv("CULVERT_CONFIG")}};
    struct gateway *gw = NULL;
    struct fault fault = {0};

    umask(077);
    raise_descriptor_limit();
    argp_parse(&argp, argc, argv, 0, NULL, &input);
    input.gateway.token = input.token;
    int r = gateway_start(&input.gateway, &gw, &fault);
    mem_wipe_free(input.token, input.token ? strlen(input.token) : 0);
    if (r < 0)
        return cli_fail(CLI_FAILED, "%s", fault.text);

    int status = serve(gw, &input);
    gateway_free(gw);
    log_close();
    return status;
}
