/* Server-sent events: whatever comes, however it is cut, the same events come out and nothing breaks.
 * The first byte says how large the pieces are. */
#include "tests/fuzz/fuzz.h"

#include "base/buf.h"
#include "gateway/model/sse.h"

#include <string.h>

static int on_event(void *arg, const char *name, const char *data, size_t length)
{
    struct buf *log = arg;

    require(data[length] == '\0');
    buf_addf(log, "%zu:", strlen(name));
    buf_add(log, data, length);
    buf_add_char(log, '\n');
    return 0;
}

static void feed(const char *text, size_t length, size_t piece, struct buf *log)
{
    struct sse sse;
    int r = 0;

    sse_init(&sse, on_event, log);
    for (size_t at = 0; r == 0 && at < length; at += piece)
        r = sse_feed(&sse, text + at, length - at < piece ? length - at : piece);
    if (r == 0)
        r = sse_finish(&sse);
    require(r == 0);
    sse_done(&sse);
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
    require(whole.length == cut.length);
    require(whole.length == 0 || memcmp(whole.data, cut.data, whole.length) == 0);
    buf_done(&whole);
    buf_done(&cut);
    return 0;
}
