/* Opening: migration from nothing, refusal of what is newer, foreign, damaged, in the wrong place. */
#include "tests/unit/store/kit.h"

#include "store/sql.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

static void sql(const char *path, const char *text)
{
    sqlite3 *db = NULL;

    t_eq(sqlite3_open(path, &db), SQLITE_OK);
    t_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "wb");

    t_ok(file != NULL);
    fputs(text, file);
    fclose(file);
}

static void expect_refusal(const char *path, int code, const char *part, const char *remedy)
{
    struct rig g = {.loop = loop_new(LOOP_VIRTUAL)};

    rig_open(&g, &(struct store_config){.path = path});
    t_eq(g.open, code);
    t_eq(g.fault.code, code);
    t_has(g.fault.text, part);
    t_has(g.fault.text, remedy);
    if (g.open < 0)
        t_has(g.fault.text, path);
    rig_free(&g);
}

T(an_empty_file_is_migrated)
{
    const char *path = rig_path("empty.db");

    write_file(path, "");
    struct rig g = rig_new(path);
    struct store_batch *batch = store_batch(g.store);
    store_meta_put(batch, "k", "v");
    t_eq(commit(&g, batch), 0);
    rig_free(&g);
}

/* From each earlier schema: its rows alone, with something in it, opened by this program. */
T(each_earlier_schema_is_migrated)
{
    static const struct {
        int version;
        const char *text;
    } steps[] = {
#define MIGRATION(version, title, text) {(version), (text)},
#include "store/schema.def"
#undef MIGRATION
    };

    for (size_t last = 0; last < COUNT(steps); last++) {
        CLEAN(mem_free) char *name = mem_format("v%d.db", steps[last].version);
        CLEAN(mem_free)
        char *mark = mem_format("PRAGMA application_id = 1131768950;"
                                "PRAGMA user_version = %d;"
                                "INSERT INTO meta VALUES ('k', 'old')",
                                steps[last].version);
        const char *path = rig_path(name);

        for (size_t i = 0; i <= last; i++)
            sql(path, steps[i].text);
        sql(path, mark);
        struct rig g = rig_new(path);
        CLEAN(mem_free) char *value = store_meta_get(g.store, "k");
        t_str(value, "old");
        struct store_batch *batch = store_batch(g.store);
        store_consumer_put(batch, &(struct store_consumer){"c", 1, 1});
        t_eq(commit(&g, batch), 0);
        rig_free(&g);
    }
}

/* Every row of statement.def fits the schema that the migrations make. */
T(every_statement_prepares)
{
    static const char *const texts[] = {
#define STATEMENT(name, text) text,
#include "store/statement.def"
#undef STATEMENT
    };
    const char *path = rig_path("statements.db");
    struct rig g = rig_new(path);
    sqlite3 *db = NULL;

    t_eq(sqlite3_open(path, &db), SQLITE_OK);
    for (size_t i = 0; i < COUNT(texts); i++) {
        sqlite3_stmt *statement = NULL;
        if (sqlite3_prepare_v2(db, texts[i], -1, &statement, NULL) != SQLITE_OK)
            t_fail(__FILE__, __LINE__, "%s: %s", texts[i], sqlite3_errmsg(db));
        sqlite3_finalize(statement);
    }
    sqlite3_close(db);
    rig_free(&g);
}

T(a_newer_schema_is_refused_and_left_alone)
{
    const char *path = rig_path("newer.db");
    struct rig g = rig_new(path);

    rig_free(&g);
    sql(path, "PRAGMA user_version = 99");
    expect_refusal(path, -ERR_UNSUPPORTED, "newer version", "restore the copy");
    sql(path, "PRAGMA user_version = 3"); /* the newest row of schema.def */
    g = rig_new(path);
    rig_free(&g);
}

T(another_programs_database_is_refused)
{
    const char *path = rig_path("foreign.db");

    sql(path, "CREATE TABLE theirs (x)");
    expect_refusal(path, -ERR_INVALID, "another program", "Move it away");
    path = rig_path("foreign-id.db");
    sql(path, "PRAGMA application_id = 1234");
    expect_refusal(path, -ERR_INVALID, "another program", "Move it away");
}

T(what_is_no_database_is_refused)
{
    char text[8192];

    memset(text, 'x', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    write_file(rig_path("text.db"), text);
    expect_refusal(rig_path("text.db"), -ERR_CORRUPT, "damaged", "backup");
    mkdir(rig_path("folder.db"), 0700);
    expect_refusal(rig_path("folder.db"), -ERR_IO, "cannot open", "Is a directory");
    mkfifo(rig_path("fifo.db"), 0600);
    expect_refusal(rig_path("fifo.db"), -ERR_INVALID, "not a regular file", "move it away");
    expect_refusal(rig_path("nowhere/x.db"), -ERR_NOT_FOUND, "folder does not exist", "Make");
}

T(a_header_overwritten_is_refused)
{
    const char *path = rig_path("header.db");
    struct rig g = rig_new(path);

    rig_free(&g);
    FILE *file = fopen(path, "r+b");
    for (int i = 0; i < 2000; i++)
        fputc(0xa5, file);
    fclose(file);
    expect_refusal(path, -ERR_CORRUPT, "damaged", "backup");
}

/* As an ordinary user, who cannot write what root can. */
T(a_place_that_cannot_be_written_is_refused)
{
    CLEAN(mem_free) char *folder = mem_string(rig_path("theirs"));
    CLEAN(mem_free) char *path = mem_format("%s/x.db", folder);
    uid_t uid = geteuid();

    chmod(t_tmpdir(), 0755);
    mkdir(folder, 0555);
    if (uid == 0 && seteuid(65534) < 0)
        t_skip("cannot become an ordinary user");
    expect_refusal(path, -ERR_DENIED, "Permission denied", "ls -ld");
    if (uid == 0) {
        t_eq(seteuid(0), 0);
        write_file(path, "");
        chmod(path, 0600);
        t_eq(seteuid(65534), 0);
        expect_refusal(path, -ERR_DENIED, "Permission denied", "ls -ld"); /* not our file */
        t_eq(seteuid(0), 0);
        t_eq(chown(path, 65534, 65534), 0);
        t_eq(seteuid(65534), 0);
        expect_refusal(path, -ERR_DENIED, "Permission denied", "ls -ld"); /* ours, the folder not */
        t_eq(seteuid(0), 0);
    }
}

T(locked_by_another_program)
{
    const char *path = rig_path("locked.db");
    struct rig g = rig_new(path);
    sqlite3 *db = NULL;

    rig_free(&g);
    t_eq(sqlite3_open(path, &db), SQLITE_OK);
    t_eq(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    g = rig_new(path);
    while (store_state(g.store) == STORE_OK)
        loop_turn(g.loop, true);
    t_eq(store_state(g.store), STORE_FAILING);
    t_has(store_state_text(g.store), "locked");
    t_has(store_state_text(g.store), "who else uses the file");
    sqlite3_close(db);
    t_eq(commit(&g, store_batch(g.store)), 0);
    t_eq(store_state(g.store), STORE_OK);
    rig_free(&g);
}
