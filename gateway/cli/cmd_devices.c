/* culvert devices list|approve|reject|revoke|rotate|remove. */
#include "base/mem.h"
#include "gateway/cli/command.h"

#include <stdio.h>
#include <string.h>

static const struct column pending_columns[] = {
    {"REQUEST", "requestId", NULL}, {"NAME", "displayName", NULL},
    {"PLATFORM", "platform", NULL}, {"FROM", "remoteIp", NULL},
    {"ROLE", "role", NULL},         {"SCOPES", "scopes", print_scopes},
    {"ASKED", "ts", print_since},
};
static const struct column paired_columns[] = {
    {"DEVICE", "deviceId", NULL},       {"NAME", "displayName", NULL},
    {"PLATFORM", "platform", NULL},     {"ROLES", "roles", print_list},
    {"SCOPES", "scopes", print_scopes}, {"BY", "approvedVia", NULL},
    {"FROM", "remoteIp", NULL},         {"SEEN", "lastSeenAtMs", print_since},
};

static int print_devices(const struct json *payload)
{
    const struct json *pending = json_get(payload, "pending");

    if (json_count(pending) > 0) {
        puts("Waiting for approval (culvert devices approve REQUEST):");
        print_table(pending, pending_columns, COUNT(pending_columns), "");
        putchar('\n');
    }
    print_table(json_get(payload, "paired"), paired_columns, COUNT(paired_columns),
                "No device is paired.");
    return CLI_OK;
}

static int list(struct command_input *input)
{
    return command_call(input, "device.pair.list", NULL, print_devices);
}

static int print_approved(const struct json *payload)
{
    printf("approved: %s\n",
           json_string(json_path(payload, "device.displayName"),
                       json_string(json_path(payload, "device.deviceId"), "the device")));
    return CLI_OK;
}

static int approve(struct command_input *input)
{
    CLEAN(mem_free) char *params = command_params("requestId", input->words[1], NULL);
    return command_call(input, "device.pair.approve", params, print_approved);
}

static int print_done(const struct json *payload)
{
    (void)payload;
    puts("done");
    return CLI_OK;
}

static int reject(struct command_input *input)
{
    CLEAN(mem_free) char *params = command_params("requestId", input->words[1], NULL);
    return command_call(input, "device.pair.reject", params, print_done);
}

static int revoke(struct command_input *input)
{
    CLEAN(mem_free)
    char *params = command_params("deviceId", input->words[1], "role", input->words[2], NULL);
    return command_call(input, "device.token.revoke", params, print_done);
}

static int print_rotated(const struct json *payload)
{
    const char *token = json_string(json_get(payload, "token"), NULL);

    puts(token ? token
               : "rotated; the device gets its new token when it connects with the shared secret");
    return CLI_OK;
}

static int rotate(struct command_input *input)
{
    CLEAN(mem_free)
    char *params = command_params("deviceId", input->words[1], "role", input->words[2], NULL);
    return command_call(input, "device.token.rotate", params, print_rotated);
}

static int removed(struct command_input *input)
{
    CLEAN(mem_free) char *params = command_params("deviceId", input->words[1], NULL);
    return command_call(input, "device.pair.remove", params, print_done);
}

static const struct command_verb verbs[] = {
    {"list", 0, "list", list},
    {"approve", 1, "approve REQUEST", approve},
    {"reject", 1, "reject REQUEST", reject},
    {"revoke", 2, "revoke DEVICE operator|node", revoke},
    {"rotate", 2, "rotate DEVICE operator|node", rotate},
    {"remove", 1, "remove DEVICE", removed},
    {0},
};

int cmd_devices(int argc, char **argv)
{
    struct command_input input = {0};

    command_parse(&input, argc, argv,
                  "list\napprove REQUEST\nreject REQUEST\nrevoke DEVICE ROLE\nrotate DEVICE "
                  "ROLE\nremove DEVICE",
                  "Who may connect: requests that wait, and paired devices with their tokens.");
    return command_verbs(&input, verbs, "devices");
}
