/* The crypto door against published vectors: FIPS 180 and the device signatures of protocol.md 12.1. */
#include "tests/t.h"

#include "base/crypto.h"
#include "base/mem.h"

#define DEVICE_ID "34750f98bd59fcfc946da45aaabe933be154a4b5094e1c4abf42866505f3c97e"

static void device_key(struct ed25519_key *key)
{
    uint8_t seed[ED25519_SEED_BYTES];

    t_eq(crypto_init(), 0);
    memset(seed, 1, sizeof(seed));
    ed25519_from_seed(seed, key);
}

T(sha256)
{
    char hex[SHA256_HEX];

    t_eq(crypto_init(), 0);
    crypto_sha256_hex("abc", 3, hex);
    t_str(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    crypto_sha256_hex("", 0, hex);
    t_str(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

T(device_key_and_id)
{
    struct ed25519_key key;
    char text[64], id[SHA256_HEX];

    device_key(&key);
    crypto_base64url(key.public_key, sizeof(key.public_key), text);
    t_str(text, "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w");
    crypto_sha256_hex(key.public_key, sizeof(key.public_key), id);
    t_str(id, DEVICE_ID);
}

static void signature_is(int line, const char *payload, const char *expected)
{
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    struct ed25519_key key;
    char text[96];

    device_key(&key);
    ed25519_sign(&key, payload, strlen(payload), signature);
    crypto_base64url(signature, sizeof(signature), text);
    t_str_(__FILE__, line, payload, text, expected);
    t_ok(ed25519_verify(key.public_key, payload, strlen(payload), signature));
    t_ok(!ed25519_verify(key.public_key, payload, strlen(payload) - 1, signature));
    signature[40] ^= 1;
    t_ok(!ed25519_verify(key.public_key, payload, strlen(payload), signature));
    signature[40] ^= 1;
    key.public_key[0] ^= 1;
    t_ok(!ed25519_verify(key.public_key, payload, strlen(payload), signature));
}

T(device_signatures)
{
    signature_is(
        __LINE__,
        "v2|" DEVICE_ID "|cli|cli|operator|operator.read,operator.write|1700000000000|X|n",
        "FSZerw_0RJZhyNZJMLwoPsEOQuGeYGU3h6yRvAApy9vKdTjMeJFzhKeGjvdh3Iu4w6YMNCTSDsEaW1iwsJesBg");
    signature_is(
        __LINE__,
        "v3|" DEVICE_ID "|cli|cli|operator|operator.read,operator.write|1700000000000|X|n|linux|",
        "YUSGZtY2YAH7URnX21o7-f7Sa-7BVcdsHC_Ad-fOjuEqL4L7hEqjA8F_yCTR_OTaexTt1vm_0Ak0Gqh5dYJ7CA");
}

T(generated_keys_differ_and_sign)
{
    struct ed25519_key a, b;
    uint8_t signature[ED25519_SIGNATURE_BYTES];

    t_eq(crypto_init(), 0);
    ed25519_generate(&a);
    ed25519_generate(&b);
    t_ok(memcmp(a.seed, b.seed, sizeof(a.seed)) != 0);
    ed25519_sign(&a, "x", 1, signature);
    t_ok(ed25519_verify(a.public_key, "x", 1, signature));
    t_ok(!ed25519_verify(b.public_key, "x", 1, signature));
}

static int decode(const char *text, char *out, size_t size)
{
    int n = crypto_base64_decode(text, strlen(text), out, size - 1);

    if (n >= 0)
        out[n] = '\0';
    return n;
}

T(base64)
{
    static const char *const pairs[][2] = {
        {"", ""},           {"f", "Zg"},          {"fo", "Zm8"},         {"foo", "Zm9v"},
        {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}};
    char out[32];

    for (size_t i = 0; i < COUNT(pairs); i++) { /* RFC 4648 */
        crypto_base64url(pairs[i][0], strlen(pairs[i][0]), out);
        t_str(out, pairs[i][1]);
        t_eq(strlen(out) + 1, crypto_base64url_size(strlen(pairs[i][0])));
        t_eq(decode(pairs[i][1], out, sizeof(out)), strlen(pairs[i][0]));
        t_str(out, pairs[i][0]);
    }
    t_eq(decode("Zg==", out, sizeof(out)), 1);
    t_eq(decode("Zm8=", out, sizeof(out)), 2);
    t_eq(decode("-_-_", out, sizeof(out)), 3);
    t_ok(memcmp(out, "\xfb\xff\xbf", 3) == 0);
    t_eq(decode("+/+/", out, sizeof(out)), 3);
    t_ok(memcmp(out, "\xfb\xff\xbf", 3) == 0);
}

T(base64_refused)
{
    static const char *const bad[] = {"Z",  "Zg=", "Zg===", "=",      "==",   "Zm9v=",  "Zm9v==",
                                      "Zh", "Zm9", "Z g=",  "Zm9v\n", "Zm*v", "Zg==Zg", "=Zg"};
    char out[32];

    for (size_t i = 0; i < COUNT(bad); i++)
        if (decode(bad[i], out, sizeof(out)) != -ERR_INVALID)
            t_fail(__FILE__, __LINE__, "decoded: %s", bad[i]);
    t_eq(crypto_base64_decode("Zm9v", 4, out, 2), -ERR_INVALID); /* no room */
    t_eq(crypto_base64_decode("Zm9v", 4, out, 3), 3);
}

T(equal)
{
    t_eq(crypto_init(), 0);
    t_ok(crypto_equal("token", "token"));
    t_ok(crypto_equal("", ""));
    t_ok(!crypto_equal("token", "tokem"));
    t_ok(!crypto_equal("token", "token1"));
    t_ok(!crypto_equal("token", ""));
}

T(random)
{
    char uuid[UUID_TEXT], other[UUID_TEXT], token[TOKEN_TEXT];
    uint8_t raw[32];
    unsigned seen = 0;

    t_eq(crypto_init(), 0);
    crypto_uuid(uuid);
    crypto_uuid(other);
    t_eq(strlen(uuid), 36);
    t_ok(uuid[8] == '-' && uuid[13] == '-' && uuid[18] == '-' && uuid[23] == '-');
    t_eq(uuid[14], '4');
    t_ok(strchr("89ab", uuid[19]) != NULL);
    t_ok(strcmp(uuid, other) != 0);
    crypto_token(token);
    t_eq(strlen(token), 43);
    t_eq(crypto_base64_decode(token, strlen(token), raw, sizeof(raw)), 32);
    for (int i = 0; i < 1000; i++) {
        uint64_t below = crypto_random_below(3);
        t_ok(below < 3);
        seen |= 1u << below;
    }
    t_eq(seen, 7);
    t_eq(crypto_random_below(1), 0);
}

T(wipe)
{
    char secret[] = "secret";

    crypto_wipe(secret, sizeof(secret));
    for (size_t i = 0; i < sizeof(secret); i++)
        t_eq(secret[i], 0);
}
