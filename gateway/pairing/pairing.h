/* Devices, their tokens and the requests to become one. Memory tables, loaded at start and written
 * through the store: memory changes at once, the caller is told when it is on disk. Who may give what is
 * scope_may_give and nothing else. protocol.md 2.9 to 2.11. Loop thread only. */
#pragma once

#include "base/crypto.h"
#include "gateway/conn/refusal.h"
#include "gateway/conn/scope.h"
#include "store/store.h"

struct gateway;
struct pairing;
struct peer_identity;

#define PAIRING_PENDING_MAX  256 /* one more refuses the newest: NOT_PAIRED without a request id */
#define PAIRING_DEVICES_MAX  10000
#define PAIRING_TTL_MS       300000
/* A token replaced at a connect (not by rotate) still opens so long, so that a second process of the same
 * device, which had the old one, is not thrown out for ever. In memory only. */
#define PAIRING_OLD_TOKEN_MS 600000
#define PAIRING_LABEL_MAX    64
#define PAIRING_VIA_TRUST    "trust"

struct pairing *pairing_new(struct gateway *gw, struct fault *reterr_fault) MUSTCHECK; /* loads */
struct pairing *pairing_free(struct pairing *pairing);

struct device_token {
    unsigned role;
    scope_set scopes;
    char hash[SHA256_HEX];     /* SHA-256 hex; the token itself is never kept */
    char old_hash[SHA256_HEX]; /* "" or the one before, good until old_until (loop_now) */
    int64_t old_until;
    int64_t created_at, rotated_at, revoked_at, last_used_at;
};
struct device {
    char id[SHA256_HEX], public_key[48]; /* raw key, base64url */
    char *display_name, *platform, *device_family, *client_id, *client_mode, *remote_ip,
        *approved_via, *last_seen_reason,
        *node;      /* node: the store's record of the node surface, kept as it is */
    unsigned roles; /* enum role bits */
    scope_set scopes;
    int64_t created_at, approved_at, last_seen_at;
    struct device_token tokens[2]; /* operator, node; created_at 0: none */
    bool unsaved;                  /* seen since it was last written */
    unsigned connections;          /* open now */
};
const struct device *device_find(const struct gateway *gw, const char *device_id);
/* NULL when the device never had a token for the role. */
const struct device_token *device_token_of(const struct device *device, enum role role);

struct pairing_request {
    char id[UUID_TEXT], device_id[SHA256_HEX], public_key[48];
    char *display_name, *platform, *device_family, *client_id, *client_mode, *remote_ip;
    char *identity; /* who asks, from elsewhere: JSON (peer_identity_write); NULL: not known */
    enum role role;
    scope_set scopes;
    bool repair; /* the device is known and asks for more */
    int64_t ts, expires_at;
};
const struct pairing_request *pairing_request_find(const struct gateway *gw,
                                                   const char *request_id);
size_t pairing_request_count(const struct gateway *gw);

/* Somebody who connects with a proved device. All borrowed for the call. */
struct pairing_asker {
    const char *device_id, *public_key, *display_name, *platform, *device_family, *client_id,
        *client_mode, *remote_ip;         /* remote_ip: an address, or who it is in words */
    const struct peer_identity *identity; /* NULL: not known */
    enum role role;
    scope_set scopes; /* asked for */
    int version;
};
/* What the device hands this peer: its record, cut to what tunnel.trust gives the peer now where trust approved it. */
struct device_carry {
    unsigned roles; /* enum role bits */
    scope_set scopes;
};
void device_carries(const struct gateway *gw, const struct device *device,
                    const struct peer_identity *identity, struct device_carry *ret);
bool device_by_trust(const struct device *device);
/* Does tunnel.trust stand in for the shared secret here, and pair without a question? Only a device that is new or
 * that trust approved, in a role it gives; as far as *ret_scopes. */
bool pairing_trusts(const struct gateway *gw, const struct pairing_asker *asker,
                    scope_set *ret_scopes);
/* What stands between the asker and a connection. */
enum pairing_need pairing_need_of(const struct gateway *gw, const struct pairing_asker *asker);

/* ---- changes: put into the caller's batch; it commits and answers afterwards ---- */

/* Approve without asking anybody: the peer is local (via "silent"), showed a sign-in code (via "code"), or tunnel.trust
 * speaks for it (PAIRING_VIA_TRUST).
 * giver: what its credential may hand out; what it asks for beyond that is left out. -ERR_FULL: too many
 * devices. */
int pairing_approve_at_once(struct gateway *gw, struct store_batch *batch,
                            const struct pairing_asker *asker, scope_set giver, const char *via);
/* Remember that the device was here, and what it says of itself now. Without a batch the row is written
 * later, together with others. */
void pairing_seen(struct gateway *gw, struct store_batch *batch, const struct pairing_asker *asker);
/* One of its connections has opened or gone. */
void pairing_connected(struct gateway *gw, const char *device_id, bool open);
/* A fresh token for the role, with all scopes the device is approved for. out holds the only copy. */
int pairing_mint(struct gateway *gw, struct store_batch *batch, const char *device_id,
                 enum role role, char out[TOKEN_TEXT]);
/* A request to be approved, made or found again (ret_new false: nothing was put into the batch). NULL
 * when the table is full. */
const struct pairing_request *pairing_ask(struct gateway *gw, struct store_batch *batch,
                                          const struct pairing_asker *asker, bool *ret_new);

enum token_verdict { TOKEN_GOOD, TOKEN_WRONG, TOKEN_SCOPES };
/* Is this the device's token for the role, and does it carry the scopes? Marks it used when good. */
enum token_verdict pairing_verify(struct gateway *gw, const char *device_id, enum role role,
                                  const char *token, scope_set scopes);

/* Whose token for the role this is; NULL: nobody's. Without the device's signature, so only for reading over
 * HTTP and what else a stolen token may be good for. Marks nothing used. */
const struct device *pairing_find_by_token(struct gateway *gw, enum role role, const char *token,
                                           scope_set *ret_scopes);

/* ---- operators: device.* methods. giver is what the caller holds ---- */

/* All -ERR_NOT_FOUND when unknown, -ERR_DENIED when the giver holds less than what is given or touched. */
int pairing_approve(struct gateway *gw, struct store_batch *batch, const char *request_id,
                    scope_set giver, const struct device **ret);
int pairing_reject(struct gateway *gw, struct store_batch *batch, const char *request_id,
                   char ret_device_id[SHA256_HEX]);
int pairing_remove(struct gateway *gw, struct store_batch *batch, const char *device_id,
                   scope_set giver);
int pairing_rename(struct gateway *gw, struct store_batch *batch, const char *device_id,
                   const char *label, scope_set giver);
/* scopes NULL: as they were. */
int pairing_rotate(struct gateway *gw, struct store_batch *batch, const char *device_id,
                   enum role role, const scope_set *scopes, scope_set giver, char out[TOKEN_TEXT],
                   const struct device_token **ret);
int pairing_revoke(struct gateway *gw, struct store_batch *batch, const char *device_id,
                   enum role role, scope_set giver, const struct device_token **ret);

/* With who asks as an object of its own; the event, whose schema is closed, has it as words in remoteIp. */
void pairing_write_request(const struct pairing_request *request, struct json_writer *w);
void pairing_write_device(const struct device *device, struct json_writer *w);
/* {pending, paired} */
void pairing_write_list(struct gateway *gw, struct json_writer *w);
