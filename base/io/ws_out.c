/* The output queue and the framing. Lives here: the record list of one connection, and the frames made
 * from it, each once, straight into the batch that the caller writes.
 *
 * A record holds its head inline and its tail by reference; records lie one after the other in one
 * block that is freed when the queue runs empty (an idle connection owns none). */
#include "base/io/ws_out.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <string.h>

/* A message is cut to fill what is left of a batch only where that is worth a frame of its own. */
#define CUT_MIN 4096

struct record {
    uint32_t size; /* of the whole record, a multiple of 8 */
    uint32_t head_length;
    struct bytes *tail;
    uint32_t taken; /* payload bytes that have left */
    uint8_t opcode;
    bool begun; /* a fragment has left: the rest are continuations */
    char head[];
};

static struct record *first_record(const struct ws_out *out)
{
    return (struct record *)(void *)(out->records + out->at);
}

static size_t record_length(const struct record *r)
{
    return (size_t)r->head_length + (r->tail ? r->tail->length : 0);
}

size_t ws_out_first_length(const struct ws_out *out)
{
    const struct record *r = first_record(out);
    return record_length(r) - r->taken;
}

enum ws_opcode ws_out_first_opcode(const struct ws_out *out)
{
    return (enum ws_opcode)first_record(out)->opcode;
}

static void drop_first(struct ws_out *out)
{
    struct record *r = first_record(out);

    bytes_unref(r->tail);
    out->at += r->size;
    out->popped++;
    if (out->at < out->end)
        return;
    out->records = mem_free(out->records);
    out->at = out->end = out->room = 0;
}

void ws_out_done(struct ws_out *out)
{
    while (!ws_out_empty(out))
        drop_first(out);
    out->queued = 0;
}

static void make_room(struct ws_out *out, uint32_t size)
{
    if (out->room - out->end >= size)
        return;
    if (out->at > 0 && out->at >= out->end / 2) {
        memmove(out->records, out->records + out->at, out->end - out->at);
        out->end -= out->at;
        out->at = 0;
    }
    if (out->room - out->end >= size)
        return;
    uint32_t room = out->room ? out->room : 512;
    while (room - out->end < size)
        room *= 2;
    out->records = mem_grow(out->records, room, 1);
    out->room = room;
}

void ws_out_push(struct ws_out *out, enum ws_opcode opcode, const void *head, size_t head_length,
                 struct bytes *tail)
{
    uint32_t size = (uint32_t)((sizeof(struct record) + head_length + 7) & ~(size_t)7);

    make_room(out, size);
    struct record *r = (struct record *)(void *)(out->records + out->end);
    r->size = size;
    r->head_length = (uint32_t)head_length;
    r->tail = tail ? bytes_ref(tail) : NULL;
    r->taken = 0;
    r->opcode = (uint8_t)opcode;
    r->begun = false;
    if (head_length)
        memcpy(r->head, head, head_length);
    out->end += size;
    out->pushed++;
    out->queued += record_length(r);
}

/* Copies payload bytes from..from+length of the record. */
static void record_copy(const struct record *r, size_t from, char *to, size_t length)
{
    if (from < r->head_length) {
        size_t part = r->head_length - from;
        if (part > length)
            part = length;
        memcpy(to, r->head + from, part);
        to += part;
        from += part;
        length -= part;
    }
    if (length)
        memcpy(to, r->tail->data + (from - r->head_length), length);
}

struct ws_piece ws_out_take(struct ws_out *out, void *to, size_t max)
{
    struct record *r = first_record(out);
    size_t left = record_length(r) - r->taken;
    struct ws_piece piece = {
        .length = left < max ? left : max,
        .opcode = r->begun ? WS_CONTINUATION : (enum ws_opcode)r->opcode,
        .final = left <= max,
    };

    record_copy(r, r->taken, to, piece.length);
    r->taken += (uint32_t)piece.length;
    r->begun = true;
    out->queued -= piece.length;
    if (piece.final)
        drop_first(out);
    return piece;
}

/* Writes the header for a payload of length bytes; returns its size. */
static size_t frame_head(uint8_t *to, bool final, enum ws_opcode opcode, size_t length, bool mask)
{
    uint8_t bit = mask ? 0x80 : 0;
    size_t size = 2;

    to[0] = (uint8_t)((final ? 0x80u : 0u) | (unsigned)opcode);
    if (length < 126) {
        to[1] = (uint8_t)(bit | length);
        return size;
    }
    unsigned wide = length < 65536 ? 2 : 8;
    to[1] = (uint8_t)(bit | (wide == 2 ? 126u : 127u));
    for (unsigned i = 0; i < wide; i++)
        to[size++] = (uint8_t)(length >> (8 * (wide - 1 - i)));
    return size;
}

static size_t frame_head_size(size_t length, bool mask)
{
    return (length < 126 ? 2u : length < 65536 ? 4u : 10u) + (mask ? 4u : 0u);
}

static void mask_payload(uint8_t *data, size_t length, const uint8_t key[4])
{
    uint64_t wide;
    uint8_t twice[8];

    memcpy(twice, key, 4);
    memcpy(twice + 4, key, 4);
    memcpy(&wide, twice, 8);
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t word;
        memcpy(&word, data + i, 8);
        word ^= wide;
        memcpy(data + i, &word, 8);
    }
    for (; i < length; i++)
        data[i] ^= key[i & 3];
}

/* How much payload of the first message goes into a frame when `room` bytes of the batch are left;
 * false: none, the batch is full. */
static bool piece_fits(const struct ws_out *out, size_t room, bool batch_empty, bool mask,
                       size_t *ret_max)
{
    const struct record *r = first_record(out);
    size_t left = record_length(r) - r->taken;

    *ret_max = left;
    if (left + frame_head_size(left, mask) <= room)
        return true;
    if (r->opcode >= WS_CLOSE || (!batch_empty && room < CUT_MIN))
        return false;
    *ret_max = room - WS_FRAME_HEAD_MAX;
    return true;
}

size_t ws_out_fill(struct ws_out *out, uint8_t *to, size_t room, bool mask)
{
    size_t filled = 0, max;

    while (!ws_out_empty(out) && piece_fits(out, room - filled, filled == 0, mask, &max)) {
        size_t head = frame_head_size(max, mask);
        uint8_t *frame = to + filled;
        struct ws_piece piece = ws_out_take(out, frame + head, max);

        size_t at = frame_head(frame, piece.final, piece.opcode, piece.length, mask);
        if (mask) {
            crypto_random(frame + at, 4);
            mask_payload(frame + head, piece.length, frame + at);
        }
        filled += head + piece.length;
    }
    return filled;
}

size_t ws_out_frame(uint8_t *to, const void *head, size_t head_length, const struct bytes *tail,
                    bool mask)
{
    size_t tail_length = tail ? tail->length : 0, length = head_length + tail_length;
    size_t at = frame_head_size(length, mask);
    size_t key = frame_head(to, true, WS_TEXT, length, mask);

    if (head_length)
        memcpy(to + at, head, head_length);
    if (tail_length)
        memcpy(to + at + head_length, tail->data, tail_length);
    if (mask) {
        crypto_random(to + key, 4);
        mask_payload(to + at, length, to + key);
    }
    return at + length;
}
