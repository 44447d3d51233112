/* The path: take the lock, or say who has it; clear what a dead one left; listen; answer each connection at once; leave. The
 * lock is the kernel's (fcntl), so a crash gives it back and leftovers mean nothing. */
#include "gateway/cli/seat.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/state_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG    16
#define NAME_PLAIN 40 /* a longer name is cut and told apart by its hash */

struct seat {
    struct loop *loop;
    void (*describe)(void *arg, struct buf *out);
    void *arg;
    int lock, fd;
    struct watch *watch;
    char *lock_path, *socket_path;
};

/* ---- names ---- */

/* Without the scheme and slashes at the end. */
static char *bare_target(const char *target)
{
    static const char scheme[] = "ssh://";
    const char *bare =
        strncmp(target, scheme, strlen(scheme)) == 0 ? target + strlen(scheme) : target;
    size_t length = strlen(bare);

    while (length > 0 && bare[length - 1] == '/')
        length--;
    return mem_slice(bare, length);
}

/* A port is only understood behind the scheme. */
char *seat_target(const char *target)
{
    CLEAN(mem_free) char *bare = bare_target(target);
    return strchr(bare, ':') ? mem_format("ssh://%s", bare) : TAKE(bare);
}

void seat_name(const char *target, char out[SEAT_NAME])
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@_-.";
    CLEAN(mem_free) char *bare = bare_target(target);
    char hash[SHA256_HEX];
    size_t length = strlen(bare);

    if (length > 0 && length <= NAME_PLAIN && strspn(bare, plain) == length && bare[0] != '.') {
        snprintf(out, SEAT_NAME, "%s", bare);
        return;
    }
    crypto_sha256_hex(bare, length, hash);
    if (length > NAME_PLAIN / 2)
        length = NAME_PLAIN / 2;
    for (size_t i = 0; i < length; i++)
        out[i] = bare[i] != '.' && memchr(plain, bare[i], sizeof(plain) - 1) ? bare[i] : '_';
    snprintf(out + length, SEAT_NAME - length, "%s%.12s", length ? "-" : "", hash);
}

/* ---- the folder ---- */

static char *folder_path(struct fault *reterr_fault)
{
    CLEAN(mem_free) char *state = state_dir_path(NULL, reterr_fault);
    return state ? mem_format("%s/tunnels", state) : NULL;
}

static int folder_make(const char *folder, struct fault *reterr_fault)
{
    CLEAN(mem_free) char *state = mem_slice(folder, (size_t)(strrchr(folder, '/') - folder));
    struct stat st;

    if ((mkdir(state, 0700) < 0 && errno != EEXIST) || (mkdir(folder, 0700) < 0 && errno != EEXIST))
        return fault_set(
            reterr_fault, -ERR_IO,
            "cannot make the folder %s: %s; set CULVERT_STATE_DIR to a folder of yours", folder,
            strerrordesc_np(errno));
    if (lstat(folder, &st) < 0 || !S_ISDIR(st.st_mode) || st.st_uid != geteuid() ||
        (st.st_mode & 022) != 0)
        return fault_set(reterr_fault, -ERR_DENIED,
                         "%s is not a folder of ours alone; run: chmod 700 %s, or set "
                         "CULVERT_STATE_DIR to a folder of yours",
                         folder, folder);
    return 0;
}

/* ---- the lock ---- */

/* {"pid":…,"target":…}: for those who ask while we cannot answer. */
static void lock_announce(int lock, const char *target)
{
    CLEAN(json_free) struct json *tree = json_new_object();

    json_put(tree, "pid", json_new_number((double)getpid()));
    json_put(tree, "target", json_new_string(target));
    CLEAN(mem_free) char *text = json_print(tree, false);
    if (ftruncate(lock, 0) == 0 && pwrite(lock, text, strlen(text), 0) < 0)
        return; /* it informs; the lock decides */
}

/* Whose it is, 0: nobody's. */
static int lock_holder(int lock)
{
    struct flock probe = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(lock, F_GETLK, &probe) == 0 && probe.l_type != F_UNLCK ? (int)probe.l_pid : 0;
}

/* The one who leaves removes the file: the lock must be on the one that still has the name. */
static bool lock_is_current(int lock, const char *path)
{
    struct stat mine, there;

    return fstat(lock, &mine) == 0 && stat(path, &there) == 0 && mine.st_ino == there.st_ino &&
           mine.st_dev == there.st_dev;
}

static int lock_take(const char *path, const char *target, struct fault *reterr_fault)
{
    for (;;) {
        struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
            return fault_set(reterr_fault, -ERR_IO, "cannot open %s: %s", path,
                             strerrordesc_np(errno));
        bool taken = fcntl(fd, F_SETLK, &lock) == 0;
        if (taken && lock_is_current(fd, path)) {
            lock_announce(fd, target);
            return fd;
        }
        int pid = taken ? 0 : lock_holder(fd);
        close(fd);
        if (pid)
            return fault_set(
                reterr_fault, -ERR_BUSY,
                "a tunnel to %s is up already (pid %d); see culvert tunnel status, end "
                "it with: kill %d",
                target, pid, pid);
    }
}

/* ---- answering ---- */

static void on_asked(void *arg, int events)
{
    struct seat *seat = arg;
    struct buf line;
    int fd = accept4(seat->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        return;
    buf_init(&line, SEAT_LINE_MAX);
    seat->describe(seat->arg, &line);
    buf_add_char(&line, '\n');
    /* A fresh socket takes a line whole; whoever reads too late gets nothing. */
    if (!line.bad)
        (void)!send(fd, line.data, line.length, MSG_NOSIGNAL);
    buf_done(&line);
    close(fd);
}

static int socket_address(const char *path, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(ret->sun_path))
        return -ERR_TOO_LARGE;
    memcpy(ret->sun_path, path, strlen(path));
    return 0;
}

static int socket_listen(struct seat *seat, struct fault *reterr_fault)
{
    struct sockaddr_un address;

    if (socket_address(seat->socket_path, &address) < 0)
        return fault_set(reterr_fault, -ERR_TOO_LARGE,
                         "the socket path %s is longer than %zu bytes; set CULVERT_STATE_DIR to a "
                         "shorter folder",
                         seat->socket_path, sizeof(address.sun_path) - 1);
    unlink(seat->socket_path); /* the lock is ours: whoever made it is dead */
    seat->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (seat->fd < 0 || bind(seat->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(seat->socket_path, 0600) < 0 || listen(seat->fd, BACKLOG) < 0)
        return fault_set(reterr_fault, -ERR_IO, "cannot listen on %s: %s", seat->socket_path,
                         strerrordesc_np(errno));
    seat->watch = watch_new(seat->loop, seat->fd, POLLIN, on_asked, seat);
    return 0;
}

int seat_take(struct loop *loop, const char *target, void (*describe)(void *arg, struct buf *out),
              void *arg, struct seat **ret, struct fault *reterr_fault)
{
    CLEAN(mem_free) char *folder = folder_path(reterr_fault);
    char name[SEAT_NAME];
    int r;

    if (!folder)
        return reterr_fault->code;
    if ((r = folder_make(folder, reterr_fault)) < 0)
        return r;
    struct seat *seat = NEW(struct seat);
    seat_name(target, name);
    seat->loop = loop;
    seat->describe = describe;
    seat->arg = arg;
    seat->fd = -1;
    seat->lock_path = mem_format("%s/%s.lock", folder, name);
    seat->socket_path = mem_format("%s/%s.sock", folder, name);
    seat->lock = lock_take(seat->lock_path, target, reterr_fault);
    r = seat->lock < 0 ? seat->lock : socket_listen(seat, reterr_fault);
    if (r < 0)
        seat_leave(seat);
    else
        *ret = seat;
    return r;
}

struct seat *seat_leave(struct seat *seat)
{
    if (!seat)
        return NULL;
    seat->watch = watch_free(seat->watch);
    if (seat->fd >= 0) {
        unlink(seat->socket_path);
        close(seat->fd);
    }
    if (seat->lock >= 0) {
        unlink(seat->lock_path);
        close(seat->lock);
    }
    mem_free(seat->lock_path);
    mem_free(seat->socket_path);
    return mem_free(seat);
}

/* ---- asking ---- */

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static struct json *read_line(int fd)
{
    CLEAN(mem_free) char *text = mem_array(SEAT_LINE_MAX, 1);
    int64_t until = now_ms() + SEAT_WAIT_MS;
    size_t length = 0;
    ssize_t n;

    for (;;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        int64_t left = until - now_ms();
        if (left <= 0 || poll(&ready, 1, (int)left) <= 0 || length == SEAT_LINE_MAX)
            return NULL;
        n = read(fd, text + length, SEAT_LINE_MAX - length);
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return NULL;
        if (n == 0)
            return json_parse(text, length, NULL);
        length += n > 0 ? (size_t)n : 0;
    }
}

static struct json *ask_socket(const char *path)
{
    struct sockaddr_un address;
    struct json *answer = NULL;
    int fd = socket_address(path, &address) < 0
                 ? -1
                 : socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return NULL;
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        answer = read_line(fd);
    close(fd);
    return answer;
}

/* Of one that holds its lock but does not speak; NULL: nobody holds it. */
static struct json *ask_lock(const char *path)
{
    char text[1024];
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    int pid = fd < 0 ? 0 : lock_holder(fd);
    ssize_t length = pid ? read(fd, text, sizeof(text)) : -1;

    if (fd >= 0)
        close(fd);
    if (!pid)
        return NULL;
    struct json *told = length > 0 ? json_parse(text, (size_t)length, NULL) : NULL;
    struct json *row = json_new_object();
    json_put(row, "target", json_new_string(json_string(json_get(told, "target"), "?")));
    json_put(row, "pid", json_new_number((double)pid));
    json_put(row, "state", json_new_string("silent"));
    json_free(told);
    return row;
}

static void ask_one(const char *folder, const char *name, struct json *rows)
{
    CLEAN(mem_free) char *socket_path = mem_format("%s/%s.sock", folder, name);
    CLEAN(mem_free) char *lock_path = mem_format("%s/%s.lock", folder, name);
    struct json *row = ask_socket(socket_path);

    if (!row)
        row = ask_lock(lock_path);
    if (row)
        json_append(rows, row);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* In the order of their names, so that a list does not jump. */
static void ask_all(const char *folder, struct json *rows)
{
    static const char ending[] = ".lock";
    char *names[SEAT_MAX];
    size_t count = 0;
    DIR *dir = opendir(folder);

    for (struct dirent *entry; dir && count < SEAT_MAX && (entry = readdir(dir));) {
        size_t length = strlen(entry->d_name);
        if (length > strlen(ending) && strcmp(entry->d_name + length - strlen(ending), ending) == 0)
            names[count++] = mem_slice(entry->d_name, length - strlen(ending));
    }
    if (dir)
        closedir(dir);
    qsort(names, count, sizeof(names[0]), by_name);
    for (size_t i = 0; i < count; i++) {
        ask_one(folder, names[i], rows);
        mem_free(names[i]);
    }
}

struct json *seat_ask(const char *target, struct fault *reterr_fault)
{
    CLEAN(mem_free) char *folder = folder_path(reterr_fault);
    char name[SEAT_NAME];

    if (!folder)
        return NULL;
    struct json *rows = json_new_array();
    if (target) {
        seat_name(target, name);
        ask_one(folder, name, rows);
    } else {
        ask_all(folder, rows);
    }
    return rows;
}
