/* culvert webchat: a fresh sign-in link, alone on stdout so that it can be opened by a script. */
#include "gateway/cli/command.h"

#include <stdio.h>
#include <unistd.h>

static int print_link(const struct json *payload)
{
    printf("%s\n", json_string(json_get(payload, "url"), ""));
    if (isatty(STDERR_FILENO))
        fprintf(stderr,
                "Open it within ten minutes; it signs one browser in. From another machine, "
                "forward the port first: ssh -L 18789:127.0.0.1:18789 HOST\n");
    return CLI_OK;
}

int cmd_webchat(int argc, char **argv)
{
    struct command_input input = {0};

    command_parse(&input, argc, argv, "",
                  "Print a fresh link that signs one browser in to WebChat, with what you may do "
                  "yourself.");
    return command_call(&input, "webchat.link", NULL, print_link);
}
