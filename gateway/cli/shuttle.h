/* Bytes between two connected, non-blocking sockets, both ways, until both have ended or one has failed. Loop
 * thread only. */
#pragma once

#include "base/io/loop.h"

#define SHUTTLE_ROOM 65536 /* per direction; a full one stops the reading */

struct shuttle;
/* Takes both descriptors. ended is called once, not from inside a shuttle_* call; free it then or at any other time. */
struct shuttle *shuttle_new(struct loop *loop, int a, int b, void (*ended)(void *arg), void *arg)
    MUSTCHECK;
struct shuttle *shuttle_free(struct shuttle *shuttle); /* NULL ok */
