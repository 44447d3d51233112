/* The shared secret: from the command line, the environment, the configuration, or made at first start. */
#pragma once

#include "gateway/gateway.h"

/* Settles mode and secret into the configuration (config_override). When nothing is configured, reads
 * <state>/identity/token or makes it (0600); *ret_made says so, for the one print. */
int credential_settle(struct gateway *gw, const struct gateway_options *options, bool *ret_made,
                      struct fault *reterr_fault);
/* <state>/identity/token when it is there and only ours to read; caller owns (mem_wipe_free). NULL: none. */
char *credential_read(const char *state_dir) MUSTCHECK;
