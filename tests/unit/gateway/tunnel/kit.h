/* Identities for tests. */
#pragma once

#include "base/mem.h"
#include "gateway/tunnel/peer_identity.h"
#include "tests/t.h"

#define KEY_A "SHA256:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM+/14"
#define KEY_B "SHA256:bbcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM+/14"

struct who {
    enum identity_kind kind;
    uint32_t uid;
    const char *user;
    bool vouched;
    const char *name, *key, *address, *via, *login, *node, *tag, *capabilities;
};

/* Caller's reference. */
static inline __attribute__((unused)) struct peer_identity *who_new(const struct who *who)
{
    struct peer_identity *identity = peer_identity_new(who->kind);

    identity->uid = who->uid;
    identity->user = mem_string(who->user);
    identity->vouched = who->vouched;
    identity->name = mem_string(who->name);
    identity->key = mem_string(who->key);
    identity->address = mem_string(who->address);
    identity->via = mem_string(who->via);
    identity->login = mem_string(who->login);
    identity->node = mem_string(who->node);
    if (who->tag) {
        identity->tags = mem_array(2, sizeof(*identity->tags));
        identity->tags[0] = mem_string(who->tag);
    }
    if (who->capabilities) {
        CLEAN(mem_free) char *text = mem_string(who->capabilities);
        for (char *c = text; *c; c++)
            *c = *c == '\'' ? '"' : *c;
        identity->capabilities = json_parse(text, strlen(text), NULL);
        t_ok(identity->capabilities != NULL);
    }
    return identity;
}
