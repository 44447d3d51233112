/* One key. libssh2 first asks the server whether it would take the public half, then wants a signature.
 *
 * By the agent: libssh2 asks for the signature through a callback, which is not asynchronous, but when it says EAGAIN
 * the call ends with that and the next one asks again (1.10 to 1.11: userauth.c, state sent1). So the first time
 * the agent is asked, and once it has answered the callback gives what it said.
 *
 * By a key file: libssh2 opens it, with an empty passphrase first; when that fails the server would take the key, so only
 * then a person is asked. */
#include "tunnel/ssh/auth_internal.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "tunnel/ssh/wire.h"

#include <stdio.h>
#include <string.h>

/* ---- the agent's ---- */

static void sign_on_end(struct op *op, int result)
{
    struct ssh_auth *auth = CONTAINER(op, struct ssh_auth, sign);

    auth->sign_state = AUTH_SIGN_DONE;
    if (result < 0) {
        buf_clear(&auth->signature);
        (void)snprintf(auth->trouble, sizeof auth->trouble, "%.290s", op->fault.text);
    }
    ssh_turn_soon(auth->ssh);
}

/* What is signed names the algorithm (RFC 4252 7): session id, 50, user, service, "publickey", true, algorithm. */
static uint32_t sign_flags(const unsigned char *data, size_t length)
{
    struct wire wire = wire_of(data, length);
    struct wire_text algorithm;

    (void)wire_string(&wire);
    (void)wire_u8(&wire);
    for (int i = 0; i < 3; i++)
        (void)wire_string(&wire);
    (void)wire_u8(&wire);
    algorithm = wire_string(&wire);
    if (wire_is(algorithm, "rsa-sha2-512"))
        return AGENT_SIGN_RSA_SHA512;
    return wire_is(algorithm, "rsa-sha2-256") ? AGENT_SIGN_RSA_SHA256 : 0;
}

/* libssh2 wants the inner string of "string type, string signature". */
static int sign_hand_over(struct ssh_auth *auth, unsigned char **sig, size_t *sig_len)
{
    struct wire wire =
        wire_of(auth->signature.data != NULL ? auth->signature.data : "", auth->signature.length);
    struct wire_text inner;
    void *abstract = auth->ssh;

    (void)wire_string(&wire);
    inner = wire_string(&wire);
    if (wire.bad || inner.length == 0)
        return -1;
    *sig = ssh_lib_alloc(inner.length, &abstract);
    memcpy(*sig, inner.data, inner.length);
    *sig_len = inner.length;
    return 0;
}

static int sign_callback(LIBSSH2_SESSION *lib, unsigned char **sig, size_t *sig_len,
                         const unsigned char *data, size_t data_len, void **abstract)
{
    struct ssh_auth *auth = *abstract;
    const struct agent_key *key = auth->keys[auth->at].agent;

    (void)lib;
    if (auth->sign_state == AUTH_SIGN_DONE)
        return sign_hand_over(auth, sig, sig_len);
    if (auth->sign_state == AUTH_SIGN_NONE) {
        auth->sign_state = AUTH_SIGN_WAITS;
        buf_clear(&auth->signature);
        op_init(&auth->sign, auth->ssh->loop, sign_on_end, AGENT_SIGN_MS);
        agent_sign(auth->agent, &auth->sign, key, data, data_len, sign_flags(data, data_len),
                   &auth->signature);
    }
    return LIBSSH2_ERROR_EAGAIN;
}

static int try_agent(struct ssh_auth *auth, const struct auth_key *key)
{
    struct ssh *ssh = auth->ssh;
    void *abstract = auth;
    int r;

    if (auth->sign_state == AUTH_SIGN_WAITS)
        return LIBSSH2_ERROR_EAGAIN;
    r = libssh2_userauth_publickey(ssh->lib, ssh->host.user, key->agent->blob, key->agent->length,
                                   sign_callback, &abstract);
    if (r != 0 && r != LIBSSH2_ERROR_EAGAIN)
        auth_note(auth, "agent key %.60s (%.30s: %s)", key->label, key->agent->type,
                  auth->sign_state == AUTH_SIGN_DONE ? "the agent did not sign, or not well"
                                                     : "not accepted");
    return r;
}

/* ---- a file's ---- */

static char *file_public(const struct key_file *file)
{
    char *text, *coded;

    if (file->blob == NULL)
        return NULL;
    coded = mem_new(crypto_base64_size(file->length));
    crypto_base64(file->blob, file->length, coded);
    text = mem_format("%s %s", file->type, coded);
    mem_free(coded);
    return text;
}

/* true: there is one to try; else it is asked for, or there is none (auth->answered). */
static bool file_passphrase(struct ssh_auth *auth, const struct auth_key *key)
{
    char prompt[257];
    const char *known = ssh_secrets_get(auth->ssh->policy->secrets, key->file->path);

    if (known == NULL && auth->question == NULL && !auth->answered) {
        (void)snprintf(prompt, sizeof prompt, "Passphrase of the key %.220s: ", key->file->path);
        if (!auth_ask(auth, SSH_ASK_PASSPHRASE, prompt, /* echo= */ false))
            auth->answered = true;
    }
    if (known == NULL && auth->answered) /* perhaps inside the question */
        known = auth->answer;
    if (known == NULL)
        return false;
    auth->passphrase = auth_wipe(auth->passphrase);
    auth->passphrase = mem_string(known);
    return true;
}

/* The server was asked and would take the key, or we did not come that far: it could not be opened. */
static bool file_unopened(const struct ssh_auth *auth, int r)
{
    char *text = NULL;

    if (r == LIBSSH2_ERROR_FILE || r == LIBSSH2_ERROR_KEYFILE_AUTH_FAILED ||
        r == LIBSSH2_ERROR_METHOD_NONE)
        return true;
    (void)libssh2_session_last_error(auth->ssh->lib, &text, NULL, 0);
    return r == LIBSSH2_ERROR_PUBLICKEY_UNVERIFIED && text != NULL &&
           strstr(text, "Callback") != NULL;
}

static int file_failed(struct ssh_auth *auth, const struct auth_key *key, int r)
{
    struct ssh_secrets *secrets = auth->ssh->policy->secrets;

    if (!file_unopened(auth, r)) {
        auth_note(auth, "%.100s (not accepted)", key->label);
        return r;
    }
    if (!key->file->encrypted) {
        auth_note(auth, "%.100s (libssh2 cannot read it)", key->label);
        return r;
    }
    if (auth->passphrase != NULL) {
        ssh_secrets_forget(secrets, key->file->path);
        auth->passphrase = auth_wipe(auth->passphrase);
        auth_forget_answer(auth);
        if (++auth->asks >= AUTH_ASKS_MAX) {
            auth_note(auth, "%.100s (wrong passphrase)", key->label);
            return r;
        }
    }
    auth->wants_passphrase = true;
    return auth_key_try(auth, key);
}

/* In this turn, or in the pool when a passphrase has to be turned into a key. */
static int file_call(struct ssh_auth *auth)
{
    struct ssh *ssh = auth->ssh;
    const struct key_file *file = auth->keys[auth->at].file;
    const char *user = ssh->host.user;

    return libssh2_userauth_publickey_frommemory(ssh->lib, user, strlen(user), auth->pub,
                                                 auth->pub != NULL ? strlen(auth->pub) : 0,
                                                 file->text, file->text_length, auth->passphrase);
}

static int try_file(struct ssh_auth *auth, const struct auth_key *key)
{
    struct ssh *ssh = auth->ssh;
    const struct key_file *file = key->file;
    int r;

    if (file->encrypted && auth->passphrase == NULL &&
        (auth->wants_passphrase || file->blob == NULL) && !file_passphrase(auth, key)) {
        if (!auth->answered)
            return LIBSSH2_ERROR_EAGAIN;
        auth_note(auth, "%.100s (needs its passphrase and nobody could be asked; ssh-add it)",
                  key->label);
        return LIBSSH2_ERROR_FILE;
    }
    if (auth->pub == NULL)
        auth->pub = file_public(file);
    r = auth->passphrase != NULL ? auth_lend(auth, file_call) : file_call(auth);
    if (r == 0 && auth->passphrase != NULL)
        ssh_secrets_put(ssh->policy->secrets, file->path, auth->passphrase);
    if (r == 0 || r == LIBSSH2_ERROR_EAGAIN || auth->ssh->socket_ended)
        return r;
    return file_failed(auth, key, r);
}

/* ---- either ---- */

int auth_key_try(struct ssh_auth *auth, const struct auth_key *key)
{
    if (!auth->offering) {
        auth->offering = true;
        auth->offered++;
    }
    return key->agent != NULL ? try_agent(auth, key) : try_file(auth, key);
}

void auth_key_over(struct ssh_auth *auth)
{
    auth->offering = auth->wants_passphrase = false;
    auth->sign_state = AUTH_SIGN_NONE;
    auth->asks = 0;
    auth->pub = mem_free(auth->pub);
    auth->passphrase = auth_wipe(auth->passphrase);
    auth_forget_answer(auth);
}
