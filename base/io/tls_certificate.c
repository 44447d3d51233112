/* The path: a certificate is read, its key beside it, the two are held together, the dates against the clock. One of
 * our own is a key, a body with every name a client may use, and the key's signature below it. Owns nothing
 * between calls. */
#include "base/io/tls_certificate.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <arpa/inet.h>
#include <errno.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <time.h>

#define DAY_S           86400
#define SERIAL_BYTES    16
#define COMMON_NAME_MAX 64 /* X.520's */
#define ALT_NAMES_MAX   8192

static BIO *bio_free(BIO *bio)
{
    BIO_free(bio);
    return NULL;
}
static X509 *x509_free(X509 *x)
{
    X509_free(x);
    return NULL;
}
static EVP_PKEY *pkey_free(EVP_PKEY *key)
{
    EVP_PKEY_free(key);
    return NULL;
}
DEFINE_CLEAN(BIO *, bio_free)
DEFINE_CLEAN(X509 *, x509_free)
DEFINE_CLEAN(EVP_PKEY *, pkey_free)

/* ---- one that is there ---- */

static const char *ssl_reason(void)
{
    const char *reason = ERR_reason_error_string(ERR_peek_last_error());
    return reason ? reason : "unknown reason";
}

/* NULL and a fault for what is not a file of a sensible size that we may read. */
static BIO *open_pem(const char *what, const char *path, struct fault *reterr_fault)
{
    struct stat st;
    const char *why = NULL;
    FILE *file = fopen(path, "re");

    if (!file)
        why = strerrordesc_np(errno);
    else if (fstat(fileno(file), &st) < 0 || !S_ISREG(st.st_mode))
        why = "it is not a file";
    else if (st.st_size > (off_t)TLS_FILE_MAX)
        why = "it is larger than 1 MiB";
    if (!why)
        return BIO_new_fp(file, BIO_CLOSE);
    if (file)
        fclose(file);
    fault_set(reterr_fault, -ERR_IO, "cannot read the TLS %s %s: %s", what, path, why);
    return NULL;
}

/* Nobody is asked for a passphrase: a gateway starts without a person. */
static int no_passphrase(char *out, int size, int writing, void *asked)
{
    (void)out, (void)size, (void)writing;
    *(bool *)asked = true;
    return -1;
}

static X509 *read_certificate(const char *path, struct fault *reterr_fault)
{
    bool asked = false;
    CLEAN(bio_free) BIO *in = open_pem("certificate", path, reterr_fault);

    if (!in)
        return NULL;
    ERR_clear_error();
    X509 *x = PEM_read_bio_X509(in, NULL, no_passphrase, &asked);
    if (!x)
        fault_set(reterr_fault, -ERR_INVALID,
                  "the TLS certificate %s holds no PEM certificate (%s)", path, ssl_reason());
    return x;
}

static EVP_PKEY *read_key(const char *path, struct fault *reterr_fault)
{
    bool asked = false;
    CLEAN(bio_free) BIO *in = open_pem("key", path, reterr_fault);

    if (!in)
        return NULL;
    ERR_clear_error();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, &asked);
    if (!key && asked)
        fault_set(
            reterr_fault, -ERR_INVALID,
            "the TLS key %s is behind a passphrase, and nobody is there to type it at a start; "
            "write it without one: openssl pkey -in %s -out NEW",
            path, path);
    else if (!key)
        fault_set(reterr_fault, -ERR_INVALID, "the TLS key %s holds no PEM private key (%s)", path,
                  ssl_reason());
    return key;
}

static int64_t wall_of(const ASN1_TIME *time)
{
    struct tm tm;
    return ASN1_TIME_to_tm(time, &tm) == 1 ? (int64_t)timegm(&tm) * 1000 : 0;
}

static void describe(X509 *x, struct tls_certificate *ret)
{
    uint8_t hash[SHA256_BYTES];
    unsigned length = sizeof(hash);

    *ret = (struct tls_certificate){.not_before = wall_of(X509_get0_notBefore(x)),
                                    .not_after = wall_of(X509_get0_notAfter(x))};
    if (X509_digest(x, EVP_sha256(), hash, &length) != 1)
        length = 0;
    for (unsigned i = 0; i < length; i++)
        snprintf(ret->sha256 + 2 * i, 3, "%02x", hash[i]);
    if (X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, ret->subject,
                                  sizeof(ret->subject)) < 0)
        ret->subject[0] = '\0';
}

static void day_of(int64_t wall_ms, char out[32])
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || strftime(out, 32, "%Y-%m-%d", &tm) == 0)
        snprintf(out, 32, "?");
}

int tls_certificate_check(const char *certificate, const char *key, int64_t wall_ms,
                          struct tls_certificate *ret, struct fault *reterr_fault)
{
    CLEAN(x509_free) X509 *x = read_certificate(certificate, reterr_fault);
    if (!x)
        return reterr_fault->code;
    CLEAN(pkey_free) EVP_PKEY *pkey = read_key(key, reterr_fault);
    if (!pkey)
        return reterr_fault->code;
    if (X509_check_private_key(x, pkey) != 1) {
        ERR_clear_error();
        return fault_set(reterr_fault, -ERR_INVALID,
                         "the TLS key %s does not belong to the certificate %s (whose own comes "
                         "first in the file, before its chain)",
                         key, certificate);
    }
    describe(x, ret);
    if (ret->not_after <= wall_ms) {
        char day[32];
        day_of(ret->not_after, day);
        return fault_set(reterr_fault, -ERR_INVALID, "the TLS certificate %s ended on %s",
                         certificate, day);
    }
    return 0;
}

/* ---- one of our own ---- */

static bool is_address(const char *name)
{
    struct in6_addr any;
    return inet_pton(AF_INET, name, &any) == 1 || inet_pton(AF_INET6, name, &any) == 1;
}

/* What would end one name and begin another in OpenSSL's list is no part of a name. */
static bool is_name(const char *name)
{
    return name[0] && strlen(name) <= 255 && !strpbrk(name, ", \t\r\n@");
}

static bool add_extension(X509 *x, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, x, x, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool added = extension && X509_add_ext(x, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return added;
}

static bool add_names(X509 *x, const char *const *names, size_t count)
{
    struct buf list;
    bool added;

    buf_init(&list, ALT_NAMES_MAX);
    for (size_t i = 0; i < count; i++)
        if (is_name(names[i]))
            buf_addf(&list, "%s%s:%s", list.length ? "," : "", is_address(names[i]) ? "IP" : "DNS",
                     names[i]);
    added = !list.bad && list.length > 0 && add_extension(x, NID_subject_alt_name, list.data);
    buf_done(&list);
    return added;
}

static bool fill(X509 *x, EVP_PKEY *key, const char *const *names, size_t count, int64_t wall_ms)
{
    uint8_t serial[SERIAL_BYTES];
    char common_name[COMMON_NAME_MAX + 1];
    X509_NAME *subject = X509_get_subject_name(x);
    time_t now = (time_t)(wall_ms / 1000);

    crypto_random(serial, sizeof(serial));
    serial[0] = (uint8_t)((serial[0] & 0x7f) | 0x40); /* positive, and its full length */
    snprintf(common_name, sizeof(common_name), "%s",
             count > 0 && is_name(names[0]) ? names[0] : "culvert");
    BIGNUM *number = BN_bin2bn(serial, sizeof(serial), NULL);
    bool fine = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x));
    BN_free(number);

    /* From yesterday on: the clocks of clients differ. */
    return fine && X509_set_version(x, X509_VERSION_3) == 1 &&
           X509_time_adj_ex(X509_getm_notBefore(x), -1, 0, &now) &&
           X509_time_adj_ex(X509_getm_notAfter(x), TLS_OWN_DAYS - 1, 0, &now) &&
           X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8,
                                      (const unsigned char *)common_name, -1, -1, 0) == 1 &&
           X509_set_issuer_name(x, subject) == 1 && X509_set_pubkey(x, key) == 1 &&
           add_extension(x, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(x, NID_key_usage, "critical,digitalSignature") &&
           add_extension(x, NID_ext_key_usage, "serverAuth") &&
           add_extension(x, NID_subject_key_identifier, "hash") && add_names(x, names, count) &&
           X509_sign(x, key, EVP_sha256()) > 0;
}

static bool append_bio(BIO *bio, struct buf *out)
{
    char *text;
    long length = BIO_get_mem_data(bio, &text);

    if (length <= 0)
        return false;
    buf_add(out, text, (size_t)length);
    return !out->bad;
}

int tls_certificate_make(const char *const *names, size_t count, int64_t wall_ms,
                         struct buf *certificate, struct buf *key, struct fault *reterr_fault)
{
    CLEAN(pkey_free) EVP_PKEY *pkey = EVP_EC_gen("P-256");
    CLEAN(x509_free) X509 *x = X509_new();
    CLEAN(bio_free) BIO *certificate_out = BIO_new(BIO_s_mem());
    CLEAN(bio_free) BIO *key_out = BIO_new(BIO_s_mem()); /* freed wiped */

    ERR_clear_error();
    if (pkey && x && certificate_out && key_out && fill(x, pkey, names, count, wall_ms) &&
        PEM_write_bio_X509(certificate_out, x) == 1 &&
        PEM_write_bio_PKCS8PrivateKey(key_out, pkey, NULL, NULL, 0, NULL, NULL) == 1 &&
        append_bio(certificate_out, certificate) && append_bio(key_out, key))
        return 0;
    return fault_set(reterr_fault, -ERR_IO, "cannot make a TLS certificate: %s", ssl_reason());
}

/* ---- fingerprints ---- */

bool tls_fingerprint_parse(const char *text, char ret[TLS_SHA256])
{
    const char *openssl = strchr(text, '='); /* "sha256 Fingerprint=AB:CD…" */
    size_t digits = 0;

    text = openssl ? openssl + 1 : text + strspn(text, " ");
    if (strncasecmp(text, "sha-256", 7) == 0)
        text += 7;
    else if (strncasecmp(text, "sha256", 6) == 0)
        text += 6;
    for (; *text; text++) {
        if (strchr(": -\t\r\n", *text))
            continue;
        char c = *text >= 'A' && *text <= 'F' ? (char)(*text + 32) : *text;
        if (!strchr("0123456789abcdef", c) || digits == TLS_SHA256 - 1)
            return false;
        ret[digits++] = c;
    }
    ret[digits] = '\0';
    return digits == TLS_SHA256 - 1;
}
