/* The libsodium door: hashes, signatures, random ids, base64, constant-time compare. Any thread after
 * crypto_init. */
#pragma once

#include "base/err.h"

#define SHA256_BYTES            32
#define SHA256_HEX              65 /* with NUL */
#define ED25519_PUBLIC_BYTES    32
#define ED25519_SEED_BYTES      32
#define ED25519_SIGNATURE_BYTES 64
#define UUID_TEXT               37
#define TOKEN_TEXT              44 /* 32 random bytes, base64url without padding, NUL */

int crypto_init(void); /* once per process; again is harmless */

void crypto_random(void *out, size_t length);
uint64_t crypto_random_below(uint64_t bound); /* uniform */
void crypto_uuid(char out[UUID_TEXT]);        /* version 4 */
void crypto_token(char out[TOKEN_TEXT]);

void crypto_sha256(const void *data, size_t length, uint8_t out[SHA256_BYTES]);
void crypto_sha256_hex(const void *data, size_t length, char out[SHA256_HEX]);

/* Equal in time that depends only on the longer length; also for strings of unequal length. */
bool crypto_equal(const char *a, const char *b);
void crypto_wipe(void *data, size_t length);

/* base64url without padding. out holds at least crypto_base64url_size(length) bytes incl. NUL. */
size_t crypto_base64url_size(size_t length);
void crypto_base64url(const void *data, size_t length, char *out);
/* The standard alphabet, padded: for the pictures of APIs. */
size_t crypto_base64_size(size_t length);
void crypto_base64(const void *data, size_t length, char *out);
/* Accepts base64 and base64url, padded or not. Returns bytes written or -ERR_INVALID. */
int crypto_base64_decode(const char *text, size_t text_length, void *out, size_t out_size);

struct ed25519_key {
    uint8_t public_key[ED25519_PUBLIC_BYTES];
    uint8_t seed[ED25519_SEED_BYTES]; /* wipe with crypto_wipe */
};

void ed25519_generate(struct ed25519_key *ret);
void ed25519_from_seed(const uint8_t seed[ED25519_SEED_BYTES], struct ed25519_key *ret);
void ed25519_sign(const struct ed25519_key *key, const void *data, size_t length,
                  uint8_t out[ED25519_SIGNATURE_BYTES]);
bool ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_BYTES], const void *data, size_t length,
                    const uint8_t signature[ED25519_SIGNATURE_BYTES]);
