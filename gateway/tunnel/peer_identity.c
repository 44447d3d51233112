/* Who a peer from elsewhere is: its life, how it reads for a person and what its failed attempts are counted by. One row per
 * kind. Pure; owns its strings. */
#include "gateway/tunnel/peer_identity.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/conn/address.h"

#include <stdio.h>
#include <string.h>

#define TEXT_MAX 1024

struct peer_identity *peer_identity_new(enum identity_kind kind)
{
    struct peer_identity *identity = NEW(struct peer_identity);

    identity->refs = 1;
    identity->kind = kind;
    identity->uid = UINT32_MAX;
    return identity;
}

struct peer_identity *peer_identity_ref(struct peer_identity *identity)
{
    identity->refs++;
    return identity;
}

struct peer_identity *peer_identity_unref(struct peer_identity *identity)
{
    if (!identity || --identity->refs > 0)
        return NULL;
    mem_free(identity->user);
    mem_free(identity->name);
    mem_free(identity->key);
    mem_free(identity->method);
    mem_free(identity->address);
    mem_free(identity->via);
    mem_free(identity->login);
    mem_free(identity->node);
    for (char **tag = identity->tags; tag && *tag; tag++)
        mem_free(*tag);
    mem_free(identity->tags);
    json_free(identity->capabilities);
    return mem_free(identity);
}

/* ---- for a person ---- */

/* One line, whatever was told. */
static void add_word(struct buf *out, const char *before, const char *word)
{
    buf_add_str(out, before);
    for (; *word; word++)
        buf_add_char(out, (unsigned char)*word < ' ' || *word == 0x7f ? '?' : *word);
}

static void add_user(struct buf *out, const char *before, const struct peer_identity *identity)
{
    if (identity->user)
        add_word(out, before, identity->user);
    else
        buf_addf(out, "%suid %u", before, identity->uid);
}

static void add_key(struct buf *out, const struct peer_identity *identity)
{
    if (identity->key)
        add_word(out, ", key ", identity->key);
    else if (identity->method && strcmp(identity->method, "publickey") != 0)
        add_word(out, ", by ", identity->method);
    else
        buf_add_str(out, ", key not told by sshd");
}

static void ssh_text(const struct peer_identity *identity, struct buf *out)
{
    bool tells = identity->name || identity->key || identity->address;

    add_user(out, "ssh ", identity);
    if (!identity->vouched)
        buf_add_str(out, tells ? ", by its own word" : ", key not told by sshd");
    if (identity->name)
        add_word(out, " as ", identity->name);
    if (identity->vouched || identity->key)
        add_key(out, identity);
    if (identity->address)
        add_word(out, ", from ", identity->address);
}

static void forward_text(const struct peer_identity *identity, struct buf *out)
{
    buf_add_str(out, "forwarded on this host");
    if (identity->user || identity->uid != UINT32_MAX)
        add_user(out, " by ", identity);
    buf_add_str(out, " (ssh -L or the like)");
}

static void unix_text(const struct peer_identity *identity, struct buf *out)
{
    add_user(out, "unix user ", identity);
}

static void publish_text(const struct peer_identity *identity, struct buf *out)
{
    add_word(out, "published on ", identity->via ? identity->via : "another host");
    if (identity->address)
        add_word(out, ", from ", identity->address);
}

static void tailnet_text(const struct peer_identity *identity, struct buf *out)
{
    const char *before = "";

    buf_add_str(out, "tailnet ");
    if (!identity->tags)
        add_word(out, "", identity->login ? identity->login : "nobody known");
    for (char **tag = identity->tags; tag && *tag; tag++, before = ",")
        add_word(out, before, *tag);
    if (identity->node)
        add_word(out, ", node ", identity->node);
    if (identity->address)
        add_word(out, ", from ", identity->address);
}

/* ---- what attempts are counted by ---- */

static void uid_key(const struct peer_identity *identity, struct buf *out)
{
    buf_addf(out, "uid:%u", identity->uid);
}

/* A shared account: each forced command, else each key, else each address by itself. */
static void ssh_key(const struct peer_identity *identity, struct buf *out)
{
    uid_key(identity, out);
    if (!identity->vouched)
        return;
    if (identity->name)
        buf_addf(out, ":as:%s", identity->name);
    else if (identity->key)
        buf_addf(out, ":%s", identity->key);
    else if (identity->address)
        buf_addf(out, ":from:%s", identity->address);
}

static void publish_key(const struct peer_identity *identity, struct buf *out)
{
    const char *address = identity->address ? identity->address : "";
    char key[ADDRESS_TEXT] = "?";
    struct address parsed;

    if (address_parse(address, strlen(address), &parsed))
        address_rate_key(&parsed, key);
    buf_addf(out, "publish:%s:%s", key, identity->via ? identity->via : "");
}

static void tailnet_key(const struct peer_identity *identity, struct buf *out)
{
    bool person = identity->login && !identity->tags;

    buf_addf(out, "tailnet:%s", person ? identity->login : identity->node ? identity->node : "?");
}

/* ---- one row per kind ---- */

static const struct {
    const char *name;
    void (*text)(const struct peer_identity *identity, struct buf *out);
    void (*rate_key)(const struct peer_identity *identity, struct buf *out);
} kinds[IDENTITY_KINDS] = {
    [IDENTITY_SSH] = {"ssh", ssh_text, ssh_key},
    [IDENTITY_FORWARD] = {"forward", forward_text, uid_key},
    [IDENTITY_UNIX] = {"unix", unix_text, uid_key},
    [IDENTITY_PUBLISH] = {"publish", publish_text, publish_key},
    [IDENTITY_TAILNET] = {"tailnet", tailnet_text, tailnet_key},
};

char *peer_identity_text(const struct peer_identity *identity)
{
    struct buf out;

    buf_init(&out, TEXT_MAX);
    kinds[identity->kind].text(identity, &out);
    char *text = buf_take(&out);
    return text ? text : mem_string(kinds[identity->kind].name);
}

/* Too long for the limiter: as its hash. */
void peer_identity_rate_key(const struct peer_identity *identity, char out[IDENTITY_RATE_KEY_MAX])
{
    CLEAN(buf_done) struct buf key;

    buf_init(&key, 64 * 1024);
    kinds[identity->kind].rate_key(identity, &key);
    if (key.bad)
        buf_add_str(&key, kinds[identity->kind].name);
    if (key.length < IDENTITY_RATE_KEY_MAX)
        snprintf(out, IDENTITY_RATE_KEY_MAX, "%s", key.data);
    else
        crypto_sha256_hex(key.data, key.length, out);
}

const char *peer_identity_address(const struct peer_identity *identity)
{
    return identity->kind == IDENTITY_SSH && !identity->vouched ? NULL : identity->address;
}

void peer_identity_write(const struct peer_identity *identity, struct json_writer *w)
{
    CLEAN(mem_free) char *text = peer_identity_text(identity);

    jw_object(w);
    jw_kstr(w, "kind", kinds[identity->kind].name);
    jw_kstr(w, "text", text);
    jw_kstr(w, "user", identity->user);
    jw_kstr(w, "name", identity->name);
    jw_kstr(w, "key", identity->key);
    jw_kstr(w, "address", identity->address);
    jw_kstr(w, "via", identity->via);
    jw_kstr(w, "login", identity->login);
    jw_kstr(w, "node", identity->node);
    if (identity->tags) {
        jw_karray(w, "tags");
        for (char **tag = identity->tags; *tag; tag++)
            jw_str(w, *tag);
        jw_array_end(w);
    }
    if (identity->kind == IDENTITY_SSH)
        jw_kbool(w, "vouched", identity->vouched);
    jw_object_end(w);
}
