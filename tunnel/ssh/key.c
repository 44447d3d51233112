/* What a private key file is, without opening it: read, look at who else may read it, tell the format by its first
 * line, take the public key from it or from the .pub beside it. Everything read is wiped. Format: OpenSSH's PROTOCOL.key;
 * RFC 7468 and 5958 for PEM. Owns nothing between calls. */
#include "tunnel/ssh/key.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "tunnel/ssh/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARMOUR(kind) "-----BEGIN " kind "PRIVATE KEY-----"
#define MAGIC        "openssh-key-v1"   /* with its NUL */
#define TEXT_ROOM    (KEY_FILE_MAX + 2) /* one to see that it is too long, one for the NUL */

/* ---- files ---- */

/* 0 with the file's text (TEXT_ROOM bytes, NUL at its end; the caller wipes it) and its mode, 0 when it belongs to
 * somebody else. */
static int read_whole(const char *path, char **ret, size_t *ret_length, mode_t *ret_mode,
                      struct fault *reterr_fault)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    ssize_t got = 0;

    if (fd < 0)
        return fault_set(reterr_fault,
                         errno == ENOENT || errno == ENOTDIR ? -ERR_NOT_FOUND
                         : errno == EACCES                   ? -ERR_DENIED
                                                             : -ERR_IO,
                         "cannot read the key file %s: %s", path, strerror(errno));
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        (void)close(fd);
        return fault_set(reterr_fault, -ERR_INVALID, "%s is no file", path);
    }
    *ret_mode = st.st_uid == getuid() ? st.st_mode & 07777 : 0;
    *ret = mem_new(TEXT_ROOM);
    *ret_length = 0;
    while (*ret_length <= KEY_FILE_MAX) {
        got = read(fd, *ret + *ret_length, KEY_FILE_MAX + 1 - *ret_length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        *ret_length += (size_t)got;
    }
    int error = errno;
    (void)close(fd);
    if (got >= 0 && *ret_length <= KEY_FILE_MAX)
        return 0;
    *ret = mem_wipe_free(*ret, TEXT_ROOM);
    if (got < 0)
        return fault_set(reterr_fault, -ERR_IO, "cannot read the key file %s: %s", path,
                         strerror(error));
    return fault_set(reterr_fault, -ERR_INVALID, "%s is longer than any key", path);
}

/* The public key in "type base64 comment"; false when there is none. */
static bool public_line(const char *text, struct key_file *key)
{
    size_t type = strcspn(text, " \t\r\n"), gap = strspn(text + type, " \t");
    const char *base64 = text + type + gap;
    size_t length = strcspn(base64, " \t\r\n");
    int blob;

    if (type == 0 || type >= sizeof(key->type) || gap == 0 || length == 0 || length > KEY_FILE_MAX)
        return false;
    CLEAN(mem_free) uint8_t *bytes = mem_new(length);
    blob = crypto_base64_decode(base64, length, bytes, length);
    char name[64];
    if (blob <= 0 || !wire_key_type(bytes, (size_t)blob, name) || strlen(name) != type ||
        memcmp(name, text, type) != 0)
        return false;
    mem_free(key->blob);
    key->blob = TAKE(bytes);
    key->length = (size_t)blob;
    memcpy(key->type, name, sizeof(name));
    return true;
}

/* The public key of a file beside the key ("….pub"), into key; false when there is none. */
static bool public_beside(const char *path, const char *suffix, struct key_file *key)
{
    CLEAN(mem_free) char *beside = mem_format("%s%s", path, suffix);
    char *text = NULL;
    size_t length;
    mode_t mode;
    bool found;

    if (read_whole(beside, &text, &length, &mode, NULL) < 0)
        return false;
    found = public_line(text, key);
    mem_free(text);
    return found;
}

/* ---- formats ---- */

/* Bytes of base64 between the armour's lines, white space left out. 0 or -ERR_INVALID; the caller wipes *ret. */
static int body_decode(const char *body, uint8_t **ret, size_t *ret_length, size_t *ret_room)
{
    const char *end = strstr(body, "-----END ");
    size_t digits = 0;
    char *packed;
    int length;

    if (end == NULL)
        return -ERR_INVALID;
    *ret_room = (size_t)(end - body) + 1;
    packed = mem_new(*ret_room);
    for (const char *c = body; c < end; c++)
        if (!strchr(" \t\r\n", *c))
            packed[digits++] = *c;
    *ret = mem_new(*ret_room);
    length = crypto_base64_decode(packed, digits, *ret, *ret_room);
    mem_wipe_free(packed, *ret_room);
    if (length < 0) {
        *ret = mem_wipe_free(*ret, *ret_room);
        return -ERR_INVALID;
    }
    *ret_length = (size_t)length;
    return 0;
}

static bool openssh_read(const uint8_t *bytes, size_t length, struct key_file *key)
{
    struct wire wire;
    struct wire_text cipher, public;

    if (length < sizeof(MAGIC) || memcmp(bytes, MAGIC, sizeof(MAGIC)) != 0)
        return false;
    wire = wire_of(bytes + sizeof(MAGIC), length - sizeof(MAGIC));
    cipher = wire_string(&wire);
    (void)wire_string(&wire); /* how the passphrase becomes a key, and its options */
    (void)wire_string(&wire);
    uint32_t count = wire_u32(&wire);
    public = wire_string(&wire);
    (void)wire_string(&wire); /* the private half */
    if (wire.bad || count != 1 || !wire_key_type(public.data, public.length, key->type))
        return false;
    key->encrypted = !wire_is(cipher, "none");
    key->blob = mem_copy(public.data, public.length);
    key->length = public.length;
    return true;
}

static bool openssh(const char *body, struct key_file *key)
{
    uint8_t *bytes = NULL;
    size_t length, room;
    bool good;

    if (body_decode(body, &bytes, &length, &room) < 0)
        return false;
    good = openssh_read(bytes, length, key);
    mem_wipe_free(bytes, room);
    return good;
}

static bool pem_is_encrypted(const char *body)
{
    const char *mark = strstr(body, "Proc-Type:"), *end = strstr(body, "-----END ");

    return mark && end && mark < end && strstr(mark, "ENCRYPTED") &&
           strstr(mark, "ENCRYPTED") < end;
}

static bool pem_rsa(const char *body, struct key_file *key)
{
    key->encrypted = pem_is_encrypted(body);
    memcpy(key->type, "ssh-rsa", sizeof("ssh-rsa"));
    return true;
}

static bool pem_dsa(const char *body, struct key_file *key)
{
    key->encrypted = pem_is_encrypted(body);
    memcpy(key->type, "ssh-dss", sizeof("ssh-dss"));
    return true;
}

static bool pem_untold(const char *body, struct key_file *key)
{
    key->encrypted = pem_is_encrypted(body);
    return true;
}

static bool pkcs8_encrypted(const char *body, struct key_file *key)
{
    (void)body;
    key->encrypted = true;
    return true;
}

/* PKCS #8 begins: SEQUENCE, version, SEQUENCE { OBJECT IDENTIFIER …}: the identifier stands in the first bytes. */
static bool pkcs8(const char *body, struct key_file *key)
{
    static const struct {
        const char *type;
        uint8_t length, identifier[12];
    } kinds[] = {
        {"ssh-rsa", 11, {6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1}},
        {"ssh-dss", 9, {6, 7, 0x2a, 0x86, 0x48, 0xce, 0x38, 4, 1}},
        {"ssh-ed25519", 5, {6, 3, 0x2b, 0x65, 0x70}},
        {"", 9, {6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1}}, /* elliptic: which curve is not told */
    };
    uint8_t *bytes = NULL;
    size_t length, room;
    bool known = false;

    if (body_decode(body, &bytes, &length, &room) < 0)
        return false;
    for (size_t i = 0; i < COUNT(kinds) && !known; i++) {
        known =
            memmem(bytes, length < 32 ? length : 32, kinds[i].identifier, kinds[i].length) != NULL;
        if (known)
            memcpy(key->type, kinds[i].type, strlen(kinds[i].type) + 1);
    }
    mem_wipe_free(bytes, room);
    return known;
}

static bool read_format(struct key_file *key)
{
    static const struct {
        const char *first;
        bool (*read)(const char *body, struct key_file *key);
    } formats[] = {
        {ARMOUR("OPENSSH "), openssh}, {ARMOUR("RSA "), pem_rsa},
        {ARMOUR("EC "), pem_untold},   {ARMOUR("DSA "), pem_dsa},
        {ARMOUR(""), pkcs8},           {ARMOUR("ENCRYPTED "), pkcs8_encrypted},
    };
    const char *text = key->text + strspn(key->text, " \t\r\n");

    for (size_t i = 0; i < COUNT(formats); i++)
        if (strncmp(text, formats[i].first, strlen(formats[i].first)) == 0)
            return formats[i].read(text + strlen(formats[i].first), key);
    return false;
}

/* ---- what may be done with it ---- */

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static enum key_use use_of(const struct key_file *key)
{
    if (begins(key->type, "ssh-dss"))
        return KEY_UNSUPPORTED;
    if (begins(key->type, "sk-"))
        return KEY_HARDWARE;
    if (key->certificate)
        return KEY_CERTIFICATE;
    if (begins(key->type, "ssh-rsa"))
        return KEY_RSA;
    return key->encrypted ? KEY_ENCRYPTED : KEY_USABLE;
}

static bool has_certificate(const char *path)
{
    CLEAN(key_file_done) struct key_file certificate = {0};

    return public_beside(path, "-cert.pub", &certificate) &&
           strstr(certificate.type, "-cert-v0") != NULL;
}

/* As ssh: a private key that others may read is not used; one that belongs to somebody else is his to guard. */
static int check_guarded(const char *path, const struct key_file *key, mode_t mode,
                         struct fault *reterr_fault)
{
    if ((mode & 077) == 0 || !strstr(key->text, "PRIVATE KEY"))
        return 0;
    return fault_set(reterr_fault, -ERR_DENIED,
                     "others may read the private key %s (mode %04o), so it is not used; run: "
                     "chmod 600 %s",
                     path, (unsigned)mode, path);
}

/* No private half: a public key alone names the one that an agent holds. */
static int public_only(const char *path, struct key_file *key, struct fault *reterr_fault)
{
    bool found = key->text ? public_line(key->text, key) : public_beside(path, ".pub", key);

    if (!found && !key->text)
        return -ERR_NOT_FOUND; /* the fault is set */
    if (!found)
        return fault_set(reterr_fault, -ERR_INVALID,
                         "%s is no private key that ssh knows; name the key file itself (PuTTY's "
                         "is converted by: puttygen KEY.ppk -O private-openssh -o KEY)",
                         path);
    if (key->text)
        key->text = mem_wipe_free(key->text, TEXT_ROOM);
    key->text_length = 0;
    key->use = KEY_PUBLIC;
    return 0;
}

int key_file_read(const char *path, struct key_file *ret, struct fault *reterr_fault)
{
    CLEAN(key_file_done) struct key_file key = {.path = mem_string(path)};
    mode_t mode = 0;
    int r = read_whole(path, &key.text, &key.text_length, &mode, reterr_fault);

    if (r < 0 && r != -ERR_NOT_FOUND)
        return r;
    if (r == 0 && check_guarded(path, &key, mode, reterr_fault) < 0)
        return -ERR_DENIED;
    if (r == 0 && read_format(&key)) {
        if (key.blob == NULL)
            (void)public_beside(path, ".pub", &key);
        key.certificate = has_certificate(path);
        key.use = use_of(&key);
    } else {
        r = public_only(path, &key, reterr_fault);
        if (r < 0)
            return r;
    }
    *ret = key;
    key = (struct key_file){0};
    return 0;
}

void key_file_done(struct key_file *key)
{
    mem_free(key->path);
    mem_free(key->blob);
    if (key->text)
        mem_wipe_free(key->text, TEXT_ROOM);
    *key = (struct key_file){0};
}
