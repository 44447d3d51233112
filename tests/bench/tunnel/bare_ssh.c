/* bare_ssh HOST PORT USER KEY TO_PORT BYTES: the floor of a download through the tunnel. One blocking libssh2 session, one
 * direct-tcpip channel with the library's own window, read until all is there; prints one JSON line. (A window far above
 * what the line holds makes it slower: sshd then reads ahead into one buffer that it moves about; at 16 MiB a quarter.) */
#include <arpa/inet.h>
#include <libssh2.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static char chunk[1u << 18];

static double now_s(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what, LIBSSH2_SESSION *session)
{
    char *text = NULL;

    if (session)
        libssh2_session_last_error(session, &text, NULL, 0);
    fprintf(stderr, "bare_ssh: %s: %s\n", what, text ? text : "");
    exit(1);
}

static int connect_to(const char *host, int port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

    if (inet_pton(AF_INET, host, &in.sin_addr) != 1 || connect(fd, (void *)&in, sizeof(in)) < 0)
        die("cannot connect", NULL);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

static void download(LIBSSH2_SESSION *session, int port, unsigned long long bytes)
{
    LIBSSH2_CHANNEL *channel = libssh2_channel_direct_tcpip(session, "127.0.0.1", port);
    unsigned long long seen = 0, head = 0;
    char request[128];
    double begin = now_s();
    ssize_t got;

    if (!channel)
        die("channel", session);
    int length = snprintf(request, sizeof(request), "GET /%llu HTTP/1.1\r\n\r\n", bytes);
    if (libssh2_channel_write(channel, request, (size_t)length) != length)
        die("write", session);
    while (seen < bytes && (got = libssh2_channel_read(channel, chunk, sizeof(chunk))) > 0) {
        if (head == 0) {
            const char *end = memmem(chunk, (size_t)got, "\r\n\r\n", 4);
            head = end ? (unsigned long long)(end + 4 - chunk) : 0;
            got -= (ssize_t)head;
        }
        seen += (unsigned long long)got;
    }
    double seconds = now_s() - begin;
    if (seen != bytes)
        die("cut off", session);
    printf("{\"bytes\":%llu,\"seconds\":%.6f,\"mb_per_s\":%.2f,\"cipher\":\"%s\",\"version\":\"%"
           "s\"}\n",
           bytes, seconds, (double)bytes / 1e6 / seconds,
           libssh2_session_methods(session, LIBSSH2_METHOD_CRYPT_SC), libssh2_version(0));
}

int main(int argc, char **argv)
{
    LIBSSH2_SESSION *session;
    int fd;

    if (argc != 7 || libssh2_init(0) != 0)
        die("bare_ssh HOST PORT USER KEY TO_PORT BYTES", NULL);
    fd = connect_to(argv[1], atoi(argv[2]));
    session = libssh2_session_init();
    if (libssh2_session_handshake(session, fd) != 0 ||
        libssh2_userauth_publickey_fromfile(session, argv[3], NULL, argv[4], NULL) != 0)
        die("login", session);
    download(session, atoi(argv[5]), strtoull(argv[6], NULL, 10));
    libssh2_session_disconnect(session, "done");
    libssh2_session_free(session);
    close(fd);
    return 0;
}
