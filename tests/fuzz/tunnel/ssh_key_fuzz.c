/* Any bytes as a private key file, as they are and as "KIND\nbase64" in its armour: its kind agrees with its type. */
#include "base/buf.h"
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tunnel/ssh/key.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static void check(const struct key_file *key, size_t size)
{
    require(key->blob == NULL || (key->length > 4 && key->type[0]));
    require(key->text == NULL || (key->text_length == size && strlen(key->text) <= size));
    require(key->use == KEY_PUBLIC ||
            (key->use == KEY_HARDWARE) == (strncmp(key->type, "sk-", 3) == 0));
    require(key->use != KEY_USABLE || !key->encrypted);
}

static void read_as_file(const void *data, size_t size)
{
    struct key_file key = {0};
    struct fault fault = {0};
    char path[64];
    int fd = memfd_create("key", MFD_CLOEXEC);

    if (fd < 0)
        return;
    if (write(fd, data, size) == (ssize_t)size && fchmod(fd, 0600) == 0) {
        snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
        if (key_file_read(path, &key, &fault) == 0)
            check(&key, size);
        else
            require(fault.code < 0 && fault.text[0]);
    }
    key_file_done(&key);
    (void)close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN(mem_free) char *text = mem_slice((const char *)data, size);
    CLEAN(buf_done) struct buf armoured = {0};
    size_t kind = strcspn(text, "\n");

    read_as_file(data, size);
    buf_init(&armoured, size + 4096);
    buf_addf(&armoured, "-----BEGIN %.*sPRIVATE KEY-----\n", (int)(kind % 64), text);
    buf_add_str(&armoured, text[kind] ? text + kind + 1 : "");
    buf_add_str(&armoured, "\n-----END PRIVATE KEY-----\n");
    if (!armoured.bad)
        read_as_file(armoured.data, armoured.length);
    return 0;
}
