/* What the client makes of a certificate: the system's trust decides, or, with a pin, the pin alone. */
#include "base/crypto.h"
#include "base/io/ws_client_internal.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <strings.h>

static bool leaf_hash(X509_STORE_CTX *chain, char hex[SHA256_HEX])
{
    X509 *leaf = X509_STORE_CTX_get0_cert(chain);
    uint8_t hash[SHA256_BYTES];
    unsigned length = sizeof(hash);

    if (!leaf || X509_digest(leaf, EVP_sha256(), hash, &length) != 1)
        return false;
    for (unsigned i = 0; i < length; i++)
        snprintf(hex + 2 * i, 3, "%02x", hash[i]);
    return true;
}

/* The first reason stays: what comes later is about the same chain. */
static void say_untrusted(struct ws_connect *c, X509_STORE_CTX *chain)
{
    char hex[SHA256_HEX];

    if (c->tls_reason[0] || !leaf_hash(chain, hex))
        return;
    snprintf(
        c->tls_reason, sizeof(c->tls_reason),
        "the certificate is not trusted: %s. If culvert status at the gateway's host shows the "
        "same fingerprint, add --pin sha256:%s",
        X509_verify_cert_error_string(X509_STORE_CTX_get_error(chain)), hex);
}

int ws_connect_verify(struct ws *ws, void *store, bool fine)
{
    struct ws_connect *c = ws->connect;
    X509_STORE_CTX *chain = store;
    char hex[SHA256_HEX];

    if (!c)
        return 0;
    if (!c->pin) {
        if (!fine)
            say_untrusted(c, chain);
        return 0;
    }
    /* Only the pin decides, and only about the leaf. */
    X509_STORE_CTX_set_error(chain, X509_V_OK);
    if (X509_STORE_CTX_get_error_depth(chain) != 0)
        return 0;
    if (!leaf_hash(chain, hex))
        return 1;
    c->pin_matched = strcasecmp(hex, c->pin) == 0;
    if (c->pin_matched)
        return 0;
    snprintf(
        c->tls_reason, sizeof(c->tls_reason),
        "the certificate is not the pinned one but sha256:%s. Either the gateway has a new one "
        "(culvert status at its host says which), or somebody stands in between",
        hex);
    X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_REJECTED);
    return 1;
}

int ws_connect_check_pin(struct ws *ws)
{
    struct ws_connect *c = ws->connect;
    return c && c->tls && c->pin && !c->pin_matched ? -1 : 0;
}
