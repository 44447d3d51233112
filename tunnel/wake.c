/* Clocks: CLOCK_MONOTONIC stands still while the machine sleeps, wall time and CLOCK_BOOTTIME do not; each tick compares
 * how far they have moved. Network: rtnetlink tells of addresses and routes (Linux; elsewhere the clocks and the session's
 * own liveness remain). */
#include "tunnel/wake.h"

#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#endif

struct wake {
    struct loop *loop;
    loop_fn *woke, *tick;
    void *arg;
    struct timer clock, settle;
    int64_t monotonic, wall, boot; /* ms, at the last tick */
    int fd;
    struct watch *watch;
};

static int64_t wake_clock(clockid_t id)
{
    struct timespec ts;

    if (clock_gettime(id, &ts) < 0)
        return 0;
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static bool wake_jumped(int64_t passed, int64_t monotonic)
{
    int64_t difference = passed - monotonic;
    return difference > WAKE_JUMP_MS || difference < -WAKE_JUMP_MS;
}

static void wake_look(struct wake *wake)
{
    wake->monotonic = wake_clock(CLOCK_MONOTONIC);
    wake->wall = wake_clock(CLOCK_REALTIME);
#ifdef CLOCK_BOOTTIME
    wake->boot = wake_clock(CLOCK_BOOTTIME);
#else
    wake->boot = wake->monotonic;
#endif
}

static void wake_on_tick(void *arg)
{
    struct wake *wake = arg;
    struct wake before = *wake;

    wake_look(wake);
    int64_t passed = wake->monotonic - before.monotonic;
    if (wake->tick)
        wake->tick(wake->arg);
    /* A late tick: the process was stopped, or the machine was (a container's clocks all go on). */
    if (wake_jumped(wake->wall - before.wall, passed) ||
        wake_jumped(wake->boot - before.boot, passed) || wake_jumped(passed, WAKE_TICK_MS))
        wake->woke(wake->arg);
}

#ifdef __linux__
static void wake_on_settled(void *arg)
{
    struct wake *wake = arg;
    wake->woke(wake->arg);
}

static bool wake_matters(const struct nlmsghdr *message)
{
    return message->nlmsg_type == RTM_NEWADDR || message->nlmsg_type == RTM_DELADDR ||
           message->nlmsg_type == RTM_NEWROUTE || message->nlmsg_type == RTM_DELROUTE;
}

static void wake_on_netlink(void *arg, int events)
{
    struct wake *wake = arg;
    _Alignas(struct nlmsghdr) char chunk[8192];
    bool changed = false;

    (void)events;
    for (;;) {
        ssize_t n = recv(wake->fd, chunk, sizeof chunk, MSG_DONTWAIT);
        if (n <= 0) {
            changed = changed || (n < 0 && errno == ENOBUFS); /* more than the kernel kept for us */
            break;
        }
        unsigned left = (unsigned)n;
        for (struct nlmsghdr *m = (void *)chunk; NLMSG_OK(m, left); m = NLMSG_NEXT(m, left))
            changed = changed || wake_matters(m);
    }
    if (changed && !timer_running(&wake->settle))
        timer_start(wake->loop, &wake->settle, WAKE_SETTLE_MS, 0, wake_on_settled, wake);
}

static void wake_listen(struct wake *wake)
{
    struct sockaddr_nl address = {.nl_family = AF_NETLINK,
                                  .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR |
                                               RTMGRP_IPV4_ROUTE | RTMGRP_IPV6_ROUTE};

    wake->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (wake->fd < 0)
        return; /* not allowed here: the clocks remain */
    if (bind(wake->fd, (struct sockaddr *)&address, sizeof address) < 0) {
        (void)close(wake->fd);
        wake->fd = -1;
        return;
    }
    wake->watch = watch_new(wake->loop, wake->fd, POLLIN, wake_on_netlink, wake);
}
#else
static void wake_listen(struct wake *wake)
{
    (void)wake;
}
#endif

struct wake *wake_new(struct loop *loop, loop_fn *woke, loop_fn *tick, void *arg)
{
    struct wake *wake = NEW(struct wake);

    wake->loop = loop;
    wake->woke = woke;
    wake->tick = tick;
    wake->arg = arg;
    wake->fd = -1;
    wake_look(wake);
    timer_start(loop, &wake->clock, WAKE_TICK_MS, WAKE_TICK_MS, wake_on_tick, wake);
    wake_listen(wake);
    return wake;
}

struct wake *wake_free(struct wake *wake)
{
    if (!wake)
        return NULL;
    timer_stop(wake->loop, &wake->clock);
    timer_stop(wake->loop, &wake->settle);
    watch_free(wake->watch);
    if (wake->fd >= 0)
        (void)close(wake->fd);
    return mem_free(wake);
}
