/* sock_diag: one netlink request per question, its answers walked message by message. Own nothing but
 * the descriptor of the call. linux/inet_diag.h, linux/unix_diag.h. */
#include "gateway/conn/sock_diag.h"

#include "base/err.h"
#include "base/mem.h"
#include "gateway/conn/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/netlink_diag.h>
#include <linux/packet_diag.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#define ANSWER_BYTES 65536
#define WAIT_SECONDS 2

struct request {
    struct nlmsghdr head;
    union {
        struct sock_diag_req any;
        struct inet_diag_req_v2 inet;
        struct unix_diag_req local;
        struct netlink_diag_req netlink;
        struct packet_diag_req packet;
    } body;
};

typedef void answer_fn(void *arg, const struct nlmsghdr *message);

static int open_diag(void)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
    struct timeval wait = {.tv_sec = WAIT_SECONDS};

    if (fd < 0)
        return -ERR_IO;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) < 0) {
        close(fd);
        return -ERR_IO;
    }
    return fd;
}

/* NLMSG_DATA casts const away. */
static const void *message_data(const struct nlmsghdr *message)
{
    return (const char *)message + NLMSG_HDRLEN;
}

static int error_of(const struct nlmsghdr *message)
{
    struct nlmsgerr error;

    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(error)))
        return -ERR_IO;
    memcpy(&error, message_data(message), sizeof(error));
    return error.error == 0 ? 0 : error.error == -ENOENT ? -ERR_NOT_FOUND : -ERR_IO;
}

/* One datagram of answers. 1: all said, 0: more to come, negative: refused. */
static int walk(char *data, size_t length, bool dump, answer_fn *fn, void *arg)
{
    struct nlmsghdr *message = (struct nlmsghdr *)(void *)data;
    unsigned left = (unsigned)length;

    for (; NLMSG_OK(message, left); message = NLMSG_NEXT(message, left)) {
        if (message->nlmsg_type == NLMSG_DONE)
            return 1;
        if (message->nlmsg_type == NLMSG_ERROR) {
            int error = error_of(message);
            return error < 0 ? error : 1;
        }
        fn(arg, message);
        if (!dump)
            return 1;
    }
    return 0;
}

static int ask(struct request *request, size_t body, bool dump, answer_fn *fn, void *arg)
{
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    int fd = open_diag(), result = 0;

    if (fd < 0)
        return fd;
    request->head = (struct nlmsghdr){
        .nlmsg_len = (uint32_t)NLMSG_LENGTH(body),
        .nlmsg_type = SOCK_DIAG_BY_FAMILY,
        .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | (dump ? NLM_F_DUMP : 0)),
    };
    char *answer = mem_new(ANSWER_BYTES);
    if (sendto(fd, request, request->head.nlmsg_len, 0, (struct sockaddr *)&kernel,
               sizeof(kernel)) < 0)
        result = -ERR_IO;
    while (result == 0) {
        ssize_t length = recv(fd, answer, ANSWER_BYTES, 0);
        result = length <= 0 ? -ERR_IO : walk(answer, (size_t)length, dump, fn, arg);
    }
    mem_free(answer);
    close(fd);
    return result < 0 ? result : 0;
}

/* ---- internet ---- */

static void address_of(int family, const uint32_t words[4], struct address *ret)
{
    struct sockaddr_storage socket = {0};
    uint16_t port;

    if (family == AF_INET) {
        struct sockaddr_in in = {.sin_family = AF_INET};
        memcpy(&in.sin_addr, words, 4);
        memcpy(&socket, &in, sizeof(in));
    } else {
        struct sockaddr_in6 in = {.sin6_family = AF_INET6};
        memcpy(&in.sin6_addr, words, 16);
        memcpy(&socket, &in, sizeof(in));
    }
    if (!address_from_socket(&socket, ret, &port))
        *ret = (struct address){0};
}

struct walker {
    int protocol;
    sock_diag_fn *fn;
    void *arg;
};

static void on_inet(void *arg, const struct nlmsghdr *message)
{
    struct walker *walker = arg;
    struct inet_diag_msg answer;
    struct address peer;

    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(answer)))
        return;
    memcpy(&answer, message_data(message), sizeof(answer));
    address_of(answer.idiag_family, answer.id.idiag_dst, &peer);
    walker->fn(walker->arg,
               &(struct sock_diag_entry){
                   .inode = answer.idiag_inode,
                   .uid = answer.idiag_uid,
                   .family = answer.idiag_family,
                   .protocol = walker->protocol,
                   .listening = walker->protocol == IPPROTO_TCP && answer.idiag_state == TCP_LISTEN,
                   .loopback = address_is_loopback(&peer),
                   .peer_port = ntohs(answer.id.idiag_dport),
               });
}

static int each_inet(int family, int protocol, sock_diag_fn *fn, void *arg)
{
    struct walker walker = {protocol, fn, arg};
    struct request request = {.body.inet = {
                                  .sdiag_family = (uint8_t)family,
                                  .sdiag_protocol = (uint8_t)protocol,
                                  .idiag_states = UINT32_MAX,
                              }};

    return ask(&request, sizeof(request.body.inet), true, on_inet, &walker);
}

static void keep_entry(void *arg, const struct sock_diag_entry *entry)
{
    *(struct sock_diag_entry *)arg = *entry;
}

int sock_diag_tcp(const struct sockaddr_storage *own, const struct sockaddr_storage *other,
                  struct sock_diag_entry *ret)
{
    struct sock_diag_entry found = {0};
    struct walker walker = {IPPROTO_TCP, keep_entry, &found};
    struct address from, to;
    uint16_t from_port, to_port;
    int result;

    if (!address_from_socket(own, &from, &from_port) ||
        !address_from_socket(other, &to, &to_port) || from.v6 != to.v6)
        return -ERR_NOT_FOUND;
    struct request request = {.body.inet = {
                                  .sdiag_family = from.v6 ? AF_INET6 : AF_INET,
                                  .sdiag_protocol = IPPROTO_TCP,
                                  .idiag_states = UINT32_MAX,
                                  .id = {.idiag_sport = htons(from_port),
                                         .idiag_dport = htons(to_port),
                                         .idiag_cookie = {INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE}},
                              }};
    memcpy(request.body.inet.id.idiag_src, from.bytes, from.v6 ? 16 : 4);
    memcpy(request.body.inet.id.idiag_dst, to.bytes, to.v6 ? 16 : 4);
    result = ask(&request, sizeof(request.body.inet), false, on_inet, &walker);
    if (result < 0)
        return result;
    if (!found.inode)
        return -ERR_NOT_FOUND;
    *ret = found;
    return 0;
}

/* ---- unix ---- */

/* Attributes follow the message, each on a boundary of four bytes. */
static size_t aligned(size_t length)
{
    return (length + 3u) & ~(size_t)3;
}

/* The bytes of one attribute; NULL: it is not there. */
static const char *unix_attribute(const struct nlmsghdr *message, uint16_t type, size_t *ret_length)
{
    const char *at = (const char *)message_data(message) + aligned(sizeof(struct unix_diag_msg));
    const char *end = (const char *)message + message->nlmsg_len;
    struct nlattr head;

    while (at < end && (size_t)(end - at) >= sizeof(head)) {
        memcpy(&head, at, sizeof(head));
        if (head.nla_len < sizeof(head) || head.nla_len > (size_t)(end - at))
            return NULL;
        if (head.nla_type == type) {
            *ret_length = head.nla_len - sizeof(head);
            return at + sizeof(head);
        }
        at += aligned(head.nla_len);
    }
    return NULL;
}

static void on_unix_peer(void *arg, const struct nlmsghdr *message)
{
    size_t length;
    const char *inode = unix_attribute(message, UNIX_DIAG_PEER, &length);
    uint32_t peer;

    if (!inode || length < sizeof(peer))
        return;
    memcpy(&peer, inode, sizeof(peer));
    *(uint64_t *)arg = peer;
}

int sock_diag_unix_peer(uint64_t inode, uint64_t *ret_peer)
{
    uint64_t peer = 0;
    struct request request = {.body.local = {
                                  .sdiag_family = AF_UNIX,
                                  .udiag_states = UINT32_MAX,
                                  .udiag_ino = (uint32_t)inode,
                                  .udiag_show = UDIAG_SHOW_PEER,
                                  .udiag_cookie = {UINT32_MAX, UINT32_MAX},
                              }};
    int result = ask(&request, sizeof(request.body.local), false, on_unix_peer, &peer);

    if (result < 0)
        return result;
    if (!peer)
        return -ERR_NOT_FOUND;
    *ret_peer = peer;
    return 0;
}

static void on_unix(void *arg, const struct nlmsghdr *message)
{
    struct walker *walker = arg;
    struct unix_diag_msg answer;
    size_t length;

    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(answer)))
        return;
    memcpy(&answer, message_data(message), sizeof(answer));
    walker->fn(walker->arg, &(struct sock_diag_entry){
                                .inode = answer.udiag_ino,
                                .family = AF_UNIX,
                                .listening = answer.udiag_state == TCP_LISTEN,
                                .named = unix_attribute(message, UNIX_DIAG_NAME, &length)});
}

static int each_unix(sock_diag_fn *fn, void *arg)
{
    struct walker walker = {0, fn, arg};
    struct request request = {.body.local = {.sdiag_family = AF_UNIX,
                                             .udiag_states = UINT32_MAX,
                                             .udiag_show = UDIAG_SHOW_NAME}};

    return ask(&request, sizeof(request.body.local), true, on_unix, &walker);
}

/* ---- the families that are only told apart ---- */

static void on_netlink(void *arg, const struct nlmsghdr *message)
{
    struct walker *walker = arg;
    struct netlink_diag_msg answer;

    if (message->nlmsg_len < NLMSG_LENGTH(sizeof(answer)))
        return;
    memcpy(&answer, message_data(message), sizeof(answer));
    walker->fn(walker->arg,
               &(struct sock_diag_entry){.inode = answer.ndiag_ino, .family = AF_NETLINK});
}

static int each_netlink(sock_diag_fn *fn, void *arg)
{
    struct walker walker = {0, fn, arg};
    struct request request = {
        .body.netlink = {.sdiag_family = AF_NETLINK, .sdiag_protocol = NDIAG_PROTO_ALL}};

    return ask(&request, sizeof(request.body.netlink), true, on_netlink, &walker);
}

int sock_diag_each(int family, int protocol, sock_diag_fn *fn, void *arg)
{
    switch (family) {
    case AF_INET:
    case AF_INET6: return each_inet(family, protocol, fn, arg);
    case AF_UNIX: return each_unix(fn, arg);
    case AF_NETLINK: return each_netlink(fn, arg);
    default: return -ERR_UNSUPPORTED;
    }
}
