/* The way to ready, each step's end calling the next:
 *   ssh_connect_start     ssh -G                       connect_on_config   jump loop, then a transport
 *   ssh_connect_on_descriptor  key exchange            connect_handshake   host key
 *   connect_authenticate  until somebody let us in     ssh_ready
 * What libssh2 cannot do goes to ssh_connect_fall_back: a child ssh, or the reason. */
#include "tunnel/ssh/session_internal.h"

#include "base/mem.h"
#include "tunnel/ssh/known_hosts.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* What we ask for, best first. No SHA-1, no CBC: a server that has nothing else is a child ssh's. */
#define METHODS_KEX                                                                                \
    "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,"        \
    "ecdh-sha2-nistp521,diffie-hellman-group-exchange-sha256,diffie-hellman-group16-sha512,"       \
    "diffie-hellman-group18-sha512,diffie-hellman-group14-sha256"
#if LIBSSH2_VERSION_NUM >= 0x010b00
#define METHODS_CIPHER                                                                             \
    "aes128-gcm@openssh.com,aes256-gcm@openssh.com,aes128-ctr,aes192-ctr,aes256-ctr"
#define METHODS_MAC                                                                                \
    "hmac-sha2-256-etm@openssh.com,hmac-sha2-512-etm@openssh.com,hmac-sha2-256,hmac-sha2-512"
#else
#define METHODS_CIPHER "aes128-ctr,aes192-ctr,aes256-ctr"
#define METHODS_MAC    "hmac-sha2-256,hmac-sha2-512"
#endif

static const struct {
    int kind;
    const char *methods;
} methods[] = {
    {LIBSSH2_METHOD_KEX, METHODS_KEX},         {LIBSSH2_METHOD_CRYPT_CS, METHODS_CIPHER},
    {LIBSSH2_METHOD_CRYPT_SC, METHODS_CIPHER}, {LIBSSH2_METHOD_MAC_CS, METHODS_MAC},
    {LIBSSH2_METHOD_MAC_SC, METHODS_MAC},
};

/* ---- configuration ---- */

static void connect_on_config(struct op *op, int result);

void ssh_connect_start(struct ssh *ssh)
{
    struct ssh_options options = {.config_file = ssh->config_file,
                                  .identity = ssh->identity,
                                  .ssh_program = ssh->ssh_program};

    ssh_step_enter(ssh, SSH_STEP_CONFIG, "asking ssh how to reach %s", ssh->target.host);
    op_init(&ssh->work, ssh->loop, connect_on_config, /* deadline_ms= */ 0);
    ssh_host_resolve(&ssh->work, &ssh->target, &options, &ssh->host);
}

/* A hop that is on the way to itself. */
static bool connect_loops(struct ssh *ssh)
{
    char chain[400] = "";

    for (const struct ssh *at = ssh->inner; at != NULL; at = at->inner) {
        size_t n = strlen(chain);

        (void)snprintf(chain + n, sizeof chain - n, "%s%s", n > 0 ? ", the way to " : "",
                       at->host.alias);
        if (strcmp(at->host.hostname, ssh->host.hostname) == 0 && at->host.port == ssh->host.port &&
            strcmp(at->host.user, ssh->host.user) == 0) {
            ssh_fail(ssh, -ERR_INVALID,
                     "ProxyJump goes round in a circle: %s is on the way to %s; end it with "
                     "`ProxyJump none` for that host in ~/.ssh/config",
                     ssh->host.alias, chain);
            return true;
        }
    }
    if (ssh->depth > SSH_JUMPS_MAX)
        ssh_fail(ssh, -ERR_INVALID, "more than %d jump hosts on the way", SSH_JUMPS_MAX);
    return ssh->doomed;
}

static void connect_on_config(struct op *op, int result)
{
    struct ssh *ssh = CONTAINER(op, struct ssh, work);

    CHECK(ssh, SSH_MAGIC);
    if (result < 0) {
        ssh_fail_with(ssh, &op->fault);
        return;
    }
    ssh->host_known = true;
    if (!connect_loops(ssh))
        ssh_transport_start(ssh);
}

/* ---- key exchange ---- */

static void connect_on_late(void *arg)
{
    struct ssh *ssh = arg;
    char where[300];

    if (ssh->phase == SSH_HANDSHAKING && ssh->bytes_in > 0 && ssh->deadline.every == 0) {
        timer_start(ssh->loop, &ssh->deadline, SSH_HANDSHAKE_MS - SSH_SILENT_MS, SSH_HANDSHAKE_MS,
                    connect_on_late, ssh);
        return;
    }
    if (ssh->phase == SSH_HANDSHAKING && ssh->bytes_in == 0)
        ssh_fail(ssh, -ERR_TIMEOUT,
                 "%s took the connection and said nothing for %d s: is an SSH server there?",
                 ssh_where(ssh, where), SSH_SILENT_MS / 1000);
    else if (ssh->phase == SSH_HANDSHAKING)
        ssh_fail(ssh, -ERR_TIMEOUT, "%s did not finish the key exchange in %d s",
                 ssh_where(ssh, where), SSH_HANDSHAKE_MS / 1000);
    else
        ssh_fail(ssh, -ERR_TIMEOUT, "authentication at %s did not end in %d s",
                 ssh_where(ssh, where), SSH_AUTH_MS / 1000);
}

void ssh_connect_on_descriptor(struct ssh *ssh, int fd, const char *address)
{
    (void)snprintf(ssh->address, sizeof ssh->address, "%s", address);
    ssh->phase = SSH_HANDSHAKING;
    if (ssh_turn_start(ssh, fd) < 0)
        return;
    ssh_step_enter(ssh, SSH_STEP_HANDSHAKE, "%s", address[0] != '\0' ? address : "through a proxy");
    for (size_t i = 0; i < COUNT(methods); i++)
        (void)libssh2_session_method_pref(ssh->lib, methods[i].kind, methods[i].methods);
    (void)libssh2_session_flag(ssh->lib, LIBSSH2_FLAG_COMPRESS, ssh->host.compression);
    if (ssh_host_key_prepare(ssh) < 0)
        return;
    timer_start(ssh->loop, &ssh->deadline, SSH_SILENT_MS, 0, connect_on_late, ssh);
}

static void connect_describe(struct ssh *ssh)
{
    const char *banner = libssh2_session_banner_get(ssh->lib);
    size_t n = 0;

    for (; banner != NULL && *banner != '\0' && n + 1 < sizeof ssh->banner; banner++)
        ssh->banner[n++] = *banner >= ' ' && *banner < 127 ? *banner : '?';
    ssh->banner[n] = '\0';
    (void)snprintf(ssh->algorithms, sizeof ssh->algorithms, "%s %s %s",
                   libssh2_session_methods(ssh->lib, LIBSSH2_METHOD_KEX),
                   libssh2_session_methods(ssh->lib, LIBSSH2_METHOD_CRYPT_SC),
                   libssh2_session_methods(ssh->lib, LIBSSH2_METHOD_MAC_SC));
}

static void connect_handshake_failed(struct ssh *ssh, int r)
{
    char where[300];

    ssh_where(ssh, where);
    if (ssh->socket_ended && ssh->bytes_in == 0)
        ssh_fail(ssh, -ERR_CONNECT,
                 "%s closed the connection at once: is an SSH server there, and does it let this "
                 "address in?",
                 where);
    else if (r == LIBSSH2_ERROR_BANNER_RECV || r == LIBSSH2_ERROR_SOCKET_NONE ||
             libssh2_session_banner_get(ssh->lib) == NULL)
        ssh_fail(ssh, -ERR_CONNECT, "%s does not speak SSH", where);
    else if (ssh->socket_ended || ssh->goodbye[0] != '\0')
        ssh_fail(ssh, -ERR_CONNECT, "%s ended the key exchange: %s", where,
                 ssh->goodbye[0] != '\0' ? ssh->goodbye : "it closed the connection");
    else if (r == LIBSSH2_ERROR_KEX_FAILURE || r == LIBSSH2_ERROR_METHOD_NONE)
        ssh_connect_fall_back(ssh, -ERR_CONNECT,
                              "it has no host key or algorithm in common with libssh2",
                              "give the server an Ed25519 host key, or install ssh here");
    else
        ssh_fail(ssh, -ERR_CONNECT, "the key exchange with %s failed (libssh2 error %d)", where, r);
}

/* A server may send lines before its version (RFC 4253 4.2); a flood of them is none. */
#define CONNECT_BANNER_MAX 65536

static void connect_handshake(struct ssh *ssh)
{
    int r = libssh2_session_handshake(ssh->lib, ssh->fd);

    if (r == LIBSSH2_ERROR_EAGAIN) {
        if (ssh->bytes_in > CONNECT_BANNER_MAX &&
            libssh2_session_methods(ssh->lib, LIBSSH2_METHOD_KEX) == NULL)
            ssh_fail(ssh, -ERR_CONNECT, "%s floods us before the key exchange", ssh->host.hostname);
        return;
    }
    if (r < 0) {
        connect_handshake_failed(ssh, r);
        return;
    }
    connect_describe(ssh);
    if (!ssh_host_key_check(ssh))
        return;
    ssh->phase = SSH_AUTHENTICATING;
    timer_start(ssh->loop, &ssh->deadline, SSH_AUTH_MS, 0, connect_on_late, ssh);
    ssh_step_enter(ssh, SSH_STEP_AUTH, "as %s", ssh->host.user);
    ssh_auth_start(ssh);
}

/* ---- in a turn ---- */

void ssh_connect_advance(struct ssh *ssh)
{
    if (ssh->phase == SSH_HANDSHAKING)
        connect_handshake(ssh);
    if (ssh->phase == SSH_AUTHENTICATING && !ssh->doomed && !ssh->closed && ssh_auth_advance(ssh)) {
        ssh->auth = ssh_auth_free(ssh->auth);
        ssh_alive_start(ssh);
        ssh_ready(ssh);
    }
}

void ssh_connect_stop(struct ssh *ssh)
{
    op_drop(&ssh->work);
    timer_stop(ssh->loop, &ssh->deadline);
    ssh->auth = ssh_auth_free(ssh->auth);
    ssh->known = known_hosts_free(ssh->known);
}
