/* culvert tunnel: options, and a table of verbs with a file each (tunnel_up.c, tunnel_status.c …). */
#include "base/mem.h"
#include "gateway/cli/tunnel_input.h"

#include <argp.h>
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define GATEWAY_PORT 18789
#define CANVAS_ABOVE 4 /* design.md section 3 "Ports" */

enum {
    OPTION_LISTEN = 1000,
    OPTION_GATEWAY_PORT,
    OPTION_ACCEPT_NEW,
    OPTION_PASSWORD,
    OPTION_CULVERT,
    OPTION_SSH,
    OPTION_TOKEN_FILE,
    OPTION_JSON
};

const struct argp_option cmd_tunnel_options[] = {
    {"listen", OPTION_LISTEN, "ADDR:PORT", 0,
     "up: where programs here find the gateway (127.0.0.1:18789), or unix:PATH; its canvas is 4 "
     "ports above",
     0},
    {"gateway-port", OPTION_GATEWAY_PORT, "N", 0,
     "the gateway's port on TARGET (18789), used when culvert is not on the PATH there", 0},
    {"accept-new", OPTION_ACCEPT_NEW, NULL, 0,
     "trust the key of a host seen for the first time, and remember it; a changed key is refused "
     "all the same",
     0},
    {"identity", 'i', "FILE", 0, "the private key to sign in with", 0},
    {"config", 'F', "FILE", 0, "ssh configuration to use instead of ~/.ssh/config", 0},
    {"password", OPTION_PASSWORD, NULL, 0, "sign in by a password, asked for at the terminal", 0},
    {"culvert", OPTION_CULVERT, "COMMAND", 0,
     "how the bridge is started on TARGET (culvert bridge)", 0},
    {"ssh", OPTION_SSH, "PROGRAM", 0,
     "the ssh that reads the configuration and does what we cannot (ssh)", 0},
    {"token-file", OPTION_TOKEN_FILE, "FILE", 0, "check: file that holds the gateway's token", 0},
    {"json", OPTION_JSON, NULL, 0, "status, check, discover: print JSON", 0},
    {0},
};

static const char doc[] =
    "Reach a gateway on another host by SSH.\v"
    "TARGET is [user@]host, ssh://[user@]host[:port] or a Host of your ssh configuration, which is "
    "obeyed: keys, agent, "
    "jump hosts, known hosts.\n\n"
    "  up TARGET        keep a tunnel up in the foreground; Ctrl-C ends it\n"
    "  status [TARGET]  this user's tunnels; exit 0 all up, 1 not all, 3 none\n"
    "  check TARGET     go there step by step, say what fails and what to do\n"
    "  discover         find gateways on the tailnet and on this network\n\n"
    "A tunnel comes back by itself after sleep, a change of network or a restart of the server; "
    "connections made meanwhile "
    "wait up to 30 s for it. To have one always, as a service of your user:\n\n"
    "  systemctl --user enable --now culvert-tunnel@TARGET\n\n"
    "with deploy/systemd/culvert-tunnel@.service in ~/.config/systemd/user/. For one command no "
    "tunnel is needed: "
    "culvert status --url ssh://TARGET";

static const struct {
    const char *name;
    bool target, optional; /* takes a TARGET; may do without */
    int (*run)(struct tunnel_input *input);
} verbs[] = {
    {"up", true, false, tunnel_verb_up},
    {"status", true, true, tunnel_verb_status},
    {"check", true, false, tunnel_verb_check},
    {"discover", false, false, tunnel_verb_discover},
};

static int parse_port(const char *text, int least)
{
    char *end;
    long port = text[0] >= '0' && text[0] <= '9' ? strtol(text, &end, 10) : -1;

    return port >= least && port <= 65535 && *end == '\0' ? (int)port : -1;
}

/* The address before the last colon, without the brackets of a v6 one; NULL: none stands there. */
static char *host_of(const char *text, const char *colon)
{
    bool bracketed = text[0] == '[' && colon - text > 2 && colon[-1] == ']';
    CLEAN(mem_free)
    char *host = bracketed ? mem_slice(text + 1, (size_t)(colon - text) - 2)
                           : mem_slice(text, (size_t)(colon - text));
    struct in6_addr address;

    if (strcmp(host, "localhost") == 0)
        return mem_string("127.0.0.1");
    return inet_pton(bracketed ? AF_INET6 : AF_INET, host, &address) == 1 ? TAKE(host) : NULL;
}

size_t tunnel_input_listen(const char *text, struct tunnel_listen listen[2], char **ret_host)
{
    const char *colon = text ? strrchr(text, ':') : NULL;
    int port = GATEWAY_PORT;

    *ret_host = NULL;
    listen[0] = (struct tunnel_listen){.service = BRIDGE_GATEWAY};
    if (text && strncmp(text, "unix:", 5) == 0) {
        listen[0].unix_path = text + 5;
        return text[5] == '/';
    }
    if (text && (port = parse_port(colon ? colon + 1 : text, 0)) < 0)
        return 0;
    if (colon && !(*ret_host = host_of(text, colon)))
        return 0;
    listen[0].host = *ret_host ? *ret_host : "127.0.0.1";
    listen[0].port = port;
    listen[1] = listen[0];
    listen[1].service = BRIDGE_CANVAS;
    listen[1].optional = true;
    listen[1].port = port ? port + CANVAS_ABOVE : 0;
    return listen[1].port > 65535 ? 1 : 2;
}

static error_t take_word(struct tunnel_input *input, const char *word, struct argp_state *state)
{
    if (!input->verb)
        input->verb = word;
    else if (!input->target)
        input->target = word;
    else
        argp_error(state, "one TARGET, not also \"%s\"", word);
    return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct tunnel_input *input = state->input;
    struct tunnel_options *tunnel = &input->tunnel;

    switch (key) {
    case OPTION_LISTEN:
        mem_free(input->listen_host);
        tunnel->listen_count = tunnel_input_listen(arg, input->listen, &input->listen_host);
        if (tunnel->listen_count == 0)
            argp_error(state, "--listen takes ADDR:PORT, PORT or unix:/PATH, not \"%s\"", arg);
        return 0;
    case OPTION_GATEWAY_PORT:
        tunnel->gateway_port = parse_port(arg, 1);
        if (tunnel->gateway_port < 0)
            argp_error(state, "--gateway-port takes 1 to 65535, not \"%s\"", arg);
        return 0;
    case 'i': tunnel->identity = arg; return 0;
    case 'F': tunnel->config_file = arg; return 0;
    case OPTION_ACCEPT_NEW: tunnel->accept_new = true; return 0;
    case OPTION_PASSWORD: tunnel->password = true; return 0;
    case OPTION_CULVERT: tunnel->bridge_command = arg; return 0;
    case OPTION_SSH: tunnel->ssh_program = arg; return 0;
    case OPTION_TOKEN_FILE: input->token_file = arg; return 0;
    case OPTION_JSON: input->json = true; return 0;
    case ARGP_KEY_ARG: return take_word(input, arg, state);
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {.options = cmd_tunnel_options,
                                 .parser = parse,
                                 .args_doc = "up|status|check|discover [TARGET]",
                                 .doc = doc};

static int run(struct tunnel_input *input)
{
    if (!input->verb)
        return cli_fail(CLI_USAGE,
                        "usage: culvert tunnel up|status|check|discover [TARGET]; culvert "
                        "tunnel --help tells more");
    for (size_t i = 0; i < COUNT(verbs); i++) {
        if (strcmp(verbs[i].name, input->verb) != 0)
            continue;
        if (verbs[i].target ? !input->target && !verbs[i].optional : input->target != NULL)
            return cli_fail(CLI_USAGE, "usage: culvert tunnel %s%s", verbs[i].name,
                            verbs[i].target ? " TARGET, which is [user@]host or a Host of your ssh "
                                              "configuration"
                                            : "");
        input->tunnel.target = input->target;
        return verbs[i].run(input);
    }
    return cli_fail(CLI_USAGE, "culvert tunnel has no \"%s\"; see culvert tunnel --help",
                    input->verb);
}

int cmd_tunnel(int argc, char **argv)
{
    struct tunnel_input input = {.tunnel = {.allow_child = true, .listen = input.listen}};

    argp_parse(&argp, argc, argv, 0, NULL, &input);
    if (input.tunnel.listen_count == 0)
        input.tunnel.listen_count = tunnel_input_listen(NULL, input.listen, &input.listen_host);
    int status = run(&input);
    mem_free(input.listen_host);
    return status;
}
