/* A device for tests: the key of protocol.md 12.1, and connect parameters signed with it. */
#pragma once

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/conn/device_proof.h"
#include "tests/t.h"

struct kit_device {
    struct ed25519_key key;
    char id[SHA256_HEX], public_key[48];
};

static inline __attribute__((unused)) struct kit_device kit_device(uint8_t seed_byte)
{
    struct kit_device d;
    uint8_t seed[ED25519_SEED_BYTES];

    require(crypto_init() == 0);
    memset(seed, seed_byte, sizeof(seed));
    ed25519_from_seed(seed, &d.key);
    crypto_sha256_hex(d.key.public_key, sizeof(d.key.public_key), d.id);
    crypto_base64url(d.key.public_key, sizeof(d.key.public_key), d.public_key);
    return d;
}

static inline __attribute__((unused)) struct json *kit_json(const char *text)
{
    char *copy = mem_string(text);
    struct fault fault = {0};

    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    struct json *tree = json_parse(copy, strlen(copy), &fault);
    if (!tree)
        t_fail(__FILE__, __LINE__, "not JSON: %s: %s", copy, fault.text);
    mem_free(copy);
    return tree;
}

/* Adds `device` to connect parameters (JSON with single quotes), signed as the payload version says.
 * Caller owns the text. */
static inline __attribute__((unused)) char *kit_sign(const struct kit_device *d, const char *text,
                                                     int payload_version, const char *nonce,
                                                     int64_t signed_at)
{
    CLEAN(json_free) struct json *tree = kit_json(text);
    struct json *device = json_new_object();
    struct connect_params params;
    struct fault fault = {0};
    uint8_t signature[ED25519_SIGNATURE_BYTES];
    char signature_text[128];
    struct buf payload;

    json_put(device, "id", json_new_string(d->id));
    json_put(device, "publicKey", json_new_string(d->public_key));
    json_put(device, "signature", json_new_string("x"));
    json_put(device, "signedAt", json_new_number((double)signed_at));
    if (nonce)
        json_put(device, "nonce", json_new_string(nonce));
    json_put(tree, "device", device);
    if (connect_params_decode(tree, &params, &fault) < 0)
        t_fail(__FILE__, __LINE__, "%s", fault.text);
    buf_init(&payload, 1 << 20);
    device_payload(&params, payload_version, &payload);
    ed25519_sign(&d->key, payload.data, payload.length, signature);
    crypto_base64url(signature, sizeof(signature), signature_text);
    json_put(json_edit(tree, "device"), "signature", json_new_string(signature_text));
    buf_done(&payload);
    return json_print(tree, false);
}
