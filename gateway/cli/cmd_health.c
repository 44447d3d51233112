/* culvert health: is it well? Exit status 1 when it is not. */
#include "gateway/cli/command.h"

#include <stdio.h>

static int print_health(const struct json *health)
{
    bool ok = json_boolean(json_get(health, "ok"), false);

    printf("%s\n", ok ? "ok" : "not well");
    if (json_get(health, "store"))
        printf("store: %s: %s\n", json_string(json_path(health, "store.state"), "?"),
               json_string(json_path(health, "store.detail"), ""));
    printf("sessions: %lld\n", (long long)json_integer(json_path(health, "sessions.count"), 0));
    printf("event loop: p99 %.1f ms, longest %.1f ms\n",
           json_number(json_path(health, "eventLoop.delayP99Ms"), 0),
           json_number(json_path(health, "eventLoop.delayMaxMs"), 0));
    return ok ? CLI_OK : CLI_FAILED;
}

int cmd_health(int argc, char **argv)
{
    struct command_input input = {0};

    command_parse(&input, argc, argv, "",
                  "Show the health summary. Exit status 1 when it is not well.");
    return command_call(&input, "health", "{\"probe\":true}", print_health);
}
