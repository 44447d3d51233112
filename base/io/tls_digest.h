/* SHA-1 where a format asks for it (hashed names in known_hosts, ssh's %C); OpenSSL's, since libsodium has none. Not
 * for anything new. Pure, any thread. */
#pragma once

#include "base/err.h"

#define SHA1_BYTES 20

/* 0; -ERR_UNSUPPORTED where the machine's policy forbids SHA-1. */
int tls_sha1(const void *data, size_t length, uint8_t out[SHA1_BYTES]);
int tls_hmac_sha1(const void *key, size_t key_length, const void *data, size_t length,
                  uint8_t out[SHA1_BYTES]);
