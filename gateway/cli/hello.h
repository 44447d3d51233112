/* The first request of a connection, signed with our device's key. */
#pragma once

#include "base/own.h"

struct identity;

struct credentials {
    const char *token, *password;
    char *device_token; /* owned */
};

/* Parameters of `connect` for this challenge; the caller's, to be wiped. NULL: they are too long to send. */
char *hello_params(const struct identity *identity, const char *nonce, int64_t ts,
                   const struct credentials *credentials) MUSTCHECK;
