/* Is the process at the other end of a socket the tailscaled whose LocalAPI we speak to? The kernel says who listens
 * there (SO_PEERCRED of a connection to it) and who holds the peer's socket; names count for nothing. */
#pragma once

#include "base/io/op.h"
#include "base/io/ws.h"

#define HOLDER_MS 3000

/* peer is copied. op (op_init'ed) ends 0: it is; -ERR_DENIED and a fault: it is not, or cannot be told. Runs in the
 * pool. */
void holder_ask(struct op *op, const struct ws_peer *peer, const char *localapi_socket);
/* The process that listens on the LocalAPI's socket: pid and uid; -ERR_DENIED: the kernel does not tell (it lives
 * in another pid namespace), -ERR_CONNECT: nobody listens. Does not block. Any thread. */
int holder_daemon(const char *localapi_socket, int32_t *ret_pid, uint32_t *ret_uid,
                  struct fault *reterr_fault);
