/* culvert approvals list|allow|deny. */
#include "base/mem.h"
#include "gateway/cli/command.h"

#include <stdio.h>
#include <string.h>

static const struct command_option options[] = {
    {"always", 2001, NULL, "allow: not only this time"},
    {0},
};

/* In full, each under the other: nobody should allow what a table has cut. */
static void print_approval(const struct json *row)
{
    static const char *const members[][2] = {
        {"agent", "agentId"}, {"session", "sessionKey"}, {"in", "cwd"}, {"warning", "warningText"}};
    const struct json *request = json_get(row, "request");
    CLEAN(mem_free) char *since = print_since(json_get(row, "createdAtMs"));

    printf("%s  asked %s\n", json_string(json_get(row, "id"), "?"), since ? since : "");
    for (size_t i = 0; i < COUNT(members); i++) {
        const char *text = json_string(json_get(request, members[i][1]), NULL);
        if (!text)
            continue;
        printf("  %s: ", members[i][0]);
        print_text(stdout, text);
        putchar('\n');
    }
    printf("  ");
    print_text(stdout, json_string(json_get(request, "command"), ""));
    printf("\n\n");
}

static int print_approvals(const struct json *payload)
{
    json_each (row, payload)
        print_approval(row);
    puts(json_count(payload) == 0
             ? "Nothing waits for approval."
             : "Answer with: culvert approvals allow ID [--always], culvert approvals deny ID");
    return CLI_OK;
}

static int list(struct command_input *input)
{
    return command_call(input, "exec.approval.list", NULL, print_approvals);
}

static int print_done(const struct json *payload)
{
    (void)payload;
    puts("done");
    return CLI_OK;
}

static int decide(struct command_input *input, const char *decision)
{
    CLEAN(mem_free)
    char *params = command_params("id", input->words[1], "decision", decision, NULL);

    return command_call(input, "exec.approval.resolve", params, print_done);
}

static int allow(struct command_input *input)
{
    return decide(input, command_option(input, "always") ? "allow-always" : "allow-once");
}

static int deny(struct command_input *input)
{
    return decide(input, "deny");
}

static const struct command_verb verbs[] = {
    {"list", 0, "list", list},
    {"allow", 1, "allow APPROVAL [--always]", allow},
    {"deny", 1, "deny APPROVAL", deny},
    {0},
};

int cmd_approvals(int argc, char **argv)
{
    struct command_input input = {.options = options};

    command_parse(&input, argc, argv, "list\nallow APPROVAL\ndeny APPROVAL",
                  "What agents and nodes ask to do: see it, allow it once or always, or deny it. "
                  "APPROVAL may be the beginning of an id.");
    return command_verbs(&input, verbs, "approvals");
}
