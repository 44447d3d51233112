/* culvert config get|set|schema|check. check works without a gateway. */
#include "base/mem.h"
#include "gateway/cli/command.h"
#include "gateway/config/config.h"
#include "gateway/state_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int print_pretty(const struct json *value)
{
    CLEAN(mem_free) char *text = json_print(value, true);
    puts(text);
    return CLI_OK;
}

static int print_config(const struct json *payload)
{
    return print_pretty(json_get(payload, "config"));
}

static int get(struct command_input *input)
{
    return command_call(input, "config.get", NULL, print_config);
}

static int print_schema(const struct json *payload)
{
    return print_pretty(json_get(payload, "schema"));
}

static int schema(struct command_input *input)
{
    return command_call(input, "config.schema", NULL, print_schema);
}

/* "a.b.c" and a JSON value (or plain text) as {"a":{"b":{"c":value}}}. */
static struct json *nest(const char *path, const char *text)
{
    struct json *value = json_parse(text, strlen(text), NULL);
    CLEAN(mem_free) char *rest = mem_string(path);
    char *dot;

    if (!value)
        value = json_new_string(text);
    while ((dot = strrchr(rest, '.')) != NULL) {
        struct json *object = json_new_object();
        json_put(object, dot + 1, value);
        *dot = '\0';
        value = object;
    }
    struct json *root = json_new_object();
    json_put(root, rest, value);
    return root;
}

/* One value of the running configuration, defaults included. */
static int get_value(struct command_input *input, struct client *client, struct fault *fault)
{
    CLEAN(json_free) struct json *current = client_call(client, "config.get", NULL, false, fault);
    const struct json *value =
        current ? json_path(json_get(current, "runtimeConfig"), input->words[1]) : NULL;

    if (!current)
        return cli_fail_fault(fault);
    if (!value)
        return cli_fail(CLI_FAILED, "%s is not set; culvert config schema lists the settings",
                        input->words[1]);
    return print_pretty(value);
}

static int patch(struct command_input *input, struct client *client, struct fault *fault)
{
    CLEAN(json_free) struct json *current = client_call(client, "config.get", NULL, false, fault);
    CLEAN(json_free) struct json *change = nest(input->words[1], input->words[2]);
    CLEAN(mem_free) char *raw = json_print(change, false);
    CLEAN(json_free) struct json *reply = NULL;

    if (!current)
        return cli_fail_fault(fault);
    CLEAN(mem_free)
    char *params =
        command_params("raw", raw, "baseHash", json_string(json_get(current, "hash"), NULL), NULL);
    if (!(reply = client_call(client, "config.patch", params, false, fault)))
        return cli_fail_fault(fault);
    if (input->target.json)
        print_json(reply);
    else
        printf("%s is set\n", input->words[1]);
    return CLI_OK;
}

static int with_client(struct command_input *input,
                       int (*run)(struct command_input *, struct client *, struct fault *))
{
    struct fault fault = {0};
    struct client *client = NULL;
    int status = CLI_FAILED;

    if (target_resolve(&input->target, &fault) < 0 ||
        client_open(&input->target, &client, &fault) < 0)
        status = cli_fail_fault(&fault);
    else
        status = run(input, client, &fault);
    client_close(client);
    target_done(&input->target);
    return status;
}

static int set(struct command_input *input)
{
    return with_client(input, patch);
}

static int check(struct command_input *input)
{
    struct fault fault = {0};
    struct config *config = NULL;
    CLEAN(mem_free) char *state = state_dir_path(NULL, &fault);
    const char *env = getenv("CULVERT_CONFIG");
    CLEAN(mem_free)
    char *path = input->word_count > 1 ? mem_string(input->words[1])
                 : env                 ? mem_string(env)
                                       : mem_format("%s/culvert.json", state ? state : "");

    target_done(&input->target);
    if (config_load(path, &config, &fault) < 0)
        return cli_fail(CLI_FAILED, "%s", fault.text);
    char *warning;
    for (size_t i = 0; (warning = config_warning(config, i)) != NULL; i++) {
        printf("note: %s\n", warning);
        mem_free(warning);
    }
    config_free(config);
    printf("%s is fine\n", path);
    return CLI_OK;
}

static const struct command_verb verbs[] = {
    {"get", 0, "get [PATH]", get},
    {"set", 2, "set PATH VALUE", set},
    {"schema", 0, "schema", schema},
    {"check", 0, "check [FILE]", check},
    {0},
};

int cmd_config(int argc, char **argv)
{
    struct command_input input = {0};

    command_parse(&input, argc, argv, "get [PATH]\nset PATH VALUE\nschema\ncheck [FILE]",
                  "Show and change the gateway's configuration; check a file without a gateway.");
    if (input.word_count == 2 && strcmp(input.words[0], "check") == 0)
        return check(&input);
    if (input.word_count == 2 && strcmp(input.words[0], "get") == 0)
        return with_client(&input, get_value);
    return command_verbs(&input, verbs, "config");
}
