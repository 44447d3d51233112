/* A model server for the bench: every POST is answered as OpenAI's Chat Completions stream, --chunks pieces of
 * text, one each --interval-ms, the first at once. A thread per connection, so that its pace does not
 * depend on how many there are; connections are kept. Prints its port and ends with its standard input. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define REQUEST_MAX (8u << 20)
#define TEXT        "The quick brown fox jumps over it. "

static int chunks = 1, interval_ms = 0;

struct request {
    char *data;
    size_t length, capacity;
};

static bool send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = send(fd, data, length, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        data += n;
        length -= (size_t)n;
    }
    return true;
}

/* One chunk of the reply's chunked coding. */
static bool send_chunk(int fd, const char *text)
{
    char out[512];
    int n = snprintf(out, sizeof(out), "%zx\r\n%s\r\n", strlen(text), text);

    return n > 0 && (size_t)n < sizeof(out) && send_all(fd, out, (size_t)n);
}

/* Blanks out one whole request; false: the client has gone or sends nonsense. */
static bool read_request(int fd, struct request *r)
{
    size_t whole = 0;

    r->length = 0;
    for (;;) {
        char *end = r->length ? memmem(r->data, r->length, "\r\n\r\n", 4) : NULL;

        if (end && whole == 0) {
            const char *at;

            *end = '\0';
            at = strcasestr(r->data, "content-length:");
            whole = (size_t)(end + 4 - r->data) + (at ? strtoul(at + 15, NULL, 10) : 0);
            *end = '\r';
        }
        if (whole > 0 && r->length >= whole)
            return r->length == whole;
        if (whole > REQUEST_MAX || r->length == REQUEST_MAX)
            return false;
        if (r->length == r->capacity) {
            char *more = realloc(r->data, r->capacity += 65536);

            if (!more)
                return false;
            r->data = more;
        }
        ssize_t n = recv(fd, r->data + r->length, r->capacity - r->length, 0);
        if (n <= 0)
            return false;
        r->length += (size_t)n;
    }
}

static bool answer(int fd)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
                               "Transfer-Encoding: chunked\r\n\r\n";
    static const char piece[] =
        "data: "
        "{\"id\":\"b\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\","
        "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" TEXT
        "\"},\"finish_reason\":null}]}\n\n";
    static const char last[] =
        "data: "
        "{\"id\":\"b\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"bench\","
        "\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
    struct timespec due;

    if (!send_all(fd, head, sizeof(head) - 1))
        return false;
    clock_gettime(CLOCK_MONOTONIC, &due);
    for (int i = 0; i < chunks; i++) {
        if (!send_chunk(fd, piece))
            return false;
        due.tv_nsec += (long)interval_ms * 1000000;
        due.tv_sec += due.tv_nsec / 1000000000;
        due.tv_nsec %= 1000000000;
        if (interval_ms > 0)
            while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &due, NULL) == EINTR)
                ;
    }
    return send_chunk(fd, last) && send_chunk(fd, "data: [DONE]\n\n") &&
           send_all(fd, "0\r\n\r\n", 5);
}

static void *serve(void *arg)
{
    int fd = (int)(intptr_t)arg, on = 1;
    struct request request = {0};

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    while (read_request(fd, &request) && answer(fd))
        ;
    free(request.data);
    close(fd);
    return NULL;
}

static int listen_any(int *ret_port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&address, length) < 0 || listen(fd, 1024) < 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) < 0)
        return -1;
    *ret_port = ntohs(address.sin_port);
    return fd;
}

int main(int argc, char **argv)
{
    struct pollfd watched[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
    pthread_attr_t detached;
    int port;

    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--chunks") == 0)
            chunks = (int)strtol(argv[i + 1], NULL, 10);
        else if (strcmp(argv[i], "--interval-ms") == 0)
            interval_ms = (int)strtol(argv[i + 1], NULL, 10);
        else
            return 2;
    }
    watched[1].fd = listen_any(&port);
    if (watched[1].fd < 0)
        return 1;
    printf("%d\n", port);
    fflush(stdout);
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&detached, 65536);
    while (poll(watched, 2, -1) >= 0 || errno == EINTR) {
        pthread_t thread;

        if (watched[0].revents) /* closed: whoever started us has gone */
            return 0;
        if (!watched[1].revents)
            continue;
        int fd = accept4(watched[1].fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd >= 0 && pthread_create(&thread, &detached, serve, (void *)(intptr_t)fd) != 0)
            close(fd);
    }
    return 1;
}
