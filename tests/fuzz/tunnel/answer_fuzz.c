/* HTTP answers: however they are cut, the same comes out; what is eaten is never more than what came, and an answer
 * that is over takes nothing more. The first byte says how large the pieces are. */
#include "tests/fuzz/fuzz.h"

#include "tunnel/tailnet/answer.h"

#include <string.h>

static int on_body(void *arg, const char *data, size_t length)
{
    buf_add(arg, data, length);
    return 0;
}

/* What came of it, as text. */
static void feed(const char *text, size_t length, size_t piece, struct buf *out)
{
    struct answer answer;
    struct fault fault = {0};
    size_t at = 0;
    ssize_t n = 0;

    answer_init(&answer, on_body, out);
    while (at < length && n >= 0 && !answer_over(&answer)) {
        size_t part = length - at < piece ? length - at : piece;
        n = answer_feed(&answer, text + at, part, &fault);
        require(n <= (ssize_t)part && (n < 0 || (size_t)n == part || answer_over(&answer)));
        at += n > 0 ? (size_t)n : 0;
    }
    require(n >= 0 || fault.code == n);
    require(!answer_over(&answer) || answer_feed(&answer, "x", 1, &fault) == 0);
    int r = n < 0 ? (int)n : answer_finish(&answer, &fault);
    /* A refusal keeps what came before it, and pieces of a body come as they come. */
    buf_addf(out, "|%d|%d|%s|%s", r, answer.head.status, answer.head.type, answer.head.etag);
    if (r == 0)
        buf_addf(out, "|%zu", at);
    answer_done(&answer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf whole, cut;

    if (size < 2)
        return 0;
    buf_init(&whole, 64u << 20);
    buf_init(&cut, 64u << 20);
    feed((const char *)data + 1, size - 1, size, &whole);
    feed((const char *)data + 1, size - 1, (size_t)data[0] + 1, &cut);
    require(whole.length == cut.length && memcmp(whole.data, cut.data, whole.length) == 0);
    buf_done(&whole);
    buf_done(&cut);
    return 0;
}
