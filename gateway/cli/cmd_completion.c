/* culvert completion bash|zsh|fish prints a few lines for the shell; they ask `culvert completion words …` at
 * each tab, so what is offered comes from the tables of commands, methods and options. */
#include "gateway/cli/cli.h"
#include "gateway/cli/target.h"
#include "gateway/cli/tunnel_input.h"
#include "gateway/method/method.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *shell, *script;
} scripts[] = {
    {"bash",
     "_culvert() {\n"
     "    local IFS=$'\\n'\n"
     "    COMPREPLY=($(culvert completion words \"${COMP_WORDS[@]:1:COMP_CWORD}\" 2>/dev/null))\n"
     "}\n"
     "complete -o default -F _culvert culvert\n"},
    {"zsh",
     "autoload -U +X bashcompinit && bashcompinit\n"
     "_culvert() {\n"
     "    local IFS=$'\\n'\n"
     "    COMPREPLY=($(culvert completion words \"${COMP_WORDS[@]:1:$COMP_CWORD}\" 2>/dev/null))\n"
     "}\n"
     "complete -o default -F _culvert culvert\n"},
    {"fish", "complete -c culvert -f -a '(culvert completion words (commandline -opc)[2..] "
             "(commandline -ct) 2>/dev/null)'\n"},
};

static void offer(const char *word, size_t length, const char *begun)
{
    if (length >= strlen(begun) && strncmp(word, begun, strlen(begun)) == 0)
        printf("%.*s\n", (int)length, word);
}

static void offer_commands(const char *begun)
{
    for (const struct cli_command *c = cli_commands(); c->name; c++)
        offer(c->name, strlen(c->name), begun);
}

static void offer_words(const char *words, const char *begun)
{
    while (*words) {
        size_t length = strcspn(words, " ");
        offer(words, length, begun);
        words += length + (words[length] == ' ');
    }
}

static void offer_methods(const char *begun)
{
    struct methods *methods = methods_new();

    for (size_t i = 0; i < method_count(methods); i++)
        offer(method_at(methods, i)->name, strlen(method_at(methods, i)->name), begun);
    methods_free(methods);
}

/* What most commands take; some have options of their own. */
static void offer_options(const char *command, const char *begun)
{
    const struct argp_option *options =
        strcmp(command, "tunnel") == 0 ? cmd_tunnel_options : target_argp.options;

    for (const struct argp_option *o = options; o->name; o++) {
        CLEAN(mem_free) char *option = mem_format("--%s", o->name);
        offer(option, strlen(option), begun);
    }
    offer("--help", 6, begun);
}

/* words: what stands after `culvert`, the last one still being typed. */
static int complete(int count, char **words)
{
    const char *begun = count > 0 ? words[count - 1] : "";

    if (count <= 1) {
        offer_commands(begun);
        return CLI_OK;
    }
    if (begun[0] == '-') {
        offer_options(words[0], begun);
        return CLI_OK;
    }
    if (count != 2)
        return CLI_OK;
    if (strcmp(words[0], "call") == 0)
        offer_methods(begun);
    for (const struct cli_command *c = cli_commands(); c->name; c++)
        if (strcmp(c->name, words[0]) == 0)
            offer_words(c->words, begun);
    return CLI_OK;
}

int cmd_completion(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "";

    if (strcmp(word, "words") == 0)
        return complete(argc - 2, argv + 2);
    for (size_t i = 0; i < COUNT(scripts); i++) {
        if (strcmp(word, scripts[i].shell) != 0)
            continue;
        fputs(scripts[i].script, stdout);
        return CLI_OK;
    }
    if (strcmp(word, "--help") == 0) {
        puts("Usage: culvert completion bash|zsh|fish\n"
             "Print what the shell needs, for example: source <(culvert completion bash)");
        return CLI_OK;
    }
    return cli_fail(CLI_USAGE, "usage: culvert completion bash|zsh|fish");
}
