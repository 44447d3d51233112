/* A tunnel: a way to a gateway on another host that stays. It owns a thread with a loop of its own, holds two SSH
 * sessions there (control: WebSockets and the bridge; bulk: the rest), forwards bytes between local listeners
 * and the gateway, publishes local sockets on the far host, and comes back by itself. The owner's loop hears of it.
 *
 *   tunnel.c    the thread, messages both ways          link.c     connect, stay, come back: the states
 *   way.c       how a stream reaches the gateway         forward.c  listeners, held connections
 *   pump.c      bytes between a socket and a channel     publish.c  remote listeners
 *   ssh/        one SSH connection                       tailnet/   tailscaled's LocalAPI
 *
 * Owner's loop only, but for what is said. */
#pragma once

#include "base/io/op.h"
#include "tunnel/bridge.h"

struct tunnel;
struct tunnel_question;

#define TUNNEL_ENDPOINTS_MAX 16
#define TUNNEL_STREAMS_MAX                                                                         \
    1024 /* local connections at once; one more waits in the listener's backlog */
#define TUNNEL_HOLD_MS  30000 /* new connections wait so long for the path, then are refused */
#define TUNNEL_HELD_MAX 256   /* of them; one more is refused at once */

enum tunnel_state {
    TUNNEL_CONNECTING, /* first attempt */
    TUNNEL_UP,
    TUNNEL_WAITING, /* lost or refused; the next attempt has its time */
    TUNNEL_RECONNECTING,
    TUNNEL_FAILED, /* what only a person can mend: host key, authentication, a bad configuration */
    TUNNEL_CLOSED,
};
const char *tunnel_state_name(enum tunnel_state state);

/* A local door. host and port, or unix_path (0600, in a folder of ours alone). */
struct tunnel_listen {
    const char *host; /* "127.0.0.1" */
    int port;         /* 0: any */
    const char *unix_path;
    bool own_process; /* unix: only this very process may connect (a command's own connection) */
    enum bridge_service service;
    bool optional; /* not having it is a notice, not a failure */
};
/* A door on the far host that leads here. */
struct tunnel_publish {
    const char *bind_host; /* NULL: "127.0.0.1" */
    int port;              /* 0: the far host chooses */
    const char *unix_path; /* where arrivals go: tunnel.sock … */
    const char
        *ticket; /* … with this as their first line (bridge_write_stream, from= the far peer) */
    enum bridge_service service;
};

struct tunnel_options {
    const char *target; /* ssh://[user@]host[:port], [user@]host, alias */
    const char *config_file, *identity, *ssh_program;
    const char *bridge_command; /* NULL: "culvert bridge" */
    int gateway_port;           /* on the far host, when there is no bridge; 0: 18789 */
    bool accept_new, password, allow_child;
    bool once; /* no coming back: the first failure or loss ends it (--url ssh://, check) */
    const struct tunnel_listen *listen;
    size_t listen_count;
    const struct tunnel_publish *publish;
    size_t publish_count;
    bool no_gateway; /* publish only: no way to a gateway over there is looked for */

    void *arg;
    /* State, endpoints or a notice changed; ask tunnel_status. Not from inside a tunnel_* call. */
    void (*changed)(void *arg);
    void (*notice)(void *arg, const char *text);              /* for a person, said once */
    void (*ask)(void *arg, struct tunnel_question *question); /* NULL: nobody to ask */
};
/* Everything is copied. Local listeners are bound before it returns: a fault says who has the port. */
int tunnel_start(struct loop *loop, const struct tunnel_options *options, struct tunnel **ret,
                 struct fault *reterr_fault);
/* Ends everything and joins the thread (at most a second). NULL ok. */
struct tunnel *tunnel_stop(struct tunnel *tunnel);

/* The machine woke up or the network changed: look at once, do not wait. */
void tunnel_nudge(struct tunnel *tunnel);

struct tunnel_question {
    int kind; /* enum ssh_question_kind */
    char prompt[257];
    bool echo;
};
/* Exactly once per question, from any thread; answer NULL: none. */
void tunnel_answer(struct tunnel *tunnel, struct tunnel_question *question, const char *answer);

struct tunnel_endpoint {
    char address[128]; /* "127.0.0.1:18789", a path; of a publish as the far host bound it */
    enum bridge_service service;
    bool published;
};
/* The newest known; times are wall ms. */
struct tunnel_status {
    enum tunnel_state state;
    int64_t since;  /* of the state */
    char way[32];   /* "bridge", "direct-tcpip", "exec", "ssh"; "" */
    char peer[192]; /* user@host:port (address) */
    char host_key[64], key[64];
    double rtt_ms;                /* < 0: not known */
    uint64_t bytes_in, bytes_out; /* of the streams, over all reconnects */
    uint64_t reconnects, streams_total;
    uint32_t streams, held;
    int64_t next_attempt_at;  /* 0: none is due */
    int64_t lost_at, back_at; /* of the last loss; 0: never. Noticed, and up again */
    char last_error[512];     /* with what to do; "" */
    struct tunnel_endpoint endpoints[TUNNEL_ENDPOINTS_MAX];
    size_t endpoint_count;
};
void tunnel_status(const struct tunnel *tunnel, struct tunnel_status *ret);

/* ---- tunnel check: one pass with every step told ---- */

enum tunnel_check_result { CHECK_OK, CHECK_FAILED, CHECK_SKIPPED, CHECK_NOTE };
struct tunnel_check_step {
    const char *name; /* "name", "tcp", "host key", "authentication", "forwarding", "gateway" */
    enum tunnel_check_result result;
    const char *detail; /* what was found */
    const char *remedy; /* NULL: nothing to do */
};
/* op ends 0 when a stream to the gateway could be opened and spoke HTTP; step is told in order, never from inside this
 * call, its texts are borrowed. options as above, copied, without listeners; ask's questions are answered by
 * tunnel_check_answer. Runs on the op's own loop (a key exchange takes some ms of it): for a command. */
void tunnel_check(struct op *op, const struct tunnel_options *options,
                  void (*step)(void *arg, const struct tunnel_check_step *step), void *arg);

/* Exactly once per question of a check, also after its end; answer NULL: none. */
void tunnel_check_answer(struct tunnel_question *question, const char *answer);

/* For doctor: libraries, versions, what they lack. */
const char *tunnel_library(void);
