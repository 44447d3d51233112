/* Opening beneath a workspace: openat2 with RESOLVE_BENEATH, so that no ".." and no link, however it is
 * exchanged meanwhile, leads out. Owns nothing. */
#include "gateway/tools/workspace.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
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
    {ENOSYS, -ERR_UNSUPPORTED,
     "the kernel is too old to keep paths inside (Linux 5.6 has openat2)"},
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

int workspace_open(int root, const char *path, int flags, mode_t mode, struct fault *reterr_fault)
{
    struct open_how how = {
        .flags = (unsigned)(flags | O_CLOEXEC | O_NOCTTY | O_NONBLOCK),
        .mode = flags & O_CREAT ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
    };
    long fd = -1;

    for (int i = 0; i < TRIES && fd < 0; i++) {
        fd = syscall(SYS_openat2, root, path, &how, sizeof(how));
        if (fd < 0 && errno != EAGAIN && errno != EINTR)
            break;
    }
    return fd >= 0 ? (int)fd : workspace_fault(errno, path, reterr_fault);
}
