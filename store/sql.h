/* The SQLite door: one connection, its prepared statements, errors in our codes. Used by one thread at
 * a time. Only sql.c includes sqlite3.h. */
#pragma once

#include "base/err.h"

#include <string.h>

enum statement {
#define STATEMENT(name, text) STATEMENT_##name,
#include "store/statement.def"
#undef STATEMENT
    STATEMENTS
};

/* What a statement's ? is bound to. Texts must live until the statement has run. */
struct value {
    const char *text; /* with is_text; NULL: SQL NULL */
    size_t length;
    int64_t number;
    bool is_text;
};

static inline struct value vt(const char *text)
{
    return (struct value){.text = text, .length = text ? strlen(text) : 0, .is_text = true};
}
static inline struct value vi(int64_t number)
{
    return (struct value){.number = number};
}
#define VALUES(...)                                                                                \
    ((const struct value[]){__VA_ARGS__}), COUNT(((const struct value[]){__VA_ARGS__}))

struct sqlite3;
struct sqlite3_stmt;

struct sql {
    struct sqlite3 *db;
    struct sqlite3_stmt *prepared[STATEMENTS]; /* made at first use */
    int wal_pages;                             /* in the WAL after the last commit */
    int busy_ms;                               /* wait that long for a foreign lock */
    char reason[256];                          /* SQLite's sentence about the last failure */
};

/* The file must exist unless vfs is given. NULL path: a private database in memory. */
int sql_open(struct sql *sql, const char *path, const char *vfs);
void sql_close(struct sql *sql);

/* Any number of statements without results, or with results that nobody reads. */
int sql_exec(struct sql *sql, const char *text);
/* The first column of the first row of a text that is not worth keeping prepared; -ERR_NOT_FOUND. */
int sql_number(struct sql *sql, const char *text, int64_t *ret);

/* As sql_number, for a word (cut to fit). */
int sql_word(struct sql *sql, const char *text, char *out, size_t size);

/* 0 or negative. */
int sql_run(struct sql *sql, enum statement statement, const struct value *values, size_t count);

/* while ((r = sql_next(&rows)) > 0) …; sql_rows_done(&rows); r is 0 at the end, else negative. */
struct sql_rows {
    struct sql *sql;
    struct sqlite3_stmt *statement;
    int error; /* from starting: sql_next tells it */
};
void sql_rows(struct sql *sql, enum statement statement, const struct value *values, size_t count,
              struct sql_rows *ret);
int sql_next(struct sql_rows *rows);
void sql_rows_done(struct sql_rows *rows);
const char *sql_text(const struct sql_rows *rows, int column); /* until the next row; NULL: NULL */
size_t sql_length(const struct sql_rows *rows, int column);
int64_t sql_integer(const struct sql_rows *rows, int column);

bool sql_in_transaction(const struct sql *sql);
/* Moves what it can of the WAL into the database; truncate also shortens the WAL when no reader is in
 * the way. */
int sql_checkpoint(struct sql *sql, bool truncate);
