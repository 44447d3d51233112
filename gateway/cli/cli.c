/* From argv to a subcommand. */
#include "gateway/cli/cli.h"
#include "gateway/cli/print.h"

#include "gateway/gateway.h"

#include <argp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct cli_command commands[] = {
#define COMMAND(name, words, summary) {#name, words, summary, cmd_##name},
#include "gateway/cli/commands.def"
#undef COMMAND
    {0},
};

const struct cli_command *cli_commands(void)
{
    return commands;
}

int cli_fail(int status, const char *format, ...)
{
    char text[4096];
    va_list args;

    fflush(stdout);
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    fputs("culvert: ", stderr);
    print_text(stderr, text); /* much of it is the gateway's or a model's word */
    fputc('\n', stderr);
    return status;
}

int cli_fail_fault(const struct fault *fault)
{
    static const struct {
        int code, status;
    } statuses[] = {
        {-ERR_CONNECT, CLI_CANNOT_CONNECT}, {-ERR_CLOSED, CLI_CANNOT_CONNECT},
        {-ERR_AUTH, CLI_REFUSED},           {-ERR_DENIED, CLI_REFUSED},
        {-ERR_INVALID, CLI_FAILED},
    };
    int status = CLI_FAILED;

    for (size_t i = 0; i < COUNT(statuses); i++)
        if (statuses[i].code == fault->code)
            status = statuses[i].status;
    return cli_fail(status, "%s", fault->text[0] ? fault->text : err_text(fault->code));
}

static void print_help(FILE *out)
{
    fputs("Usage: culvert COMMAND [OPTIONS]\n\n"
          "A personal agent gateway: one daemon per host.\n\n",
          out);
    for (const struct cli_command *c = commands; c->name; c++)
        fprintf(out, "  %-10s %s\n", c->name, c->summary);
    fputs("\nculvert COMMAND --help tells more. Start here: culvert gateway, then culvert agent -m "
          "hello\n",
          out);
}

static int usage(const char *word)
{
    if (word)
        return cli_fail(CLI_USAGE, "no command \"%s\"; culvert --help lists them", word);
    print_help(stderr);
    return CLI_USAGE;
}

int cli_main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : NULL;
    char name[64];

    signal(SIGPIPE, SIG_IGN);
    argp_err_exit_status = CLI_USAGE;
    if (!word)
        return usage(NULL);
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help(stdout);
        return CLI_OK;
    }
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        puts("culvert " CULVERT_VERSION);
        return CLI_OK;
    }
    for (const struct cli_command *c = commands; c->name; c++) {
        if (strcmp(c->name, word) != 0)
            continue;
        snprintf(name, sizeof(name), "culvert %s", word);
        argv[1] = name;
        return c->run(argc - 1, argv + 1);
    }
    return usage(word);
}
