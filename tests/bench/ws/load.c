/* load MODE --url URL …: drives a WebSocket server and prints one JSON line.
 *
 *   rpc     N connections, each keeps a window of requests open; answers per second, latency
 *   fanout  N connections listen, one more sends requests that each cause one event for all of them;
 *           a window of rounds is kept open; deliveries per second, time until all have it
 *   idle    N connections are opened and held; with --pid what that costs the server
 *
 * The same program loads the floor, the bare door and the gateway. */
#include "tests/bench/ws/load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#define EVENTS_MAX 512
#define STEP_BITS  6u /* 64 steps per power of two: within 1.6 % */
#define BUCKETS    (40u << STEP_BITS)
#define ROUNDS_MAX 4000000u
#define BATCH_MAX  64

struct options {
    const char *mode, *url, *request, *connect, *match;
    int connections, window, pid;
    double seconds, warm;
};

static struct options options = {.connections = 1, .window = 1, .seconds = 5, .warm = 0.3};
static struct peer *peers;
static int epoll_fd;
static char *request_frames; /* BATCH_MAX times the same request */
static size_t request_length;
static uint64_t counted;
static int64_t counting_since; /* 0: warming up */

/* ---- latency: logarithmic buckets ---- */

static uint64_t buckets[BUCKETS], samples;

static void latency_add(int64_t us)
{
    unsigned v = us < 1 ? 1 : (unsigned)us, power = 31u - (unsigned)__builtin_clz(v);
    unsigned step = power >= STEP_BITS ? v >> (power - STEP_BITS) : v << (STEP_BITS - power);

    buckets[(power << STEP_BITS) + (step & ((1u << STEP_BITS) - 1))]++;
    samples++;
}

static double latency_at(double share)
{
    uint64_t want = (uint64_t)((double)samples * share), seen = 0;

    for (unsigned b = 0; b < BUCKETS; b++) {
        seen += buckets[b];
        if (buckets[b] && seen > want)
            return (double)(1u << (b >> STEP_BITS)) *
                   (1.0 + (double)(b & ((1u << STEP_BITS) - 1)) / (1u << STEP_BITS));
    }
    return 0;
}

/* ---- requests ---- */

static void send_requests(struct peer *p, unsigned count)
{
    int64_t now = now_us();

    while (count > 0) {
        unsigned part = count < BATCH_MAX ? count : BATCH_MAX;
        for (unsigned i = 0; i < part; i++)
            p->sent_at[p->sent++ % (unsigned)options.window] = now;
        peer_send(p, epoll_fd, request_frames, part * request_length);
        count -= part;
    }
}

static void on_rpc_frame(struct peer *p, char kind, const char *text, size_t length)
{
    (void)text;
    (void)length;
    if (kind != 'r')
        return;
    if (counting_since) {
        counted++;
        latency_add(now_us() - p->sent_at[p->answered % (unsigned)options.window]);
    }
    p->answered++;
}

static void rpc_step(struct peer *p)
{
    unsigned open = p->sent - p->answered;

    if (open < (unsigned)options.window)
        send_requests(p, (unsigned)options.window - open);
}

/* ---- fan-out ---- */

static unsigned *heard;     /* per round: connections that have it */
static int64_t *round_sent; /* per round */
static unsigned rounds_sent, rounds_done;

static void on_event_frame(struct peer *p, char kind, const char *text, size_t length)
{
    if (kind != 'e' || p->number == options.connections)
        return;
    if (options.match && !memmem(text, length, options.match, strlen(options.match)))
        return;
    unsigned round = p->events++;
    if (counting_since)
        counted++;
    if (round >= ROUNDS_MAX || ++heard[round] < (unsigned)options.connections)
        return;
    rounds_done++;
    if (counting_since && round < rounds_sent)
        latency_add(now_us() - round_sent[round]);
}

static void fanout_step(struct peer *p)
{
    (void)p;
    struct peer *trigger = &peers[options.connections];
    while (rounds_sent - rounds_done < (unsigned)options.window && rounds_sent < ROUNDS_MAX) {
        round_sent[rounds_sent++] = now_us();
        peer_send(trigger, epoll_fd, request_frames, request_length);
    }
}

/* ---- the run ---- */

static void watch(struct peer *p)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = p};
    epoll_ctl(epoll_fd, EPOLL_CTL_ADD, p->fd, &event);
}

static void run(int peer_count, peer_frame_fn *on_frame, void (*step)(struct peer *))
{
    struct epoll_event events[EVENTS_MAX];
    int64_t start = now_us(), warm = start + (int64_t)(options.warm * 1e6);
    int64_t end = warm + (int64_t)(options.seconds * 1e6), now = start;

    for (int i = 0; i < peer_count; i++)
        watch(&peers[i]);
    for (int i = 0; i < options.connections && step; i++)
        step(&peers[i]);
    while (now < end) {
        int n = epoll_wait(epoll_fd, events, EVENTS_MAX, 20);
        for (int i = 0; i < n; i++) {
            struct peer *p = events[i].data.ptr;
            if (events[i].events & EPOLLOUT)
                peer_flush(p, epoll_fd);
            if (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                peer_read(p, on_frame);
            if (step)
                step(p);
        }
        now = now_us();
        if (!counting_since && now >= warm)
            counting_since = now;
    }
}

static long rss_kb(int pid, const char *name)
{
    char path[64], line[256];
    long value = 0;

    snprintf(path, sizeof(path), "/proc/%d/status", pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof(line), file))
        if (strncmp(line, name, strlen(name)) == 0)
            value = strtol(line + strlen(name) + 1, NULL, 10);
    if (file)
        fclose(file);
    return value;
}

static void print_result(double seconds)
{
    printf("{\"mode\":\"%s\",\"connections\":%d,\"window\":%d,\"seconds\":%.3f,\"count\":%llu,"
           "\"per_second\":%.0f,\"p50_us\":%.0f,\"p99_us\":%.0f,\"rounds\":%u}\n",
           options.mode, options.connections, options.window, seconds, (unsigned long long)counted,
           (double)counted / seconds, latency_at(0.50), latency_at(0.99), rounds_done);
}

static void open_peers(int count)
{
    struct url url;

    url_parse(options.url, &url);
    peers = calloc((size_t)count, sizeof(*peers));
    if (!peers)
        die("out of memory");
    for (int i = 0; i < count; i++) {
        peer_open(&peers[i], i, &url, options.connect);
        peers[i].sent_at = calloc((size_t)options.window, sizeof(int64_t));
    }
}

static void mode_rpc(void)
{
    open_peers(options.connections);
    run(options.connections, on_rpc_frame, rpc_step);
    print_result((double)(now_us() - counting_since) / 1e6);
}

static void mode_fanout(void)
{
    heard = calloc(ROUNDS_MAX, sizeof(*heard));
    round_sent = calloc(ROUNDS_MAX, sizeof(*round_sent));
    if (!heard || !round_sent)
        die("out of memory");
    open_peers(options.connections + 1);
    run(options.connections + 1, on_event_frame, fanout_step);
    print_result((double)(now_us() - counting_since) / 1e6);
}

static void on_any_frame(struct peer *p, char kind, const char *text, size_t length)
{
    (void)p;
    (void)kind;
    (void)text;
    (void)length;
}

static void mode_idle(void)
{
    long before = options.pid ? rss_kb(options.pid, "VmRSS:") : 0;

    open_peers(options.connections);
    run(options.connections, on_any_frame, NULL);
    long after = options.pid ? rss_kb(options.pid, "VmRSS:") : 0;
    printf("{\"mode\":\"idle\",\"connections\":%d,\"rss_before_kb\":%ld,\"rss_after_kb\":%ld,"
           "\"bytes_per_connection\":%.0f}\n",
           options.connections, before, after,
           (double)(after - before) * 1024.0 / options.connections);
}

/* ---- command line ---- */

/* TEXT, or the contents of a file as @PATH. */
static const char *text_of(const char *value)
{
    if (value[0] != '@')
        return value;
    FILE *file = fopen(value + 1, "r");
    size_t room = 1 << 20;
    char *text = malloc(room);
    if (!file || !text)
        die("cannot read %s", value + 1);
    size_t n = fread(text, 1, room - 1, file);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    text[n] = '\0';
    fclose(file);
    return text;
}

static void parse_options(int argc, char **argv)
{
    const struct {
        const char *name;
        const char **text;
        int *number;
        double *real;
    } table[] = {
        {"--url", &options.url, NULL, NULL},
        {"--request", &options.request, NULL, NULL},
        {"--connect", &options.connect, NULL, NULL},
        {"--match", &options.match, NULL, NULL},
        {"--connections", NULL, &options.connections, NULL},
        {"--window", NULL, &options.window, NULL},
        {"--pid", NULL, &options.pid, NULL},
        {"--seconds", NULL, NULL, &options.seconds},
        {"--warm", NULL, NULL, &options.warm},
    };

    for (int i = 2; i + 1 < argc; i += 2) {
        size_t k = 0;
        while (k < sizeof(table) / sizeof(table[0]) && strcmp(argv[i], table[k].name) != 0)
            k++;
        if (k == sizeof(table) / sizeof(table[0]))
            die("unknown option %s", argv[i]);
        if (table[k].text)
            *table[k].text = text_of(argv[i + 1]);
        else if (table[k].number)
            *table[k].number = (int)strtol(argv[i + 1], NULL, 10);
        else
            *table[k].real = strtod(argv[i + 1], NULL);
    }
}

static void make_requests(void)
{
    char *one = frame_make(options.request, &request_length);

    request_frames = malloc(request_length * BATCH_MAX);
    if (!request_frames)
        die("out of memory");
    for (size_t i = 0; i < BATCH_MAX; i++)
        memcpy(request_frames + i * request_length, one, request_length);
    free(one);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } modes[] = {{"rpc", mode_rpc}, {"fanout", mode_fanout}, {"idle", mode_idle}};

    if (argc < 2 || argc % 2)
        die("load rpc|fanout|idle --url URL [--connections N] [--window W] [--seconds S] [--warm S]"
            " [--request TEXT|@FILE] [--connect TEXT|@FILE] [--match TEXT] [--pid N]");
    options.mode = argv[1];
    parse_options(argc, argv);
    if (!options.url || options.connections < 1 || options.window < 1)
        die("--url, --connections and --window must make sense");
    if (strcmp(options.mode, "idle") != 0 && !options.request)
        die("--request is missing");
    if (options.request)
        make_requests();
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(options.mode, modes[i].name) == 0) {
            modes[i].run();
            return 0;
        }
    die("unknown mode %s", options.mode);
}
