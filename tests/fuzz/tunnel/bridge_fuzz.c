/* Any bytes as each of a bridge's lines: what reads writes a line that reads the same. */
#include "tests/fuzz/fuzz.h"
#include "tunnel/bridge.h"

#include <string.h>

static void stream(const char *text, size_t size, struct buf *out)
{
    struct bridge_stream read, again;
    struct fault fault = {0};

    if (bridge_read_stream(text, size, &read, &fault) < 0) {
        require(fault.text[0]);
        return;
    }
    bridge_write_stream(out, read.ticket, read.service, read.from[0] ? read.from : NULL);
    require(bridge_read_stream(out->data, out->length, &again, NULL) == 0);
    require(strcmp(read.ticket, again.ticket) == 0 && read.service == again.service &&
            strcmp(read.from, again.from) == 0);
    require(!bridge_is_register(text, size));
}

static bool same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static void registering(const char *text, size_t size, struct buf *out)
{
    CLEAN(json_free) struct json *tree = NULL, *tree_again = NULL;
    struct bridge_claims read, again;

    if (bridge_read_register(text, size, &tree, &read, NULL) < 0)
        return;
    buf_clear(out);
    bridge_write_register(out, &read);
    require(bridge_read_register(out->data, out->length, &tree_again, &again, NULL) == 0);
    require(same(read.as, again.as) && same(read.address, again.address) &&
            same(read.key, again.key) && same(read.method, again.method));
}

static void offer(const char *text, size_t size, struct buf *out)
{
    struct bridge_offer read = {0}, again = {0};

    if (bridge_read_offer(text, size, &read, NULL) < 0) {
        require(!read.socket && !read.error);
        return;
    }
    buf_clear(out);
    bridge_write_offer(out, &read);
    require(bridge_read_offer(out->data, out->length, &again, NULL) == 0);
    require(same(read.socket, again.socket) && same(read.error, again.error) &&
            same(read.ticket, again.ticket));
    bridge_offer_done(&read);
    bridge_offer_done(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *text = (const char *)data;
    CLEAN(buf_done) struct buf out;
    char why[BRIDGE_ERROR_MAX];

    buf_init(&out, BRIDGE_NOISE_MAX);
    stream(text, size, &out);
    registering(text, size, &out);
    offer(text, size, &out);
    if (bridge_read_error(text, size, why))
        require(strlen(why) < sizeof(why) && !strchr(why, '\n'));
    return 0;
}
