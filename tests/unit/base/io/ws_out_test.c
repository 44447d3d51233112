/* The output queue and its framing, without a socket. */
#include "base/crypto.h"
#include "base/io/ws_out.h"
#include "base/mem.h"
#include "tests/t.h"

#define ROOM 4096

/* Takes the queue apart as a peer would: unmasks, joins fragments, checks every header. */
struct reader {
    struct buf message;
    size_t messages, frames, largest;
    char last[64];
    uint8_t opcode;
};

static void read_frames(struct reader *r, const uint8_t *data, size_t length, bool masked)
{
    size_t at = 0;

    while (at < length) {
        bool final = data[at] & 0x80;
        uint8_t opcode = data[at] & 0x0f;
        t_eq(data[at] & 0x70, 0);
        t_eq(data[at + 1] & 0x80, masked ? 0x80 : 0);
        size_t size = data[at + 1] & 0x7f, wide = size == 126 ? 2 : size == 127 ? 8 : 0;
        at += 2;
        if (wide)
            size = 0;
        for (size_t i = 0; i < wide; i++)
            size = size << 8 | data[at++];
        t_ok(wide != 2 || size >= 126);
        t_ok(wide != 8 || size >= 65536);
        uint8_t key[4] = {0};
        if (masked) {
            memcpy(key, data + at, 4);
            at += 4;
        }
        t_eq(r->message.length == 0 || opcode == WS_CONTINUATION || opcode >= WS_CLOSE, 1);
        if (opcode != WS_CONTINUATION)
            r->opcode = opcode;
        for (size_t i = 0; i < size; i++)
            buf_add_char(&r->message, (char)(data[at + i] ^ key[i & 3]));
        at += size;
        r->frames++;
        if (!final)
            continue;
        r->messages++;
        if (r->message.length > r->largest)
            r->largest = r->message.length;
        size_t kept = r->message.length < sizeof(r->last) ? r->message.length : sizeof(r->last) - 1;
        if (kept)
            memcpy(r->last, r->message.data, kept);
        r->last[kept] = '\0';
        buf_clear(&r->message);
    }
    t_eq(at, length);
}

static void drain(struct ws_out *out, struct reader *r, bool masked)
{
    uint8_t batch[ROOM];
    size_t n;

    while ((n = ws_out_fill(out, batch, ROOM, masked)) > 0) {
        t_ok(n <= ROOM);
        read_frames(r, batch, n, masked);
    }
    t_ok(ws_out_empty(out));
    t_eq(out->queued, 0);
    t_ok(out->records == NULL);
}

static void sizes(bool masked)
{
    static const size_t lengths[] = {0,    1,    125,  126,  127,  4000, 4081,
                                     4082, 4083, 4084, 4096, 9000, 70000};
    struct reader r = {0};
    struct ws_out out = {0};
    CLEAN(mem_free) char *text = mem_array(70000, 1);

    buf_init(&r.message, 1 << 20);
    for (size_t i = 0; i < 70000; i++)
        text[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < COUNT(lengths); i++) {
        size_t head = lengths[i] / 3;
        CLEAN(bytes_unref) struct bytes *tail = bytes_new(text + head, lengths[i] - head);
        ws_out_push(&out, WS_TEXT, text, head, tail);
        if (i % 3 == 0)
            drain(&out, &r, masked);
    }
    drain(&out, &r, masked);
    t_eq(r.messages, COUNT(lengths));
    t_eq(r.largest, 70000);
    t_eq(r.opcode, WS_TEXT);
    buf_done(&r.message);
}

T(every_size_is_framed_whole)
{
    sizes(false);
}

T(client_frames_are_masked)
{
    t_eq(crypto_init(), 0);
    sizes(true);
}

T(tails_are_shared_and_let_go)
{
    struct ws_out a = {0}, b = {0};
    struct bytes *tail = bytes_new("shared", 6);
    struct reader r = {0};

    buf_init(&r.message, 1 << 20);
    ws_out_push(&a, WS_TEXT, "1:", 2, tail);
    ws_out_push(&b, WS_TEXT, "2:", 2, tail);
    t_eq(tail->refs, 3);
    t_eq(a.queued, 8);
    drain(&a, &r, false);
    t_str(r.last, "1:shared");
    ws_out_done(&b);
    t_eq(tail->refs, 1);
    t_eq(b.queued, 0);
    bytes_unref(tail);
    buf_done(&r.message);
}

T(many_small_ones_share_a_batch_in_order)
{
    struct ws_out out = {0};
    uint8_t batch[ROOM];
    char text[32];

    for (int i = 0; i < 1000; i++)
        ws_out_push(&out, WS_TEXT, text, (size_t)snprintf(text, sizeof(text), "message %d", i),
                    NULL);
    struct reader r = {0};
    buf_init(&r.message, 1 << 20);
    size_t n = ws_out_fill(&out, batch, ROOM, false);
    t_ok(n > ROOM - 32);
    read_frames(&r, batch, n, false);
    t_ok(r.messages > 250);
    drain(&out, &r, false);
    t_eq(r.messages, 1000);
    t_str(r.last, "message 999");
    buf_done(&r.message);
}

T(a_close_comes_last_and_whole)
{
    struct ws_out out = {0};
    struct reader r = {0};
    CLEAN(mem_free) char *text = mem_array(4075, 1);

    memset(text, 'x', 4075);
    buf_init(&r.message, 1 << 20);
    ws_out_push(&out, WS_TEXT, text, 4075, NULL);
    ws_out_push(&out, WS_CLOSE,
                "\x03\xe8"
                "going away for a while",
                24, NULL);
    drain(&out, &r, false);
    t_eq(r.messages, 2);
    t_eq(r.frames, 2);
    t_eq(r.opcode, WS_CLOSE);
    buf_done(&r.message);
}
