/* The daemon's bus: one long answer, a JSON object per line. */
#include "base/mem.h"
#include "tunnel/tailnet/call.h"

#include <stdio.h>
#include <string.h>

#define LINE_MAX_BYTES (4u << 20)

struct bus {
    struct op *op;
    void (*each)(void *arg, const struct json *notify);
    void *arg;
    struct buf line;
    bool *gone; /* set where each() is being called: the watch went inside */
};

static void bus_free(void *arg)
{
    struct bus *bus = arg;

    if (bus->gone)
        *bus->gone = true;
    buf_done(&bus->line);
    mem_free(bus);
}

/* One line is whole. Negative: the watch ends, or has gone. */
static int on_line(struct bus *bus)
{
    struct fault why = {0};
    bool gone = false;

    CLEAN(json_free) struct json *notify = json_parse(bus->line.data, bus->line.length, &why);
    if (!notify || json_kind(notify) != JSON_OBJECT)
        return fault_set(&bus->op->fault, -ERR_CORRUPT,
                         "tailscaled's bus said something that is no JSON object: %s",
                         notify ? json_kind_name(json_kind(notify)) : why.text);
    buf_clear(&bus->line);
    bus->gone = &gone;
    bus->each(bus->arg, notify);
    if (gone)
        return -ERR_CANCELLED;
    bus->gone = NULL;
    return 0;
}

static int on_data(void *arg, const char *data, size_t length)
{
    struct bus *bus = arg;

    while (length > 0) {
        const char *end = memchr(data, '\n', length);
        size_t part = end ? (size_t)(end - data) : length;

        buf_add(&bus->line, data, part);
        if (bus->line.bad)
            return fault_set(&bus->op->fault, -ERR_TOO_LARGE,
                             "tailscaled's bus sent a line of more than %u bytes", LINE_MAX_BYTES);
        int r = end && bus->line.length > 0 ? on_line(bus) : 0;
        if (r < 0)
            return r;
        part += end != NULL;
        data += part;
        length -= part;
    }
    return 0;
}

void tailnet_watch(struct tailnet *tailnet, struct op *op, unsigned mask,
                   void (*each)(void *arg, const struct json *notify), void *arg)
{
    struct bus *bus = NEW(struct bus);
    char path[64];

    bus->op = op;
    bus->each = each;
    bus->arg = arg;
    buf_init(&bus->line, LINE_MAX_BYTES);
    snprintf(path, sizeof(path), "watch-ipn-bus?mask=%u", mask);
    call_start(tailnet, op,
               &(struct call_spec){.method = "GET",
                                   .path = path,
                                   .what = "its bus",
                                   .data = on_data,
                                   .arg = bus,
                                   .release = bus_free});
}
