/* The road all client commands share. */
#include "gateway/cli/command.h"

#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define OPTIONS_MAX 16

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct command_input *input = state->input;

    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = &input->target;
        return 0;
    }
    if (key == ARGP_KEY_ARG) {
        if (input->word_count == COMMAND_WORDS_MAX)
            argp_error(state, "too many words, from \"%s\" on", arg);
        input->words[input->word_count++] = arg;
        return 0;
    }
    for (size_t i = 0; input->options && input->options[i].name; i++) {
        if (input->options[i].key != key)
            continue;
        input->values[i] = arg ? arg : "";
        return 0;
    }
    return ARGP_ERR_UNKNOWN;
}

void command_parse(struct command_input *input, int argc, char **argv, const char *words_doc,
                   const char *doc)
{
    struct argp_option options[OPTIONS_MAX + 1] = {0};
    // glibc's --help leaks the list of a command that gives an empty one.
    bool any = input->options && input->options[0].name;
    struct argp argp = {.options = any ? options : NULL,
                        .parser = parse,
                        .args_doc = words_doc,
                        .doc = doc,
                        .children = TARGET_CHILDREN};

    for (size_t i = 0; input->options && input->options[i].name; i++) {
        require(i < OPTIONS_MAX);
        options[i] = (struct argp_option){.name = input->options[i].name,
                                          .key = input->options[i].key,
                                          .arg = input->options[i].argument,
                                          .doc = input->options[i].help};
    }
    argp_parse(&argp, argc, argv, 0, NULL, input);
}

const char *command_option(const struct command_input *input, const char *name)
{
    for (size_t i = 0; input->options[i].name; i++)
        if (strcmp(input->options[i].name, name) == 0)
            return input->values[i];
    require(name == NULL); /* a name that is not in the table is a mistake of ours */
    return NULL;
}

static int call_and_print(struct command_input *input, const char *method, const char *params,
                          int (*print)(const struct json *payload), struct fault *fault)
{
    CLEAN(client_close) struct client *client = NULL;
    CLEAN(json_free) struct json *payload = NULL;

    if (client_open(&input->target, &client, fault) < 0 ||
        !(payload = client_call(client, method, params, true, fault)))
        return cli_fail_fault(fault);
    if (!input->target.json)
        return print(payload);
    print_json(payload);
    return CLI_OK;
}

int command_call(struct command_input *input, const char *method, const char *params,
                 int (*print)(const struct json *payload))
{
    struct fault fault = {0};
    int status = target_resolve(&input->target, &fault) < 0
                     ? cli_fail_fault(&fault)
                     : call_and_print(input, method, params, print, &fault);

    target_done(&input->target);
    return status;
}

int command_verbs(struct command_input *input, const struct command_verb *verbs,
                  const char *command)
{
    const char *word = input->word_count > 0 ? input->words[0] : verbs[0].name;

    for (const struct command_verb *verb = verbs; verb->name; verb++) {
        if (strcmp(verb->name, word) != 0)
            continue;
        int given = input->word_count > 0 ? input->word_count - 1 : 0;
        if (given != verb->words)
            return cli_fail(CLI_USAGE, "usage: culvert %s %s", command, verb->usage);
        return verb->run(input);
    }
    return cli_fail(CLI_USAGE, "culvert %s has no \"%s\"; see culvert %s --help", command, word,
                    command);
}

char *command_params(const char *member, ...)
{
    struct buf b;
    struct json_writer w;
    va_list args;

    buf_init(&b, 1 << 20);
    jw_init(&w, &b);
    jw_object(&w);
    va_start(args, member);
    for (const char *name = member; name; name = va_arg(args, const char *))
        jw_kstr(&w, name, va_arg(args, const char *));
    va_end(args);
    jw_object_end(&w);
    char *text = buf_take(&b);
    buf_done(&b);
    return text;
}
