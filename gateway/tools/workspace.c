/* Opening, reading and writing beneath a workspace: openat2 with RESOLVE_BENEATH, so that no ".." and no
 * link, however it is exchanged meanwhile, leads out. What is opened is checked on its descriptor, never by
 * its name. Owns nothing. */
#include "gateway/tools/workspace.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define TRIES 8 /* EAGAIN: somebody renamed a folder on the way, so the kernel could not be sure */

static const struct {
    int number, code;
    const char *why;
} workspace_errors[] = {
    {ENOENT, -ERR_NOT_FOUND, "there is no such file"},
    {EXDEV, -ERR_DENIED, "it leads out of the workspace"},
    {ELOOP, -ERR_DENIED, "it leads through too many links"},
    {EACCES, -ERR_DENIED, "not permitted"},
    {EPERM, -ERR_DENIED, "not permitted"},
    {EEXIST, -ERR_EXISTS, "it is there already"},
    {ENOTDIR, -ERR_INVALID, "a part of the path is not a folder"},
    {EISDIR, -ERR_INVALID, "it is a folder"},
    {ENAMETOOLONG, -ERR_INVALID, "the path is too long"},
    {ENOSPC, -ERR_FULL, "the disk is full"},
    {EDQUOT, -ERR_FULL, "the disk quota is used up"},
    {EROFS, -ERR_DENIED, "the file system is read-only"},
    {ENXIO, -ERR_INVALID, "it is no file"},
};

static int workspace_fault(int number, const char *path, struct fault *reterr_fault)
{
    for (size_t i = 0; i < COUNT(workspace_errors); i++) {
        if (workspace_errors[i].number == number)
            return fault_set(reterr_fault, workspace_errors[i].code, "%.200s: %s", path,
                             workspace_errors[i].why);
    }
    return fault_set(reterr_fault, -ERR_IO, "%.200s: %s", path, strerrordesc_np(number));
}

int workspace_root(const char *root, struct fault *reterr_fault)
{
    int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);

    return fd >= 0 ? fd : workspace_fault(errno, root, reterr_fault);
}

/* ---- opening ---- */

#define WALK_FOLDER (O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
#define WALK_LAST   (O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK)

/* One step down; the folder it starts from is closed. */
static int walk_step(int at, const char *name, int flags, mode_t mode)
{
    int fd = openat(at, name, flags, mode), number = errno;

    close(at);
    errno = number;
    return fd;
}

int workspace_open_by_walk(int root, const char *path, int flags, mode_t mode,
                           struct fault *reterr_fault)
{
    int at = -1;

    errno = path[0] == '/' ? EXDEV : ENOENT;
    if (path[0] != '/' && path[0] != '\0')
        at = openat(root, ".", WALK_FOLDER);
    for (const char *part = path; at >= 0;) {
        size_t length = strcspn(part, "/");
        bool last = part[length] == '\0';
        CLEAN(mem_free) char *name = length > 0 ? mem_slice(part, length) : mem_string(".");

        if (strcmp(name, "..") == 0) {
            close(at);
            return workspace_fault(EXDEV, path, reterr_fault);
        }
        at = walk_step(at, name, last ? flags | WALK_LAST : WALK_FOLDER, last ? mode : 0);
        if (last)
            break;
        part += length + 1;
    }
    return at >= 0 ? at : workspace_fault(errno, path, reterr_fault);
}

int workspace_open(int root, const char *path, int flags, mode_t mode, struct fault *reterr_fault)
{
    struct open_how how = {
        /* With O_PATH openat2 takes no flag that means nothing there. */
        .flags = (unsigned)(flags | O_CLOEXEC | (flags & O_PATH ? 0 : O_NOCTTY | O_NONBLOCK)),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;

    for (int i = 0; i < TRIES && fd < 0; i++) {
        fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
        if (fd < 0 && errno != EAGAIN && errno != EINTR)
            break;
    }
    if (fd < 0 &&
        (errno == ENOSYS || errno == EPERM)) /* an old kernel, or a filter that does not know it */
        return workspace_open_by_walk(root, path, flags, mode, reterr_fault);
    return fd >= 0 ? (int)fd : workspace_fault(errno, path, reterr_fault);
}

/* ---- what was opened ---- */

/* The real path of a descriptor; "" when /proc does not tell. */
static void real_path(int fd, char out[PATH_MAX])
{
    char link[64];
    ssize_t n;

    snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
    n = readlink(link, out, PATH_MAX - 1);
    out[n > 0 ? n : 0] = '\0';
}

/* path is folder or lies below it. */
static bool lies_in(const char *path, const char *folder)
{
    size_t n = strlen(folder);

    return n > 0 && strncmp(path, folder, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

int workspace_guard(int root, int fd, const char *forbidden, const char *path,
                    struct fault *reterr_fault)
{
    char top[PATH_MAX], here[PATH_MAX], secret[PATH_MAX];

    if (!forbidden || !realpath(forbidden, secret))
        return 0;
    real_path(root, top);
    real_path(fd, here);
    if (lies_in(here, secret) && !lies_in(top, secret))
        return fault_set(reterr_fault, -ERR_DENIED,
                         "%.200s: this is where the gateway keeps its own files", path);
    return 0;
}

static const char *kind_of(mode_t mode)
{
    return S_ISDIR(mode)    ? "a folder"
           : S_ISFIFO(mode) ? "a fifo"
           : S_ISSOCK(mode) ? "a socket"
           : S_ISLNK(mode)  ? "a link: name the file it points to"
                            : "a device";
}

/* ---- paths as they were written ---- */

char *workspace_relative(const char *root, const char *path, struct fault *reterr_fault)
{
    char real[PATH_MAX];
    struct buf plain;

    if (path[0] == '/' && realpath(root, real) && lies_in(path, real))
        path += strlen(real);
    else if (path[0] == '/' && lies_in(path, root))
        path += strlen(root);
    else if (path[0] == '/' || path[0] == '\0' || strlen(path) >= PATH_MAX) {
        fault_set(reterr_fault, path[0] == '/' ? -ERR_DENIED : -ERR_INVALID,
                  path[0] == '/' ? "%.200s: it is not in the workspace" : "%.200s: this is no path",
                  path);
        return NULL;
    }
    buf_init(&plain, PATH_MAX + 1);
    while (*path) {
        size_t n = strcspn(path, "/");

        if (n == 2 && memcmp(path, "..", 2) == 0) {
            fault_set(reterr_fault, -ERR_DENIED,
                      "\"..\" is not allowed in a path: it must stay in the workspace");
            buf_done(&plain);
            return NULL;
        }
        if (n > 0 && !(n == 1 && *path == '.')) {
            if (plain.length > 0)
                buf_add_char(&plain, '/');
            buf_add(&plain, path, n);
        }
        path += n + (path[n] == '/');
    }
    if (plain.length == 0)
        buf_add_char(&plain, '.');
    return buf_take(&plain);
}

/* ---- reading ---- */

static ssize_t read_all(int fd, const char *path, size_t max, struct buf *out,
                        struct fault *reterr_fault)
{
    size_t total = 0;

    for (;;) {
        char chunk[65536];
        ssize_t n = read(fd, chunk, sizeof(chunk));

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return workspace_fault(errno, path, reterr_fault);
        if (n == 0)
            return (ssize_t)total;
        total += (size_t)n;
        if (total > max) /* it grew meanwhile, or it is one of those that tell no size */
            return fault_set(reterr_fault, -ERR_TOO_LARGE, "%.200s: more than %zu bytes", path,
                             max);
        buf_add(out, chunk, (size_t)n);
    }
}

ssize_t workspace_read(int root, const char *path, size_t max, const char *forbidden,
                       struct buf *out, struct fault *reterr_fault)
{
    int fd = workspace_open(root, path, O_RDONLY, 0, reterr_fault);
    struct stat st;
    ssize_t r;

    if (fd < 0)
        return fd;
    if (fstat(fd, &st) < 0)
        r = workspace_fault(errno, path, reterr_fault);
    else if (!S_ISREG(st.st_mode))
        r = fault_set(reterr_fault, -ERR_INVALID, "%.200s: it is %s", path, kind_of(st.st_mode));
    else if ((uint64_t)st.st_size > max)
        r = fault_set(reterr_fault, -ERR_TOO_LARGE,
                      "%.200s: it has %lld bytes, more than the %zu that are read at once", path,
                      (long long)st.st_size, max);
    else if ((r = workspace_guard(root, fd, forbidden, path, reterr_fault)) == 0)
        r = read_all(fd, path, max, out, reterr_fault);
    close(fd);
    return r;
}

/* ---- writing ---- */

/* The folder that the file will stand in, made where it is missing; its descriptor. */
static int open_parent(int root, const char *path, struct fault *reterr_fault)
{
    int at = workspace_open(root, ".", O_PATH | O_DIRECTORY, 0, reterr_fault);

    for (const char *slash = strchr(path, '/'); slash && at >= 0; slash = strchr(slash + 1, '/')) {
        CLEAN(mem_free) char *folder = mem_slice(path, (size_t)(slash - path));
        const char *name = strrchr(folder, '/') ? strrchr(folder, '/') + 1 : folder;
        int next, made = mkdirat(at, name, 0755) < 0 ? errno : 0;

        close(at);
        if (made != 0 && made != EEXIST)
            return workspace_fault(made, folder, reterr_fault);
        next = workspace_open(root, folder, O_PATH | O_DIRECTORY, 0, reterr_fault);
        at = next;
    }
    return at;
}

static int write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno;
        data += n;
        length -= (size_t)n;
    }
    return fsync(fd) < 0 ? errno : 0;
}

/* The new contents beside the file, then in its place. 0 or an errno. */
static int replace(int folder, const char *name, mode_t mode, const void *data, size_t length)
{
    char fresh[64], random[UUID_TEXT];
    int fd, r;

    crypto_uuid(random);
    snprintf(fresh, sizeof(fresh), ".culvert-%s", random);
    fd = openat(folder, fresh, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    r = write_all(fd, data, length);
    if (r == 0 && fchmod(fd, mode) < 0)
        r = errno;
    close(fd);
    if (r == 0 && renameat(folder, fresh, folder, name) < 0)
        r = errno;
    if (r != 0)
        (void)unlinkat(folder, fresh, 0);
    return r;
}

int workspace_write(int root, const char *path, const char *forbidden, const void *data,
                    size_t length, struct fault *reterr_fault)
{
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    int folder = open_parent(root, path, reterr_fault), r;
    mode_t mode = 0644;
    struct stat st;

    if (folder < 0)
        return folder;
    r = workspace_guard(root, folder, forbidden, path, reterr_fault);
    if (r == 0 && fstatat(folder, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
        mode = st.st_mode & 0777;
        if (!S_ISREG(st.st_mode))
            r = fault_set(reterr_fault, -ERR_INVALID, "%.200s: it is %s", path,
                          kind_of(st.st_mode));
    }
    if (r == 0 && (r = replace(folder, name, mode, data, length)) != 0)
        r = workspace_fault(r, path, reterr_fault);
    close(folder);
    return r;
}
