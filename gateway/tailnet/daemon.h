/* What we know of the tailscaled of this host: its newest status, whether its bus is held, and how to ask it. Nothing
 * is connected until somebody wants it; from then on it comes back by itself. Loop thread only. */
#pragma once

#include "gateway/conn/address.h"
#include "tunnel/tailnet.h"

struct daemon;
/* changed(arg): status, bus or trouble are not what they were; not from inside a daemon_* call. */
struct daemon *daemon_new(struct loop *loop, void (*changed)(void *arg), void *arg) MUSTCHECK;
struct daemon *daemon_free(struct daemon *daemon);

void daemon_want(struct daemon *daemon);  /* from now on; again: nothing */
void daemon_nudge(struct daemon *daemon); /* something moved: if it is gone, look now */
/* The bus is let go, and with it what tailscaled kept for its session; calls still work. */
void daemon_stop(struct daemon *daemon);
/* op (op_init'ed) ends 0 once the status is known, or negative with why it is not. Wants it. */
void daemon_wait(struct daemon *daemon, struct op *op);

struct tailnet *daemon_api(struct daemon *daemon);
/* Is there a socket to speak to? Looks at the file, no more. */
bool daemon_exists(const struct daemon *daemon);
/* NULL: not known (now). Borrowed until the next turn. */
const struct tailnet_status *daemon_status(const struct daemon *daemon);
/* It was asked and did not tell. */
bool daemon_failed(const struct daemon *daemon);
bool daemon_running(const struct daemon *daemon); /* known, and its state is Running */
/* Is the address one of this host's own in the tailnet? */
bool daemon_is_own(const struct daemon *daemon, const struct address *address);
/* The SessionID of the held bus; "": not held. */
const char *daemon_session(const struct daemon *daemon);
/* The status came, but a bus there is none: a very old version. */
bool daemon_without_bus(const struct daemon *daemon);
/* The preferences told that Tailscale SSH is off. (On, it forwards its guests' connections itself.) */
bool daemon_ssh_is_off(const struct daemon *daemon);
/* Version at least major.minor; false when not known. */
bool daemon_is_at_least(const struct daemon *daemon, int major, int minor);
/* Why the status is not known; "" when it is. */
const char *daemon_trouble(const struct daemon *daemon);
