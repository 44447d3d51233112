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

/* Shared by reference (a bridge's streams have one). Loop thread only. Strings owned, NULL where not told. */
struct peer_identity {
    uint32_t refs;
    enum identity_kind kind;
    char *user;         /* unix user: its name, or "uid 1234" */
    char *name;         /* of a forced command: --as NAME */
    char *key;          /* "SHA256:…"; NULL: not told by sshd */
    char *address;      /* the client's, canonical where it can be read */
    char *via;          /* publish: the target */
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
/* What failed authentication is counted by: never empty, one per identity (not per connection). Caller owns. */
char *peer_identity_rate_key(const struct peer_identity *identity) MUSTCHECK;

/* What tunnel.trust gives it: stands in for the shared secret and pairs without a question, as far as these scopes go.
 * Never operator.admin (the configuration check refuses it, this function drops it). One function for every kind. */
struct trust_grant {
    bool trusted;
    scope_set scopes; /* as an operator */
    bool node;        /* may pair as a node */
    const char
        *by; /* the row that said so, for the log: static or borrowed from the configuration */
};
void trust_judge(const struct gateway *gw, const struct peer_identity *identity,
                 struct trust_grant *ret);
