/* Three slots and one exchange: the writer fills its own and swaps it with the middle one, the reader swaps the middle
 * one with its own when it is fresh. Neither ever waits, neither sees half of anything. */
#include "tunnel/board.h"

#define BOARD_FRESH 4u
#define BOARD_SLOT  3u

void board_init(struct board *board, const struct tunnel_status *first)
{
    for (size_t i = 0; i < COUNT(board->slots); i++)
        board->slots[i] = *first;
    board->back = 0;
    board->front = 1;
    atomic_init(&board->middle, 2u);
}

void board_write(struct board *board, const struct tunnel_status *status)
{
    board->slots[board->back] = *status;
    unsigned old =
        atomic_exchange_explicit(&board->middle, board->back | BOARD_FRESH, memory_order_acq_rel);
    board->back = old & BOARD_SLOT;
}

void board_read(struct board *board, struct tunnel_status *ret)
{
    if (atomic_load_explicit(&board->middle, memory_order_acquire) & BOARD_FRESH) {
        unsigned old = atomic_exchange_explicit(&board->middle, board->front, memory_order_acq_rel);
        board->front = old & BOARD_SLOT;
    }
    *ret = board->slots[board->front];
    ret->bytes_in = board_get(board->bytes_in);
    ret->bytes_out = board_get(board->bytes_out);
    ret->streams_total = board_get(board->streams_total);
    ret->streams = board_get(board->streams);
    ret->held = board_get(board->held);
}
