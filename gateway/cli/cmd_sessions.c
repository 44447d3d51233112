/* culvert sessions list|show|reset|delete. */
#include "base/mem.h"
#include "gateway/cli/command.h"

#include <stdio.h>
#include <string.h>

static const struct column list_columns[] = {
    {"SESSION", "key", NULL},
    {"UPDATED", "updatedAt", print_since},
    {"MODEL", "model", NULL},
    {"TITLE", "derivedTitle", NULL},
};

static int print_list_of(const struct json *payload)
{
    print_table(json_get(payload, "sessions"), list_columns, COUNT(list_columns),
                "No sessions yet. Begin one: culvert agent -m hello");
    return CLI_OK;
}

static int list(struct command_input *input)
{
    return command_call(input, "sessions.list", "{\"includeDerivedTitles\":true}", print_list_of);
}

/* A message's text: a plain string or its text parts. */
static void print_content(const struct json *content)
{
    if (json_kind(content) == JSON_STRING) {
        print_text(stdout, json_string(content, ""));
        putchar('\n');
        return;
    }
    json_each (part, content) {
        const char *type = json_string(json_get(part, "type"), "");
        if (strcmp(type, "text") == 0)
            print_text(stdout, json_string(json_get(part, "text"), ""));
        else
            printf("[%s]", type);
        putchar('\n');
    }
}

static int print_history(const struct json *payload)
{
    if (json_count(json_get(payload, "messages")) == 0)
        puts(json_get(payload, "sessionId") ? "Nothing has been said in this session."
                                            : "There is no such session; culvert sessions list");
    json_each (message, json_get(payload, "messages")) {
        CLEAN(mem_free) char *when = print_since(json_get(message, "timestamp"));
        printf("%s%s%s\n", json_string(json_get(message, "role"), "?"), when ? ", " : "",
               when ? when : "");
        print_content(json_get(message, "content"));
        putchar('\n');
    }
    return CLI_OK;
}

static int show(struct command_input *input)
{
    CLEAN(mem_free) char *params = command_params("sessionKey", input->words[1], NULL);
    return command_call(input, "chat.history", params, print_history);
}

static int print_reset(const struct json *payload)
{
    printf("%s begins anew\n", json_string(json_get(payload, "key"), "the session"));
    return CLI_OK;
}

static int reset(struct command_input *input)
{
    CLEAN(mem_free) char *params = command_params("key", input->words[1], NULL);
    return command_call(input, "sessions.reset", params, print_reset);
}

static int print_deleted(const struct json *payload)
{
    bool deleted = json_boolean(json_get(payload, "deleted"), false);

    printf("%s %s\n", json_string(json_get(payload, "key"), "the session"),
           deleted ? "is deleted" : "does not exist");
    return deleted ? CLI_OK : CLI_FAILED;
}

static int delete (struct command_input *input)
{
    CLEAN(mem_free) char *params = command_params("key", input->words[1], NULL);
    return command_call(input, "sessions.delete", params, print_deleted);
}

static const struct command_verb verbs[] = {
    {"list", 0, "list", list},
    {"show", 1, "show KEY", show},
    {"reset", 1, "reset KEY", reset},
    {"delete", 1, "delete KEY", delete},
    {0},
};

int cmd_sessions(int argc, char **argv)
{
    struct command_input input = {0};

    command_parse(&input, argc, argv, "list\nshow KEY\nreset KEY\ndelete KEY",
                  "List sessions, show one's messages, begin one anew, delete one.");
    return command_verbs(&input, verbs, "sessions");
}
