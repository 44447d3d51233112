/* The floor of start and memory: a program that links and initialises the gateway's libraries and does
 * nothing with them. Prints "ready" and waits until its stdin ends. */
#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <libwebsockets.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <unistd.h>
#include <uv.h>

static int on_event(struct lws *wsi, enum lws_callback_reasons reason, void *user, void *in,
                    size_t len)
{
    return lws_callback_http_dummy(wsi, reason, user, in, len);
}

static struct lws_context *open_websockets(uv_loop_t *loop)
{
    static const struct lws_protocols protocols[] = {{.name = "ws", .callback = on_event}, {0}};
    void *loops[] = {loop};
    struct lws_context_creation_info info = {
        .port = 0,
        .iface = "127.0.0.1",
        .protocols = protocols,
        .options = LWS_SERVER_OPTION_LIBUV | LWS_SERVER_OPTION_DO_SSL_GLOBAL_INIT,
        .foreign_loops = loops,
    };

    lws_set_log_level(LLL_ERR, NULL);
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
