/* The second session, for plain HTTP and the canvas, so that they never stand before a WebSocket's frames. Not having
 * it is no failure: everything then goes over the control session, said once. Tunnel thread only. */
#pragma once

#include "tunnel/link.h"

#define BULK_FIRST_MS 500
#define BULK_CAP_MS   60000

struct bulk;
/* Uses the same target, secrets and double as the link; lost of its streams is the streams' own. ask is NULL: what the
 * control session had to ask is in the secrets. */
struct bulk *bulk_new(const struct link_config *config,
                      /* it is about to be closed by us: its channels end without a word */
                      void (*gone)(void *arg, struct ssh *ssh)) MUSTCHECK;
struct bulk *bulk_free(struct bulk *bulk);

void bulk_start(struct bulk *bulk); /* the control session is there; running: no change */
void bulk_stop(struct bulk *bulk);  /* the path is gone */
void bulk_nudge(struct bulk *bulk);
struct ssh *bulk_session(const struct bulk *bulk); /* NULL: none now */
