/* The gateway's own door over real sockets: which Host and Origin get an upgrade, header for header as a
 * browser, a rebinding page or a smuggler would send them. design.md section 5 "Browsers". */
#include "base/mem.h"
#include "gateway/conn/conn.h"
#include "gateway/gateway.h"
#include "tests/t.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TURNS_MS 5000

static int64_t real_ms(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void on_tick(void *arg)
{
    (void)arg;
}

static struct gateway *gateway_new(void)
{
    static int count;
    CLEAN(mem_free) char *dir = mem_format("%s/door%d", t_tmpdir(), count++);
    struct gateway_options options = {
        .state_dir = dir, .port = 0, .token = "door-token", .memory_store = true};
    struct gateway *gw = NULL;
    struct fault fault = {0};

    require(mkdir(dir, 0700) == 0);
    if (gateway_start(&options, &gw, &fault) < 0)
        t_fail(__FILE__, __LINE__, "the gateway does not start: %s", fault.text);
    return gw;
}

static int knock(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    require(fd >= 0 && connect(fd, (struct sockaddr *)&to, sizeof(to)) == 0);
    require(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

/* The HTTP status of an upgrade with these header lines; P stands for the port. 0: closed without one. */
static int upgrade_status(struct gateway *gw, const char *lines)
{
    struct buf text, in;
    struct timer tick = {0};
    int fd = knock(gw->port), status = -1;
    int64_t until = real_ms() + TURNS_MS;

    buf_init(&text, 65536);
    buf_init(&in, 65536);
    buf_add_str(&text,
                "GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n");
    for (; *lines; lines++)
        if (*lines == 'P')
            buf_addf(&text, "%d", gw->port);
        else
            buf_add_char(&text, *lines);
    buf_add_str(&text, "\r\n");
    require(send(fd, text.data, text.length, MSG_NOSIGNAL) == (ssize_t)text.length);
    timer_start(gw->loop, &tick, 10, 10, on_tick, NULL);
    while (status < 0 && real_ms() < until) {
        char part[4096];
        loop_turn(gw->loop, true);
        ssize_t n = recv(fd, part, sizeof(part), 0);
        if (n > 0)
            buf_add(&in, part, (size_t)n);
        if (in.length >= 12)
            status = (in.data[9] - '0') * 100 + (in.data[10] - '0') * 10 + (in.data[11] - '0');
        else if (n == 0 || (n < 0 && errno != EAGAIN))
            status = 0;
    }
    timer_stop(gw->loop, &tick);
    close(fd);
    buf_done(&text);
    buf_done(&in);
    return status;
}

struct door_case {
    const char *lines;
    int status;
};

static void check(const struct door_case *cases, size_t count)
{
    struct gateway *gw = gateway_new();

    for (size_t i = 0; i < count; i++) {
        int status = upgrade_status(gw, cases[i].lines);
        if (status != cases[i].status)
            t_fail(__FILE__, __LINE__, "%s\nanswered with %d, expected %d", cases[i].lines, status,
                   cases[i].status);
    }
    gateway_free(gw);
}

/* Oasis' "ClawJacked", cross-site WebSocket hijacking: also from loopback, also with a look-alike. */
T(a_page_of_another_origin_gets_no_upgrade_not_even_on_loopback)
{
    static const struct door_case cases[] = {
        {"Host: 127.0.0.1:P\r\n", 101}, /* no browser */
        {"Host: 127.0.0.1:P\r\nOrigin: http://127.0.0.1:P\r\n", 101},
        {"Host: localhost:P\r\nOrigin: http://localhost:P\r\n", 101},
        {"Host: LocalHost:P\r\nOrigin: http://localhost:P\r\n", 101},
        {"Host: [::1]:P\r\nOrigin: http://[::1]:P\r\n", 101},
        {"Host: 127.0.0.1:P\r\nOrigin: https://evil.example\r\n", 403},
        {"Host: 127.0.0.1:P\r\nOrigin: http://127.0.0.1:1\r\n", 403},
        {"Host: 127.0.0.1:P\r\nOrigin: http://127.0.0.1\r\n", 403},
        {"Host: 127.0.0.1:P\r\nOrigin: https://127.0.0.1:P\r\n", 403},
        {"Host: 127.0.0.1:P\r\nOrigin: http://localhost:P\r\n", 403},
        {"Host: 127.0.0.1:P\r\nOrigin: http://127.0.0.1:P.evil.example\r\n", 403},
        {"Host: 127.0.0.1:P\r\nOrigin: http://127.0.0.1:P@evil.example\r\n", 403},
        {"Host: 127.0.0.1:P\r\nOrigin: http://127.0.0.1:P/\r\n", 403},
        {"Host: 127.0.0.1:P\r\nOrigin: null\r\n", 403},
        {"Host: 127.0.0.1:P\r\nOrigin: file://\r\n", 403},
        {"Host: 127.0.0.1:P\r\nOrigin:\r\n", 403},
        {"Host: 127.0.0.1:P\r\nOrigin: chrome-extension://abcdef\r\n", 403},
    };

    check(cases, COUNT(cases));
}

T(a_name_rebound_to_this_host_is_not_ours)
{
    static const struct door_case cases[] = {
        {"Host: evil.example:P\r\nOrigin: http://evil.example:P\r\n", 403},
        {"Host: localhost.:P\r\nOrigin: http://localhost.:P\r\n", 403},
        {"Host: localhost.evil.example:P\r\nOrigin: http://localhost.evil.example:P\r\n", 403},
        {"Host: 0.0.0.0:P\r\nOrigin: http://0.0.0.0:P\r\n", 403},
        {"Host: 2130706433:P\r\nOrigin: http://2130706433:P\r\n", 403},
        {"Host: box.tail1234.ts.net:P\r\nOrigin: http://box.tail1234.ts.net:P\r\n", 403},
    };

    check(cases, COUNT(cases));
}

/* What one reader takes for the first line another takes for the last. */
T(two_hosts_or_two_origins_open_nothing)
{
    static const struct door_case cases[] = {
        {"Host: 127.0.0.1:P\r\nHost: evil.example\r\nOrigin: http://evil.example\r\n", 403},
        {"Host: evil.example\r\nHost: 127.0.0.1:P\r\nOrigin: http://evil.example\r\n", 403},
        {"Host: 127.0.0.1:P\r\nHost: 127.0.0.1:P\r\nOrigin: http://127.0.0.1:P\r\n", 403},
        {"Host: 127.0.0.1:P\r\nOrigin: http://127.0.0.1:P\r\nOrigin: https://evil.example\r\n",
         403},
        {"Host: 127.0.0.1:P\r\nOrigin: https://evil.example\r\nOrigin: http://127.0.0.1:P\r\n",
         403},
        {"Host: 127.0.0.1:P\r\nOrigin: https://evil.example\r\nX-Forwarded-Host: evil.example\r\n"
         "X-Forwarded-Proto: https\r\n",
         403},
        {"Origin: http://127.0.0.1:P\r\n", 400}, /* no Host at all */
    };

    check(cases, COUNT(cases));
}

/* Everything a secret could leak from is for its owner alone. */
T(files_and_sockets_of_the_state_directory_are_private)
{
    static const char *const files[] = {"gateway.sock", "gateway.lock", "identity", "logs"};
    struct gateway *gw = gateway_new();

    for (size_t i = 0; i < COUNT(files); i++) {
        CLEAN(mem_free) char *path = mem_format("%s/%s", gw->state_dir, files[i]);
        struct stat st;
        t_eq(stat(path, &st), 0);
        if (st.st_mode & 077)
            t_fail(__FILE__, __LINE__, "%s has mode %o", path, st.st_mode & 07777u);
    }
    gateway_free(gw);
}
