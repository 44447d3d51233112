/* culvert logs [-f]: the gateway's log by logs.tail, followed by polling with the cursor as the published
 * clients do. */
#include "base/mem.h"
#include "gateway/cli/command.h"

#include <stdio.h>
#include <string.h>

#define FOLLOW_MS 1000

static const struct command_option options[] = {
    {"follow", 'f', NULL, "go on showing what is added"},
    {"lines", 'n', "N", "how many lines to begin with (200)"},
    {0},
};

/* A line is JSON; people get time, level, subsystem and message. */
static void print_line(const char *line)
{
    CLEAN(json_free) struct json *entry = json_parse(line, strlen(line), NULL);

    if (json_kind(entry) != JSON_OBJECT) {
        print_text(stdout, line);
        putchar('\n');
        return;
    }
    printf("%s %-5s %s: ", json_string(json_get(entry, "time"), ""),
           json_string(json_get(entry, "level"), ""),
           json_string(json_get(entry, "subsystem"), ""));
    print_text(stdout, json_string(json_get(entry, "message"), ""));
    putchar('\n');
}

static char *make_params(const char *lines, int64_t cursor)
{
    if (cursor >= 0)
        return mem_format("{\"cursor\":%lld}", (long long)cursor);
    return mem_format("{\"limit\":%s}", lines ? lines : "200");
}

static int follow(struct command_input *input, struct client *client, struct fault *fault)
{
    int64_t cursor = -1;
    bool never = false;

    do {
        CLEAN(mem_free) char *params = make_params(command_option(input, "lines"), cursor);
        CLEAN(json_free) struct json *page = client_call(client, "logs.tail", params, false, fault);

        if (!page)
            break;
        json_each (line, json_get(page, "lines")) {
            if (input->target.json)
                puts(json_string(line, ""));
            else
                print_line(json_string(line, ""));
        }
        fflush(stdout);
        cursor = json_integer(json_get(page, "cursor"), 0);
        if (!command_option(input, "follow"))
            return CLI_OK;
    } while (client_wait(client, &never, FOLLOW_MS, fault) == -ERR_TIMEOUT);
    return fault->code == -ERR_INTERRUPTED ? CLI_OK : cli_fail_fault(fault);
}

static int run(struct command_input *input, struct fault *fault)
{
    CLEAN(client_close) struct client *client = NULL;

    if (client_open(&input->target, &client, fault) < 0)
        return cli_fail_fault(fault);
    client_catch_interrupt(client);
    return follow(input, client, fault);
}

int cmd_logs(int argc, char **argv)
{
    struct command_input input = {.options = options};
    struct fault fault = {0};

    command_parse(&input, argc, argv, "", "Show the gateway's log.");
    const char *lines = command_option(&input, "lines");
    if (lines && (strspn(lines, "0123456789") != strlen(lines) || strlen(lines) > 4 || !lines[0]))
        return cli_fail(CLI_USAGE, "-n takes 1 to 5000, not \"%s\"", lines);
    int status =
        target_resolve(&input.target, &fault) < 0 ? cli_fail_fault(&fault) : run(&input, &fault);
    target_done(&input.target);
    return status;
}
