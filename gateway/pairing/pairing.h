/* Devices, their tokens and the requests to become one. Memory tables, loaded at start and written
 * through the store. protocol.md 2.9 to 2.11. Who may give what is scope_may_give and nothing else. */
#pragma once

#include "gateway/conn/scope.h"
#include "store/store.h"

struct gateway;
struct pairing;

#define PAIRING_PENDING_MAX 256    /* one more refuses the newest: NOT_PAIRED without a request id */
#define PAIRING_DEVICES_MAX 10000
#define PAIRING_TTL_MS 300000

struct pairing *pairing_new(struct gateway *gw, struct fault *reterr_fault) MUSTCHECK; /* loads */
struct pairing *pairing_free(struct pairing *pairing);

struct device_token {
    unsigned role;
    scope_set scopes;
    char hash[65]; /* SHA-256 hex; the token itself is never kept */
    int64_t created_at, rotated_at, revoked_at, last_used_at;
};
struct device {
    char id[65], public_key[44]; /* raw key, base64url */
    char *display_name, *platform, *device_family, *client_id, *client_mode, *remote_ip, *approved_via,
        *last_seen_reason;
    unsigned roles; /* enum role bits */
    scope_set scopes;
    int64_t created_at, approved_at, last_seen_at;
    struct device_token tokens[2]; /* operator, node; created_at 0: none */
};
const struct device *device_find(const struct gateway *gw, const char *device_id);
