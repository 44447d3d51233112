/* culvert doctor: each step says what it looked at, whether it is well, and what to do. */
#include "base/mem.h"
#include "gateway/cli/command.h"
#include "gateway/config/config.h"
#include "gateway/gateway.h"
#include "gateway/state_dir.h"
#include "gateway/tls.h"
#include "tunnel/tunnel.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#define DISK_LOW_BYTES (100LL << 20)

enum verdict { WELL, NOTE, BAD };
static const char *const verdict_names[] = {"ok", "note", "fail"};

struct check_up {
    struct command_input *input;
    struct json *report; /* array of {check, verdict, text} */
    char *state_dir;
    bool bad;
};

static void say(struct check_up *up, const char *check, enum verdict verdict, const char *format,
                ...) PRINTF(4, 5);

static void say(struct check_up *up, const char *check, enum verdict verdict, const char *format,
                ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    up->bad = up->bad || verdict == BAD;
    if (!up->input->target.json)
        printf("%-5s %-14s %s\n", verdict_names[verdict], check, text);

    struct json *row = json_new_object();
    json_put(row, "check", json_new_string(check));
    json_put(row, "verdict", json_new_string(verdict_names[verdict]));
    json_put(row, "text", json_new_string(text));
    json_append(up->report, row);
}

static void check_state(struct check_up *up)
{
    struct fault fault = {0};
    struct stat st;
    struct statvfs disk;

    up->state_dir = state_dir_path(NULL, &fault);
    if (!up->state_dir) {
        say(up, "state", BAD, "%s", fault.text);
        return;
    }
    if (stat(up->state_dir, &st) < 0) {
        say(up, "state", NOTE, "%s does not exist yet; the first start makes it", up->state_dir);
        return;
    }
    if (state_dir_prepare(up->state_dir, &fault) < 0)
        say(up, "state", BAD, "%s", fault.text);
    else
        say(up, "state", WELL, "%s is ours", up->state_dir);
    if (statvfs(up->state_dir, &disk) == 0) {
        long long room = (long long)disk.f_bavail * (long long)disk.f_frsize;
        say(up, "disk", room < DISK_LOW_BYTES ? BAD : WELL, "%lld %s free%s",
            room < 10LL << 30 ? room >> 20 : room >> 30, room < 10LL << 30 ? "MiB" : "GiB",
            room < DISK_LOW_BYTES ? "; make room: the store stops writing when the disk is full"
                                  : "");
    }
}

static void check_tls(struct check_up *up, const struct config *config)
{
    struct gateway_tls *tls = NULL;
    struct fault fault = {0};
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    int64_t wall_ms = (int64_t)now.tv_sec * 1000;
    if (!up->state_dir || !config_bool(config, KNOB_tls_enabled))
        return;
    if (gateway_tls_look(config, up->state_dir, wall_ms, &tls, &fault) < 0)
        say(up, "tls", BAD, "%s", fault.text);
    else if (!tls)
        say(up, "tls", NOTE, "no certificate yet; the next start makes one in %s/gateway/tls",
            up->state_dir);
    else if (gateway_tls_ends_soon(tls, wall_ms) >= 0)
        say(up, "tls", NOTE, "%s ends in %d days; sha256:%s", tls->certificate,
            gateway_tls_ends_soon(tls, wall_ms), tls->leaf.sha256);
    else
        say(up, "tls", WELL, "%s, sha256:%s", tls->certificate, tls->leaf.sha256);
    gateway_tls_free(tls);
}

static void check_config(struct check_up *up)
{
    struct fault fault = {0};
    struct config *config = NULL;
    const char *env = getenv("CULVERT_CONFIG");
    CLEAN(mem_free)
    char *path =
        env ? mem_string(env) : mem_format("%s/culvert.json", up->state_dir ? up->state_dir : "");

    if (config_load(path, &config, &fault) < 0) {
        say(up, "configuration", BAD, "%s", fault.text);
        return;
    }
    bool there = access(path, F_OK) == 0;
    say(up, "configuration", WELL, "%s%s", path,
        there ? "" : " (not there: every setting has its default)");
    char *warning;
    for (size_t i = 0; (warning = config_warning(config, i)) != NULL; i++) {
        say(up, "configuration", NOTE, "%s", warning);
        mem_free(warning);
    }
    const char *model = config_str(config, KNOB_agent_model);
    if (strncmp(model, "echo/", 5) == 0)
        say(up, "model", NOTE,
            "%s repeats what you say; set agents.defaults.model.primary for a real one", model);
    else
        say(up, "model", WELL, "%s", model);
    check_tls(up, config);
    config_free(config);
}

/* What the gateway itself says of its tailnet. */
static void check_tailnet(struct check_up *up, const struct json *health)
{
    static const char *const parts[] = {"bind", "serve"};

    for (size_t i = 0; i < COUNT(parts); i++) {
        const struct json *part = json_get(json_get(health, "tailscale"), parts[i]);
        const char *state = json_string(json_get(part, "state"), "");
        enum verdict verdict = strcmp(state, "failed") == 0    ? BAD
                               : strcmp(state, "waiting") == 0 ? NOTE
                                                               : WELL;
        if (part)
            say(up, i ? "tailnet serve" : "tailnet bind", verdict, "%s",
                json_string(json_get(part, "detail"), ""));
    }
}

static bool is_in_path(const char *program)
{
    const char *path = getenv("PATH");
    CLEAN(mem_free) char *folders = mem_string(path ? path : "");
    char *rest = folders;

    for (char *folder; (folder = strsep(&rest, ":")) != NULL;) {
        CLEAN(mem_free) char *file = mem_format("%s/%s", *folder ? folder : ".", program);
        if (access(file, X_OK) == 0)
            return true;
    }
    return false;
}

/* What tunnels are made with; after a colon what it lacks (security.md, "Terrapin etc. in libssh2"). */
static void check_tunnel(struct check_up *up)
{
    const char *library = tunnel_library();

    say(up, "tunnel", strchr(library, ':') ? NOTE : WELL, "%s", library);
    if (!is_in_path("ssh"))
        say(up, "ssh", NOTE,
            "there is no ssh in PATH: tunnels then know only what their command line says, not "
            "~/.ssh/config; install openssh-client");
}

static void check_health(struct check_up *up, struct client *client)
{
    struct fault fault = {0};
    CLEAN(json_free)
    struct json *health = client_call(client, "health", "{\"probe\":true}", false, &fault);

    if (!health)
        say(up, "health", BAD, "%s", fault.text);
    else if (!json_boolean(json_get(health, "ok"), false))
        say(up, "health", BAD, "store: %s",
            json_string(json_path(health, "store.detail"), "not well"));
    else
        say(up, "health", WELL, "the store writes, the loop's p99 is %.1f ms",
            json_number(json_path(health, "eventLoop.delayP99Ms"), 0));
    check_tailnet(up, health);
}

static void check_published(struct check_up *up, struct client *client)
{
    struct fault ignored = {0};
    CLEAN(json_free) struct json *status = client_call(client, "status", NULL, false, &ignored);

    json_each (row, json_get(status, "published")) {
        bool is_up = strcmp(json_string(json_get(row, "state"), ""), "up") == 0;
        say(up, "published", is_up ? WELL : BAD, "on %s: %s%s%s",
            json_string(json_get(row, "target"), "?"), json_string(json_get(row, "state"), "?"),
            is_up ? " as " : "; ",
            json_string(json_get(row, is_up ? "address" : "lastError"), "not tried yet"));
    }
}

static void check_gateway(struct check_up *up)
{
    CLEAN(client_close) struct client *client = NULL;
    struct fault fault = {0};

    if (target_resolve(&up->input->target, &fault) < 0 ||
        client_open(&up->input->target, &client, &fault) < 0) {
        say(up, "gateway", BAD, "%s", fault.text);
        return;
    }
    const struct json *hello = client_hello(client);
    say(up, "gateway", WELL, "culvert %s answers, protocol %d",
        json_string(json_path(hello, "server.version"), "?"),
        (int)json_number(json_get(hello, "protocol"), 0));
    if (strcmp(json_string(json_path(hello, "server.version"), ""), CULVERT_VERSION) != 0)
        say(up, "version", NOTE, "this command is %s; restart the gateway after an upgrade",
            CULVERT_VERSION);
    check_health(up, client);
    check_published(up, client);
}

int cmd_doctor(int argc, char **argv)
{
    struct command_input input = {0};
    struct check_up up = {.input = &input, .report = json_new_array()};

    command_parse(&input, argc, argv, "",
                  "Check this installation step by step and say what to do.");
    check_state(&up);
    check_config(&up);
    check_tunnel(&up);
    check_gateway(&up);
    if (input.target.json)
        print_json(up.report);
    json_free(up.report);
    mem_free(up.state_dir);
    target_done(&input.target);
    return up.bad ? CLI_FAILED : CLI_OK;
}
