/* A command's connection to a gateway: connect with our device identity, call, hear events. Blocking:
 * each call runs the client's own loop until it is answered. */
#pragma once

#include "base/frame.h"
#include "gateway/cli/target.h"

struct client;

/* name is the frame's event name, payload its JSON (NULL: none), both borrowed. */
typedef void client_event_fn(void *arg, const char *name, const struct json *payload);

/* Connects and waits for hello-ok. Faults: -ERR_CONNECT; -ERR_AUTH with the gateway's words and the way out (for
 * pairing: the command to run at the gateway). */
int client_open(struct target *target, struct client **ret, struct fault *reterr_fault);
struct client *client_close(struct client *client);
DEFINE_CLEAN(struct client *, client_close)

const struct json *client_hello(const struct client *client); /* borrowed */
void client_on_event(struct client *client, client_event_fn *fn, void *arg);

/* The reply's payload (caller owns; JSON null is a tree too), or NULL and a fault. params is JSON text or NULL.
 * final: an answer with status "accepted" is only the first of two. */
struct json *client_call(struct client *client, const char *method, const char *params, bool final,
                         struct fault *reterr_fault) MUSTCHECK;
/* Runs the loop until *done is set (by an event handler), the connection is lost, or wait_ms passed (0: no limit). */
int client_wait(struct client *client, const bool *done, int64_t wait_ms,
                struct fault *reterr_fault);
/* Ctrl-C: client_call and client_wait end with -ERR_INTERRUPTED. Otherwise the signal ends the process. */
void client_catch_interrupt(struct client *client);
