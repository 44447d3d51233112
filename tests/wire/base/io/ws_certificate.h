/* A fresh self-signed certificate for the tests, as two PEM files in the test's folder. */
#pragma once

#include "base/crypto.h"
#include "tests/t.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

struct certificate {
    char certificate[256], key[256]; /* files */
    char pin[SHA256_HEX];
};

static inline void certificate_make(const char *name, struct certificate *ret)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    X509_NAME *subject = X509_get_subject_name(x);
    uint8_t hash[32];
    unsigned length = sizeof(hash);

    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -3600);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_version(x, 2);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, subject);
    X509_set_pubkey(x, key);
    X509_sign(x, key, EVP_sha256());

    snprintf(ret->certificate, sizeof(ret->certificate), "%s/%s.crt", t_tmpdir(), name);
    snprintf(ret->key, sizeof(ret->key), "%s/%s.key", t_tmpdir(), name);
    FILE *file = fopen(ret->certificate, "w");
    PEM_write_X509(file, x);
    fclose(file);
    file = fopen(ret->key, "w");
    PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL);
    fclose(file);
    X509_digest(x, EVP_sha256(), hash, &length);
    for (unsigned i = 0; i < length; i++)
        snprintf(ret->pin + 2 * i, 3, "%02x", hash[i]);
    X509_free(x);
    EVP_PKEY_free(key);
}
