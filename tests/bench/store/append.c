/* Durable appends to the event log with 64 in flight, against bare SQLite inserting the same rows in
 * batches of 64, both with synchronous=FULL on the same disk, in turns.
 *   bench_store_append FOLDER [SECONDS [ROUNDS]]
 * Prints one line of JSON; "replay" is the same with a reader paging through the log all the while. */
#include "base/crypto.h"
#include "base/mem.h"
#include "store/store.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT  64
#define ROUNDS_MAX 32

static const char payload[] = "{\"runId\":\"5f0c2f0e-6a2b-4c0e-9a57-1d2b8f6f7a10\",\"sessionKey\":"
                              "\"agent:main:main\",\"seq\":17,"
                              "\"state\":\"final\",\"message\":{\"role\":\"assistant\",\"content\":"
                              "[{\"type\":\"text\",\"text\":"
                              "\"The build is green again.\"}]}}";

static double seconds(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void remove_database(const char *path)
{
    for (int i = 0; i < 3; i++) {
        CLEAN(mem_free)
        char *name = mem_format("%s%s", path, (const char *[]){"", "-wal", "-shm"}[i]);
        unlink(name);
    }
}

/* ---- the floor ---- */

static void insert_batch(sqlite3 *db, sqlite3_stmt *insert, sqlite3_int64 *offset)
{
    sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
    for (int i = 0; i < IN_FLIGHT; i++) {
        sqlite3_bind_int64(insert, 1, ++*offset);
        sqlite3_bind_text(insert, 2, "chat", -1, SQLITE_STATIC);
        sqlite3_bind_text(insert, 3, "agent:main:main", -1, SQLITE_STATIC);
        sqlite3_bind_int64(insert, 4, 1);
        sqlite3_bind_int64(insert, 5, 1700000000000);
        sqlite3_bind_text(insert, 6, payload, (int)sizeof(payload) - 1, SQLITE_STATIC);
        require(sqlite3_step(insert) == SQLITE_DONE);
        sqlite3_reset(insert);
    }
    require(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL) == SQLITE_OK);
}

static double run_floor(const char *path, double length)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *insert = NULL;
    sqlite3_int64 offset = 0;

    remove_database(path);
    require(sqlite3_open(path, &db) == SQLITE_OK);
    require(
        sqlite3_exec(db,
                     "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                     "CREATE TABLE log (offset INTEGER PRIMARY KEY NOT NULL, name TEXT NOT NULL,"
                     "session_key TEXT, scopes INTEGER NOT NULL, at INTEGER NOT NULL,"
                     "payload TEXT NOT NULL) STRICT",
                     NULL, NULL, NULL) == SQLITE_OK);
    require(sqlite3_prepare_v2(db, "INSERT INTO log VALUES (?, ?, ?, ?, ?, ?)", -1, &insert,
                               NULL) == SQLITE_OK);

    double began = seconds(), now = began;
    for (; now - began < length; now = seconds())
        insert_batch(db, insert, &offset);
    sqlite3_finalize(insert);
    sqlite3_close(db);
    remove_database(path);
    return (double)offset / (now - began);
}

/* ---- the store ---- */

struct bench {
    struct loop *loop;
    struct store *store;
    struct append {
        struct op op;
        struct bench *bench;
    } appends[IN_FLIGHT];
    size_t acknowledged, running;
    struct store_log_page page;
    size_t replayed;
    bool replay, over;
};

static void append_start(struct append *append);

static void on_append(struct op *op, int result)
{
    struct append *append = CONTAINER(op, struct append, op);
    struct bench *bench = append->bench;

    require(result == 0);
    bench->acknowledged++;
    bench->running--;
    if (!bench->over)
        append_start(append);
}

static void append_start(struct append *append)
{
    struct bench *bench = append->bench;
    struct store_batch *batch = store_batch(bench->store);

    bench->running++;
    store_log_append(batch,
                     &(struct store_event){"chat", "agent:main:main", payload, 1, 1700000000000});
    op_init(&append->op, bench->loop, on_append, 0);
    store_commit(batch, &append->op);
}

static void replay_start(struct bench *bench, int64_t after);

static void on_page(struct op *op, int result)
{
    struct bench *bench = CONTAINER(CONTAINER(op, struct store_log_page, op), struct bench, page);
    int64_t next = bench->page.more ? bench->page.next : 0;

    require(result == 0);
    bench->replayed += bench->page.count;
    store_log_page_done(&bench->page);
    if (!bench->over)
        replay_start(bench, next);
}

static void replay_start(struct bench *bench, int64_t after)
{
    op_init(&bench->page.op, bench->loop, on_page, 0);
    store_log_read(bench->store, &bench->page, after, 500, 1024 * 1024);
}

static double run_store(const char *path, double length, bool replay)
{
    struct bench *bench = NEW(struct bench);
    struct fault fault;

    remove_database(path);
    bench->loop = loop_new(LOOP_REAL);
    require(store_open(bench->loop, &(struct store_config){.path = path, .log_max_rows = 100000000},
                       &bench->store, &fault) == 0);
    double began = seconds();
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        bench->appends[i].bench = bench;
        append_start(&bench->appends[i]);
    }
    if (replay)
        replay_start(bench, 0);
    while (seconds() - began < length)
        loop_turn(bench->loop, true);
    double rate = (double)bench->acknowledged / (seconds() - began);

    bench->over = true;
    while (bench->running > 0 || op_running(&bench->page.op))
        loop_turn(bench->loop, true);
    store_close(bench->store);
    loop_free(bench->loop);
    mem_free(bench);
    remove_database(path);
    return rate;
}

/* ---- turns and medians ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values, int count)
{
    qsort(values, (size_t)count, sizeof(*values), compare);
    return values[count / 2];
}

int main(int argc, char **argv)
{
    double floors[ROUNDS_MAX], plain[ROUNDS_MAX], replay[ROUNDS_MAX];
    double length = argc > 2 ? strtod(argv[2], NULL) : 1;
    long rounds = argc > 3 ? strtol(argv[3], NULL, 10) : 5;

    if (argc < 2 || rounds < 1 || rounds > ROUNDS_MAX || !(length > 0)) {
        fprintf(stderr, "usage: bench_store_append FOLDER [SECONDS [ROUNDS]]\n");
        return 2;
    }
    crypto_init();
    CLEAN(mem_free) char *path = mem_format("%s/bench-store-append.db", argv[1]);
    for (int i = 0; i < rounds; i++) {
        floors[i] = run_floor(path, length);
        plain[i] = run_store(path, length, false);
        replay[i] = run_store(path, length, true);
    }
    double f = median(floors, (int)rounds), p = median(plain, (int)rounds),
           r = median(replay, (int)rounds);
    printf("{\"bench\":\"store_append\",\"in_flight\":%d,\"payload_bytes\":%zu,"
           "\"floor_rows_per_s\":%.0f,\"rows_per_s\":%.0f,\"ratio\":%.3f,"
           "\"replay_rows_per_s\":%.0f,\"replay_ratio\":%.3f,\"bar\":0.4}\n",
           IN_FLIGHT, sizeof(payload) - 1, f, p, p / f, r, r / f);
    return 0;
}
