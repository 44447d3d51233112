/* Which keys, in which order. Servers count offers (MaxAuthTries, 6 by default), so the likely ones go first: keys of
 * the agent that an IdentityFile names, key files that need no passphrase, the agent's others (unless
 * IdentitiesOnly), key files that need one. What libssh2 cannot use is remembered: a child ssh can. */
#include "tunnel/ssh/auth_internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum { RANK_NAMED, RANK_FILE, RANK_AGENT, RANK_ENCRYPTED };

/* Types libssh2 signs with in a way that servers take today. */
static bool type_usable(const char *type)
{
    static const char *const usable[] = {"ssh-ed25519", "ecdsa-sha2-nistp256",
                                         "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"};

    for (size_t i = 0; i < COUNT(usable); i++) {
        if (strcmp(type, usable[i]) == 0)
            return true;
    }
    return LIBSSH2_VERSION_NUM >= 0x010b00 && strcmp(type, "ssh-rsa") == 0;
}

static void keys_lack(struct ssh_auth *auth, const char *label, const char *type)
{
    if (auth->lacking[0] == '\0')
        (void)snprintf(auth->lacking, sizeof auth->lacking,
                       "libssh2 cannot use the key %.150s (%.60s)", label,
                       type[0] != '\0' ? type : "of a kind it does not know");
}

/* ---- files ---- */

static bool file_ours(struct ssh_auth *auth, const struct key_file *file)
{
    switch (file->use) {
    case KEY_USABLE:
    case KEY_ENCRYPTED: return true;
    case KEY_RSA:
        if (LIBSSH2_VERSION_NUM >= 0x010b00)
            return true;
        keys_lack(auth, file->path, "RSA");
        return false;
    case KEY_HARDWARE:
    case KEY_CERTIFICATE:
        keys_lack(auth, file->path, file->certificate ? "with a certificate" : file->type);
        return false;
    case KEY_UNSUPPORTED:
    case KEY_PUBLIC: break;
    }
    return false;
}

static void keys_load_file(struct ssh_auth *auth, const char *path)
{
    struct fault why;
    struct key_file file = {0};
    int r;

    fault_clear(&why);
    r = key_file_read(path, &file, &why);
    if (r < 0) {
        if (r != -ERR_NOT_FOUND && auth->trouble[0] == '\0')
            (void)snprintf(auth->trouble, sizeof auth->trouble, "%.290s", why.text);
        return;
    }
    auth->files[auth->file_count++] = file;
}

/* ---- the agent ---- */

static void keys_on_list(struct op *op, int result)
{
    struct ssh_auth *auth = CONTAINER(op, struct ssh_auth, list);

    auth->listing = false;
    if (result < 0)
        (void)snprintf(auth->trouble, sizeof auth->trouble, "%.290s", op->fault.text);
    ssh_turn_soon(auth->ssh);
}

void auth_keys_load(struct ssh_auth *auth)
{
    const struct ssh_host *host = &auth->ssh->host;

    for (size_t i = 0; i < host->identity_count; i++)
        keys_load_file(auth, host->identity_files[i]);
    if (host->identity_agent == NULL)
        return;
    auth->agent = agent_new(auth->ssh->loop, host->identity_agent);
    auth->listing = true;
    op_init(&auth->list, auth->ssh->loop, keys_on_list, AGENT_LIST_MS);
    agent_list(auth->agent, &auth->list, &auth->agent_keys);
}

/* ---- order ---- */

static const struct key_file *keys_file_of(const struct ssh_auth *auth, const struct agent_key *key)
{
    for (size_t i = 0; i < auth->file_count; i++) {
        const struct key_file *file = &auth->files[i];

        if (file->blob != NULL && file->length == key->length &&
            memcmp(file->blob, key->blob, key->length) == 0)
            return file;
    }
    return NULL;
}

static bool keys_agent_has(const struct ssh_auth *auth, const struct key_file *file)
{
    for (size_t i = 0; i < auth->agent_keys.count && file->blob != NULL; i++) {
        const struct agent_key *key = &auth->agent_keys.items[i];

        if (file->length == key->length && memcmp(file->blob, key->blob, key->length) == 0)
            return true;
    }
    return false;
}

static void keys_add(struct ssh_auth *auth, struct auth_key key)
{
    size_t at = auth->key_count++;

    for (; at > 0 && auth->keys[at - 1].rank > key.rank;
         at--) /* stable: as they came within a rank */
        auth->keys[at] = auth->keys[at - 1];
    auth->keys[at] = key;
}

void auth_keys_order(struct ssh_auth *auth)
{
    for (size_t i = 0; i < auth->agent_keys.count && auth->key_count < AGENT_KEYS_MAX; i++) {
        const struct agent_key *key = &auth->agent_keys.items[i];
        bool named = keys_file_of(auth, key) != NULL;

        if (!named && auth->ssh->host.identities_only)
            continue;
        if (!type_usable(key->type))
            keys_lack(auth,
                      key->comment != NULL && key->comment[0] != '\0' ? key->comment
                                                                      : "of the agent",
                      key->type);
        else
            keys_add(auth, (struct auth_key){.agent = key,
                                             .label = key->comment,
                                             .rank = named ? RANK_NAMED : RANK_AGENT});
    }
    for (size_t i = 0; i < auth->file_count; i++) {
        struct key_file *file = &auth->files[i];

        if (!keys_agent_has(auth, file) && file_ours(auth, file))
            keys_add(auth, (struct auth_key){.file = file,
                                             .label = file->path,
                                             .rank = file->encrypted ? RANK_ENCRYPTED : RANK_FILE});
    }
}

void auth_keys_done(struct ssh_auth *auth)
{
    for (size_t i = 0; i < auth->file_count; i++)
        key_file_done(&auth->files[i]);
    auth->file_count = 0;
    agent_keys_done(&auth->agent_keys);
}
