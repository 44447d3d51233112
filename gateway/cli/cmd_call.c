/* culvert call METHOD [JSON] [--stream]: any method, the payload on stdout. With --stream the events that
 * come until the final answer are printed too, a line each. */
#include "base/mem.h"
#include "gateway/cli/command.h"

#include <stdio.h>
#include <string.h>

static const struct command_option options[] = {
    {"stream", 2000, NULL, "print events as lines until the final answer"},
    {"first", 2001, NULL, "stop at the first answer, also when a final one follows"},
    {0},
};

static void print_event(void *arg, const char *name, const struct json *payload)
{
    (void)arg;
    CLEAN(mem_free) char *text = payload ? json_print(payload, false) : NULL;
    printf("{\"event\":\"%s\"%s%s}\n", name, text ? ",\"payload\":" : "", text ? text : "");
    fflush(stdout);
}

static int run(struct command_input *input, struct fault *fault)
{
    CLEAN(client_close) struct client *client = NULL;
    CLEAN(json_free) struct json *payload = NULL;
    const char *params = input->word_count > 1 ? input->words[1] : NULL;

    if (client_open(&input->target, &client, fault) < 0)
        return cli_fail_fault(fault);
    if (command_option(input, "stream"))
        client_on_event(client, print_event, NULL);
    payload = client_call(client, input->words[0], params, !command_option(input, "first"), fault);
    if (!payload)
        return cli_fail_fault(fault);
    print_json(payload);
    return CLI_OK;
}

int cmd_call(int argc, char **argv)
{
    struct command_input input = {.options = options};
    struct fault fault = {0};

    command_parse(&input, argc, argv, "METHOD [JSON]", "Call a method and print its payload.");
    if (input.word_count < 1 || input.word_count > 2)
        return cli_fail(CLI_USAGE, "usage: culvert call METHOD [JSON] [--stream]");
    if (input.word_count == 2) {
        CLEAN(json_free)
        struct json *params = json_parse(input.words[1], strlen(input.words[1]), &fault);
        if (!params)
            return cli_fail(CLI_USAGE, "the parameters are not JSON: %s", fault.text);
    }
    int status =
        target_resolve(&input.target, &fault) < 0 ? cli_fail_fault(&fault) : run(&input, &fault);
    target_done(&input.target);
    return status;
}
