/* What the tunnel's thread tells and the owner reads, without a lock: the newest status in one of three slots (the
 * writer's, the reader's, the one between), and counters of their own, because they change with every byte. One
 * writer thread, one reader thread. */
#pragma once

#include "tunnel/tunnel.h"

#include <stdatomic.h>

struct board {
    struct tunnel_status slots[3];
    _Atomic unsigned middle; /* a slot; BOARD_FRESH when the reader has not had it */
    unsigned back, front;    /* the writer's slot, the reader's */

    _Atomic uint64_t bytes_in, bytes_out, streams_total;
    _Atomic uint32_t streams, held;
};

void board_init(struct board *board, const struct tunnel_status *first);
void board_write(struct board *board, const struct tunnel_status *status); /* the writer's thread */
void board_read(struct board *board, struct tunnel_status *ret);           /* the reader's */

/* One writer: no read-modify-write is needed. The writer's thread. */
#define board_add(counter, amount)                                                                 \
    atomic_store_explicit(&(counter),                                                              \
                          atomic_load_explicit(&(counter), memory_order_relaxed) + (amount),       \
                          memory_order_relaxed)
#define board_get(counter) atomic_load_explicit(&(counter), memory_order_relaxed)
