/* Where an SSH target is and how it wants to be reached: what `ssh -G` says, because that is what the person
 * configured; without an ssh binary, what the command line gives. Parsing is pure; asking ssh is a child on
 * the loop. tunnel.md 2b "Configuration". */
#pragma once

#include "base/io/op.h"

#define SSH_FILES_MAX                                                                              \
    16 /* identity files, known_hosts files; more are left out with a note in the fault */
#define SSH_JUMPS_MAX 8 /* hosts on the way */

/* "ssh://[user@]host[:port]", "[user@]host" or a Host alias. */
struct ssh_target {
    char *user; /* NULL: as configured */
    char *host; /* as typed, brackets off */
    int port;   /* 0: as configured */
};
/* -ERR_INVALID and what is wrong with it (a host that begins with "-", control characters, a bad port, a path). */
int ssh_target_parse(const char *text, struct ssh_target *ret, struct fault *reterr_fault);
void ssh_target_done(struct ssh_target *target);

/* What the command line adds; borrowed. NULL or 0: nothing. */
struct ssh_options {
    const char *
        config_file; /* ssh -F; NULL: $HOME/.ssh/config when HOME is not the account's, else ssh's own */
    const char *identity;    /* ssh -i */
    const char *ssh_program; /* NULL: "ssh" in PATH */
};

/* Everything owned. Paths are absolute, "~" and tokens (%h, %p …) already replaced. */
struct ssh_host {
    char *alias;    /* as typed: for messages and for HostKeyAlias' absence */
    char *hostname; /* where to connect */
    char *user;
    int port;
    char *
        host_key_alias; /* NULL: hostname (with port when it is not 22). An alias is looked up without a port */
    char *identity_files[SSH_FILES_MAX], *certificate_files[SSH_FILES_MAX];
    size_t identity_count, certificate_count;
    bool identities_only;
    char *identity_agent; /* socket path; NULL: none ("none", or no SSH_AUTH_SOCK) */
    char *known_hosts[SSH_FILES_MAX];
    size_t known_hosts_count; /* the user's first: new keys are added to known_hosts[0] */
    size_t user_known_hosts_count;
    char *revoked_host_keys; /* RevokedHostKeys; NULL: none */
    bool hash_known_hosts;
    bool accept_new; /* StrictHostKeyChecking accept-new */
    bool
        check_host_key; /* false: it says "no". Not obeyed, the key is checked all the same: to be told */
    char *proxy_command; /* for sh -c, tokens replaced; NULL: none */
    char *proxy_jump;    /* "a,user@b:22"; NULL: none */
    char *bind_address;
    int address_family;         /* AF_UNSPEC, AF_INET, AF_INET6 */
    int64_t connect_timeout_ms; /* 0: not configured */
    int64_t alive_interval_ms;  /* ServerAliveInterval; 0: not configured, then ours */
    int alive_count;
    bool tcp_keepalive, compression;
    bool password_allowed; /* PasswordAuthentication, BatchMode */
    bool from_ssh;         /* ssh -G said so, not only the command line */
    char *config_file;     /* what ssh -F was given, for a child ssh; NULL: nothing */
};
void ssh_host_done(struct ssh_host *host);
/* The output of `ssh -G`. Pure. -ERR_INVALID names the line. */
int ssh_host_parse(const char *text, size_t length, const struct ssh_target *target,
                   struct ssh_host *ret, struct fault *reterr_fault);
/* Asks ssh. op ends 0 with *ret filled (the caller's: ssh_host_done), or with ssh's own words as fault (a bad
 * keyword stops ssh, so it stops us). With 0 a fault of code 0 that has text is a warning: files left out, an identity
 * that is not there. Everything given is copied. *ret must stay until the end. Deadline of its own: 10 s (a Match exec
 * may take time). */
void ssh_host_resolve(struct op *op, const struct ssh_target *target,
                      const struct ssh_options *options, struct ssh_host *ret);
