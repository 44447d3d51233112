/* Who a peer that is not local says it is, and by whose word: a unix user, an SSH key, a tailnet login. It names
 * the peer in requests to pair and in logs, and tunnel.trust may map it to scopes. design.md section 5. */
#pragma once

#include "base/json.h"
#include "gateway/conn/scope.h"

struct gateway;

enum identity_kind {
    IDENTITY_SSH, /* through `culvert bridge`: user by the kernel, key and address by sshd's environment */
    IDENTITY_FORWARD, /* TCP loopback or gateway.sock held by an sshd: user by the kernel, no more */
    IDENTITY_UNIX,    /* another unix user of this host, on gateway.sock */
    IDENTITY_PUBLISH, /* through tunnel.publish: the far host, and the address it saw */
    IDENTITY_TAILNET, /* by tailscaled's whois */
    IDENTITY_KINDS,
};

#define IDENTITY_RATE_KEY_MAX 128 /* with its NUL */

/* Shared by reference (a bridge's streams have one). Loop thread only. Strings owned, NULL where not told. */
struct peer_identity {
    uint32_t refs;
    enum identity_kind kind;
    uint32_t uid; /* unix user by the kernel; UINT32_MAX: none */
    char *user;   /* its name, or "uid 1234" */
    /* What a bridge told of itself: name, key, address, method. Vouched: a program of our own uid told it that carries
     * nobody else's traffic, so it is what sshd told it. Otherwise it is that user's own word, shown as such and
     * good for nothing. */
    bool vouched;
    char *name;         /* of a forced command: --as NAME */
    char *key;          /* "SHA256:…"; NULL: not told by sshd */
    char *method;       /* "publickey", "password" */
    char *address;      /* the client's, canonical where it can be read */
    char *via;          /* publish: the target */
    uint64_t ticket;    /* of tunnel.sock that it came by; 0: none */
    char *login, *node; /* tailnet */
    char **tags;        /* NULL-terminated; NULL: none */
    struct json *capabilities;
};
struct peer_identity *peer_identity_new(enum identity_kind kind) MUSTCHECK;
struct peer_identity *peer_identity_ref(struct peer_identity *identity);
struct peer_identity *peer_identity_unref(struct peer_identity *identity); /* NULL ok */
DEFINE_CLEAN(struct peer_identity *, peer_identity_unref)
/* "ssh alice, key SHA256:…, from 192.0.2.7": for a person. Caller owns. */
char *peer_identity_text(const struct peer_identity *identity) MUSTCHECK;
/* What failed authentication is counted by: never empty, one per identity (not per connection), and nothing in it that
 * the peer could choose. */
void peer_identity_rate_key(const struct peer_identity *identity, char out[IDENTITY_RATE_KEY_MAX]);
/* For requests to pair, beside the text: {kind, user, name, …}. */
void peer_identity_write(const struct peer_identity *identity, struct json_writer *w);
/* The client's address; NULL where it is not known or only its own word. Borrowed. */
const char *peer_identity_address(const struct peer_identity *identity);

/* What tunnel.trust gives it: stands in for the shared secret and pairs without a question, as far as these scopes go.
 * Never operator.admin (the configuration check refuses it, this function drops it). One function for every kind. */
struct trust_grant {
    bool trusted;
    bool as_operator; /* may pair as an operator, with */
    scope_set scopes;
    bool node; /* may pair as a node */
    const char
        *by; /* the row that said so, for the log: static or borrowed from the configuration */
};
/* identity NULL: nothing. */
void trust_judge(const struct gateway *gw, const struct peer_identity *identity,
                 struct trust_grant *ret);
unsigned trust_roles(const struct trust_grant *grant); /* enum role bits */
