/* Channels of ssh/session.h that do what the test says, in place of the real ones: this test defines the functions, so
 * the linker takes no others. Included by exactly one file of a program. */
#pragma once

#include "base/mem.h"
#include "tests/t.h"
#include "tunnel/ssh/session.h"

#define DOUBLES_MAX 2200

struct ssh {
    int number;
};
struct ssh_channel {
    struct ssh *ssh;
    struct ssh_channel_events events;
    void *arg;
    enum ssh_channel_kind kind;
    struct buf taken; /* what we wrote to it */
    size_t room;      /* it takes so much more */
    bool ended, dropped, resumed;
};
static struct ssh_channel *channels[DOUBLES_MAX]; /* in the order they were opened */
static size_t channel_count;
static size_t channel_room = SIZE_MAX; /* of new ones */

struct ssh_channel *ssh_channel_open(struct ssh *ssh, const struct ssh_channel_spec *spec,
                                     const struct ssh_channel_events *events, void *arg)
{
    struct ssh_channel *channel = NEW(struct ssh_channel);

    require(channel_count < DOUBLES_MAX);
    channel->ssh = ssh;
    channel->events = *events;
    channel->arg = arg;
    channel->kind = spec->kind;
    channel->room = channel_room;
    buf_init(&channel->taken, 64u << 20);
    return channels[channel_count++] = channel;
}
void ssh_channel_take(struct ssh_channel *channel, const struct ssh_channel_events *events,
                      void *arg)
{
    channel->events = *events;
    channel->arg = arg;
}
size_t ssh_channel_write(struct ssh_channel *channel, const void *data, size_t length)
{
    size_t n = length < channel->room ? length : channel->room;

    t_ok(!channel->dropped && !channel->ended);
    buf_add(&channel->taken, data, n);
    channel->room -= n;
    return n;
}
void ssh_channel_resume(struct ssh_channel *channel)
{
    t_ok(!channel->dropped);
    channel->resumed = true;
}
void ssh_channel_end(struct ssh_channel *channel)
{
    t_ok(!channel->dropped && !channel->ended);
    channel->ended = true;
}
struct ssh_channel *ssh_channel_drop(struct ssh_channel *channel)
{
    if (channel) {
        t_ok(!channel->dropped);
        channel->dropped = true;
    }
    return NULL;
}

static inline struct ssh_channel *channel_newest(void)
{
    return channel_count > 0 ? channels[channel_count - 1] : NULL;
}
static inline void channel_opened(struct ssh_channel *channel, int result, const char *text)
{
    struct fault why;

    fault_set(&why, result, "%s", text ? text : "");
    t_ok(!channel->dropped);
    channel->events.opened(channel->arg, result, result < 0 ? &why : NULL);
}
static inline void channel_closed(struct ssh_channel *channel, int status, const char *text)
{
    struct fault why;

    fault_set(&why, -ERR_CLOSED, "%s", text ? text : "");
    t_ok(!channel->dropped);
    channel->events.closed(channel->arg, status, text ? &why : NULL);
}
static inline void channels_forget(void)
{
    for (size_t i = 0; i < channel_count; i++) {
        t_ok(channels[i]->dropped);
        buf_done(&channels[i]->taken);
        mem_free(channels[i]);
    }
    channel_count = 0;
    channel_room = SIZE_MAX;
}
