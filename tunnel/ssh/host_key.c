/* Is it the host we know? Asked before anything is sent that the host could misuse: known_hosts decides which host
 * keys are asked for, then the one that came is looked up, and only a known one (or a new one, with consent) goes on. */
#include "tunnel/ssh/session_internal.h"

#include "base/mem.h"
#include "tunnel/ssh/known_hosts.h"
#include "tunnel/ssh/wire.h"

#include <stdio.h>
#include <string.h>

#if LIBSSH2_VERSION_NUM >= 0x010b00
#define HOST_KEY_TYPES                                                                             \
    "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-"    \
    "sha2-256"
#else
#define HOST_KEY_TYPES "ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521"
#endif

/* ssh-rsa is not among them: libssh2 1.10 knows it with SHA-1 only. */

/* What the lines of known_hosts are looked up by. */
static const char *host_key_name(const struct ssh *ssh, int *ret_port)
{
    *ret_port = ssh->host.host_key_alias != NULL ? 0 : ssh->host.port;
    return ssh->host.host_key_alias != NULL ? ssh->host.host_key_alias : ssh->host.hostname;
}

int ssh_host_key_prepare(struct ssh *ssh)
{
    struct fault why;
    char *types;
    int port, r;
    const char *name = host_key_name(ssh, &port);

    fault_clear(&why);
    ssh->known = known_hosts_load((const char *const *)ssh->host.known_hosts,
                                  ssh->host.known_hosts_count, &why);
    if (ssh->known == NULL ||
        (ssh->host.revoked_host_keys != NULL &&
         known_hosts_revoke(ssh->known, ssh->host.revoked_host_keys, &why) < 0))
        return ssh_fail(ssh, -ERR_DENIED, "the host key of %s cannot be checked: %s",
                        ssh->host.hostname, why.text);
    types = known_hosts_types(ssh->known, name, port, HOST_KEY_TYPES);
    r = libssh2_session_method_pref(ssh->lib, LIBSSH2_METHOD_HOSTKEY, types);
    mem_free(types);
    return r < 0 ? ssh_fail(ssh, -ERR_UNSUPPORTED, "libssh2 knows none of our host key types") : 0;
}

/* ---- the verdict ---- */

static void host_key_unknown(struct ssh *ssh, const struct host_key *key, const char *name,
                             int port)
{
    struct fault why;

    fault_clear(&why);
    if (!ssh->policy->accept_new && !ssh->host.accept_new) {
        ssh_fail(ssh, -ERR_DENIED,
                 "the host key of %s is not known here: %s %s. If that is what the host's own "
                 "`ssh-keygen -lf "
                 "/etc/ssh/ssh_host_*_key.pub` says, connect once with --accept-new, or with ssh",
                 name, key->type, ssh->host_key);
        return;
    }
    if (ssh->host.user_known_hosts_count == 0) {
        ssh_fail(ssh, -ERR_DENIED,
                 "the host key of %s is new and there is no file to write it to: set "
                 "UserKnownHostsFile in ~/.ssh/config",
                 name);
        return;
    }
    if (known_hosts_add(ssh->host.known_hosts[0], name, port, key, ssh->host.hash_known_hosts,
                        &why) < 0) {
        ssh_fail(ssh, -ERR_DENIED, "the host key of %s is new and cannot be written down: %s", name,
                 why.text);
        return;
    }
    ssh_notice(ssh, "%s is new: its host key %s %s is now in %s", name, key->type, ssh->host_key,
               ssh->host.known_hosts[0]);
}

static void host_key_refuse(struct ssh *ssh, enum host_key_verdict verdict, const char *name,
                            int port, const char *where)
{
    const char *line = strrchr(where, ':');
    int file_length = (int)(line ? (size_t)(line - where) : strlen(where));
    char pattern[300];

    if (port == 0 || port == 22)
        (void)snprintf(pattern, sizeof pattern, "%s", name);
    else
        (void)snprintf(pattern, sizeof pattern, "[%s]:%d", name, port);
    if (verdict == HOST_KEY_CHANGED)
        ssh_fail(ssh, -ERR_DENIED,
                 "the host key of %s has changed (%s says another): somebody may be in between, or "
                 "the host was set up "
                 "anew. It now shows %s. If that is right: ssh-keygen -f '%.*s' -R '%s'",
                 name, where, ssh->host_key, file_length, where, pattern);
    else if (verdict == HOST_KEY_REVOKED)
        ssh_fail(ssh, -ERR_DENIED,
                 "the host key of %s (%s) is revoked in %s: it must not be used any more", name,
                 ssh->host_key, where);
    else if (verdict == HOST_KEY_AUTHORITY)
        ssh_connect_fall_back(
            ssh, -ERR_DENIED,
            "its host key is known by a certificate authority only, which libssh2 "
            "cannot check",
            "install ssh here, or add the host's own key to known_hosts");
    else
        ssh_connect_fall_back(
            ssh, -ERR_DENIED,
            "its host key is known here in a type libssh2 cannot use, and it shows "
            "another",
            "install ssh here, or add its Ed25519 key to known_hosts (ssh-keyscan -t ed25519)");
}

bool ssh_host_key_check(struct ssh *ssh)
{
    size_t length = 0;
    int kind = 0, port;
    const char *name = host_key_name(ssh, &port);
    const char *blob = libssh2_session_hostkey(ssh->lib, &length, &kind);
    char type[64], where[512] = "";
    struct host_key key = {.blob = (const uint8_t *)blob, .length = length, .type = type};
    enum host_key_verdict verdict;

    if (blob == NULL || !wire_key_type(blob, length, type)) {
        ssh_fail(ssh, -ERR_DENIED, "%s showed no host key", name);
        return false;
    }
    host_key_fingerprint(&key, ssh->host_key);
    ssh_step_enter(ssh, SSH_STEP_HOST_KEY, "%s %s", type, ssh->host_key);
    verdict = known_hosts_check(ssh->known, name, port, &key, where);
    ssh->known = known_hosts_free(ssh->known);
    if (verdict == HOST_KEY_UNKNOWN)
        host_key_unknown(ssh, &key, name, port);
    else if (verdict != HOST_KEY_KNOWN)
        host_key_refuse(ssh, verdict, name, port, where);
    return !ssh->doomed && !ssh->closed && ssh->after == NULL;
}
