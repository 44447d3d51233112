/* Which keys known_hosts files give a host. A file is read whole; a question walks its lines: leading blanks, an
 * optional marker, names, key type, key in base64, a comment. Lines that make no sense are passed over as OpenSSH
 * does; what is stricter here is said where it is. Owns the files' text. */
#include "tunnel/ssh/known_hosts.h"

#include "base/buf.h"
#include "base/crypto.h"
#include "base/mem.h"
#include "tunnel/ssh/known_hosts_internal.h"
#include "tunnel/ssh/wire.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct known_file {
    char *path, *text;
    size_t length;
    bool revoked; /* RevokedHostKeys: keys alone, none of which may be used */
};
struct known_hosts {
    struct known_file *files;
    size_t count;
};

/* ---- files ---- */

/* 0 and the text of an open file; a device (/dev/null) is empty. */
static int file_text(int fd, const char *path, struct known_file *ret, struct fault *reterr_fault)
{
    struct stat st;
    size_t have = 0;

    if (fstat(fd, &st) < 0)
        return fault_set(reterr_fault, -ERR_IO, "cannot look at %s: %s", path, strerror(errno));
    if (S_ISCHR(st.st_mode))
        return 0;
    if (!S_ISREG(st.st_mode))
        return fault_set(reterr_fault, -ERR_INVALID,
                         "%s is no file, so nobody can say which hosts are known; mend "
                         "UserKnownHostsFile",
                         path);
    if (st.st_size > (off_t)KNOWN_HOSTS_BYTES_MAX)
        return fault_set(reterr_fault, -ERR_TOO_LARGE,
                         "%s is larger than %u MiB; remove what is old from it", path,
                         KNOWN_HOSTS_BYTES_MAX >> 20);
    ret->text = mem_new((size_t)st.st_size + 1);
    while (have < (size_t)st.st_size) {
        ssize_t got = pread(fd, ret->text + have, (size_t)st.st_size - have, (off_t)have);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fault_set(reterr_fault, -ERR_IO, "cannot read %s: %s", path, strerror(errno));
        if (got == 0)
            break;
        have += (size_t)got;
    }
    ret->length = have;
    return 0;
}

static int file_load(const char *path, struct known_file *ret, struct fault *reterr_fault)
{
    /* O_NONBLOCK: a pipe in its place must not hold us. */
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);

    ret->path = mem_string(path);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return 0;
    if (fd < 0)
        return fault_set(reterr_fault, errno == EACCES ? -ERR_DENIED : -ERR_IO,
                         "cannot read %s (%s), so nobody can say whether a host key is known; "
                         "make it readable to you",
                         path, strerror(errno));
    int r = file_text(fd, path, ret, reterr_fault);
    (void)close(fd);
    return r;
}

struct known_hosts *known_hosts_load(const char *const *files, size_t count,
                                     struct fault *reterr_fault)
{
    CLEAN(known_hosts_free) struct known_hosts *hosts = NEW(struct known_hosts);

    hosts->files = mem_array(count + 1, sizeof(*hosts->files));
    for (size_t i = 0; i < count; i++) {
        hosts->count = i + 1;
        if (file_load(files[i], &hosts->files[i], reterr_fault) < 0)
            return NULL;
    }
    return TAKE(hosts);
}

#define KRL_MAGIC "SSHKRL\n" /* with its NUL */

int known_hosts_revoke(struct known_hosts *hosts, const char *path, struct fault *reterr_fault)
{
    struct known_file *file;
    int r;

    hosts->files = mem_grow(hosts->files, hosts->count + 1, sizeof(*hosts->files));
    file = &hosts->files[hosts->count];
    *file = (struct known_file){.revoked = true};
    hosts->count++;
    r = file_load(path, file, reterr_fault);
    if (r == 0 && access(path, F_OK) < 0)
        return fault_set(reterr_fault, -ERR_NOT_FOUND,
                         "RevokedHostKeys names %s, which is not there; as ssh, we then trust no "
                         "host key",
                         path);
    if (r == 0 && file->length >= sizeof(KRL_MAGIC) &&
        memcmp(file->text, KRL_MAGIC, sizeof(KRL_MAGIC)) == 0)
        return fault_set(reterr_fault, -ERR_UNSUPPORTED,
                         "RevokedHostKeys names %s, a binary revocation list, which only ssh "
                         "reads; list the keys in a text file",
                         path);
    return r;
}

struct known_hosts *known_hosts_of_fd(int fd, const char *path, struct fault *reterr_fault)
{
    CLEAN(known_hosts_free) struct known_hosts *hosts = NEW(struct known_hosts);

    hosts->files = mem_array(1, sizeof(*hosts->files));
    hosts->count = 1;
    hosts->files[0].path = mem_string(path);
    if (file_text(fd, path, &hosts->files[0], reterr_fault) < 0)
        return NULL;
    return TAKE(hosts);
}

struct known_hosts *known_hosts_of_text(const char *text, size_t length)
{
    struct known_hosts *hosts = NEW(struct known_hosts);

    hosts->files = mem_array(1, sizeof(*hosts->files));
    hosts->count = 1;
    hosts->files[0] = (struct known_file){
        .path = mem_string("known_hosts"), .text = mem_slice(text, length), .length = length};
    return hosts;
}

bool known_hosts_ends_within_line(const struct known_hosts *hosts)
{
    const struct known_file *file = &hosts->files[0];

    return file->length > 0 && file->text[file->length - 1] != '\n';
}

struct known_hosts *known_hosts_free(struct known_hosts *hosts)
{
    if (hosts == NULL)
        return NULL;
    for (size_t i = 0; i < hosts->count; i++) {
        mem_free(hosts->files[i].path);
        mem_free(hosts->files[i].text);
    }
    mem_free(hosts->files);
    return mem_free(hosts);
}

/* ---- one question: which lines name this host ---- */

char *known_hosts_name(const char *name, int port)
{
    char *text = port == 0 || port == 22 ? mem_string(name) : mem_format("[%s]:%d", name, port);

    for (char *c = text; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    return text;
}

struct key_bytes {
    char type[64];
    uint8_t *blob; /* owned */
    size_t length;
};

/* The key on a line; false when it is none, and then the line says nothing. */
static bool line_key(const struct known_line *line, struct key_bytes *ret)
{
    size_t room = line->base64_length / 4 * 3 + 3;
    int length;

    ret->blob = mem_new(room);
    /* Only the standard alphabet, padded: what OpenSSH takes. */
    if (line->base64_length % 4 != 0 || memchr(line->base64, '-', line->base64_length) ||
        memchr(line->base64, '_', line->base64_length))
        return false;
    length = crypto_base64_decode(line->base64, line->base64_length, ret->blob, room);
    if (length <= 0)
        return false;
    ret->length = (size_t)length;
    return wire_key_type(ret->blob, ret->length, ret->type) &&
           strlen(ret->type) == line->type_length &&
           memcmp(ret->type, line->type, line->type_length) == 0;
}

typedef void line_fn(void *arg, const struct known_line *line, const struct key_bytes *key,
                     const char *where);

static void each_line(const struct known_file *file, const char *name, line_fn *fn, void *arg)
{
    const char *at = file->text, *end = file->text ? file->text + file->length : NULL;

    for (size_t number = 1; at < end; number++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        struct known_line line;
        struct key_bytes key = {0};
        char where[512];

        if (stop == NULL)
            stop = end;
        bool said = file->revoked ? known_line_revoked(at, (size_t)(stop - at), &line)
                                  : known_line_read(at, (size_t)(stop - at), &line) &&
                                        known_line_names(&line, name);
        if (said && line_key(&line, &key)) {
            snprintf(where, sizeof(where), "%.480s:%zu", file->path, number);
            fn(arg, &line, &key, where);
        }
        mem_free(key.blob);
        at = stop + 1;
    }
}

/* ---- is this the host's key ---- */

struct finding {
    const struct host_key *key;
    bool found[HOST_KEY_AUTHORITY + 1];
    char where[HOST_KEY_AUTHORITY + 1][512];
};

static void finding_add(void *arg, const struct known_line *line, const struct key_bytes *key,
                        const char *where)
{
    struct finding *finding = arg;
    enum host_key_verdict verdict;
    bool same = key->length == finding->key->length &&
                memcmp(key->blob, finding->key->blob, key->length) == 0;

    if (line->marker == KNOWN_REVOKED && !same)
        return;
    if (line->marker == KNOWN_REVOKED)
        verdict = HOST_KEY_REVOKED;
    else if (line->marker == KNOWN_AUTHORITY)
        verdict = HOST_KEY_AUTHORITY;
    else if (same)
        verdict = HOST_KEY_KNOWN;
    else
        verdict =
            strcmp(key->type, finding->key->type) == 0 ? HOST_KEY_CHANGED : HOST_KEY_UNKNOWN_TYPE;
    if (finding->found[verdict])
        return;
    finding->found[verdict] = true;
    snprintf(finding->where[verdict], sizeof(finding->where[verdict]), "%s", where);
}

static enum host_key_verdict find(const struct known_hosts *hosts, const char *name, int port,
                                  const struct host_key *key, char ret_where[512])
{
    /* Revoked wins over all, a known key over others of its host. */
    static const enum host_key_verdict order[] = {HOST_KEY_REVOKED, HOST_KEY_KNOWN,
                                                  HOST_KEY_CHANGED, HOST_KEY_UNKNOWN_TYPE,
                                                  HOST_KEY_AUTHORITY};
    CLEAN(mem_free) char *pattern = known_hosts_name(name, port);
    CLEAN(mem_free) struct finding *finding = NEW(struct finding);

    finding->key = key;
    for (size_t i = 0; i < hosts->count; i++)
        each_line(&hosts->files[i], pattern, finding_add, finding);
    for (size_t i = 0; i < COUNT(order); i++) {
        if (!finding->found[order[i]])
            continue;
        if (ret_where)
            snprintf(ret_where, 512, "%s", finding->where[order[i]]);
        return order[i];
    }
    return HOST_KEY_UNKNOWN;
}

enum host_key_verdict known_hosts_check(const struct known_hosts *hosts, const char *name, int port,
                                        const struct host_key *key, char ret_where[512])
{
    enum host_key_verdict verdict = find(hosts, name, port, key, ret_where), plain;

    if (port == 0 || port == 22 || (verdict != HOST_KEY_UNKNOWN && verdict != HOST_KEY_AUTHORITY))
        return verdict;
    /* As ssh: this very key under the host's name alone will do, another one there says nothing. */
    char where[512];
    plain = find(hosts, name, 0, key, where);
    if (plain != HOST_KEY_KNOWN && plain != HOST_KEY_REVOKED)
        return verdict;
    if (ret_where)
        snprintf(ret_where, 512, "%s", where);
    return plain;
}

/* ---- which types are known ---- */

static void types_add(void *arg, const struct known_line *line, const struct key_bytes *key,
                      const char *where)
{
    struct buf *types = arg;

    (void)where;
    if (line->marker == KNOWN_PLAIN)
        buf_addf(types, ",%s,", key->type);
}

/* The key type that a signature algorithm belongs to. */
static const char *key_type_of(const char *algorithm)
{
    return strncmp(algorithm, "rsa-sha2-", 9) == 0 ? "ssh-rsa" : algorithm;
}

static bool is_among(const char *types, const char *algorithm)
{
    CLEAN(mem_free) char *word = mem_format(",%s,", key_type_of(algorithm));

    return strstr(types, word) != NULL;
}

char *known_hosts_types(const struct known_hosts *hosts, const char *name, int port,
                        const char *ours)
{
    struct buf types, out;

    buf_init(&types, 1u << 20);
    buf_init(&out, 2 * strlen(ours) + 2);
    for (int plain = 0; plain < 2 && types.length == 0; plain++) {
        CLEAN(mem_free) char *pattern = known_hosts_name(name, plain ? 0 : port);

        for (size_t i = 0; i < hosts->count; i++)
            each_line(&hosts->files[i], pattern, types_add, &types);
    }
    for (int known = 1; known >= 0; known--) {
        CLEAN(mem_free) char *words = mem_string(ours);
        char *rest = words;

        for (char *word; (word = strsep(&rest, ",")) != NULL;)
            if (*word && is_among(types.data ? types.data : "", word) == (known == 1))
                buf_addf(&out, "%s%s", out.length > 0 ? "," : "", word);
    }
    buf_done(&types);
    return buf_take(&out);
}

void host_key_fingerprint(const struct host_key *key, char out[64])
{
    uint8_t hash[SHA256_BYTES];
    char text[64];

    crypto_sha256(key->blob, key->length, hash);
    crypto_base64(hash, sizeof(hash), text);
    text[strcspn(text, "=")] = '\0';
    snprintf(out, 64, "SHA256:%.50s", text);
}
