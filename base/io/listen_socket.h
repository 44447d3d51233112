/* A listening socket for TCP or a path, and who holds the address when it cannot be had (at start only: that walks
 * /proc). Any thread. */
#pragma once

#include "base/err.h"

struct listen_socket {
    const char *host; /* a numeric address; unused with unix_path */
    int port;         /* 0: any free one */
    const char *unix_path;
    uint32_t unix_mode;
    const char *host_option, *port_option; /* how another is chosen: "--bind", "--port" */
};
/* A non-blocking descriptor of the caller's, with *ret_port (0 for a path); or negative, and a fault that names the
 * address and who has it. A dead leftover at the path is replaced, nothing else ever is. */
int listen_socket(const struct listen_socket *spec, int *ret_port, struct fault *reterr_fault);
