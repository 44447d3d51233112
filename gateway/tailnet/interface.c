/* Looking at interfaces (getifaddrs) and hearing of their addresses (rtnetlink). Owns the netlink socket. */
#include "gateway/tailnet/interface.h"

#include "base/mem.h"

#include <ifaddrs.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SETTLE_MS 100

static bool address_of(const struct ifaddrs *entry, struct address *ret)
{
    struct sockaddr_storage socket = {0};
    uint16_t port;

    if (!entry->ifa_addr)
        return false;
    socklen_t length = entry->ifa_addr->sa_family == AF_INET    ? sizeof(struct sockaddr_in)
                       : entry->ifa_addr->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                                                : 0;
    memcpy(&socket, entry->ifa_addr, length);
    return length > 0 && address_from_socket(&socket, ret, &port) && address_is_tailnet(ret);
}

static bool is_daemons(const struct ifaddrs *list, const char *name)
{
    struct address address;

    if (strncmp(name, "tailscale", 9) == 0)
        return true;
    for (const struct ifaddrs *i = list; i; i = i->ifa_next)
        if (strcmp(i->ifa_name, name) == 0 && address_of(i, &address) && address.v6)
            return true;
    return false;
}

size_t interface_addresses(char out[][ADDRESS_TEXT], size_t max)
{
    struct ifaddrs *list = NULL;
    struct address address;
    size_t count = 0;

    if (getifaddrs(&list) < 0)
        return 0;
    for (const struct ifaddrs *i = list; i && count < max; i = i->ifa_next)
        if (address_of(i, &address) && is_daemons(list, i->ifa_name))
            address_text(&address, out[count++]);
    freeifaddrs(list);
    return count;
}

/* ---- word of changes ---- */

struct interface_watch {
    struct loop *loop;
    int fd;
    struct watch *watch;
    struct timer settle;
    loop_fn *fn;
    void *arg;
};

/* What exactly changed does not matter: everything is looked at again. */
static void on_readable(void *arg, int events)
{
    struct interface_watch *watch = arg;
    char scrap[4096];

    (void)events;
    while (recv(watch->fd, scrap, sizeof(scrap), MSG_DONTWAIT) > 0)
        continue;
    if (!timer_running(&watch->settle))
        timer_start(watch->loop, &watch->settle, SETTLE_MS, 0, watch->fn, watch->arg);
}

struct interface_watch *interface_watch_new(struct loop *loop, loop_fn *fn, void *arg)
{
    struct sockaddr_nl groups = {.nl_family = AF_NETLINK,
                                 .nl_groups = RTMGRP_IPV4_IFADDR | RTMGRP_IPV6_IFADDR};
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, NETLINK_ROUTE);

    if (fd < 0)
        return NULL;
    if (bind(fd, (struct sockaddr *)&groups, sizeof(groups)) < 0) {
        close(fd);
        return NULL;
    }
    struct interface_watch *watch = NEW(struct interface_watch);
    watch->loop = loop;
    watch->fd = fd;
    watch->fn = fn;
    watch->arg = arg;
    watch->watch = watch_new(loop, fd, POLLIN, on_readable, watch);
    return watch;
}

struct interface_watch *interface_watch_free(struct interface_watch *watch)
{
    if (!watch)
        return NULL;
    timer_stop(watch->loop, &watch->settle);
    watch_free(watch->watch);
    close(watch->fd);
    return mem_free(watch);
}
