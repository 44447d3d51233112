/* What the files of one SSH connection share: session.c (life), session_connect.c (the way to ready),
 * session_turn.c (libssh2's socket), channel.c and channel_open.c (streams), listen.c, alive.c, auth*.c,
 * host_key.c, transport*.c, jump.c and the child ssh (child_ssh.c, channel_fd.c).
 *
 * Rules. libssh2 is called from a turn (session_turn.c) and, for writing alone, from ssh_channel_write; only
 * a turn reads the socket. Callbacks to owners come from a turn; an owner may close the session or drop channels
 * inside, so after each callback `ssh->closed` and `channel->dropped` are looked at, and what is freed is freed at
 * the end of the turn (ssh_hold, ssh_release). */
#pragma once

#include "tunnel/ssh/session.h"

#include <libssh2.h>

#define SSH_MAGIC         0x73736873u
#define SSH_CHANNEL_MAGIC 0x73736863u

#define SSH_READ_SIZE     (128u << 10) /* one data() */
#define SSH_TURN_READ     (256u << 10) /* from the socket per turn: others have their turn */
#define SSH_OUTPUT_HIGH   (512u << 10) /* writers stop here … */
#define SSH_OUTPUT_LOW    (256u << 10) /* … and go on here */
#define SSH_PACKET_SIZE   32768u
#define SSH_CHUNK_MAX     32700u       /* libssh2 sends no more at once */
#define SSH_WINDOWS_MAX   (128u << 20) /* of all channels together; then new ones get less */
#define SSH_WINDOW_MIN    (128u << 10)
#define SSH_MEMORY_MAX    (256u << 20) /* what libssh2 may hold for one session */
#define SSH_SILENT_MS     8000         /* a server that says nothing at all */
#define SSH_HANDSHAKE_MS  20000
#define SSH_AUTH_MS       150000 /* a person may be asked; sshd's LoginGraceTime is 120 s */
#define SSH_CONNECT_MS    15000  /* without ConnectTimeout */
#define SSH_OPEN_MS       30000  /* a channel that is not confirmed by then */
#define SSH_LISTENERS_MAX 16

struct ssh_transport;
struct ssh_jump;
struct ssh_auth;
struct ssh_child;
struct ssh_listener;
struct lib_block;
struct child_forward;
struct ssh;

/* What carries a session once it is ready: libssh2, or a child ssh. */
struct ssh_carrier {
    void (*open)(struct ssh_channel *channel);
    size_t (*write)(struct ssh_channel *channel, const void *data, size_t length);
    void (*resume)(struct ssh_channel *channel);
    void (*end)(struct ssh_channel *channel);
    void (*drop)(struct ssh_channel *channel);
    void (*listen)(struct ssh *ssh, struct ssh_listener *listen);
    void (*probe)(struct ssh *ssh);
    void (*close)(struct ssh *ssh);
};
extern const struct ssh_carrier ssh_carrier_library, ssh_carrier_child;

enum channel_state {
    CHANNEL_WAITING,  /* in the queue for its open */
    CHANNEL_OPENING,  /* asked for, not confirmed */
    CHANNEL_STARTING, /* confirmed; its command is being started */
    CHANNEL_OPEN,
    CHANNEL_CLOSING, /* its end was told or it was dropped; libssh2 says goodbye */
    CHANNEL_GONE,    /* freed at the end of the turn */
};

struct ssh_channel {
    uint32_t magic;
    struct ssh *ssh;
    enum ssh_channel_kind kind;
    bool ping, arrival; /* of our own: a ping; an arrival nobody has taken yet */
    bool was_arrival;
    uint64_t number;   /* in the order they were asked for */
    char *text, *host; /* path, command; host; owned */
    int port;
    uint32_t window, window_taken; /* asked for; of ssh->windows */
    struct buf message;            /* of the open */
    struct ssh_channel_events events;
    void *arg;
    enum channel_state state;
    LIBSSH2_CHANNEL *lib;
    int64_t asked_at;

    char *rest; /* what data() did not take, owned */
    size_t rest_at, rest_length;
    char *chunk; /* given to libssh2, which could not send it yet: it wants the same again */
    size_t chunk_length;
    bool paused, want_write, want_end, end_sent, told_end, dropped;
    int64_t drop_at; /* when it was closed: for a peer that does not answer */

    /* child ssh */
    int fd;
    struct watch *watch;
    struct child *child;
    struct child_forward *forward;
    struct defer later;
    struct timer prove;
    int exit_status, watched;
    bool child_gone;
    struct fault why;
};

enum ssh_phase { SSH_CONNECTING, SSH_HANDSHAKING, SSH_AUTHENTICATING, SSH_READY, SSH_OVER };

/* Bytes for the socket. */
struct ssh_output {
    char *data; /* owned */
    size_t at, length, room;
};

struct ssh {
    uint32_t magic;
    struct loop *loop;
    struct op *op; /* ssh_open's, until it ends */
    const struct ssh_policy *policy;
    struct ssh_events events;
    void *arg;
    struct ssh_target target;
    char *config_file, *identity, *ssh_program; /* options; owned */
    struct ssh_host host;
    bool host_known;

    enum ssh_phase phase;
    enum ssh_step step;
    const struct ssh_carrier *carrier;
    unsigned holds;
    bool closed; /* by its owner: no callback any more */
    bool doomed; /* `doom` says why; it ends at the end of the turn */
    bool lent;   /* to a job of the pool: nobody else touches libssh2 */
    struct fault doom;
    loop_fn *after; /* runs at the end of the turn, with the session */

    /* The way there. */
    struct op work; /* ssh -G */
    struct timer deadline;
    struct ssh_transport *transport;
    struct ssh_jump *jump;
    struct ssh *inner; /* for whom this session is a hop; NULL: for its owner */
    const char *via; /* ProxyJump of the inner one that is for us; borrowed; NULL: as configured */
    unsigned depth;
    char address[64];
    int fd;

    /* libssh2's socket. */
    LIBSSH2_SESSION *lib;
    struct watch *watch;
    int watched; /* events; -1: not watched at all */
    struct defer turn;
    bool may_read, socket_empty, socket_ended, muted;
    size_t turn_read;
    struct ssh_output out;
    struct lib_block *blocks; /* libssh2's memory */
    size_t memory;
    uint64_t bytes_in, bytes_out;
    int64_t heard_at;
    char goodbye[200]; /* what the server said when it hung up */
    char *read_buffer;

    struct ssh_auth *auth;
    struct known_hosts *known;
    char host_key[64], key[64], banner[128], algorithms[256];

    struct ssh_channel **channels; /* owned; in no order */
    size_t channel_count, channel_room, next_read;
    uint64_t channels_ever;
    uint64_t windows;            /* given to channels, together */
    struct ssh_channel *opening; /* libssh2 opens one at a time */

    struct ssh_listener *listens;
    unsigned listening; /* listens that wait for their answer */

    struct ssh_channel *ping; /* under way */
    struct timer alive, unread;
    int64_t ping_sent_us;
    int64_t ping_at; /* when it was sent; 0: none */
    double rtt_ms;
    struct op *probe;
    bool asked;     /* alive_ask: no tcpip-forward any more */
    uint64_t acked; /* by the peer's kernel, when last looked at */
    int64_t acked_at;
    int64_t owed_at; /* since when it has acknowledged nothing of what it has not */

    struct ssh_child *child;
};

/* ---- session.c ---- */
void ssh_after_turn(struct ssh *ssh); /* what waited for its end; from session_turn.c */
void ssh_hold(struct ssh *ssh);
void ssh_release(struct ssh *ssh);
/* It failed: the attempt, or the session. What happens then happens at the end of the turn. First reason stays. */
int ssh_fail(struct ssh *ssh, int code, const char *format, ...) PRINTF(3, 4);
int ssh_fail_with(struct ssh *ssh, const struct fault *why);
void ssh_step_enter(struct ssh *ssh, enum ssh_step step, const char *format, ...) PRINTF(3, 4);
void ssh_notice(struct ssh *ssh, const char *format, ...) PRINTF(2, 3);
void ssh_ready(struct ssh *ssh);
/* "me@host:port" for messages. */
const char *ssh_where(const struct ssh *ssh, char out[300]);
int ssh_open_hop(struct op *op, const char *target, const char *via, struct ssh *inner,
                 struct ssh **ret, struct fault *reterr_fault);

/* ---- session_connect.c ---- */
void ssh_connect_start(struct ssh *ssh);
void ssh_connect_stop(struct ssh *ssh);
void ssh_connect_advance(struct ssh *ssh); /* handshake and authentication, from a turn */
/* child_ssh.c: libssh2 cannot; a child ssh takes over after this turn, or the attempt fails with this and the remedy. */
void ssh_connect_fall_back(struct ssh *ssh, int code, const char *what, const char *remedy);

/* ---- session_turn.c ---- */
int ssh_turn_start(struct ssh *ssh, int fd); /* takes fd */
void ssh_turn_stop(struct ssh *ssh, bool goodbye);
void ssh_turn_soon(struct ssh *ssh);
/* A libssh2 call said r: false when that is the session's end (it then is doomed). EAGAIN is fine. */
bool ssh_turn_fine(struct ssh *ssh, ssize_t r, const char *doing);
static inline size_t output_waiting(const struct ssh *ssh)
{
    return ssh->out.length - ssh->out.at;
}
void *ssh_lib_alloc(size_t size, void **abstract);
void ssh_lib_free(void *p, void **abstract);
void ssh_library_start(void); /* libssh2_init, once */

/* ---- channel.c, channel_open.c ---- */
struct ssh_channel *ssh_channel_new(struct ssh *ssh, const struct ssh_channel_events *events,
                                    void *arg);
void ssh_channels_advance(struct ssh *ssh);
void ssh_channels_sweep(struct ssh *ssh);
void ssh_channels_end(struct ssh *ssh, const struct fault *why); /* tells all; NULL: silently */
void ssh_channels_free(struct ssh *ssh);
bool ssh_channels_read_socket(struct ssh *ssh); /* false: there is no channel that could */
void ssh_channel_tell_opened(struct ssh_channel *channel, int result, const struct fault *why);
void ssh_channel_tell_closed(struct ssh_channel *channel, int exit_status, const struct fault *why);
/* Gives the owner bytes; what it does not take is kept. false: no more for now. */
bool ssh_channel_give(struct ssh_channel *channel, const char *data, size_t length);
bool ssh_channel_give_rest(struct ssh_channel *channel);
void ssh_channel_adopt_fd(struct ssh_channel *channel, int fd); /* channel_fd.c: it is open */
void ssh_channel_close(struct ssh_channel *channel); /* no callback any more, goes when it can */
void ssh_opens_advance(struct ssh *ssh);
void ssh_channel_library_open(struct ssh_channel *channel);

/* ---- listen.c ---- */
void ssh_listens_advance(struct ssh *ssh);
bool ssh_listens_read_socket(struct ssh *ssh);
void ssh_listens_end(struct ssh *ssh, const struct fault *why);
/* For a carrier that is not libssh2: what is wanted (ret_host is the caller's), the answer (port 0: no, and why), and
 * an arrival, whose fd is taken. */
void ssh_listen_wanted(const struct ssh_listener *listener, char **ret_host, int *ret_port);
void ssh_listen_answered(struct ssh *ssh, struct ssh_listener *listener, int port, const char *why);
void ssh_listen_arrived_fd(struct ssh *ssh, const char *host, int port, int fd);
void ssh_listen_library(struct ssh *ssh, struct ssh_listener *listen);

/* ---- alive.c ---- */
void ssh_alive_start(struct ssh *ssh);
void ssh_alive_stop(struct ssh *ssh);
void ssh_alive_heard(struct ssh *ssh); /* bytes came */
void ssh_alive_ping_sent(struct ssh *ssh);
void ssh_alive_ping_answered(struct ssh *ssh);
void ssh_alive_ping(struct ssh *ssh);

/* ---- host_key.c ---- */
int ssh_host_key_prepare(struct ssh *ssh); /* before the handshake: the order of algorithms */
bool ssh_host_key_check(struct ssh *ssh);  /* after it; false: doomed */

/* ---- auth.c ---- */
void ssh_auth_start(struct ssh *ssh);
bool ssh_auth_advance(struct ssh *ssh); /* true: authenticated */
struct ssh_auth *ssh_auth_free(struct ssh_auth *auth);
void ssh_auth_cancel(struct ssh_auth *auth); /* what runs in the pool need not wait for a person */

/* ---- secrets.c ---- */
/* Copies, into locked memory. */
void ssh_secrets_put(struct ssh_secrets *secrets, const char *name, const char *value);
const char *ssh_secrets_get(const struct ssh_secrets *secrets, const char *name); /* NULL: none */
void ssh_secrets_forget(struct ssh_secrets *secrets, const char *name);

/* ---- transport.c, jump.c ---- */
void ssh_transport_start(struct ssh *ssh);
void ssh_transport_stop(struct ssh *ssh);
bool ssh_transport_lingers(struct ssh *ssh); /* its last words are still to come */
/* Ends by one of these. */
void ssh_connect_on_descriptor(struct ssh *ssh, int fd, const char *address);
void ssh_jump_start(struct ssh *ssh);
void ssh_jump_stop(struct ssh *ssh);
