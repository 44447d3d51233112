/* A line between two tun devices, as bad as a test wants it: delay, jitter, rate, loss, silence. For kernels
 * without netem, and for tests that make the two hosts themselves (tests/net/kit.py).
 *
 *   link [--mtu N] [--segments] A B      A and B: NAME, or PID:NAME in the network namespace of that process
 *
 * Says "ready" when both devices stand; addresses are the caller's to give. Then it reads commands, a line each,
 * and answers each with a line, "ok", "error WHY" or what was asked:
 *
 *   delay MS, jitter MS, loss PERCENT, rate BYTES_PER_SECOND (0: any), queue BYTES, drop on|off, stats, quit
 *
 * "up" or "down" before a command means only from A to B, or only back. It ends with its input, and the devices
 * with it. Packets keep their order, jitter or not: a TCP that meets reordering is another test. --segments
 * passes 64 KiB segments whole (no loss of single packets then): for speed.
 *
 * One thread: epoll over the two devices, one timer for the packet due next, and the input. A direction holds at
 * most `queue` bytes and QUEUE_PACKETS packets; what finds it full is dropped and counted. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define PACKET_MAX    (65536 + 64) /* with the header of a segment */
#define QUEUE_PACKETS 131072       /* a power of two */
#define QUEUE_BYTES   (32 << 20)   /* unless told: 200 MB/s at 160 ms */
#define BATCH         64           /* packets read from one device before the other has its turn */
#define COMMAND_MAX   256

struct packet {
    int64_t due; /* ns, monotonic */
    uint32_t length;
    uint8_t *bytes;
};

/* One direction: what is read from `from` is written to `to` when its time has come. */
struct lane {
    int from, to;
    const char *name;
    int64_t delay, jitter; /* ns */
    double loss, rate;     /* of 1; bytes a second, 0: any */
    bool drop;
    size_t queue_max;

    struct packet *ring;
    uint32_t head, tail; /* head: next to leave */
    size_t bytes;
    int64_t last_due,
        line_free; /* order is kept; when the last packet has left a line of this rate */

    uint64_t passed, passed_bytes, lost, overflowed, refused;
};

struct link {
    struct lane lane[2]; /* up: A to B; down */
    int epoll, timer;
    uint64_t random;
    char command[COMMAND_MAX];
    size_t command_length;
    bool ended;
};

static void die(const char *what)
{
    fprintf(stderr, "link: %s: %s\n", what, strerror(errno));
    _exit(1);
}

static int64_t now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* 0 to 1; xorshift: a test's chance must only be even. */
static double chance(struct link *link)
{
    link->random ^= link->random << 13;
    link->random ^= link->random >> 7;
    link->random ^= link->random << 17;
    return (double)(link->random >> 11) / 9007199254740992.0;
}

/* ---- packets ---- */

static void deliver(struct lane *lane, const uint8_t *bytes, size_t length)
{
    if (write(lane->to, bytes, length) == (ssize_t)length) {
        lane->passed++;
        lane->passed_bytes += length;
    } else {
        lane->refused++; /* the device is down, or its host has no memory */
    }
}

static uint32_t waiting(const struct lane *lane)
{
    return lane->tail - lane->head;
}

static void enqueue(struct lane *lane, const uint8_t *bytes, size_t length, int64_t due)
{
    if (waiting(lane) == QUEUE_PACKETS || lane->bytes + length > lane->queue_max) {
        lane->overflowed++;
        return;
    }
    uint8_t *copy = malloc(length);
    if (!copy)
        die("memory");
    memcpy(copy, bytes, length);
    lane->ring[lane->tail++ % QUEUE_PACKETS] =
        (struct packet){.due = due, .length = (uint32_t)length, .bytes = copy};
    lane->bytes += length;
}

static void accept_packet(struct link *link, struct lane *lane, const uint8_t *bytes, size_t length)
{
    if (lane->drop || (lane->loss > 0 && chance(link) < lane->loss)) {
        lane->lost++;
        return;
    }
    int64_t at = now(), due = at;
    if (lane->rate > 0) {
        lane->line_free = lane->line_free > at ? lane->line_free : at;
        lane->line_free += (int64_t)((double)length * 1e9 / lane->rate);
        due = lane->line_free;
    }
    due += lane->delay;
    if (lane->jitter > 0)
        due += (int64_t)((double)lane->jitter * chance(link));
    if (due <= at && waiting(lane) == 0) {
        deliver(lane, bytes, length);
        return;
    }
    lane->last_due = due > lane->last_due ? due : lane->last_due;
    enqueue(lane, bytes, length, lane->last_due);
}

static void read_device(struct link *link, struct lane *lane)
{
    static uint8_t packet[PACKET_MAX];

    for (int i = 0; i < BATCH; i++) {
        ssize_t n = read(lane->from, packet, sizeof(packet));
        if (n <= 0) {
            if (n < 0 && errno != EAGAIN && errno != EINTR && errno != EIO) /* EIO: it is down */
                die("device");
            return;
        }
        accept_packet(link, lane, packet, (size_t)n);
    }
}

static void release_due(struct lane *lane)
{
    int64_t at = now();
    while (waiting(lane) > 0) {
        struct packet *packet = &lane->ring[lane->head % QUEUE_PACKETS];
        if (packet->due > at)
            return;
        if (lane->drop) /* what is on the line when it is cut is gone with it */
            lane->lost++;
        else
            deliver(lane, packet->bytes, packet->length);
        free(packet->bytes);
        lane->bytes -= packet->length;
        lane->head++;
    }
}

static void set_timer(const struct link *link)
{
    int64_t due = 0;
    for (size_t i = 0; i < 2; i++) {
        const struct lane *lane = &link->lane[i];
        if (waiting(lane) == 0)
            continue;
        int64_t head = lane->ring[lane->head % QUEUE_PACKETS].due;
        due = due == 0 || head < due ? head : due;
    }
    struct itimerspec at = {.it_value = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000}};
    timerfd_settime(link->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

/* ---- commands ---- */

static bool read_number(const char *text, double max, double *ret)
{
    char *end;
    errno = 0;
    double value = strtod(text, &end);
    if (end == text || *end || errno || !(value >= 0 && value <= max))
        return false;
    *ret = value;
    return true;
}

static bool set_delay(struct lane *lane, const char *text)
{
    double ms;
    if (!read_number(text, 60000, &ms))
        return false;
    lane->delay = (int64_t)(ms * 1e6);
    lane->last_due =
        0; /* a shorter delay may overtake the packets sent before: the queue is in order still */
    for (uint32_t i = lane->head; i != lane->tail; i++)
        lane->last_due = lane->ring[i % QUEUE_PACKETS].due;
    return true;
}

static bool set_jitter(struct lane *lane, const char *text)
{
    double ms;
    if (!read_number(text, 60000, &ms))
        return false;
    lane->jitter = (int64_t)(ms * 1e6);
    return true;
}

static bool set_loss(struct lane *lane, const char *text)
{
    double percent;
    if (!read_number(text, 100, &percent))
        return false;
    lane->loss = percent / 100;
    return true;
}

static bool set_rate(struct lane *lane, const char *text)
{
    lane->line_free = 0;
    return read_number(text, 1e12, &lane->rate);
}

static bool set_queue(struct lane *lane, const char *text)
{
    double bytes;
    if (!read_number(text, 1 << 30, &bytes))
        return false;
    lane->queue_max = (size_t)bytes;
    return true;
}

static bool set_drop(struct lane *lane, const char *text)
{
    bool on = strcmp(text, "on") == 0;
    if (!on && strcmp(text, "off") != 0)
        return false;
    lane->drop = on;
    return true;
}

static const struct setting {
    const char *name;
    bool (*set)(struct lane *lane, const char *text);
} settings[] = {
    {"delay", set_delay}, {"jitter", set_jitter}, {"loss", set_loss},
    {"rate", set_rate},   {"queue", set_queue},   {"drop", set_drop},
};

static void tell_stats(const struct link *link)
{
    for (size_t i = 0; i < 2; i++) {
        const struct lane *lane = &link->lane[i];
        printf(
            "%s\"%s\": {\"packets\": %llu, \"bytes\": %llu, \"lost\": %llu, \"overflowed\": %llu, "
            "\"refused\": %llu, \"waiting\": %u}%s",
            i == 0 ? "{" : ", ", lane->name, (unsigned long long)lane->passed,
            (unsigned long long)lane->passed_bytes, (unsigned long long)lane->lost,
            (unsigned long long)lane->overflowed, (unsigned long long)lane->refused, waiting(lane),
            i == 0 ? "" : "}\n");
    }
}

static void obey(struct link *link, const char *line)
{
    char words[3][32] = {"", "", ""};
    int count = sscanf(line, "%31s %31s %31s", words[0], words[1], words[2]);
    size_t first = 0, last = 1, at = 0;
    if (strcmp(words[0], "up") == 0 || strcmp(words[0], "down") == 0) {
        first = last = strcmp(words[0], "down") == 0;
        at = 1;
    }
    if (strcmp(words[at], "stats") == 0) {
        tell_stats(link);
        return;
    }
    if (strcmp(words[at], "quit") == 0) {
        link->ended = true;
        return;
    }
    for (size_t i = 0; i < sizeof(settings) / sizeof(*settings); i++) {
        if (strcmp(words[at], settings[i].name) != 0 || count != (int)at + 2)
            continue;
        for (size_t l = first; l <= last; l++) {
            if (!settings[i].set(&link->lane[l], words[at + 1])) {
                printf("error %s: %s is not a value for it\n", settings[i].name, words[at + 1]);
                return;
            }
        }
        printf("ok\n");
        return;
    }
    printf("error not a command: %s\n", line);
}

static void read_commands(struct link *link)
{
    ssize_t n = read(STDIN_FILENO, link->command + link->command_length,
                     sizeof(link->command) - 1 - link->command_length);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        link->ended = true;
        return;
    }
    link->command_length += (size_t)n;
    link->command[link->command_length] = 0;
    char *line = link->command, *end;
    while ((end = strchr(line, '\n')) && !link->ended) {
        *end = 0;
        obey(link, line);
        line = end + 1;
    }
    link->command_length = strlen(line);
    memmove(link->command, line, link->command_length + 1);
    if (link->command_length == sizeof(link->command) - 1)
        link->command_length = 0; /* no command is so long */
    fflush(stdout);
}

/* ---- devices ---- */

/* The namespace is entered only to make the device: its descriptor works from everywhere. */
static int open_device(const char *where, int mtu, bool segments)
{
    const char *colon = strchr(where, ':'), *name = colon ? colon + 1 : where;
    if (colon) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%ld/ns/net", strtol(where, NULL, 10));
        int space = open(path, O_RDONLY | O_CLOEXEC);
        if (space < 0 || setns(space, CLONE_NEWNET) < 0)
            die(path);
        close(space);
    }
    struct ifreq device = {0};
    snprintf(device.ifr_name, IFNAMSIZ, "%s", name);
    device.ifr_flags = (short)(IFF_TUN | IFF_NO_PI | (segments ? IFF_VNET_HDR : 0));
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || ioctl(fd, TUNSETIFF, &device) < 0)
        die("/dev/net/tun");
    if (segments && ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0)
        die("TUNSETOFFLOAD");
    int control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    device.ifr_mtu = mtu;
    if (control < 0 || ioctl(control, SIOCSIFMTU, &device) < 0)
        die("mtu");
    device.ifr_qlen = 10000; /* a burst waits here while we have other work */
    if (ioctl(control, SIOCSIFTXQLEN, &device) < 0)
        die("queue length");
    close(control);
    return fd;
}

static void watch(const struct link *link, int fd, uint32_t id)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = id};
    if (epoll_ctl(link->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        die("epoll");
}

static void start_link(struct link *link, int a, int b)
{
    link->lane[0] = (struct lane){.from = a, .to = b, .name = "up", .queue_max = QUEUE_BYTES};
    link->lane[1] = (struct lane){.from = b, .to = a, .name = "down", .queue_max = QUEUE_BYTES};
    for (size_t i = 0; i < 2; i++) {
        link->lane[i].ring = calloc(QUEUE_PACKETS, sizeof(struct packet));
        if (!link->lane[i].ring)
            die("memory");
    }
    link->random = (uint64_t)now() | 1;
    link->epoll = epoll_create1(EPOLL_CLOEXEC);
    link->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    watch(link, a, 0);
    watch(link, b, 1);
    watch(link, link->timer, 2);
    watch(link, STDIN_FILENO, 3);
}

static void run_link(struct link *link)
{
    struct epoll_event events[8];

    while (!link->ended) {
        int n = epoll_wait(link->epoll, events, 8, -1);
        for (int i = 0; i < n; i++) {
            uint32_t id = events[i].data.u32;
            if (id < 2)
                read_device(link, &link->lane[id]);
            else if (id == 3)
                read_commands(link);
        }
        release_due(&link->lane[0]);
        release_due(&link->lane[1]);
        set_timer(link);
    }
}

int main(int argc, char **argv)
{
    static struct link link;
    int at = 1, mtu = 1500;
    bool segments = false;

    for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
        if (strcmp(argv[at], "--segments") == 0)
            segments = true;
        else if (strcmp(argv[at], "--mtu") == 0 && at + 1 < argc)
            mtu = (int)strtol(argv[++at], NULL, 10);
    }
    if (argc - at != 2) {
        fprintf(stderr, "usage: link [--mtu N] [--segments] [PID:]NAME [PID:]NAME\n");
        return 2;
    }
    int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    int a = open_device(argv[at], mtu, segments);
    if (setns(home, CLONE_NEWNET) < 0 && strchr(argv[at], ':'))
        die("own network namespace");
    int b = open_device(argv[at + 1], mtu, segments);
    start_link(&link, a, b);
    printf("ready\n");
    fflush(stdout);
    run_link(&link);
    return 0;
}
