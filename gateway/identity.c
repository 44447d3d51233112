/* The identity file: read and checked, or made at the first start. {version: 1, deviceId, publicKey,
 * privateKey, createdAtMs}; keys are base64url, privateKey is the 32-byte seed. protocol.md 2.9. */
#include "gateway/identity.h"

#include "base/field.h"
#include "base/mem.h"
#include "gateway/config/write.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define IDENTITY_BYTES_MAX 4096

struct identity_file {
    int64_t version, createdAtMs;
    const char *deviceId, *publicKey, *privateKey;
};
static const struct field identity_file_fields[] = {
    F_INT(identity_file, version, REQUIRED, 1, 1, 1),
    F_STR(identity_file, deviceId, REQUIRED, 64),
    F_STR(identity_file, publicKey, REQUIRED, 64),
    F_STR(identity_file, privateKey, REQUIRED, 64),
    F_INT(identity_file, createdAtMs, OPTIONAL, 0, 9e15, 0),
    F_END,
};

static void identity_name(struct identity *identity)
{
    crypto_sha256_hex(identity->key.public_key, ED25519_PUBLIC_BYTES, identity->device_id);
    crypto_base64url(identity->key.public_key, ED25519_PUBLIC_BYTES, identity->public_key);
}

/* ---- reading ---- */

static int identity_parse(const char *path, const char *text, size_t length,
                          struct identity *identity, struct fault *reterr_fault)
{
    struct identity_file file;
    uint8_t seed[ED25519_SEED_BYTES];
    struct fault why = {0};
    CLEAN(json_free) struct json *tree = json_parse(text, length, NULL);

    if (!tree || field_decode(identity_file_fields, tree, &file, sizeof(file), &why) < 0)
        return fault_set(reterr_fault, -ERR_CORRUPT,
                         "%s is not an identity file%s%s; restore it, or move it away for a new "
                         "identity (paired devices will see a stranger)",
                         path, why.text[0] ? ": " : "", why.text);
    if (crypto_base64_decode(file.privateKey, strlen(file.privateKey), seed, sizeof(seed)) !=
        ED25519_SEED_BYTES)
        return fault_set(reterr_fault, -ERR_CORRUPT, "%s: privateKey is not a 32-byte seed", path);
    ed25519_from_seed(seed, &identity->key);
    crypto_wipe(seed, sizeof(seed));
    identity_name(identity);
    if (strcmp(identity->public_key, file.publicKey) != 0 ||
        strcmp(identity->device_id, file.deviceId) != 0)
        return fault_set(reterr_fault, -ERR_CORRUPT,
                         "%s: privateKey does not belong to deviceId and publicKey", path);
    return 0;
}

static int identity_check_file(int fd, const char *path, struct fault *reterr_fault)
{
    struct stat st;

    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return fault_set(reterr_fault, -ERR_INVALID, "%s is not a regular file", path);
    if (st.st_uid != geteuid())
        return fault_set(reterr_fault, -ERR_DENIED,
                         "%s belongs to another user; chown it to the user that runs this, or move "
                         "it away",
                         path);
    if (st.st_mode & 077)
        return fault_set(reterr_fault, -ERR_DENIED,
                         "%s can be read by others; if nobody did, run: chmod 600 %s (otherwise "
                         "move it away for a new identity)",
                         path, path);
    return 0;
}

static int identity_read(const char *path, struct identity *identity, struct fault *reterr_fault)
{
    char text[IDENTITY_BYTES_MAX];
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

    if (fd < 0) {
        int code = errno == ENOENT ? -ERR_NOT_FOUND : -ERR_IO;
        return fault_set(reterr_fault, code, "cannot open %s: %s", path, strerrordesc_np(errno));
    }
    int r = identity_check_file(fd, path, reterr_fault);
    ssize_t n = r == 0 ? read(fd, text, sizeof(text)) : 0;
    close(fd);
    if (r == 0 && n < 0)
        r = fault_set(reterr_fault, -ERR_IO, "cannot read %s", path);
    if (r == 0)
        r = identity_parse(path, text, (size_t)n, identity, reterr_fault);
    crypto_wipe(text, sizeof(text));
    return r;
}

/* ---- making ---- */

static int64_t wall_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int identity_make(const char *path, struct identity *identity, struct fault *reterr_fault)
{
    char seed[64];
    struct buf out;
    struct json_writer w;

    ed25519_generate(&identity->key);
    identity_name(identity);
    crypto_base64url(identity->key.seed, ED25519_SEED_BYTES, seed);
    buf_init(&out, IDENTITY_BYTES_MAX);
    jw_init(&w, &out);
    jw_object(&w);
    jw_kint(&w, "version", 1);
    jw_kstr(&w, "deviceId", identity->device_id);
    jw_kstr(&w, "publicKey", identity->public_key);
    jw_kstr(&w, "privateKey", seed);
    jw_kint(&w, "createdAtMs", wall_ms());
    jw_object_end(&w);
    buf_add_char(&out, '\n');
    crypto_wipe(seed, sizeof(seed));
    int r = write_file(path, out.data, out.length, WRITE_NEW, reterr_fault);
    crypto_wipe(out.data, out.length);
    buf_done(&out);
    return r;
}

static int make_folder(const char *folder, struct fault *reterr_fault)
{
    if (mkdir(folder, 0700) == 0 || errno == EEXIST)
        return 0;
    return fault_set(reterr_fault, -ERR_IO, "cannot make the folder %s: %s", folder,
                     strerrordesc_np(errno));
}

int identity_load(const char *state_dir, const char *name, struct identity **ret,
                  struct fault *reterr_fault)
{
    CLEAN(mem_free) char *folder = mem_format("%s/identity", state_dir);
    CLEAN(mem_free) char *path = mem_format("%s/%s.json", folder, name);
    struct identity *identity = NEW(struct identity);
    struct fault fault = {0};
    int r = identity_read(path, identity, &fault);

    if (r == -ERR_NOT_FOUND && (r = make_folder(folder, &fault)) == 0) {
        r = identity_make(path, identity, &fault);
        if (r == -ERR_EXISTS) /* another process was first: that one counts */
            r = identity_read(path, identity, &fault);
    }
    if (r < 0) {
        identity_free(identity);
        return fault_set(reterr_fault, r, "%s", fault.text);
    }
    *ret = identity;
    return 0;
}

struct identity *identity_free(struct identity *identity)
{
    if (!identity)
        return NULL;
    crypto_wipe(&identity->key, sizeof(identity->key));
    return mem_free(identity);
}
