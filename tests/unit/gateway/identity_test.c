/* The identity file: made once, read back, refused when others could have read it. */
#include "gateway/identity.h"

#include "base/mem.h"
#include "tests/t.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *identity_path(const char *name)
{
    static char path[600];

    snprintf(path, sizeof(path), "%s/identity/%s.json", t_tmpdir(), name);
    return path;
}

static void put(const char *name, const char *text)
{
    FILE *f = fopen(identity_path(name), "w");

    t_ok(f != NULL);
    fputs(text, f);
    fclose(f);
    chmod(identity_path(name), 0600);
}

T(made_once_and_read_back)
{
    struct identity *a = NULL, *b = NULL, *c = NULL;
    struct fault fault = {0};
    struct stat st;
    uint8_t signature[ED25519_SIGNATURE_BYTES];

    t_eq(crypto_init(), 0);
    t_eq(identity_load(t_tmpdir(), "gateway", &a, &fault), 0);
    t_eq(identity_load(t_tmpdir(), "gateway", &b, &fault), 0);
    t_eq(identity_load(t_tmpdir(), "cli", &c, &fault), 0);
    t_eq(strlen(a->device_id), 64);
    t_eq(strlen(a->public_key), 43);
    t_str(a->device_id, b->device_id);
    t_ok(strcmp(a->device_id, c->device_id) != 0);
    ed25519_sign(&b->key, "x", 1, signature);
    t_ok(ed25519_verify(a->key.public_key, "x", 1, signature));
    t_eq(stat(identity_path("gateway"), &st), 0);
    t_eq(st.st_mode & 0777, 0600);
    identity_free(a);
    identity_free(b);
    identity_free(c);
}

T(a_file_others_can_read_is_refused_with_the_remedy)
{
    struct identity *a = NULL;
    struct fault fault = {0};

    t_eq(identity_load(t_tmpdir(), "open", &a, &fault), 0);
    identity_free(a);
    chmod(identity_path("open"), 0640);
    t_eq(identity_load(t_tmpdir(), "open", &a, &fault), -ERR_DENIED);
    t_has(fault.text, "chmod 600");
}

static const struct {
    const char *text, *says;
} damaged[] = {
    {"", "is not an identity file"},
    {"{\"version\":2,\"deviceId\":\"a\",\"publicKey\":\"b\",\"privateKey\":\"c\"}", "at /version"},
    {"{\"version\":1,\"deviceId\":\"a\",\"publicKey\":\"b\",\"privateKey\":\"AAAA\"}",
     "32-byte seed"},
    {"{\"version\":1,\"deviceId\":\"a\",\"publicKey\":\"b\","
     "\"privateKey\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
     "does not belong"},
};

T(damaged_files_are_refused_and_kept)
{
    for (size_t i = 0; i < COUNT(damaged); i++) {
        struct identity *a = NULL;
        struct fault fault = {0};
        put("bad", damaged[i].text);
        t_eq(identity_load(t_tmpdir(), "bad", &a, &fault), -ERR_CORRUPT);
        t_has(fault.text, damaged[i].says);
    }
    t_ok(access(identity_path("bad"), R_OK) == 0);
}

T(a_symbolic_link_is_not_followed)
{
    struct identity *a = NULL;
    struct fault fault = {0};
    char target[600];

    t_eq(identity_load(t_tmpdir(), "real", &a, &fault), 0);
    identity_free(a);
    snprintf(target, sizeof(target), "%s", identity_path("real"));
    t_eq(symlink(target, identity_path("link")), 0);
    t_ok(identity_load(t_tmpdir(), "link", &a, &fault) < 0);
}
