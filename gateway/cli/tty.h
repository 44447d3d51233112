/* A person at the terminal: questions without an echo, asked in the pool so that the loop goes on, and one line that is
 * rewritten in place. Loop thread only, but for what the pool does. */
#pragma once

#include "base/io/op.h"

#include <stdio.h>

#define TTY_ANSWER_MAX 1024

/* There is a terminal, and it is ours to read from now (we are its foreground). */
bool tty_can_ask(void);

/* prompt is shown as it is; echo false: what is typed is not. op ends 0 with *ret_answer the caller's (wipe it),
 * or -ERR_CLOSED for Ctrl-D and an empty terminal. A cancelled question gives the terminal back as it was. */
void tty_ask(struct op *op, const char *prompt, bool echo, char **ret_answer);

/* One line on out, over the one before, cut to the terminal's width; "" wipes it. */
void tty_line(FILE *out, const char *text);
