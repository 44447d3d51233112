/* The floor of start and memory: a program that links and initialises the gateway's libraries and does
 * nothing with them. Prints "ready" and waits until its stdin ends. */
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <libwebsockets.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>
#include <uv.h>

#define FILES_MAX 8192

/* As the gateway opens it without TLS: its trust store alone would cost 35 ms and much memory. */
static struct lws_context *open_websockets(uv_loop_t *loop)
{
    void *loops[] = {loop};
    struct rlimit files = {.rlim_cur = FILES_MAX, .rlim_max = FILES_MAX}; /* its tables follow it */
    struct lws_context_creation_info info = {
        .port = CONTEXT_PORT_NO_LISTEN,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_EXPLICIT_VHOSTS,
        .foreign_loops = loops,
    };

    lws_set_log_level(LLL_ERR, NULL);
    setrlimit(RLIMIT_NOFILE, &files);
    return lws_create_context(&info);
}

static int open_database(const char *path, sqlite3 **db)
{
    if (sqlite3_open(path, db) != SQLITE_OK)
        return -1;
    return sqlite3_exec(*db,
                        "PRAGMA journal_mode=WAL; CREATE TABLE IF NOT EXISTS t(x); SELECT 1 FROM t",
                        NULL, NULL, NULL);
}

int main(int argc, char **argv)
{
    uv_loop_t loop;
    sqlite3 *db = NULL;
    char end;

    if (argc != 2 || sodium_init() < 0 || uv_loop_init(&loop) < 0 ||
        curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return 1;
    CURLM *multi = curl_multi_init();
    cJSON *json = cJSON_Parse("{}");
    struct lws_context *context = open_websockets(&loop);
    if (!multi || !json || !context || open_database(argv[1], &db) != 0)
        return 1;
    uv_run(&loop, UV_RUN_NOWAIT);
    puts("ready");
    fflush(stdout);
    return read(0, &end, 1) < 0;
}
