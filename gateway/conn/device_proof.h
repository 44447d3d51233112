/* Does the client hold the key of the device it names? The signed payloads v1, v2, v3, the clock and the
 * nonce. Pure. protocol.md 2.9. */
#pragma once

#include "base/buf.h"
#include "base/crypto.h"
#include "gateway/conn/connect_params.h"

#define DEVICE_SKEW_V3_MS 600000
#define DEVICE_SKEW_V4_MS 120000

enum device_proof {
    DEVICE_PROVED,
    DEVICE_KEY_INVALID,
    DEVICE_ID_MISMATCH,
    DEVICE_SIGNATURE_STALE,
    DEVICE_NONCE_MISSING,
    DEVICE_NONCE_MISMATCH,
    DEVICE_SIGNATURE_WRONG,
};

struct device_key {
    uint8_t raw[ED25519_PUBLIC_BYTES];
    char id[SHA256_HEX];
    char text[48]; /* base64url of the raw key */
};

/* The raw key out of base64, base64url or an SPKI PEM. 0 or -ERR_INVALID. */
int device_key_decode(const char *text, struct device_key *ret);

/* The string the client signed; version is 1, 2 or 3 (of the payload, not of the protocol). */
void device_payload(const struct connect_params *params, int payload_version, struct buf *out);

/* version is the protocol's; nonce_free: a v3 client close by, which may leave the nonce out. now is
 * wall time. ret_key is filled when DEVICE_PROVED. */
enum device_proof device_prove(const struct connect_params *params, int version, const char *nonce,
                               bool nonce_free, int64_t now, struct device_key *ret_key);
