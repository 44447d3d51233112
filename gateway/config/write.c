/* The order is what makes it safe: write the temporary, sync it, rename (or link, where nothing may be
 * replaced), sync the folder. */
#include "gateway/config/write.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/config/source.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int write_failed(struct fault *fault, const char *what, const char *path)
{
    int code = errno == ENOSPC || errno == EDQUOT                    ? -ERR_FULL
               : errno == EACCES || errno == EPERM || errno == EROFS ? -ERR_DENIED
                                                                     : -ERR_IO;

    return fault_set(fault, code, "cannot %s %s: %s", what, path, strerrordesc_np(errno));
}

static int write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        data += n;
        length -= (size_t)n;
    }
    return fsync(fd);
}

static int write_temporary(const char *path, const void *data, size_t length, struct fault *fault)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0)
        return write_failed(fault, "create", path);
    int r = write_all(fd, data, length) < 0 ? write_failed(fault, "write", path) : 0;
    if (close(fd) < 0 && r == 0)
        r = write_failed(fault, "write", path);
    if (r < 0)
        unlink(path);
    return r;
}

static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    CLEAN(mem_free)
    char *folder = !slash          ? mem_string(".")
                   : slash == path ? mem_string("/")
                                   : mem_slice(path, (size_t)(slash - path));
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
}

static int put_in_place(const char *temporary, const char *path, enum write_how how,
                        struct fault *fault)
{
    if (how == WRITE_REPLACE)
        return rename(temporary, path) == 0 ? 0 : write_failed(fault, "replace", path);
    if (link(temporary, path) == 0) {
        unlink(temporary);
        return 0;
    }
    if (errno == EEXIST)
        return fault_set(fault, -ERR_EXISTS, "%s is there already", path);
    return write_failed(fault, "create", path);
}

int write_file(const char *path, const void *data, size_t length, enum write_how how,
               struct fault *reterr_fault)
{
    char real[PATH_MAX], token[TOKEN_TEXT];
    const char *target = how == WRITE_REPLACE && realpath(path, real) ? real : path;

    crypto_token(token);
    token[12] = '\0';
    CLEAN(mem_free) char *temporary = mem_format("%s.%s.tmp", target, token);
    int r = write_temporary(temporary, data, length, reterr_fault);
    if (r < 0)
        return r;
    r = put_in_place(temporary, target, how, reterr_fault);
    if (r < 0)
        unlink(temporary);
    else
        sync_folder(target);
    return r;
}

static char *backup_name(const char *path, int generation)
{
    return generation ? mem_format("%s.bak.%d", path, generation) : mem_format("%s.bak", path);
}

int write_backup(const char *path, struct fault *reterr_fault)
{
    char *text = NULL;
    size_t length = 0;
    int r = source_read(path, &text, &length, reterr_fault);

    if (r == -ERR_NOT_FOUND)
        return 0;
    if (r < 0)
        return r;
    for (int n = WRITE_BACKUPS - 1; n > 0; n--) {
        CLEAN(mem_free) char *from = backup_name(path, n - 1);
        CLEAN(mem_free) char *to = backup_name(path, n);
        rename(from, to); /* absent is fine */
    }
    CLEAN(mem_free) char *newest = backup_name(path, 0);
    r = write_file(newest, text, length, WRITE_REPLACE, reterr_fault);
    mem_wipe_free(text, length);
    return r;
}
