/* An ssh-agent, spoken to asynchronously (libssh2's own client blocks: tunnel.md 2b "Agent"). The protocol is
 * draft-miller-ssh-agent. One connection, one request at a time; every answer has a deadline, since a hardware key
 * waits for a finger. Loop thread only. */
#pragma once

#include "base/buf.h"
#include "base/io/op.h"

#define AGENT_KEYS_MAX    256
#define AGENT_MESSAGE_MAX (256u << 10) /* what OpenSSH's agent takes and gives at most */
#define AGENT_LIST_MS     5000
#define AGENT_SIGN_MS     60000

struct agent;
struct agent_key {
    uint8_t *blob; /* public key as on the wire, owned */
    size_t length;
    char type[64];
    char *comment; /* owned, printable only */
};
struct agent_keys {
    struct agent_key *items;
    size_t count;
};
void agent_keys_done(struct agent_keys *keys);

#define AGENT_SIGN_RSA_SHA256 2u
#define AGENT_SIGN_RSA_SHA512 4u

struct agent *agent_new(struct loop *loop, const char *socket_path)
    MUSTCHECK;                                 /* connects when first asked */
struct agent *agent_free(struct agent *agent); /* what runs is dropped */
/* Faults: not there, hung, refused, garbage. ret is filled at the end; both must stay until then. */
void agent_list(struct agent *agent, struct op *op, struct agent_keys *ret);
/* ret (a buf with its ceiling set) gets the signature blob as on the wire: string type, string signature. */
void agent_sign(struct agent *agent, struct op *op, const struct agent_key *key, const void *data,
                size_t length, uint32_t flags, struct buf *ret);
