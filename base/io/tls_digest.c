/* SHA-1 and its HMAC from OpenSSL. Keeps nothing. */
#include "base/io/tls_digest.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>

int tls_sha1(const void *data, size_t length, uint8_t out[SHA1_BYTES])
{
    return EVP_Digest(data, length, out, NULL, EVP_sha1(), NULL) == 1 ? 0 : -ERR_UNSUPPORTED;
}

int tls_hmac_sha1(const void *key, size_t key_length, const void *data, size_t length,
                  uint8_t out[SHA1_BYTES])
{
    unsigned size = 0;

    if (key_length > INT32_MAX ||
        HMAC(EVP_sha1(), key, (int)key_length, data, length, out, &size) == NULL)
        return -ERR_UNSUPPORTED;
    return size == SHA1_BYTES ? 0 : -ERR_UNSUPPORTED;
}
