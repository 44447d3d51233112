/* What child_ssh.c (the master ssh, its life), child_run.c (its short-lived helpers and forwards) and channel_fd.c
 * (streams over descriptors) share. */
#pragma once

#include "base/io/child.h"
#include "tunnel/ssh/session_internal.h"

#define CHILD_FORWARDS_MAX 64
#define CHILD_ARGS_MAX     64
#define CHILD_HELPER_MS    20000
#define CHILD_PROVE_MS     300 /* a first stream that is refused over there ends within this */

/* A destination the master listens for, in our folder. */
struct child_forward {
    struct child_forward *next;
    char *to; /* "host:port" or a path, as ssh's -L wants it */
    char path[128];
    bool ready, proven;
};

/* An `ssh -O …` or a command; ends once. */
struct child_helper {
    struct child_helper *next;
    struct ssh *ssh;
    struct child *child;
    struct timer deadline;
    char noise[300], line[64];
    void (*done)(struct ssh *ssh, struct child_helper *helper, bool fine);
    void *arg;
};

/* A port over there; arrivals come to a socket of ours. */
struct child_door {
    struct child_door *next;
    struct ssh *ssh;
    struct ssh_listener *listener;
    int fd, port;
    char *host;
    char path[128];
    struct watch *watch;
};

struct ssh_child {
    struct ssh *ssh;
    struct child *master;
    char folder[96]; /* 0700; "" before it exists */
    char control[112];
    struct timer look; /* for the control socket */
    char noise[400];   /* the master's last words */
    unsigned names;    /* of sockets so far */
    struct child_forward *forwards;
    struct child_helper *helpers;
    struct child_door *doors;
    char reason[400]; /* why libssh2 could not, and the remedy */
    int code;
};

/* child_ssh.c */
size_t child_arguments(const struct ssh *ssh, bool master, const char *argv[CHILD_ARGS_MAX]);
void child_take_noise(char *to, size_t size, const char *text, size_t length);
/* child_run.c: NULL: it could not be started, why is filled. extra: after the control socket's arguments; ends
 * with the destination by itself. */
struct child_helper *child_help(struct ssh *ssh, const char *const *extra,
                                void (*done)(struct ssh *, struct child_helper *, bool), void *arg,
                                struct fault *why);
void child_helpers_drop(struct ssh *ssh);
void child_forward_open(struct ssh_channel *channel);
void child_listen(struct ssh *ssh, struct ssh_listener *listener);
void child_doors_close(struct ssh *ssh);
void child_probe(struct ssh *ssh);
/* channel_fd.c: takes fd. */
void channel_fd_start(struct ssh_channel *channel, int fd);
void channel_fd_exec(struct ssh_channel *channel);
size_t channel_fd_write(struct ssh_channel *channel, const void *data, size_t length);
void channel_fd_resume(struct ssh_channel *channel);
void channel_fd_end(struct ssh_channel *channel);
void channel_fd_drop(struct ssh_channel *channel);
void channel_fd_opened(struct ssh_channel *channel, int code,
                       const char *text); /* told in a turn of its own */
