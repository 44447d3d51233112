/* What is wrong with a configuration, or only worth a word: a bounded list of path, file, line and a
 * sentence for a person. Never holds a value of the configuration. */
#pragma once

#include "base/err.h"

/* Further ones are counted, not kept. */
#define ISSUES_MAX 64

struct issue {
    char *path;    /* dotted; "" for the whole document */
    char *file;    /* NULL: none */
    int line;      /* 1-based; 0: not known */
    char *message; /* without path, file and line */
};

struct issues {
    struct issue *items;
    size_t count;
    size_t total; /* with those not kept */
};

/* True when a further one would only be counted: then add it without place and text (NULL, 0). */
static inline bool issues_full(const struct issues *issues)
{
    return issues->count == ISSUES_MAX;
}

/* path and file are copied, message is taken. */
void issues_add(struct issues *issues, const char *path, const char *file, int line, char *message);
void issues_done(struct issues *issues);
/* "culvert.json:12: gateway.prot: unknown key …" into a fault, with "(and 2 more)". */
int issues_fault(const struct issues *issues, struct fault *reterr_fault);
/* "file:line: path: message" of one; the caller owns it. */
char *issue_text(const struct issue *issue) MUSTCHECK;
