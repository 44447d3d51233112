/* What the kernel knows of sockets: NETLINK_SOCK_DIAG, asked and answered in one call each. Blocks (a few
 * microseconds; a dump longer): for the pool, not the loop. */
#pragma once

#include "base/own.h"

#include <sys/socket.h>

struct sock_diag_entry {
    uint64_t inode;
    uint32_t uid;
    int family;   /* AF_INET (also for v4-mapped), AF_INET6, AF_UNIX, AF_NETLINK, AF_PACKET */
    int protocol; /* IPPROTO_TCP, _UDP, … ; 0 outside internet families */
    bool listening;
    bool named;         /* unix: bound to a name, or accepted by a socket that is */
    bool loopback;      /* the other end's address is loopback */
    uint16_t peer_port; /* host order; 0: not connected */
};

/* The TCP socket whose own address is `own` and whose peer is `other`. 0 or -ERR_NOT_FOUND, -ERR_IO. */
int sock_diag_tcp(const struct sockaddr_storage *own, const struct sockaddr_storage *other,
                  struct sock_diag_entry *ret);
/* The inode of the socket at the other end of a connected unix socket. */
int sock_diag_unix_peer(uint64_t inode, uint64_t *ret_peer);

/* Every socket of a family (and protocol). Negative when the kernel cannot tell. */
typedef void sock_diag_fn(void *arg, const struct sock_diag_entry *entry);
int sock_diag_each(int family, int protocol, sock_diag_fn *fn, void *arg);
