/* The SQLite door. Statements are made at first use and kept; a busy database is waited for, then
 * -ERR_BUSY. */
#include "store/sql.h"

#include "base/mem.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>

static const char *const statement_texts[STATEMENTS] = {
#define STATEMENT(name, text) [STATEMENT_##name] = (text),
#include "store/statement.def"
#undef STATEMENT
};

static const struct {
    int sqlite, err;
} sql_errors[] = {
    {SQLITE_FULL, -ERR_FULL},           {SQLITE_IOERR, -ERR_IO},
    {SQLITE_CORRUPT, -ERR_CORRUPT},     {SQLITE_NOTADB, -ERR_CORRUPT},
    {SQLITE_BUSY, -ERR_BUSY},           {SQLITE_LOCKED, -ERR_BUSY},
    {SQLITE_CONSTRAINT, -ERR_CONFLICT}, {SQLITE_TOOBIG, -ERR_TOO_LARGE},
    {SQLITE_NOMEM, -ERR_NO_MEMORY},     {SQLITE_READONLY, -ERR_DENIED},
    {SQLITE_PERM, -ERR_DENIED},         {SQLITE_CANTOPEN, -ERR_IO},
    {SQLITE_PROTOCOL, -ERR_BUSY},
};

/* Kept at once: the rollback that follows a failure would overwrite it in SQLite. */
static void sql_keep_reason(struct sql *sql, int primary)
{
    int reason = sql->db ? sqlite3_system_errno(sql->db) : 0;
    bool system = reason != 0 && (primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN);

    snprintf(sql->reason, sizeof(sql->reason), "%s%s%s",
             sql->db ? sqlite3_errmsg(sql->db) : "out of memory", system ? ": " : "",
             system ? strerrordesc_np(reason) : "");
}

static int sql_code(struct sql *sql, int rc)
{
    int primary = rc & 0xff;

    if (primary == SQLITE_OK || primary == SQLITE_DONE || primary == SQLITE_ROW)
        return 0;

    sql_keep_reason(sql, primary);
    /* Some ways of having no room come as plain I/O errors (a -shm that cannot grow). */
    if ((primary == SQLITE_IOERR || primary == SQLITE_CANTOPEN) && sql->db) {
        int reason = sqlite3_system_errno(sql->db);
        if (reason == ENOSPC || reason == EDQUOT)
            return -ERR_FULL;
    }
    for (size_t i = 0; i < COUNT(sql_errors); i++)
        if (sql_errors[i].sqlite == primary)
            return sql_errors[i].err;
    return -ERR_BUG;
}

/* ---- connection ---- */

static int sql_on_wal(void *arg, sqlite3 *db, const char *name, int pages)
{
    struct sql *sql = arg;

    (void)db;
    (void)name;
    sql->wal_pages = pages;
    return SQLITE_OK;
}

int sql_open(struct sql *sql, const char *path, const char *vfs)
{
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX;

    if (!path || vfs)
        flags |= SQLITE_OPEN_CREATE;
    int rc = sqlite3_open_v2(path ? path : ":memory:", &sql->db, flags, vfs);
    if (rc != SQLITE_OK)
        return sql_code(sql, rc);

    sqlite3_extended_result_codes(sql->db, 1);
    sqlite3_busy_timeout(sql->db, sql->busy_ms);
    sqlite3_db_config(sql->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(sql->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_wal_hook(sql->db, sql_on_wal, sql); /* also turns SQLite's own checkpoints off */
    return 0;
}

void sql_close(struct sql *sql)
{
    for (size_t i = 0; i < STATEMENTS; i++) {
        sqlite3_finalize(sql->prepared[i]);
        sql->prepared[i] = NULL;
    }
    sqlite3_close_v2(TAKE(sql->db));
}

bool sql_in_transaction(const struct sql *sql)
{
    return !sqlite3_get_autocommit(sql->db);
}

int sql_checkpoint(struct sql *sql, bool truncate)
{
    int mode = truncate ? SQLITE_CHECKPOINT_TRUNCATE : SQLITE_CHECKPOINT_PASSIVE;

    /* A reader in the way is waited for only briefly: the writer has a queue. */
    sqlite3_busy_timeout(sql->db, truncate ? 100 : 0);
    int rc = sqlite3_wal_checkpoint_v2(sql->db, NULL, mode, NULL, NULL);
    sqlite3_busy_timeout(sql->db, sql->busy_ms);
    return sql_code(sql, rc);
}

/* ---- statements ---- */

int sql_exec(struct sql *sql, const char *text)
{
    return sql_code(sql, sqlite3_exec(sql->db, text, NULL, NULL, NULL));
}

/* One row of a text that is not kept: number or word is its first column. */
static int sql_first(struct sql *sql, const char *text, int64_t *number, char *word, size_t size)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(sql->db, text, -1, &statement, NULL);

    if (rc == SQLITE_OK)
        rc = sqlite3_step(statement);
    if (rc == SQLITE_ROW && number)
        *number = sqlite3_column_int64(statement, 0);
    if (rc == SQLITE_ROW && word)
        snprintf(word, size, "%s", (const char *)sqlite3_column_text(statement, 0));
    int r = rc == SQLITE_DONE ? -ERR_NOT_FOUND : sql_code(sql, rc);
    sqlite3_finalize(statement);
    return r;
}

int sql_number(struct sql *sql, const char *text, int64_t *ret)
{
    return sql_first(sql, text, ret, NULL, 0);
}

int sql_word(struct sql *sql, const char *text, char *out, size_t size)
{
    return sql_first(sql, text, NULL, out, size);
}

static int sql_bind(sqlite3_stmt *statement, const struct value *values, size_t count)
{
    int rc = SQLITE_OK;

    require((size_t)sqlite3_bind_parameter_count(statement) == count);
    for (size_t i = 0; i < count && rc == SQLITE_OK; i++) {
        const struct value *v = &values[i];
        if (!v->is_text)
            rc = sqlite3_bind_int64(statement, (int)i + 1, v->number);
        else if (!v->text)
            rc = sqlite3_bind_null(statement, (int)i + 1);
        else
            rc = sqlite3_bind_text64(statement, (int)i + 1, v->text, v->length, SQLITE_STATIC,
                                     SQLITE_UTF8);
    }
    return rc;
}

void sql_rows(struct sql *sql, enum statement statement, const struct value *values, size_t count,
              struct sql_rows *ret)
{
    sqlite3_stmt **slot = &sql->prepared[statement];
    int rc = SQLITE_OK;

    if (!*slot)
        rc = sqlite3_prepare_v3(sql->db, statement_texts[statement], -1, SQLITE_PREPARE_PERSISTENT,
                                slot, NULL);
    if (rc == SQLITE_OK)
        rc = sql_bind(*slot, values, count);
    *ret = (struct sql_rows){sql, *slot, sql_code(sql, rc)};
}

int sql_next(struct sql_rows *rows)
{
    if (rows->error < 0)
        return rows->error;

    int rc = sqlite3_step(rows->statement);
    if (rc == SQLITE_ROW)
        return 1;
    return sql_code(rows->sql, rc);
}

void sql_rows_done(struct sql_rows *rows)
{
    sqlite3_reset(rows->statement);
}

int sql_run(struct sql *sql, enum statement statement, const struct value *values, size_t count)
{
    struct sql_rows rows;
    int r;

    sql_rows(sql, statement, values, count, &rows);
    while ((r = sql_next(&rows)) > 0)
        ;
    sql_rows_done(&rows);
    return r;
}

const char *sql_text(const struct sql_rows *rows, int column)
{
    return (const char *)sqlite3_column_text(rows->statement, column);
}

size_t sql_length(const struct sql_rows *rows, int column)
{
    return (size_t)sqlite3_column_bytes(rows->statement, column);
}

int64_t sql_integer(const struct sql_rows *rows, int column)
{
    return sqlite3_column_int64(rows->statement, column);
}
