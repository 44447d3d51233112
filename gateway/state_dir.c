/* Where the gateway keeps its things, and the lock that keeps a second one out. The lock is the kernel's
 * (fcntl), so a crash releases it and a leftover file means nothing. */
#include "gateway/state_dir.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LONGEST_SOCKET "/gateway.sock" /* tunnel.sock is shorter */

static const char *const folders[] = {"identity", "logs", "bus", "canvas", "workspace"};

char *state_dir_path(const char *given, struct fault *reterr_fault)
{
    if (!given)
        given = getenv("CULVERT_STATE_DIR");
    if (given && given[0])
        return mem_string(given);

    const char *home = getenv("HOME");
    struct passwd entry, *found = NULL;
    char text[1024];
    if ((!home || !home[0]) && getpwuid_r(geteuid(), &entry, text, sizeof(text), &found) == 0 &&
        found)
        home = entry.pw_dir;
    if (!home || !home[0]) {
        fault_set(reterr_fault, -ERR_NOT_FOUND,
                  "no home directory: set HOME, CULVERT_STATE_DIR or --state-dir");
        return NULL;
    }
    return mem_format("%s/.culvert", home);
}

static int make_folder(const char *path, struct fault *reterr_fault)
{
    struct stat st;

    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return fault_set(reterr_fault, -ERR_IO,
                         "cannot make the state directory %s: %s; choose another with --state-dir",
                         path, strerror(errno));
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
        return fault_set(
            reterr_fault, -ERR_INVALID,
            "the state directory %s is not a directory; choose another with --state-dir", path);
    if (st.st_uid != geteuid())
        return fault_set(
            reterr_fault, -ERR_DENIED,
            "the state directory %s belongs to uid %u, we run as uid %u; run as its owner, "
            "chown it, or choose another with --state-dir",
            path, st.st_uid, geteuid());
    if (st.st_mode & 022)
        return fault_set(reterr_fault, -ERR_DENIED,
                         "others may write the state directory %s; run: chmod go-w %s", path, path);
    if (access(path, R_OK | W_OK | X_OK) < 0)
        return fault_set(
            reterr_fault, -ERR_DENIED,
            "the state directory %s is not readable and writable for us; run: chmod u+rwx %s", path,
            path);
    return 0;
}

int state_dir_prepare(const char *path, struct fault *reterr_fault)
{
    size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
    int r;

    if (strlen(path) + strlen(LONGEST_SOCKET) > room)
        return fault_set(
            reterr_fault, -ERR_TOO_LARGE,
            "the state directory's path is %zu bytes; its sockets allow at most %zu: choose a "
            "shorter one with --state-dir",
            strlen(path), room - strlen(LONGEST_SOCKET));
    if ((r = make_folder(path, reterr_fault)) < 0)
        return r;
    for (size_t i = 0; i < COUNT(folders); i++) {
        CLEAN(mem_free) char *folder = mem_format("%s/%s", path, folders[i]);
        if ((r = make_folder(folder, reterr_fault)) < 0)
            return r;
    }
    return 0;
}

int state_dir_lock(const char *path, struct fault *reterr_fault)
{
    CLEAN(mem_free) char *file = mem_format("%s/gateway.lock", path);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);

    if (fd < 0)
        return fault_set(reterr_fault, -ERR_IO, "cannot open %s: %s", file, strerror(errno));
    if (fcntl(fd, F_SETLK, &lock) == 0)
        return fd;

    int reason = errno;
    if ((reason == EAGAIN || reason == EACCES) && fcntl(fd, F_GETLK, &lock) == 0 &&
        lock.l_type != F_UNLCK)
        fault_set(
            reterr_fault, -ERR_BUSY,
            "a gateway (pid %d) already runs on %s; stop it, or give this one its own --state-dir",
            (int)lock.l_pid, path);
    else
        fault_set(reterr_fault, -ERR_BUSY, "cannot lock %s: %s", file, strerror(reason));
    close(fd);
    return -ERR_BUSY;
}

void state_dir_announce(int lock, int port)
{
    char text[80];
    int length = snprintf(text, sizeof(text), "{\"pid\":%d,\"port\":%d}\n", (int)getpid(), port);

    /* Best effort: the file informs, the lock decides. */
    if (ftruncate(lock, 0) == 0 && pwrite(lock, text, (size_t)length, 0) < 0)
        return;
}
