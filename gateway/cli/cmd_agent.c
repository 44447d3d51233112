/* culvert agent -m TEXT: one turn. On a terminal the answer shows as it comes; piped, it is printed
 * whole. Ctrl-C aborts the turn at the gateway. */
#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/cli/command.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const struct command_option options[] = {
    {"message", 'm', "TEXT", "what to say"},
    {"session", 's', "KEY", "session (main)"},
    {"agent", 'a', "ID", "agent (the default one)"},
    {"deliver", 2001, NULL, "also send the answer to the session's channel"},
    {0},
};

struct turn {
    char run_id[UUID_TEXT];
    size_t shown; /* bytes of the answer on the terminal already */
    bool live;
};

static void on_event(void *arg, const char *name, const struct json *payload)
{
    struct turn *turn = arg;

    if (!turn->live || strcmp(name, "agent") != 0 ||
        strcmp(json_string(json_get(payload, "runId"), ""), turn->run_id) != 0 ||
        strcmp(json_string(json_get(payload, "stream"), ""), "assistant") != 0)
        return;
    const char *text = json_string(json_path(payload, "data.text"), "");
    if (strlen(text) <= turn->shown)
        return;
    print_text(stdout, text + turn->shown);
    fflush(stdout);
    turn->shown = strlen(text);
}

static char *make_params(const struct command_input *input, const struct turn *turn)
{
    struct buf b;
    struct json_writer w;

    buf_init(&b, 32 << 20);
    jw_init(&w, &b);
    jw_object(&w);
    jw_kstr(&w, "message", command_option(input, "message"));
    jw_kstr(&w, "sessionKey", command_option(input, "session"));
    jw_kstr(&w, "agentId", command_option(input, "agent"));
    jw_kbool(&w, "deliver", command_option(input, "deliver") != NULL);
    jw_kstr(&w, "idempotencyKey", turn->run_id);
    jw_object_end(&w);
    char *text = buf_take(&b);
    buf_done(&b);
    return text;
}

/* What was not shown live: the rest of the answer, whole when piped. */
static void print_answer(const struct json *result, const struct turn *turn)
{
    size_t skip = turn->shown;

    json_each (part, json_path(result, "result.payloads")) {
        const char *text = json_string(json_get(part, "text"), "");
        size_t length = strlen(text);
        if (skip < length)
            print_text(stdout, text + skip);
        skip = skip > length ? skip - length : 0;
    }
    putchar('\n');
}

static void abort_turn(struct client *client, const struct turn *turn,
                       const struct command_input *input)
{
    const char *session = command_option(input, "session");
    struct fault ignored = {0};
    CLEAN(mem_free)
    char *params = command_params("sessionKey", session ? session : "main", "agentId",
                                  command_option(input, "agent"), "runId", turn->run_id, NULL);

    json_free(client_call(client, "chat.abort", params, false, &ignored));
}

static int run(struct command_input *input, struct fault *fault)
{
    CLEAN(client_close) struct client *client = NULL;
    CLEAN(json_free) struct json *result = NULL;
    struct turn turn = {.live = isatty(STDOUT_FILENO) && !input->target.json};

    if (client_open(&input->target, &client, fault) < 0)
        return cli_fail_fault(fault);
    crypto_uuid(turn.run_id);
    client_on_event(client, on_event, &turn);
    client_catch_interrupt(client);

    CLEAN(mem_free) char *params = make_params(input, &turn);
    result = client_call(client, "agent", params, true, fault);
    if (!result) {
        if (turn.shown)
            putchar('\n');
        if (fault->code == -ERR_INTERRUPTED)
            abort_turn(client, &turn, input);
        return cli_fail_fault(fault);
    }
    if (input->target.json)
        print_json(result);
    else
        print_answer(result, &turn);
    if (strcmp(json_string(json_get(result, "summary"), ""), "aborted") == 0)
        return cli_fail(CLI_FAILED, "the answer was stopped");
    return CLI_OK;
}

int cmd_agent(int argc, char **argv)
{
    struct command_input input = {.options = options, .target.timeout_ms = 600000};
    struct fault fault = {0};

    command_parse(&input, argc, argv, "",
                  "Send a message to an agent and show the answer as it comes.");
    if (!command_option(&input, "message") || input.word_count > 0)
        return cli_fail(CLI_USAGE, "usage: culvert agent -m TEXT [--session KEY]");
    int status =
        target_resolve(&input.target, &fault) < 0 ? cli_fail_fault(&fault) : run(&input, &fault);
    target_done(&input.target);
    return status;
}
