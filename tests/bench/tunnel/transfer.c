/* transfer serve            listens on a free loopback port, prints it; a connection says "GET /BYTES …" and an empty
 *                           line and gets so many bytes after an empty head
 * transfer get HOST PORT BYTES [HTTP-HOST]   times one download, prints one JSON line
 *
 * The bytes are random but repeat, so that a compressing way gains little. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (1u << 20)

static char chunk[CHUNK];

static void die(const char *what)
{
    fprintf(stderr, "transfer: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sockaddr_in address_of(const char *host, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};

    if (inet_pton(AF_INET, host, &in.sin_addr) != 1)
        die(host);
    return in;
}

/* Until an empty line; returns its length, the text is NUL terminated. */
static size_t read_head(int fd, char *text, size_t room)
{
    size_t length = 0;

    while (length + 1 < room) {
        if (read(fd, text + length, 1) != 1)
            return 0;
        text[++length] = '\0';
        if (length >= 4 && memcmp(text + length - 4, "\r\n\r\n", 4) == 0)
            return length;
    }
    return 0;
}

static void answer(int fd)
{
    static const char head[] = "HTTP/1.1 200 OK\r\n\r\n";
    char request[4096];
    unsigned long long left = 0;

    if (read_head(fd, request, sizeof(request)) == 0 || sscanf(request, "GET /%llu", &left) != 1)
        return;
    if (write(fd, head, sizeof(head) - 1) < 0)
        return;
    while (left > 0) {
        ssize_t sent = write(fd, chunk, left < CHUNK ? (size_t)left : CHUNK);
        if (sent <= 0)
            return;
        left -= (unsigned long long)sent;
    }
}

static int serve(void)
{
    struct sockaddr_in in = address_of("127.0.0.1", 0);
    socklen_t length = sizeof(in);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    signal(SIGPIPE, SIG_IGN);
    signal(SIGCHLD, SIG_IGN);
    for (size_t i = 0; i < CHUNK; i++)
        chunk[i] = (char)random();
    if (fd < 0 || bind(fd, (void *)&in, sizeof(in)) < 0 || listen(fd, 128) < 0 ||
        getsockname(fd, (void *)&in, &length) < 0)
        die("cannot listen");
    printf("%d\n", ntohs(in.sin_port));
    fflush(stdout);
    for (;;) {
        int peer = accept(fd, NULL, NULL);
        if (peer < 0)
            continue;
        if (fork() == 0) {
            close(fd);
            answer(peer);
            _exit(0);
        }
        close(peer);
    }
}

static int get(const char *host, int port, unsigned long long bytes)
{
    struct sockaddr_in in = address_of(host, port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    unsigned long long seen = 0;
    char head[4096];
    ssize_t got;

    if (fd < 0 || connect(fd, (void *)&in, sizeof(in)) < 0)
        die("cannot connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    int length = snprintf(head, sizeof(head), "GET /%llu HTTP/1.1\r\nHost: bench\r\n\r\n", bytes);
    double begin = now_s();
    if (write(fd, head, (size_t)length) != length || read_head(fd, head, sizeof(head)) == 0)
        die("no answer");
    double first = now_s();
    while (seen < bytes && (got = read(fd, chunk, CHUNK)) > 0)
        seen += (unsigned long long)got;
    double seconds = now_s() - begin;
    if (seen != bytes)
        die("cut off");
    printf("{\"bytes\":%llu,\"seconds\":%.6f,\"first_ms\":%.3f,\"mb_per_s\":%.2f}\n", bytes,
           seconds, (first - begin) * 1000, (double)bytes / 1e6 / seconds);
    close(fd);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "serve") == 0)
        return serve();
    if (argc == 5 && strcmp(argv[1], "get") == 0)
        return get(argv[2], atoi(argv[3]), strtoull(argv[4], NULL, 10));
    fprintf(stderr, "transfer serve | transfer get HOST PORT BYTES\n");
    return 2;
}
