/* Certificates as files: what we make passes our own check, and what does not fit is said. */
#include "base/io/tls_certificate.h"

#include "base/mem.h"
#include "tests/t.h"

#include <sys/stat.h>
#include <unistd.h>

#define NOW 1790000000000LL
#define DAY 86400000LL

static char *put(const char *name, const char *text, size_t length)
{
    char *path = mem_format("%s/%s", t_tmpdir(), name);
    FILE *file = fopen(path, "w");

    t_eq(fwrite(text, 1, length, file), length);
    fclose(file);
    return path;
}

static void make(const char *name, char **ret_certificate, char **ret_key)
{
    const char *const names[] = {name, "localhost", "127.0.0.1", "::1", "bad name, DNS:evil"};
    char file[64];
    struct buf certificate, key;
    struct fault fault = {0};

    buf_init(&certificate, 65536);
    buf_init(&key, 65536);
    t_eq(tls_certificate_make(names, COUNT(names), NOW, &certificate, &key, &fault), 0);
    t_str(fault.text, "");
    snprintf(file, sizeof(file), "%s.crt", name);
    *ret_certificate = put(file, certificate.data, certificate.length);
    snprintf(file, sizeof(file), "%s.key", name);
    *ret_key = put(file, key.data, key.length);
    buf_done(&certificate);
    buf_done(&key);
}

static void refused(const char *certificate, const char *key, int64_t now, const char *why)
{
    struct tls_certificate seen;
    struct fault fault = {0};

    t_ok(tls_certificate_check(certificate, key, now, &seen, &fault) < 0);
    t_has(fault.text, why);
}

T(ours_fits_and_lasts)
{
    CLEAN(mem_free) char *certificate = NULL;
    CLEAN(mem_free) char *key = NULL;
    struct tls_certificate seen;
    struct fault fault = {0};

    make("gateway.test", &certificate, &key);
    t_eq(tls_certificate_check(certificate, key, NOW, &seen, &fault), 0);
    t_str(seen.subject, "gateway.test");
    t_eq(strlen(seen.sha256), 64);
    t_eq(seen.not_before, NOW - DAY);
    t_eq(seen.not_after, NOW + (TLS_OWN_DAYS - 1) * DAY);
    refused(certificate, key, seen.not_after, "ended on 2036-");
}

T(what_does_not_fit_is_said)
{
    CLEAN(mem_free) char *certificate = NULL;
    CLEAN(mem_free) char *key = NULL;
    CLEAN(mem_free) char *other = NULL;
    CLEAN(mem_free) char *other_key = NULL;
    CLEAN(mem_free) char *garbage = put("garbage", "no PEM at all\n", 14);

    make("one.test", &certificate, &key);
    make("two.test", &other, &other_key);
    refused(certificate, other_key, NOW, "does not belong to the certificate");
    refused(garbage, key, NOW, "holds no PEM certificate");
    refused(certificate, garbage, NOW, "holds no PEM private key");
    refused(key, key, NOW, "holds no PEM certificate");
    refused("/no/such/file", key, NOW, "No such file");
    refused(certificate, "/no/such/file", NOW, "cannot read the TLS key /no/such/file");
    refused(t_tmpdir(), key, NOW, "not a file");
}

/* openssl genpkey -algorithm ed25519 -aes256, for this test alone. */
static const char locked[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                             "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAg6kfTPhRWbSAICCAAw\n"
                             "DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEPN8Pfm46CKO2x1XEyTN/3AEQJ/m\n"
                             "myRQ70k2eq/kvFL5wL9gpXV32BF348+rW05F/wyeBL4ZbaWQxTsuDeIxyjLw6M2o\n"
                             "4bxP94CkagB7A1kXhsk=\n"
                             "-----END ENCRYPTED PRIVATE KEY-----\n";

T(a_key_behind_a_passphrase_asks_nobody)
{
    CLEAN(mem_free) char *certificate = NULL;
    CLEAN(mem_free) char *key = NULL;
    CLEAN(mem_free) char *path = put("locked.key", locked, strlen(locked));

    make("three.test", &certificate, &key);
    refused(certificate, path, NOW, "behind a passphrase");
}

T(fingerprints_as_people_paste_them)
{
    static const char plain[] = "3890e400df832c63518075c84367be4cb7f9e652efc4b69a7509379e5a82af5c";
    static const char *const spellings[] = {
        "3890e400df832c63518075c84367be4cb7f9e652efc4b69a7509379e5a82af5c",
        "sha256:3890e400df832c63518075c84367be4cb7f9e652efc4b69a7509379e5a82af5c",
        " SHA-256 3890E400DF832C63518075C84367BE4CB7F9E652EFC4B69A7509379E5A82AF5C",
        "38:90:E4:00:DF:83:2C:63:51:80:75:C8:43:67:BE:4C:B7:F9:E6:52:EF:C4:B6:9A:75:09:37:9E:5A:82:"
        "AF:5C",
        "sha256 "
        "Fingerprint=38:90:E4:00:DF:83:2C:63:51:80:75:C8:43:67:BE:4C:B7:F9:E6:52:EF:C4:B6:9A:75:09:"
        "37:"
        "9E:5A:82:AF:5C\n",
    };
    static const char *const wrong[] = {
        "",
        "sha256:",
        "3890e4",
        "sha256:3890e400df832c63518075c84367be4cb7f9e652efc4b69a7509379e5a82af5",
        "3890e400df832c63518075c84367be4cb7f9e652efc4b69a7509379e5a82af5cc",
        "g890e400df832c63518075c84367be4cb7f9e652efc4b69a7509379e5a82af5c"};
    char seen[TLS_SHA256];

    for (size_t i = 0; i < COUNT(spellings); i++) {
        t_ok(tls_fingerprint_parse(spellings[i], seen));
        t_str(seen, plain);
    }
    for (size_t i = 0; i < COUNT(wrong); i++)
        t_ok(!tls_fingerprint_parse(wrong[i], seen));
}
