/* What most subcommands do: parse the shared options and words, connect, call, print. */
#pragma once

#include "gateway/cli/cli.h"
#include "gateway/cli/client.h"
#include "gateway/cli/print.h"

#define COMMAND_WORDS_MAX 8

/* What a command's argp fills in: the target first, then up to eight words and its own options. */
struct command_input {
    struct target target;
    const char *words[COMMAND_WORDS_MAX];
    int word_count;
    const struct command_option {
        const char *name;     /* "message" */
        int key;              /* 'm' or above 2000 for none */
        const char *argument; /* NULL: a flag */
        const char *help;
    } * options;            /* ended by a row without a name */
    const char *values[16]; /* by the option's place; a flag's value is "" */
};

/* argv by options and words; usage errors end the process with status 2 as argp does. doc is the help. */
void command_parse(struct command_input *input, int argc, char **argv, const char *words_doc,
                   const char *doc);
/* The option's value by name; NULL: not given. */
const char *command_option(const struct command_input *input, const char *name);

/* Resolve, connect, call, print: --json prints the payload, else print(payload). Returns the exit status. */
int command_call(struct command_input *input, const char *method, const char *params,
                 int (*print)(const struct json *payload));
/* A table of verbs ("list", "show" …) of a command. */
struct command_verb {
    const char *name;
    int words; /* how many words it takes after its name */
    const char *usage;
    int (*run)(struct command_input *input);
};
/* Runs the verb named by the first word (the first row when there is none). */
int command_verbs(struct command_input *input, const struct command_verb *verbs,
                  const char *command);
/* {"name":"word",…} for params: pairs of member and value, ended by NULL; absent values are left out.
 * Caller owns. */
char *command_params(const char *member, ...) MUSTCHECK;
