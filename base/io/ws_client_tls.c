/* What the client makes of a certificate: the system's trust decides, or, with a pin, the pin alone. */
#include "base/crypto.h"
#include "base/io/ws_client_internal.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <strings.h>

int ws_connect_verify(struct ws *ws, void *store, bool fine)
{
    struct ws_connect *c = ws->connect;
    X509_STORE_CTX *chain = store;
    uint8_t der_hash[SHA256_BYTES];
    char hex[SHA256_HEX];
    unsigned length = sizeof(der_hash);

    if (!c)
        return 0;
    if (!c->pin) {
        if (!fine)
            snprintf(c->tls_reason, sizeof(c->tls_reason), "the certificate is not trusted: %s",
                     X509_verify_cert_error_string(X509_STORE_CTX_get_error(chain)));
        return 0;
    }
    /* Only the pin decides, and only about the leaf. */
    X509_STORE_CTX_set_error(chain, X509_V_OK);
    X509 *leaf = X509_STORE_CTX_get_current_cert(chain);
    if (X509_STORE_CTX_get_error_depth(chain) != 0 || !leaf)
        return 0;
    if (X509_digest(leaf, EVP_sha256(), der_hash, &length) != 1)
        return 1;
    for (unsigned i = 0; i < length; i++)
        snprintf(hex + 2 * i, 3, "%02x", der_hash[i]);
    c->pin_matched = strcasecmp(hex, c->pin) == 0;
    if (c->pin_matched)
        return 0;
    snprintf(c->tls_reason, sizeof(c->tls_reason), "the certificate is not the pinned one but %s",
             hex);
    X509_STORE_CTX_set_error(chain, X509_V_ERR_CERT_REJECTED);
    return 1;
}

int ws_connect_check_pin(struct ws *ws)
{
    struct ws_connect *c = ws->connect;
    return c && c->tls && c->pin && !c->pin_matched ? -1 : 0;
}
