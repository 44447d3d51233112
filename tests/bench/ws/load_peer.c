/* One connection of the load generator: connect, upgrade, handshake, frames. Fails by die(): a load
 * that lost a connection has measured nothing. */
#include "tests/bench/ws/load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define READ_MAX 262144

int64_t now_us(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

void die(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "load: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    _exit(1);
}

void url_parse(const char *text, struct url *ret)
{
    memset(ret, 0, sizeof(*ret));
    snprintf(ret->path, sizeof(ret->path), "/");
    if (strncmp(text, "unix:", 5) == 0) {
        snprintf(ret->unix_path, sizeof(ret->unix_path), "%s", text + 5);
        return;
    }
    if (sscanf(text, "ws://%127[^:/]:%d%127s", ret->host, &ret->port, ret->path) < 2)
        die("--url is ws://HOST:PORT or unix:PATH, not %s", text);
}

static int connect_unix(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        die("%s: %s", path, strerror(errno));
    return fd;
}

static int connect_tcp(const struct url *url)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char port[16];
    int on = 1;

    snprintf(port, sizeof(port), "%d", url->port);
    if (getaddrinfo(url->host, port, &hints, &found) != 0)
        die("%s: no such host", url->host);
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, found->ai_addr, found->ai_addrlen) < 0)
        die("%s port %d: %s", url->host, url->port, strerror(errno));
    freeaddrinfo(found);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    return fd;
}

/* Everything one reads before the loop begins is read in blocking mode. */
static void read_more(struct peer *p)
{
    if (p->in_room - p->in_length < READ_MAX / 4) {
        p->in_room = p->in_room ? p->in_room * 2 : 8192;
        p->in = realloc(p->in, p->in_room);
        if (!p->in)
            die("out of memory");
    }
    ssize_t n = recv(p->fd, p->in + p->in_length, p->in_room - p->in_length, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        die("connection %d: %s", p->number, n == 0 ? "closed by the server" : strerror(errno));
    if (n > 0)
        p->in_length += (size_t)n;
}

static void write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);
        if (n < 0)
            die("send: %s", strerror(errno));
        data += n;
        length -= (size_t)n;
    }
}

static void drop_input(struct peer *p, size_t length)
{
    memmove(p->in, p->in + length, p->in_length - length);
    p->in_length -= length;
}

static void upgrade(struct peer *p, const struct url *url)
{
    char request[512];
    int n = snprintf(request, sizeof(request),
                     "GET %s HTTP/1.1\r\nHost: %s:%d\r\nUpgrade: websocket\r\n"
                     "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                     "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                     url->path, url->host[0] ? url->host : "localhost", url->port);
    write_all(p->fd, request, (size_t)n);
    char *end = NULL;
    while (!end) {
        read_more(p);
        end = memmem(p->in, p->in_length, "\r\n\r\n", 4);
    }
    if (strncmp(p->in, "HTTP/1.1 101", 12) != 0)
        die("connection %d: the upgrade was refused: %.40s", p->number, p->in);
    drop_input(p, (size_t)(end + 4 - p->in));
}

char *frame_make(const char *text, size_t *ret_length)
{
    static const uint8_t key[4] = {0x37, 0xfa, 0x21, 0x3d};
    size_t length = strlen(text), at = 2;
    uint8_t *frame = malloc(length + 14);

    if (!frame)
        die("out of memory");
    frame[0] = 0x81;
    if (length < 126) {
        frame[1] = (uint8_t)(0x80 | length);
    } else {
        unsigned wide = length < 65536 ? 2 : 8;
        frame[1] = wide == 2 ? 0x80 | 126 : 0x80 | 127;
        for (unsigned i = 0; i < wide; i++)
            frame[at++] = (uint8_t)(length >> (8 * (wide - 1 - i)));
    }
    memcpy(frame + at, key, 4);
    at += 4;
    for (size_t i = 0; i < length; i++)
        frame[at + i] = (uint8_t)((uint8_t)text[i] ^ key[i & 3]);
    *ret_length = at + length;
    return (char *)frame;
}

/* The first whole frame in data: its size, 0 when there is none; the payload in *ret. */
static size_t frame_at(const char *data, size_t length, const char **ret, size_t *ret_length)
{
    const uint8_t *d = (const uint8_t *)data;
    size_t size = length >= 2 ? d[1] & 0x7f : 0, at = 2;

    if (length < 2)
        return 0;
    unsigned wide = size == 126 ? 2 : size == 127 ? 8 : 0;
    if (length < at + wide)
        return 0;
    if (wide)
        size = 0;
    for (unsigned i = 0; i < wide; i++)
        size = size << 8 | d[at++];
    if (length < at + size)
        return 0;
    *ret = data + at;
    *ret_length = size;
    return at + size;
}

static bool begins(const char *text, size_t length, const char *with)
{
    return length >= strlen(with) && memcmp(text, with, strlen(with)) == 0;
}

/* By the first bytes alone: the gateway writes an event's number first. */
static char kind_of(const char *text, size_t length)
{
    if (begins(text, length, "{\"type\":\"res\""))
        return 'r';
    if (begins(text, length, "{\"seq\":") || begins(text, length, "{\"type\":\"event\""))
        return 'e';
    return '?';
}

static void parse(struct peer *p, peer_frame_fn *fn)
{
    const char *text;
    size_t at = 0, size, length;

    while ((size = frame_at(p->in + at, p->in_length - at, &text, &length)) > 0) {
        unsigned opcode = (uint8_t)p->in[at] & 0x0fu;
        if (opcode == 8)
            die("connection %d: closed with %d %.*s", p->number,
                length >= 2 ? (uint8_t)text[0] << 8 | (uint8_t)text[1] : 0,
                length > 2 ? (int)length - 2 : 0, length > 2 ? text + 2 : "");
        if (opcode <= 2)
            fn(p, opcode ? kind_of(text, length) : '?', text, length);
        at += size;
    }
    if (at)
        drop_input(p, at);
}

void peer_read(struct peer *p, peer_frame_fn *fn)
{
    read_more(p);
    parse(p, fn);
}

/* ---- the handshake: challenge, connect, hello ---- */

static _Thread_local int frames_seen, hello_seen;

static void on_handshake(struct peer *p, char kind, const char *text, size_t length)
{
    frames_seen++;
    if (kind != 'r')
        return;
    hello_seen = 1;
    if (!memmem(text, length, "\"ok\":true", 9))
        die("connection %d: not welcome: %.*s", p->number, (int)(length < 300 ? length : 300),
            text);
}

void peer_open(struct peer *p, int number, const struct url *url, const char *connect_text)
{
    memset(p, 0, sizeof(*p));
    p->number = number;
    p->fd = url->unix_path[0] ? connect_unix(url->unix_path) : connect_tcp(url);
    upgrade(p, url);
    if (connect_text) {
        size_t length;
        char *frame = frame_make(connect_text, &length);
        frames_seen = hello_seen = 0;
        parse(p, on_handshake);
        while (!frames_seen)
            peer_read(p, on_handshake);
        write_all(p->fd, frame, length);
        while (!hello_seen)
            peer_read(p, on_handshake);
        free(frame);
    }
    fcntl(p->fd, F_SETFL, fcntl(p->fd, F_GETFL) | O_NONBLOCK);
}

void peer_close(struct peer *p)
{
    close(p->fd);
    free(p->in);
    free(p->out);
    free(p->sent_at);
}

/* ---- out ---- */

static void want_writable(struct peer *p, int epoll, bool want)
{
    struct epoll_event event = {.events = EPOLLIN | (want ? EPOLLOUT : 0), .data.ptr = p};

    if (p->writable_wanted == want)
        return;
    p->writable_wanted = want;
    epoll_ctl(epoll, EPOLL_CTL_MOD, p->fd, &event);
}

void peer_flush(struct peer *p, int epoll)
{
    if (p->out_length > 0) {
        ssize_t n = send(p->fd, p->out, p->out_length, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            die("connection %d: %s", p->number, strerror(errno));
        if (n > 0) {
            p->out_length -= (size_t)n;
            memmove(p->out, p->out + n, p->out_length);
        }
    }
    want_writable(p, epoll, p->out_length > 0);
}

void peer_send(struct peer *p, int epoll, const char *frames, size_t length)
{
    if (p->out_length == 0) {
        ssize_t n = send(p->fd, frames, length, MSG_NOSIGNAL);
        if (n < 0 && errno != EAGAIN)
            die("connection %d: %s", p->number, strerror(errno));
        if (n > 0) {
            frames += n;
            length -= (size_t)n;
        }
    }
    if (length == 0)
        return;
    while (p->out_room - p->out_length < length) {
        p->out_room = p->out_room ? p->out_room * 2 : 4096;
        p->out = realloc(p->out, p->out_room);
        if (!p->out)
            die("out of memory");
    }
    memcpy(p->out + p->out_length, frames, length);
    p->out_length += length;
    want_writable(p, epoll, true);
}
