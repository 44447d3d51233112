/* A command line as words, without a shell: quotes and backslashes as in POSIX sh, nothing else. Pure. */
#pragma once

#include "base/err.h"

#define WORDS_MAX 1024 /* of one command line */

/* 0 and the words, ended by NULL (words_free). 1: the line needs a shell (pipes, redirections, variables, patterns,
 * several commands, …), no words. -ERR_INVALID with a fault: empty, an open quote, too many words. */
int words_split(const char *line, char ***ret_words, struct fault *reterr_fault);
char **words_free(char **words); /* NULL ok */
/* The words as a line that splits into them again: for people. Caller owns. */
char *words_join(char *const *words) MUSTCHECK;
