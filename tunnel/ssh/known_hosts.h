/* Is this the host's key? known_hosts files as OpenSSH reads them (sshd(8) "SSH_KNOWN_HOSTS FILE FORMAT"):
 * plain, wildcard, negated and hashed names, [host]:port, @revoked, @cert-authority. Fail closed: a file that is
 * there and cannot be read is no answer, not "unknown". Blocking reads of small files: for the tunnel thread. */
#pragma once

#include "base/err.h"
#include "base/own.h"

#define KNOWN_HOSTS_BYTES_MAX (4u << 20) /* of one file; a longer one is an error */

enum host_key_verdict {
    HOST_KEY_KNOWN,
    HOST_KEY_UNKNOWN,      /* no line of any key type names this host */
    HOST_KEY_UNKNOWN_TYPE, /* other key types of the host are known: not the same as new */
    HOST_KEY_CHANGED,      /* a line of this type says another key */
    HOST_KEY_REVOKED,
    HOST_KEY_AUTHORITY, /* only a @cert-authority line names it: libssh2 cannot judge certificates */
};

struct host_key {
    const uint8_t *blob; /* the public key as on the wire */
    size_t length;
    const char *type; /* "ssh-ed25519" */
};

struct known_hosts;
/* files: in order; one that does not exist counts as empty. NULL with a fault: one cannot be read. */
struct known_hosts *known_hosts_load(const char *const *files, size_t count,
                                     struct fault *reterr_fault) MUSTCHECK;
struct known_hosts *known_hosts_free(struct known_hosts *hosts);
DEFINE_CLEAN(struct known_hosts *, known_hosts_free)

/* RevokedHostKeys: the keys in this file are revoked for every host. Unlike a known_hosts file it must be there. Not
 * every such file can be read (-ERR_UNSUPPORTED). On failure hosts must not be used. */
int known_hosts_revoke(struct known_hosts *hosts, const char *path, struct fault *reterr_fault);

/* name is HostKeyAlias or the host as connected to; port 0 or 22: none in the pattern. ret_where (NULL ok) gets
 * "file:line" of the line that decided. */
enum host_key_verdict known_hosts_check(const struct known_hosts *hosts, const char *name, int port,
                                        const struct host_key *key, char ret_where[512]);
/* Key types known for the host, best first, comma separated, then ours: what the key exchange should ask for, so
 * that a host known by one type does not show another. Caller owns. */
char *known_hosts_types(const struct known_hosts *hosts, const char *name, int port,
                        const char *ours) MUSTCHECK;
/* Appends a line to the file (0600, its folder 0700, made when missing), hashed when asked. */
int known_hosts_add(const char *file, const char *name, int port, const struct host_key *key,
                    bool hashed, struct fault *reterr_fault);
/* "SHA256:…" as OpenSSH prints it; out holds 64 bytes. */
void host_key_fingerprint(const struct host_key *key, char out[64]);
