/* The board: the newest status is read whole, from another thread, without a lock. */
#include "tests/t.h"
#include "tunnel/board.h"

#include <pthread.h>

static void *write_many(void *arg)
{
    struct board *board = arg;
    struct tunnel_status status = {0};

    for (uint64_t i = 1; i <= 20000; i++) {
        status.reconnects = i;
        snprintf(status.last_error, sizeof status.last_error, "%llu", (unsigned long long)i);
        board_write(board, &status);
        board_add(board->bytes_in, 2u);
    }
    return NULL;
}

T(what_is_read_is_whole_and_never_older_than_before)
{
    static struct board board;
    struct tunnel_status status = {0};
    pthread_t thread;
    uint64_t last = 0;

    snprintf(status.last_error, sizeof status.last_error, "0");
    board_init(&board, &status);
    t_eq(pthread_create(&thread, NULL, write_many, &board), 0);
    while (last < 20000) {
        char expected[32];
        board_read(&board, &status);
        snprintf(expected, sizeof expected, "%llu", (unsigned long long)status.reconnects);
        if (strcmp(expected, status.last_error) != 0 || status.reconnects < last) {
            t_str(status.last_error, expected);
            break;
        }
        last = status.reconnects;
    }
    t_eq(pthread_join(thread, NULL), 0);
    board_read(&board, &status);
    t_eq(status.reconnects, 20000);
    t_eq(status.bytes_in, 40000);
}
