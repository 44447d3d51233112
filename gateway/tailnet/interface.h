/* The tailnet's addresses as the kernel has them, for when tailscaled cannot be asked; and word of their changes. */
#pragma once

#include "base/io/loop.h"
#include "gateway/conn/address.h"

/* Addresses of the tailnet's ranges on the interface that is tailscaled's: named tailscale*, or with one of its IPv6
 * addresses. (100.64.0.0/10 alone is no sign: providers give it to their customers.) Returns how many. */
size_t interface_addresses(char out[][ADDRESS_TEXT], size_t max);

struct interface_watch;
/* fn after addresses came or went, a moment later and at most every 100 ms. NULL: the kernel does not tell. */
struct interface_watch *interface_watch_new(struct loop *loop, loop_fn *fn, void *arg) MUSTCHECK;
struct interface_watch *interface_watch_free(struct interface_watch *watch);
