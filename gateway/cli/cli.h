/* The `culvert` command: one row per subcommand in commands.def, one file each. Blocking is fine here: a
 * command owns its process and runs its own loop. design.md section 3. */
#pragma once

#include "base/err.h"

/* Exit statuses; scripts rely on them. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_CANNOT_CONNECT = 3,
    CLI_REFUSED = 4, /* authentication, pairing, scope */
};

struct cli_command {
    const char *name;
    const char *words; /* what may stand first, separated by blanks; completion offers them */
    const char *summary;
    int (*run)(int argc, char **argv); /* argv[0] is "culvert NAME"; returns an exit status */
};

#define COMMAND(name, words, summary) int cmd_##name(int argc, char **argv);
#include "gateway/cli/commands.def"
#undef COMMAND

int cli_main(int argc, char **argv);
/* All commands, ended by a row without a name (completion, help). */
const struct cli_command *cli_commands(void);

/* "culvert: text" on stderr; returns status so that a line can `return cli_fail(...)`. */
int cli_fail(int status, const char *format, ...) PRINTF(2, 3);
/* The exit status that fits a fault: connecting, refused, or failed. Prints it. */
int cli_fail_fault(const struct fault *fault);
