/* The gateway's own Ed25519 key, <state>/identity/gateway.json, 0600, made at first start. */
#pragma once

#include "base/crypto.h"

struct identity {
    struct ed25519_key key;
    char device_id[SHA256_HEX]; /* hex SHA-256 of the public key */
    char public_key[48];        /* base64url */
};
int identity_load(const char *state_dir, const char *name, struct identity **ret,
                  struct fault *reterr_fault);
struct identity *identity_free(struct identity *identity);
