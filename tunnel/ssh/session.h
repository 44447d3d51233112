/* One SSH connection: from an address to authenticated, then many channels over it. The door to libssh2 is this
 * folder. Everything runs on the loop it was opened on and nothing blocks it. Pitfalls and why things are as they
 * are: tunnel.md 2 and 2b (a send callback that never short-writes, one owner of writes, windows given at open).
 *
 * A session that libssh2 cannot do (RSA with SHA-2, hardware keys, certificates, an algorithm nobody shares) is
 * carried by a child `ssh` instead, one per channel; the owner sees the same calls. */
#pragma once

#include "base/buf.h"
#include "base/io/op.h"
#include "tunnel/ssh/host.h"

struct ssh;         /* a session */
struct ssh_channel; /* a stream over it */

#define SSH_CHANNELS_MAX 512 /* of a session; one more: -ERR_BUSY */
#define SSH_OUTPUT_MAX                                                                             \
    (4u << 20) /* encrypted bytes that wait for the socket; past it nobody may write */
#define SSH_WINDOW_BULK  (16u << 20) /* receive windows, given at open; engine.c says which */
#define SSH_WINDOW_SMALL (2u << 20)
#define SSH_ALIVE_IDLE_MS                                                                          \
    2000 /* nothing heard for so long: a ping, unless ServerAliveInterval says otherwise */
#define SSH_ALIVE_DEAD_MS 5000 /* nothing heard for so long after the ping could be heard: dead */

/* Where an attempt is, for `tunnel check` and status; in this order. */
enum ssh_step {
    SSH_STEP_CONFIG,    /* ssh -G */
    SSH_STEP_RESOLVE,   /* DNS */
    SSH_STEP_CONNECT,   /* TCP, jump hosts, ProxyCommand */
    SSH_STEP_HANDSHAKE, /* banner and key exchange */
    SSH_STEP_HOST_KEY,
    SSH_STEP_AUTH,
    SSH_STEP_READY,
};
const char *ssh_step_name(enum ssh_step step);

/* A question for the person, asked on the loop, answered later by ssh_answer exactly once (any number of turns
 * later, also after the session has gone). */
enum ssh_question_kind { SSH_ASK_PASSPHRASE, SSH_ASK_PASSWORD, SSH_ASK_INTERACTIVE };
struct ssh_question {
    enum ssh_question_kind kind;
    const char *prompt; /* "Passphrase for ~/.ssh/id_ed25519: "; printable, at most 256 bytes */
    bool echo;
};
/* answer NULL: nobody can be asked, or did not want to. Copied; the caller wipes its own. */
void ssh_answer(struct ssh_question *question, const char *answer);

/* What one attempt may do; shared by the sessions of one tunnel, so that nothing is asked twice. */
struct ssh_secrets; /* passphrases that worked, by file; the password; in locked memory */
struct ssh_secrets *ssh_secrets_new(void) MUSTCHECK;
struct ssh_secrets *ssh_secrets_free(struct ssh_secrets *secrets); /* wipes */

struct ssh_policy {
    bool accept_new;  /* an unknown host's key is written down; a changed one never */
    bool password;    /* the person asked for password authentication */
    bool allow_child; /* may fall back to a child ssh */
    struct ssh_secrets *secrets;
    void *arg;
    void (*step)(void *arg, enum ssh_step step,
                 const char *detail);            /* NULL ok; detail for a person */
    void (*notice)(void *arg, const char *text); /* said once: fallback, new host key; NULL ok */
    void (*ask)(void *arg, struct ssh_question *question); /* NULL: nobody to ask */
};

/* A stream that a server brings for a port it listens on for us. */
struct ssh_arrival {
    const char *bound_host, *origin_host;
    int bound_port, origin_port;
};
struct ssh_events {
    /* It was ready and has ended: once, last; every channel was closed before. */
    void (*lost)(void *arg, const struct fault *why);
    /* Answer by ssh_channel_take or ssh_channel_drop. NULL: refused. */
    void (*arrived)(void *arg, struct ssh_channel *channel, const struct ssh_arrival *arrival);
};

/* op ends 0 when authenticated; *ret is set at once and owned by the caller (ssh_close). On failure no event
 * comes. Config, jumps, host key, authentication: all inside. Faults name the step, what was refused and the remedy
 * (-ERR_CONNECT, -ERR_AUTH, -ERR_DENIED for a host key). options and target are copied; policy must outlive it. */
void ssh_open(struct op *op, const struct ssh_target *target, const struct ssh_options *options,
              const struct ssh_policy *policy, const struct ssh_events *events, void *arg,
              struct ssh **ret);
/* Says goodbye if that can be done at once; every channel ends without a callback. NULL ok. */
struct ssh *ssh_close(struct ssh *ssh);

struct ssh_facts {
    const char *user, *host, *address; /* address: numeric, of the TCP peer; "" behind a proxy */
    int port;
    const char *host_key;         /* fingerprint */
    const char *key;              /* of the key that let us in: fingerprint; "" when by password */
    const char *banner;           /* the server's version string */
    const char *algorithms;       /* "curve25519-sha256 aes256-gcm…" */
    bool child;                   /* carried by a child ssh */
    double rtt_ms;                /* of the last ping; < 0: none yet */
    uint64_t bytes_in, bytes_out; /* on the wire */
    size_t channels;
};
void ssh_facts(const struct ssh *ssh, struct ssh_facts *ret); /* borrowed until the next turn */
/* Is it still there? op ends 0 when anything was heard since, or -ERR_TIMEOUT. After a sleep of the machine. */
void ssh_probe(struct ssh *ssh, struct op *op);

enum ssh_channel_kind { SSH_TCP, SSH_STREAMLOCAL, SSH_EXEC };
struct ssh_channel_spec {
    enum ssh_channel_kind kind;
    const char *host; /* SSH_TCP */
    int port;
    const char *path;    /* SSH_STREAMLOCAL: 1 to 4096 bytes */
    const char *command; /* SSH_EXEC */
    uint32_t window;     /* SSH_WINDOW_SMALL, SSH_WINDOW_BULK */
};
/* None comes from inside an ssh_* call. closed is the last. */
struct ssh_channel_events {
    /* 0, or why not: -ERR_DENIED (administratively prohibited; says which sshd setting), -ERR_CONNECT (nobody there),
     * -ERR_FULL (MaxSessions), -ERR_CLOSED (the session went). After a failure nothing else comes. */
    void (*opened)(void *arg, int result, const struct fault *why);
    /* At most 256 KiB at once. Returns how many were taken: fewer pauses reading until ssh_channel_resume, and the rest
     * comes again then. */
    size_t (*data)(void *arg, const void *data, size_t length);
    void (*noise)(void *arg, const char *text,
                  size_t length); /* stderr of a command; NULL: dropped */
    void (*writable)(void *arg);  /* after a write took less than given */
    void (*ended)(void *arg);     /* the far end sends no more; NULL ok */
    void (*closed)(void *arg, int exit_status /* -1: none */,
                   const struct fault *why /* NULL: orderly */);
};
struct ssh_channel *ssh_channel_open(struct ssh *ssh, const struct ssh_channel_spec *spec,
                                     const struct ssh_channel_events *events, void *arg) MUSTCHECK;
void ssh_channel_take(struct ssh_channel *channel, const struct ssh_channel_events *events,
                      void *arg);
/* Bytes taken: what the far window and our own bounds allow; 0 to length. */
size_t ssh_channel_write(struct ssh_channel *channel, const void *data, size_t length);
void ssh_channel_resume(struct ssh_channel *channel);
void ssh_channel_end(
    struct ssh_channel *channel); /* no more from us; what was taken goes out first */
/* Closes it; no callback any more. NULL ok. */
struct ssh_channel *ssh_channel_drop(struct ssh_channel *channel);

/* tcpip-forward: op ends 0 with the port bound (port 0: the server chooses), -ERR_DENIED, -ERR_EXISTS when it is taken
 * there. Arrivals come by events->arrived. Ends with the session. bind_host "127.0.0.1" or "localhost" unless the
 * server has GatewayPorts; the server must name the same host back (tunnel.md 2.7). */
void ssh_listen(struct ssh *ssh, struct op *op, const char *bind_host, int port, int *ret_port);

/* The library's version and what it lacks, for doctor: "libssh2 1.10.0: no strict key exchange, …". */
const char *ssh_library(void);
