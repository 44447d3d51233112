/* One road: find who holds the socket by walking /proc, then look at everything those processes hold.
 * Path: one_road_test -> find_holders -> judge_process -> judge_sockets. Pure of the gateway; owns its lists
 * for the call. What cannot be read or told counts against the peer. */
#include "gateway/conn/one_road.h"

#include "base/mem.h"
#include "gateway/conn/sock_diag.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define HOLDERS_MAX    32
#define SOCKETS_MAX    4096 /* of one process */
#define DUMPS_MAX      3
#define LINK_MAX_BYTES 512

/* ---- programs by name ---- */

/* Forwarders whose other end need not be a socket we can see: `ssh host nc 127.0.0.1 18789`, and the
 * user-mode networks of virtual machines and rootless containers. */
static const char *const carriers[] = {
    "sshd",        "ssh",         "tailscaled", "dropbear", "dbclient",     "autossh",
    "socat",       "nc",          "netcat",     "ncat",     "nc.openbsd",   "nc.traditional",
    "websocat",    "busybox",     "passt",      "pasta",    "pasta.avx2",   "passt.avx2",
    "slirp4netns", "rootlesskit", "gvproxy",    "vpnkit",   "VBoxHeadless", "VirtualBoxVM",
    "vmware-vmx",  "firecracker", NULL};
/* Families of names. */
static const char *const carrier_heads[] = {"qemu-", "sshd-", NULL};
static const char *const browsers[] = {"chrome",
                                       "chromium",
                                       "chromium-browser",
                                       "google-chrome",
                                       "headless_shell",
                                       "chrome-headless-shell",
                                       "firefox",
                                       "firefox-bin",
                                       "firefox-esr",
                                       "brave",
                                       "msedge",
                                       "opera",
                                       "vivaldi-bin",
                                       "epiphany",
                                       "WebKitNetworkProcess",
                                       NULL};

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcmp(name, *list) == 0)
            return true;
    return false;
}

bool one_road_is_carrier(const char *program)
{
    for (const char *const *head = carrier_heads; *head; head++)
        if (strncmp(program, *head, strlen(*head)) == 0)
            return true;
    return is_one_of(program, carriers);
}

bool one_road_is_browser(const char *program)
{
    return is_one_of(program, browsers);
}

/* ---- /proc ---- */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static bool read_link(const char *path, char *out, size_t size)
{
    ssize_t length = readlink(path, out, size - 1);

    if (length < 0)
        return false;
    out[length] = '\0';
    return true;
}

static bool is_number(const char *text)
{
    return text[0] && strspn(text, "0123456789") == strlen(text);
}

typedef int link_fn(void *arg, const char *link);

/* Every descriptor of a process. -ERR_DENIED when we may not look; else what fn returned last. */
static int each_descriptor(const char *pid, link_fn *fn, void *arg)
{
    char path[64], link[LINK_MAX_BYTES];
    const struct dirent *entry;
    int result = 0;

    snprintf(path, sizeof(path), "/proc/%s/fd", pid);
    DIR *dir = opendir(path);
    if (!dir)
        return -ERR_DENIED;
    while (result == 0 && (entry = readdir(dir))) {
        ssize_t length = entry->d_name[0] == '.'
                             ? -1
                             : readlinkat(dirfd(dir), entry->d_name, link, sizeof(link) - 1);
        if (length < 0)
            continue;
        link[length] = '\0';
        result = fn(arg, link);
    }
    closedir(dir);
    return result;
}

static uint64_t socket_inode(const char *link)
{
    return strncmp(link, "socket:[", 8) == 0 ? strtoull(link + 8, NULL, 10) : 0;
}

/* ---- who holds it ---- */

struct holders {
    uint64_t inode;
    char pids[HOLDERS_MAX][16];
    size_t count;
};

static int is_this_one(void *arg, const char *link)
{
    const struct holders *holders = arg;

    return socket_inode(link) == holders->inode ? 1 : 0;
}

int one_road_holds(int32_t pid, uint64_t inode)
{
    struct holders holders = {.inode = inode};
    char text[16];

    snprintf(text, sizeof(text), "%d", pid);
    return each_descriptor(text, is_this_one, &holders);
}

static int find_holders(struct holders *holders, int64_t deadline_ms, struct fault *reterr_fault)
{
    DIR *proc = opendir("/proc");
    const struct dirent *entry;
    int result = 0;

    if (!proc)
        return fault_set(reterr_fault, -ERR_DENIED, "/proc cannot be read");
    while (result == 0 && (entry = readdir(proc))) {
        if (!is_number(entry->d_name) || strlen(entry->d_name) >= sizeof(holders->pids[0]))
            continue;
        if (now_ms() > deadline_ms)
            result = fault_set(reterr_fault, -ERR_TIMEOUT, "looking for its process took too long");
        else if (each_descriptor(entry->d_name, is_this_one, holders) != 1)
            continue;
        else if (holders->count == HOLDERS_MAX)
            result = fault_set(reterr_fault, -ERR_DENIED, "too many processes hold its socket");
        else
            memcpy(holders->pids[holders->count++], entry->d_name, strlen(entry->d_name) + 1);
    }
    closedir(proc);
    if (result == 0 && holders->count == 0)
        return fault_set(reterr_fault, -ERR_DENIED, "no process we can see holds its socket");
    return result;
}

/* ---- what else it holds ---- */

struct belongings {
    uint64_t *sockets; /* SOCKETS_MAX */
    bool *known;
    size_t count;
    const struct one_road *road;
    const char *why; /* the first other road found */
};

/* Devices that carry packets without a socket: tunnels, and guests behind a network of their own. */
static int collect(void *arg, const char *link)
{
    static const char *const devices[] = {
        "/dev/net/tun", "/dev/vhost-net", "/dev/vhost-vsock",  "/dev/vsock",
        "/dev/ppp",     "/dev/kvm",       "anon_inode:kvm-vm", NULL};
    struct belongings *b = arg;
    uint64_t inode = socket_inode(link);

    if (is_one_of(link, devices)) {
        b->why = "it holds a device that carries traffic";
        return 1;
    }
    if (!inode)
        return 0;
    if (b->count == SOCKETS_MAX) {
        b->why = "it holds too many sockets";
        return 1;
    }
    b->sockets[b->count++] = inode;
    return 0;
}

static const char *other_road(const struct sock_diag_entry *entry, const struct one_road *road)
{
    bool to_us = entry->protocol == IPPROTO_TCP && road->listener_port && entry->loopback &&
                 entry->peer_port == road->listener_port;

    if (entry->listening)
        return "it holds a listening socket";
    /* What was accepted on a unix socket keeps its name: somebody came in by it (socat, a relay). */
    if (entry->named)
        return "it holds a unix socket that others come in by";
    if (entry->family != AF_INET && entry->family != AF_INET6)
        return NULL;
    return to_us ? NULL : "it holds another network connection";
}

static void weigh(void *arg, const struct sock_diag_entry *entry)
{
    struct belongings *b = arg;

    for (size_t i = 0; i < b->count; i++) {
        if (b->sockets[i] != entry->inode)
            continue;
        b->known[i] = true;
        if (!b->why)
            b->why = other_road(entry, b->road);
    }
}

static bool all_known(const struct belongings *b)
{
    for (size_t i = 0; i < b->count; i++)
        if (!b->known[i])
            return false;
    return true;
}

/* A socket none of the dumps knows is a road we cannot see. A dump is no snapshot: while sockets come and
 * go it may pass one over, so it is asked again. */
static const char *judge_sockets(struct belongings *b)
{
    static const struct {
        int family, protocol;
    } dumps[] = {{AF_UNIX, 0},    {AF_INET, IPPROTO_TCP}, {AF_INET6, IPPROTO_TCP},
                 {AF_NETLINK, 0}, {AF_INET, IPPROTO_UDP}, {AF_INET6, IPPROTO_UDP}};

    for (int tries = 0; tries < DUMPS_MAX; tries++) {
        for (size_t i = 0; i < COUNT(dumps) && !b->why; i++)
            sock_diag_each(dumps[i].family, dumps[i].protocol, weigh, b);
        if (b->why || all_known(b))
            return b->why;
    }
    return "it holds a socket of a kind that cannot be told";
}

/* ---- one holder ---- */

static const char *program_of(const char *pid, char *out, size_t size)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%s/exe", pid);
    if (!read_link(path, out, size))
        return NULL;
    char *deleted = strstr(out, " (deleted)");
    if (deleted)
        *deleted = '\0';
    const char *slash = strrchr(out, '/');
    return slash ? slash + 1 : out;
}

static bool same_pid_namespace(const char *pid)
{
    char path[64], ours[64], theirs[64];

    snprintf(path, sizeof(path), "/proc/%s/ns/pid", pid);
    return read_link("/proc/self/ns/pid", ours, sizeof(ours)) &&
           read_link(path, theirs, sizeof(theirs)) && strcmp(ours, theirs) == 0;
}

static bool owned_by(const char *pid, uint32_t uid)
{
    char path[64];
    struct stat info;

    snprintf(path, sizeof(path), "/proc/%s", pid);
    return stat(path, &info) == 0 && info.st_uid == uid;
}

/* The process that was found may be gone and its number somebody else's. */
static bool holds_it_still(const struct belongings *b)
{
    for (size_t i = 0; i < b->count; i++)
        if (b->sockets[i] == b->road->inode)
            return true;
    return false;
}

static const char *judge_belongings(const char *pid, const struct one_road *road)
{
    struct belongings b = {.road = road};
    const char *why;

    b.sockets = mem_array(SOCKETS_MAX, sizeof(*b.sockets));
    b.known = mem_array(SOCKETS_MAX, sizeof(*b.known));
    if (each_descriptor(pid, collect, &b) < 0)
        why = "its descriptors cannot be read";
    else if (!b.why && !holds_it_still(&b))
        why = "it let go of its socket while it was looked at";
    else
        why = b.why ? b.why : judge_sockets(&b);
    mem_free(b.sockets);
    mem_free(b.known);
    return why;
}

static int judge_process(const char *pid, const struct one_road *road, struct fault *reterr_fault)
{
    char exe[LINK_MAX_BYTES];
    const char *program = program_of(pid, exe, sizeof(exe));
    const char *why = NULL;

    if (!program)
        why = "its program cannot be read";
    else if (!owned_by(pid, road->uid))
        why = "it belongs to another user";
    else if (!same_pid_namespace(pid))
        why = "it lives in a container";
    else if (one_road_is_carrier(program))
        why = "it carries other people's connections";
    else if (!(road->browser && one_road_is_browser(program)))
        why = judge_belongings(pid, road);
    if (!why)
        return 0;
    return fault_set(reterr_fault, -ERR_DENIED, "process %s (%s): %s", pid,
                     program ? program : "unknown", why);
}

int one_road_test(const struct one_road *road, struct fault *reterr_fault)
{
    struct holders holders = {.inode = road->inode};
    int result = find_holders(&holders, road->deadline_ms, reterr_fault);

    for (size_t i = 0; i < holders.count && result == 0; i++) {
        if (now_ms() > road->deadline_ms)
            return fault_set(reterr_fault, -ERR_TIMEOUT, "looking at its process took too long");
        result = judge_process(holders.pids[i], road, reterr_fault);
    }
    return result;
}
