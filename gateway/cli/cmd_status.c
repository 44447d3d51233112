/* culvert status: the gateway, its sessions, who is connected. */
#include "base/mem.h"
#include "gateway/cli/command.h"

#include <stdio.h>

static const struct column session_columns[] = {
    {"SESSION", "key", NULL},
    {"UPDATED", "age", print_age},
    {"MODEL", "model", NULL},
    {"TOKENS", "totalTokens", NULL},
};
static const struct column presence_columns[] = {
    {"WHO", "host", NULL},
    {"MODE", "mode", NULL},
    {"FROM", "ip", NULL},
    {"VERSION", "version", NULL},
    {"SCOPES", "scopes", print_scopes},
    {"SEEN", "ts", print_since},
};

static void print_gateway(const struct json *hello)
{
    const struct json *server = json_get(hello, "server");
    struct json *uptime = json_new_number(json_number(json_path(hello, "snapshot.uptimeMs"), 0));
    CLEAN(mem_free) char *age = print_age(uptime);

    json_free(uptime);
    printf("culvert %s, protocol %d, up %s\n", json_string(json_get(server, "version"), "?"),
           (int)json_number(json_get(hello, "protocol"), 0), age);
    const char *state = json_string(json_path(hello, "snapshot.stateDir"), NULL);
    if (state)
        printf("state in %s\n", state);
}

static void print_tailnet(const struct json *tailscale)
{
    const char *bind = json_string(json_path(tailscale, "bind.detail"), NULL);
    const char *mode = json_string(json_path(tailscale, "serve.mode"), "");

    if (bind)
        printf("tailnet %s\n", bind);
    if (*mode)
        printf("tailscale %s: %s\n", mode, json_string(json_path(tailscale, "serve.detail"), ""));
}

static const struct column published_columns[] = {
    {"PUBLISHED ON", "target", NULL}, {"STATE", "state", NULL},          {"AS", "address", NULL},
    {"SINCE", "since", print_since},  {"LAST ERROR", "lastError", NULL},
};

static void print_status(const struct json *hello, const struct json *status,
                         const struct json *presence)
{
    print_gateway(hello);
    const char *fingerprint = json_string(json_path(status, "tls.sha256"), NULL);
    if (fingerprint)
        printf("TLS certificate sha256:%s\n", fingerprint);
    print_tailnet(json_get(status, "tailscale"));
    printf("model %s/%s, %lld session%s\n\n",
           json_string(json_path(status, "sessions.defaults.modelProvider"), "?"),
           json_string(json_path(status, "sessions.defaults.model"), "?"),
           (long long)json_integer(json_path(status, "sessions.count"), 0),
           json_integer(json_path(status, "sessions.count"), 0) == 1 ? "" : "s");
    print_table(json_path(status, "sessions.recent"), session_columns, COUNT(session_columns),
                "No sessions yet. Begin one: culvert agent -m hello");
    if (json_get(status, "published")) {
        putchar('\n');
        print_table(json_get(status, "published"), published_columns, COUNT(published_columns), "");
    }
    putchar('\n');
    print_table(presence, presence_columns, COUNT(presence_columns), "Nobody is connected.");
}

static int show(struct command_input *input, struct fault *fault)
{
    CLEAN(client_close) struct client *client = NULL;
    CLEAN(json_free) struct json *status = NULL;
    CLEAN(json_free) struct json *presence = NULL;

    if (client_open(&input->target, &client, fault) < 0 ||
        !(status = client_call(client, "status", NULL, false, fault)))
        return cli_fail_fault(fault);
    if (input->target.json) {
        print_json(status);
        return CLI_OK;
    }
    presence = client_call(client, "system-presence", NULL, false, fault);
    print_status(client_hello(client), status, presence);
    return CLI_OK;
}

int cmd_status(int argc, char **argv)
{
    struct command_input input = {0};
    struct fault fault = {0};

    command_parse(&input, argc, argv, "", "Show the gateway, its sessions and who is connected.");
    int status =
        target_resolve(&input.target, &fault) < 0 ? cli_fail_fault(&fault) : show(&input, &fault);
    target_done(&input.target);
    return status;
}
