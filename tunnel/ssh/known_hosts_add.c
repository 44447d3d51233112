/* Writing a host's key down: one line at the end of the file, in one write, under a lock, after looking again whether
 * it is still missing there. */
#include "base/buf.h"
#include "base/crypto.h"
#include "base/io/tls_digest.h"
#include "base/mem.h"
#include "tunnel/ssh/known_hosts_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_TRIES 50 /* of 10 ms; it is held for one read and one write */

static int cannot_write(const char *file, struct fault *reterr_fault)
{
    return fault_set(reterr_fault, errno == EACCES || errno == EROFS ? -ERR_DENIED : -ERR_IO,
                     "cannot write the host key down in %s: %s", file, strerror(errno));
}

static void make_folder(const char *file)
{
    const char *slash = strrchr(file, '/');

    if (slash == NULL || slash == file)
        return;
    CLEAN(mem_free) char *folder = mem_slice(file, (size_t)(slash - file));
    (void)mkdir(folder, 0700); /* there already: fine; if not made, the open says why */
}

static int take_lock(int fd, const char *file, struct fault *reterr_fault)
{
    for (int tries = 0; flock(fd, LOCK_EX | LOCK_NB) < 0; tries++) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return 0; /* a file system without locks: the one write is still whole */
        if (tries >= LOCK_TRIES)
            return fault_set(reterr_fault, -ERR_BUSY,
                             "cannot write the host key down: another program holds %s locked",
                             file);
        (void)poll(NULL, 0, 10);
    }
    return 0;
}

/* A name that would read as a pattern, a list or a marker is written hashed, whatever was asked. */
static bool needs_hash(const char *name)
{
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == 0x7f || strchr(",*?!#@|", *c))
            return true;
    return *name == '\0';
}

static int line_write(struct buf *out, const char *name, const struct host_key *key, bool hashed)
{
    CLEAN(mem_free) char *base64 = mem_new(crypto_base64_size(key->length));
    char hash[64];
    uint8_t salt[SHA1_BYTES];
    int r;

    crypto_base64(key->blob, key->length, base64);
    if (hashed || needs_hash(name)) {
        crypto_random(salt, sizeof(salt));
        r = known_name_hash(name, salt, hash);
        if (r < 0)
            return r;
        name = hash;
    }
    buf_addf(out, "%s %s %s\n", name, key->type, base64);
    return out->bad ? -ERR_TOO_LARGE : 0;
}

static int append(int fd, const char *file, const struct buf *line, struct fault *reterr_fault)
{
    off_t before = lseek(fd, 0, SEEK_END);
    ssize_t wrote = write(fd, line->data, line->length);

    if (wrote == (ssize_t)line->length)
        return 0;
    if (wrote >= 0)
        errno = ENOSPC;
    int r = cannot_write(file, reterr_fault);
    if (wrote > 0 && before >= 0)
        (void)!ftruncate(fd, before); /* half a line would be read as another key */
    return r;
}

/* Under the lock. */
static int add_to(int fd, const char *file, const char *name, int port, const struct host_key *key,
                  bool hashed, struct fault *reterr_fault)
{
    CLEAN(known_hosts_free)
    struct known_hosts *now = known_hosts_of_fd(fd, file, reterr_fault);
    CLEAN(mem_free) char *pattern = known_hosts_name(name, port);
    CLEAN(buf_done) struct buf line = {.max = 0};
    char where[512];
    int r;

    if (now == NULL)
        return reterr_fault ? reterr_fault->code : -ERR_IO;
    switch (known_hosts_check(now, name, port, key, where)) {
    case HOST_KEY_KNOWN: return 0;
    case HOST_KEY_UNKNOWN:
    case HOST_KEY_AUTHORITY: break;
    case HOST_KEY_UNKNOWN_TYPE:
    case HOST_KEY_CHANGED:
    case HOST_KEY_REVOKED:
        return fault_set(reterr_fault, -ERR_CONFLICT,
                         "the host key is not written down: %s already says otherwise", where);
    }
    buf_init(&line, 2 * key->length + 4096);
    if (known_hosts_ends_within_line(now))
        buf_add_char(&line, '\n');
    r = line_write(&line, pattern, key, hashed);
    if (r < 0)
        return fault_set(reterr_fault, r, "cannot write the host key down in %s: %s", file,
                         err_text(r));
    return append(fd, file, &line, reterr_fault);
}

int known_hosts_add(const char *file, const char *name, int port, const struct host_key *key,
                    bool hashed, struct fault *reterr_fault)
{
    int fd, r;

    make_folder(file);
    fd = open(file, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_CLOEXEC, 0600);
    if (fd < 0)
        return cannot_write(file, reterr_fault);
    r = take_lock(fd, file, reterr_fault);
    if (r == 0)
        r = add_to(fd, file, name, port, key, hashed, reterr_fault);
    (void)close(fd); /* the lock with it */
    return r;
}
