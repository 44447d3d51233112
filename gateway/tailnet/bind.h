/* gateway.bind tailnet: a listener on each address this host has in the tailnet, opened when the address comes and
 * closed when it goes. Loop thread only. */
#pragma once

#include "base/json.h"
#include "gateway/tailnet/daemon.h"

struct gateway;
struct bind;
/* Begins at once; daemon is borrowed. */
struct bind *bind_new(struct gateway *gw, struct daemon *daemon) MUSTCHECK;
struct bind *bind_free(struct bind *bind); /* the listeners are the gateway's: listen_close */
void bind_daemon_changed(struct bind *bind);
/* {"state":"waiting|listening|userspace|failed","detail":…,"addresses":[…]} */
void bind_write(const struct bind *bind, struct json_writer *w);
const char *bind_detail(const struct bind *bind);
