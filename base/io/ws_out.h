/* A connection's output queue: whole messages by reference, turned into WebSocket frames on their way
 * out (RFC 6455 section 5.2). Pure: no socket, no loop. */
#pragma once

#include "base/buf.h"

enum ws_opcode { WS_CONTINUATION = 0, WS_TEXT = 1, WS_BINARY = 2, WS_CLOSE = 8, WS_PING = 9 };

#define WS_FRAME_HEAD_MAX 14 /* two bytes, eight of length, four of mask */

/* Zeroed is empty; nothing is allocated until the first push and nothing stays after the last byte. */
struct ws_out {
    char *records; /* struct record after record */
    uint32_t at, end, room;
    size_t queued;           /* payload bytes not yet taken */
    uint32_t pushed, popped; /* messages ever; they wrap */
};

void ws_out_done(struct ws_out *out);
/* head is copied, tail (NULL allowed) is referenced. Control frames take at most 125 bytes. */
void ws_out_push(struct ws_out *out, enum ws_opcode opcode, const void *head, size_t head_length,
                 struct bytes *tail);
static inline bool ws_out_empty(const struct ws_out *out)
{
    return out->at == out->end;
}

/* One frame's worth of the first message: at most max payload bytes into `to`. */
struct ws_piece {
    size_t length;
    enum ws_opcode opcode; /* WS_CONTINUATION unless it begins a message */
    bool final;
};
struct ws_piece ws_out_take(struct ws_out *out, void *to, size_t max);

/* Fills `to` with as many whole frames as fit and returns their length. A message that does not fit
 * into an empty batch is cut into fragments, so that a control frame of the library's own always
 * finds a frame boundary. mask: client frames (a key for each from crypto_random). room >= 4096. */
size_t ws_out_fill(struct ws_out *out, uint8_t *to, size_t room, bool mask);
/* Payload bytes of the first message that have not left; the queue is not empty. */
size_t ws_out_first_length(const struct ws_out *out);
enum ws_opcode ws_out_first_opcode(const struct ws_out *out);

/* One whole text frame made at once, past the queue; returns its length, at most WS_FRAME_HEAD_MAX more
 * than the payload's. */
size_t ws_out_frame(uint8_t *to, const void *head, size_t head_length, const struct bytes *tail,
                    bool mask);
