/* tunnel.publish: the gateway publishes itself on SSH hosts, so that a gateway behind NAT can be reached. Each row of the
 * configuration is a tunnel of its own, with a ticket for its arrivals, who are never local. Loop thread only. */
#pragma once

#include "base/json.h"

struct gateway;
struct publishes;

/* After tunnels_open. What cannot be started is logged and shown, the gateway goes on without it. */
struct publishes *publishes_new(struct gateway *gw) MUSTCHECK;
struct publishes *publishes_free(struct publishes *publishes); /* before the tunnels */
/* An array, one row each: {target, state, since, address?, lastError?}. */
void publishes_write(const struct gateway *gw, struct json_writer *w);
size_t publishes_count(const struct gateway *gw);
bool publishes_well(const struct gateway *gw); /* all are up */
