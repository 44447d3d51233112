/* What people see: tables, ages, and plain JSON. */
#pragma once

#include "base/json.h"

#include <stdio.h>

/* One column of a table: heading, and the member of each row's object (dotted path). */
struct column {
    const char *heading, *path;
    char *(*text)(const struct json *value); /* NULL: the value as it is. Owned text; NULL: "-" */
};
/* Rows of an array under a heading line, columns as wide as they need (at most 72, what is longer is cut).
 * empty: said instead. */
void print_table(const struct json *rows, const struct column *columns, size_t count,
                 const char *empty);

/* Text from outside, without what a terminal would act on; newlines and tabs stay. */
void print_text(FILE *out, const char *text);

char *print_age(const struct json *ms_ago);    /* "3 min" out of milliseconds */
char *print_since(const struct json *wall_ms); /* "3 min ago" out of a time */
char *print_list(const struct json *array);    /* "a, b" */
char *print_scopes(const struct json *array);  /* "read, write": without the common "operator." */
char *print_yes(const struct json *boolean);   /* "yes" or "" */
/* The payload, for --json: one line. */
void print_json(const struct json *payload);
