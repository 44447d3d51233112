/* Who we are: methods one after the other, each step naming the next.
 *   auth_none       the server's list of methods (some let anybody in)
 *   auth_wait_keys  the agent's list
 *   auth_publickey  key by key (auth_keys.c orders them, auth_sign.c tries one)
 *   auth_again      what the server takes now: after one of several factors it says less
 *   auth_password, auth_interactive   when the person asked for that
 *   auth_over       says what was tried, or hands over to a child ssh
 * Runs in turns; between them an agent signs or a person types. */
#include "tunnel/ssh/auth_internal.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static bool auth_none(struct ssh_auth *auth);
static bool auth_wait_keys(struct ssh_auth *auth);
static bool auth_publickey(struct ssh_auth *auth);
static bool auth_again(struct ssh_auth *auth);
static bool auth_password(struct ssh_auth *auth);
static bool auth_interactive(struct ssh_auth *auth);
static bool auth_over(struct ssh_auth *auth);

void auth_note(struct ssh_auth *auth, const char *format, ...)
{
    va_list args;

    if (auth->tried.length > 700)
        return;
    if (auth->tried.length > 0)
        buf_add_str(&auth->tried, ", ");
    va_start(args, format);
    buf_vaddf(&auth->tried, format, args);
    va_end(args);
}

char *auth_wipe(char *text)
{
    return text != NULL ? mem_wipe_free(text, strlen(text)) : NULL;
}

void ssh_auth_start(struct ssh *ssh)
{
    struct ssh_auth *auth = NEW(struct ssh_auth);

    auth->ssh = ssh;
    auth->advance = auth_none;
    buf_init(&auth->tried, 1024);
    buf_init(&auth->signature, AGENT_MESSAGE_MAX);
    ssh->auth = auth;
}

bool ssh_auth_advance(struct ssh *ssh)
{
    return ssh->auth->advance(ssh->auth);
}

/* The server may also have hung up: after too many keys it does. */
bool auth_lost(struct ssh_auth *auth, int r)
{
    struct ssh *ssh = auth->ssh;

    if (!ssh->socket_ended && ssh->goodbye[0] == '\0' && r != LIBSSH2_ERROR_SOCKET_DISCONNECT)
        return false;
    if (auth->offered >= 3)
        ssh_fail(
            ssh, -ERR_AUTH,
            "%s hung up after %zu keys (%s): it allows so many tries (MaxAuthTries). Name the "
            "right key with "
            "IdentityFile and set `IdentitiesOnly yes` for this host in ~/.ssh/config; tried: %s",
            ssh->host.hostname, auth->offered,
            ssh->goodbye[0] != '\0' ? ssh->goodbye : "no reason given",
            auth->tried.data != NULL ? auth->tried.data : "");
    else
        ssh_fail(ssh, -ERR_AUTH, "%s hung up while we signed in as %s: %s; tried: %s",
                 ssh->host.hostname, ssh->host.user,
                 ssh->goodbye[0] != '\0' ? ssh->goodbye : "no reason given",
                 auth->tried.length > 0 ? auth->tried.data : "nothing yet");
    return true;
}

static bool auth_next(struct ssh_auth *auth, bool (*advance)(struct ssh_auth *))
{
    auth->advance = advance;
    return advance(auth);
}

/* ---- none ---- */

/* The server's list of methods, or EAGAIN, 1 when it let us in, another error. */
static int auth_list(struct ssh_auth *auth)
{
    struct ssh *ssh = auth->ssh;
    const char *user = ssh->host.user;
    const char *list = libssh2_userauth_list(ssh->lib, user, (unsigned)strlen(user));
    int r = list == NULL ? libssh2_session_last_errno(ssh->lib) : 0;

    if (list != NULL)
        (void)snprintf(auth->methods, sizeof auth->methods, "%.255s", list);
    else if (r != LIBSSH2_ERROR_EAGAIN && libssh2_userauth_authenticated(ssh->lib))
        r = 1;
    if (r < 0 && r != LIBSSH2_ERROR_EAGAIN && !auth_lost(auth, r))
        (void)ssh_turn_fine(ssh, r, "authentication");
    return r;
}

static bool auth_none(struct ssh_auth *auth)
{
    int r = auth_list(auth);

    if (r != 0)
        return r == 1;
    if (strstr(auth->methods, "publickey") == NULL)
        return auth_next(auth, auth_password);
    auth_keys_load(auth);
    return auth_next(auth, auth_wait_keys);
}

/* ---- keys ---- */

static bool auth_wait_keys(struct ssh_auth *auth)
{
    if (auth->listing)
        return false;
    auth_keys_order(auth);
    return auth_next(auth, auth_publickey);
}

static void auth_accepted(struct ssh_auth *auth, const struct auth_key *key)
{
    struct host_key named = {.blob = key->agent != NULL ? key->agent->blob : key->file->blob,
                             .length = key->agent != NULL ? key->agent->length : key->file->length};

    if (named.blob != NULL)
        host_key_fingerprint(&named, auth->ssh->key);
}

static bool auth_publickey(struct ssh_auth *auth)
{
    while (auth->at < auth->key_count) {
        const struct auth_key *key = &auth->keys[auth->at];
        int r = auth_key_try(auth, key);

        if (r == LIBSSH2_ERROR_EAGAIN || auth->ssh->doomed || auth->ssh->closed)
            return false;
        if (r == 0) {
            auth_accepted(auth, key);
            return true;
        }
        auth_key_over(auth);
        auth->at++;
        if (auth_lost(auth, r))
            return false;
    }
    return auth_next(auth, auth->ssh->policy->password ? auth_again : auth_over);
}

static bool auth_again(struct ssh_auth *auth)
{
    int r = auth_list(auth);

    return r == 0 ? auth_next(auth, auth_password) : r == 1;
}

/* ---- password ---- */

static const char *const password_name = "password";

static void password_key(const struct ssh *ssh, char out[400])
{
    (void)snprintf(out, 400, "%s:%s@%s:%d", password_name, ssh->host.user, ssh->host.hostname,
                   ssh->host.port);
}

/* false: it is being asked for, or there is none. */
static const char *auth_get_password(struct ssh_auth *auth)
{
    struct ssh *ssh = auth->ssh;
    char name[400], prompt[257];
    const char *known;

    password_key(ssh, name);
    known = ssh_secrets_get(ssh->policy->secrets, name);
    if (known != NULL)
        return known;
    if (auth->question == NULL && !auth->answered) {
        (void)snprintf(prompt, sizeof prompt, "Password of %.100s at %.120s: ", ssh->host.user,
                       ssh->host.hostname);
        if (!auth_ask(auth, SSH_ASK_PASSWORD, prompt, /* echo= */ false))
            auth->answered = true;
    }
    return auth->answered ? auth->answer : NULL;
}

static bool auth_password(struct ssh_auth *auth)
{
    struct ssh *ssh = auth->ssh;
    const char *user = ssh->host.user, *password;
    char name[400];
    int r;

    if (!ssh->policy->password || !ssh->host.password_allowed ||
        strstr(auth->methods, password_name) == NULL)
        return auth_next(auth, auth_interactive);
    password = auth_get_password(auth);
    if (password == NULL && !auth->answered)
        return false;
    if (password == NULL)
        return auth_next(auth, auth_over);
    r = libssh2_userauth_password_ex(ssh->lib, user, (unsigned)strlen(user), password,
                                     (unsigned)strlen(password), NULL);
    if (r == LIBSSH2_ERROR_EAGAIN)
        return false;
    password_key(ssh, name);
    if (r == 0) {
        ssh_secrets_put(ssh->policy->secrets, name, password);
        return true;
    }
    auth_note(auth, "password (wrong)");
    ssh_secrets_forget(ssh->policy->secrets, name);
    auth_forget_answer(auth);
    if (auth_lost(auth, r))
        return false;
    return ++auth->asks < AUTH_ASKS_MAX ? auth_password(auth) : auth_next(auth, auth_over);
}

/* ---- keyboard-interactive: what the server asks, a person answers ---- */

static bool auth_interactive(struct ssh_auth *auth)
{
    struct ssh *ssh = auth->ssh;
    int r;

    if (!ssh->policy->password || ssh->policy->ask == NULL ||
        strstr(auth->methods, "keyboard-interactive") == NULL)
        return auth_next(auth, auth_over);
    r = auth_lend(auth, auth_interactive_call);
    if (r == 0 || r == LIBSSH2_ERROR_EAGAIN)
        return r == 0;
    auth_note(auth, "keyboard-interactive (not accepted)");
    if (auth_lost(auth, r))
        return false;
    return ++auth->asks < AUTH_ASKS_MAX ? auth_interactive(auth) : auth_next(auth, auth_over);
}

/* ---- the end ---- */

static bool auth_over(struct ssh_auth *auth)
{
    struct ssh *ssh = auth->ssh;
    char remedy[400];

    if (auth->lacking[0] != '\0') {
        ssh_connect_fall_back(ssh, -ERR_AUTH, auth->lacking,
                              "install ssh here, or use an Ed25519 key (ssh-keygen -t ed25519)");
        return false;
    }
    if (!ssh->policy->password && strstr(auth->methods, password_name) != NULL)
        (void)snprintf(remedy, sizeof remedy, "or allow a password (--password)");
    else
        (void)snprintf(remedy, sizeof remedy, "or load it into the agent (ssh-add)");
    ssh_fail(ssh, -ERR_AUTH,
             "%s does not let %s in. It takes: %s. Tried: %s%s%s. Put one of these keys into %s's "
             "authorized_keys "
             "there (ssh-copy-id), name another with IdentityFile, %s",
             ssh->host.hostname, ssh->host.user, auth->methods,
             auth->tried.length > 0 ? auth->tried.data : "nothing (no key was found)",
             auth->trouble[0] != '\0' ? "; " : "", auth->trouble, ssh->host.user, remedy);
    return false;
}

struct ssh_auth *ssh_auth_free(struct ssh_auth *auth)
{
    if (auth == NULL)
        return NULL;
    auth_question_leave(auth);
    op_drop(&auth->list);
    op_drop(&auth->sign);
    auth_keys_done(auth);
    auth->agent = agent_free(auth->agent);
    buf_done(&auth->tried);
    buf_done(&auth->signature);
    mem_free(auth->pub);
    auth->answer = auth_wipe(auth->answer);
    auth->passphrase = auth_wipe(auth->passphrase);
    return mem_free(auth);
}
