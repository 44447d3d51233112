/* The libsodium door. Nothing here keeps state; libsodium's own is made by crypto_init. */
#include "base/crypto.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

int crypto_init(void)
{
    return sodium_init() < 0 ? -ERR_IO : 0;
}

void crypto_random(void *out, size_t length)
{
    randombytes_buf(out, length);
}

uint64_t crypto_random_below(uint64_t bound)
{
    uint64_t value;

    require(bound > 0);
    /* 2^64 mod bound: values under it would favour the low results. */
    uint64_t skip = (0 - bound) % bound;
    do
        crypto_random(&value, sizeof(value));
    while (value < skip);
    return value % bound;
}

void crypto_uuid(char out[UUID_TEXT])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t raw[16];
    char *to = out;

    crypto_random(raw, sizeof(raw));
    raw[6] = (uint8_t)((raw[6] & 0x0f) | 0x40);
    raw[8] = (uint8_t)((raw[8] & 0x3f) | 0x80);
    for (size_t i = 0; i < sizeof(raw); i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *to++ = '-';
        *to++ = digits[raw[i] >> 4];
        *to++ = digits[raw[i] & 15];
    }
    *to = '\0';
}

void crypto_token(char out[TOKEN_TEXT])
{
    uint8_t raw[32];

    crypto_random(raw, sizeof(raw));
    crypto_base64url(raw, sizeof(raw), out);
    crypto_wipe(raw, sizeof(raw));
}

void crypto_sha256(const void *data, size_t length, uint8_t out[SHA256_BYTES])
{
    crypto_hash_sha256(out, data, length);
}

void crypto_sha256_hex(const void *data, size_t length, char out[SHA256_HEX])
{
    uint8_t raw[SHA256_BYTES];

    crypto_sha256(data, length, raw);
    sodium_bin2hex(out, SHA256_HEX, raw, sizeof(raw));
}

/* Comparing digests takes the same time for every pair; hashing depends on the lengths alone. */
bool crypto_equal(const char *a, const char *b)
{
    uint8_t hash_a[SHA256_BYTES], hash_b[SHA256_BYTES];

    crypto_sha256(a, strlen(a), hash_a);
    crypto_sha256(b, strlen(b), hash_b);
    bool equal = sodium_memcmp(hash_a, hash_b, SHA256_BYTES) == 0;
    crypto_wipe(hash_a, sizeof(hash_a));
    crypto_wipe(hash_b, sizeof(hash_b));
    return equal;
}

void crypto_wipe(void *data, size_t length)
{
    sodium_memzero(data, length);
}

size_t crypto_base64url_size(size_t length)
{
    return sodium_base64_ENCODED_LEN(length, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

void crypto_base64url(const void *data, size_t length, char *out)
{
    sodium_bin2base64(out, crypto_base64url_size(length), data, length,
                      sodium_base64_VARIANT_URLSAFE_NO_PADDING);
}

size_t crypto_base64_size(size_t length)
{
    return sodium_base64_ENCODED_LEN(length, sodium_base64_VARIANT_ORIGINAL);
}

void crypto_base64(const void *data, size_t length, char *out)
{
    sodium_bin2base64(out, crypto_base64_size(length), data, length,
                      sodium_base64_VARIANT_ORIGINAL);
}

/* 0 to 63, or -1: both alphabets. */
static int base64_digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == '+' || c == '-')
        return 62;
    if (c == '/' || c == '_')
        return 63;
    return -1;
}

int crypto_base64_decode(const char *text, size_t text_length, void *out, size_t out_size)
{
    uint8_t *to = out;
    size_t digits = text_length, written = 0;
    unsigned bits = 0, held = 0;

    while (digits > 0 && text_length - digits < 2 && text[digits - 1] == '=')
        digits--;
    bool padded = digits != text_length;
    if (digits % 4 == 1 || (padded && text_length % 4 != 0) || digits / 4 * 3 > INT32_MAX - 3)
        return -ERR_INVALID;
    for (size_t i = 0; i < digits; i++) {
        int digit = base64_digit(text[i]);
        if (digit < 0)
            return -ERR_INVALID;
        bits = bits << 6 | (unsigned)digit;
        held += 6;
        if (held < 8)
            continue;
        held -= 8;
        if (written == out_size)
            return -ERR_INVALID;
        to[written++] = (uint8_t)(bits >> held);
        bits &= (1u << held) - 1;
    }
    /* Left-over bits would let two texts stand for the same bytes. */
    return bits == 0 ? (int)written : -ERR_INVALID;
}

void ed25519_generate(struct ed25519_key *ret)
{
    uint8_t seed[ED25519_SEED_BYTES];

    crypto_random(seed, sizeof(seed));
    ed25519_from_seed(seed, ret);
    crypto_wipe(seed, sizeof(seed));
}

void ed25519_from_seed(const uint8_t seed[ED25519_SEED_BYTES], struct ed25519_key *ret)
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES];

    crypto_sign_seed_keypair(ret->public_key, secret, seed);
    memcpy(ret->seed, seed, ED25519_SEED_BYTES);
    crypto_wipe(secret, sizeof(secret));
}

void ed25519_sign(const struct ed25519_key *key, const void *data, size_t length,
                  uint8_t out[ED25519_SIGNATURE_BYTES])
{
    uint8_t secret[crypto_sign_SECRETKEYBYTES]; /* seed, then public key */

    memcpy(secret, key->seed, ED25519_SEED_BYTES);
    memcpy(secret + ED25519_SEED_BYTES, key->public_key, ED25519_PUBLIC_BYTES);
    crypto_sign_detached(out, NULL, data, length, secret);
    crypto_wipe(secret, sizeof(secret));
}

bool ed25519_verify(const uint8_t public_key[ED25519_PUBLIC_BYTES], const void *data, size_t length,
                    const uint8_t signature[ED25519_SIGNATURE_BYTES])
{
    return crypto_sign_verify_detached(signature, data, length, public_key) == 0;
}
