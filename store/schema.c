/* Opening the database file: made 0600, refused with a sentence when it is not ours, damaged or newer,
 * brought to this program's schema by the rows of schema.def. */
#include "store/private.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCHEMA_APPLICATION 0x43756c76 /* "Culv": says whose file it is */

static const struct migration {
    int version;
    const char *title, *text;
} migrations[] = {
#define MIGRATION(version, title, text) {(version), (title), (text)},
#include "store/schema.def"
#undef MIGRATION
};

/* ---- the file ---- */

static int schema_file_fault(const char *path, int reason, struct fault *fault)
{
    const char *why = strerrordesc_np(reason);

    switch (reason) {
    case ENOENT:
        return fault_set(fault, -ERR_NOT_FOUND,
                         "cannot make the database %s: its folder does not exist. Make the folder, "
                         "or name another state directory",
                         path);
    case ENOSPC:
    case EDQUOT:
        return fault_set(fault, -ERR_FULL,
                         "cannot make the database %s: %s. Free some space and start again", path,
                         why);
    case EACCES:
    case EPERM:
    case EROFS:
        return fault_set(
            fault, -ERR_DENIED,
            "cannot write the database %s: %s. The file and its folder must belong to "
            "the user who runs the gateway and be writable: check with ls -ld, or name "
            "another state directory",
            path, why);
    default: return fault_set(fault, -ERR_IO, "cannot open the database %s: %s", path, why);
    }
}

/* SQLite makes its -wal and -shm beside it with the same mode, so the folder must be writable too. */
static int schema_folder_check(const char *path, struct fault *fault)
{
    const char *slash = strrchr(path, '/');
    CLEAN(mem_free) char *folder = slash ? mem_slice(path, (size_t)(slash - path) + 1) : NULL;

    if (eaccess(folder ? folder : ".", W_OK | X_OK) < 0)
        return schema_file_fault(path, errno, fault);
    return 0;
}

static int schema_file_make(const char *path, struct fault *fault)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0600);

    if (fd < 0)
        return schema_file_fault(path, errno, fault);

    int r = 0;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        r = fault_set(
            fault, -ERR_INVALID,
            "%s is not a regular file: the database cannot live there. Name another state "
            "directory, or move it away",
            path);
    else if ((st.st_mode & 077) != 0 && fchmod(fd, 0600) < 0)
        r = schema_file_fault(path, errno, fault);
    close(fd);
    return r < 0 ? r : schema_folder_check(path, fault);
}

/* ---- faults ---- */

int schema_fault(const struct sql *sql, int code, const char *path, struct fault *fault)
{
    const char *reason = sql->reason;

    switch (code) {
    case -ERR_CORRUPT:
        return fault_set(
            fault, code,
            "the database %s is damaged (%s). Keep a copy of it, then restore a backup, "
            "or save what can be read: sqlite3 FILE .recover | sqlite3 NEWFILE",
            path, reason);
    case -ERR_FULL:
        return fault_set(fault, code,
                         "the database %s cannot be opened: no space left on its disk (%s). Free "
                         "some space and start again",
                         path, reason);
    case -ERR_BUSY:
        return fault_set(fault, code,
                         "the database %s is locked by another program (%s). Stop that program "
                         "(fuser FILE names it) and start again",
                         path, reason);
    case -ERR_DENIED: return schema_file_fault(path, EACCES, fault);
    default: return fault_set(fault, code, "the database %s cannot be opened: %s", path, reason);
    }
}

/* ---- whose and how old ---- */

static int schema_check(struct sql *sql, const char *path, int64_t *ret_version,
                        struct fault *fault)
{
    int64_t application = 0, version = 0, tables = 0;
    int newest = migrations[COUNT(migrations) - 1].version;
    int r;

    r = sql_number(sql, "PRAGMA application_id", &application);
    if (r == 0)
        r = sql_number(sql, "PRAGMA user_version", &version);
    if (r == 0)
        r = sql_number(sql, "SELECT COUNT(*) FROM sqlite_schema", &tables);
    if (r < 0)
        return schema_fault(sql, r, path, fault);

    if (application != SCHEMA_APPLICATION && (application != 0 || tables > 0))
        return fault_set(fault, -ERR_INVALID,
                         "%s is the database of another program. Move it away, or name another "
                         "state directory",
                         path);
    if (version > newest)
        return fault_set(fault, -ERR_UNSUPPORTED,
                         "the database %s was made by a newer version of this program (its schema "
                         "is %lld, this program knows up to %d). Run the newer version, or restore "
                         "the copy from before the upgrade",
                         path, (long long)version, newest);
    *ret_version = version;
    return 0;
}

/* ---- migrations ---- */

static int schema_migrate_one(struct sql *sql, const struct migration *m)
{
    char mark[96];
    int r;

    snprintf(mark, sizeof(mark), "PRAGMA application_id = %d; PRAGMA user_version = %d;",
             SCHEMA_APPLICATION, m->version);
    r = sql_exec(sql, "BEGIN IMMEDIATE");
    if (r == 0)
        r = sql_exec(sql, m->text);
    if (r == 0)
        r = sql_exec(sql, mark);
    if (r == 0)
        r = sql_exec(sql, "COMMIT");
    return r;
}

static int schema_migrate(struct sql *sql, const char *path, int64_t version, struct fault *fault)
{
    for (size_t i = 0; i < COUNT(migrations); i++) {
        const struct migration *m = &migrations[i];
        if (m->version <= version)
            continue;

        int r = schema_migrate_one(sql, m);
        if (r < 0) {
            schema_fault(sql, r, path, fault);
            if (sql_in_transaction(sql))
                sql_exec(sql, "ROLLBACK");
            return fault_prefix(fault, "schema step %d (%s) failed", m->version, m->title);
        }
    }
    return 0;
}

/* ---- opening ---- */

static int schema_settings(struct sql *sql, const struct store_config *config)
{
    char text[256];

    snprintf(text, sizeof(text),
             "PRAGMA synchronous = %s; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -1024;"
             "PRAGMA journal_size_limit = %d;",
             config->synchronous ? config->synchronous : "FULL", 8 * 1024 * 1024);
    return sql_exec(sql, text);
}

/* The switch itself is a commit with a rollback journal. With EXTRA the removal of that journal is on disk
 * before anything is written to the WAL; found again after a power cut it would undo the whole file. */
static int schema_wal(struct sql *sql, const char *path, struct fault *fault)
{
    char mode[16] = "";
    int r;

    r = sql_exec(sql, "PRAGMA synchronous = EXTRA");
    if (r == 0)
        r = sql_word(sql, "PRAGMA journal_mode = WAL", mode, sizeof(mode));
    if (r < 0)
        return schema_fault(sql, r, path, fault);
    if (strcmp(mode, "wal") != 0)
        return fault_set(
            fault, -ERR_UNSUPPORTED,
            "the file system of %s cannot hold a write-ahead log (SQLite stays in mode "
            "\"%s\"); put the state directory on a local disk",
            path, mode);
    return 0;
}

int schema_open(struct sql *sql, const struct store_config *config, const char *path,
                struct fault *reterr_fault)
{
    const char *name = path ? path : "(memory)";
    int64_t version = 0;
    int r = 0;

    if (path && !config->vfs)
        r = schema_file_make(path, reterr_fault);
    if (r < 0)
        return r;

    r = sql_open(sql, path, config->vfs);
    if (r < 0)
        return schema_fault(sql, r, name, reterr_fault);
    r = schema_check(sql, name, &version, reterr_fault);
    if (r == 0 && path)
        r = schema_wal(sql, name, reterr_fault);
    if (r < 0)
        return r;
    r = schema_settings(sql, config);
    if (r < 0)
        return schema_fault(sql, r, name, reterr_fault);
    return schema_migrate(sql, name, version, reterr_fault);
}
