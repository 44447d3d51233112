/* Any bytes as a known_hosts file: what says "known" really holds this very key, and a revoked line before it wins. */
#include "base/mem.h"
#include "tests/fuzz/fuzz.h"
#include "tunnel/ssh/known_hosts_internal.h"

#include <string.h>

static const uint8_t key_bytes[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20"
                                   "kjdfhgkjdhfgkjhdfkgjhdkfjghdkfjg";
#define KEY_LINE                                                                                   \
    "\n@revoked * ssh-ed25519 "                                                                    \
    "AAAAC3NzaC1lZDI1NTE5AAAAIGtqZGZoZ2tqZGhmZ2tqaGRma2dqaGRrZmpnaGRrZmpn\n"

static enum host_key_verdict check(const char *text, size_t length, int port)
{
    const struct host_key key = {key_bytes, sizeof(key_bytes) - 1, "ssh-ed25519"};
    CLEAN(known_hosts_free) struct known_hosts *hosts = known_hosts_of_text(text, length);
    CLEAN(mem_free)
    char *types = known_hosts_types(hosts, "host.example", port, "ssh-ed25519,ssh-rsa");
    char where[512] = "";
    enum host_key_verdict verdict = known_hosts_check(hosts, "host.example", port, &key, where);

    require(strlen(types) == strlen("ssh-ed25519,ssh-rsa"));
    require((where[0] == '\0') == (verdict == HOST_KEY_UNKNOWN));
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN(mem_free) char *text = mem_new(size + sizeof(KEY_LINE));

    memcpy(text, data, size);
    enum host_key_verdict verdict = check(text, size, 22);
    require(verdict != HOST_KEY_KNOWN || memmem(data, size, "AAAAC3NzaC1lZDI1NTE5AAAAIGtq", 28));
    (void)check(text, size, 2200);

    struct known_line line;
    if (known_line_revoked(text, size, &line))
        require(line.base64 >= text && line.base64 + line.base64_length <= text + size);
    memcpy(text + size, KEY_LINE, sizeof(KEY_LINE) - 1);
    require(check(text, size + sizeof(KEY_LINE) - 1, 22) == HOST_KEY_REVOKED);
    return 0;
}
