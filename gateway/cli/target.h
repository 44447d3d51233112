/* Where a command's gateway is and with which secret: the options every such command shares, and the
 * default (the first of $CULVERT_STATE_DIR, ~/.culvert, /run/culvert that has a gateway.sock). */
#pragma once

#include "base/io/ws.h"

#include <argp.h>

struct tunnel_options;

/* What lies between us and the gateway: gateway/cli/road.h. */
enum target_road { TARGET_DIRECT, TARGET_SSH, TARGET_TAILNET };

struct target {
    /* From the options; all owned. */
    char *url, *token, *password, *pin;
    bool json;       /* print exactly the reply's payload */
    bool accept_new; /* ssh://: a host seen for the first time is trusted */
    int gateway_port; /* ssh://: the gateway's port there when there is no bridge; 0: its usual one */
    char *culvert;    /* ssh://: how the bridge is started there; NULL: culvert bridge */
    int64_t timeout_ms;
    /* Settled by target_resolve. */
    char *state_dir; /* where our identity lives; of the local gateway when there is one */
    struct ws_target ws;
    enum target_road road;
    const struct tunnel_options
        *tunnel; /* how to get there by ssh://; borrowed, NULL: as ssh would */
    char *place; /* the gateway as it was named, in one spelling: tokens are kept under it */
    char *host, *path, *unix_path;
    bool local; /* by gateway.sock */
};

/* Child parser for a command's argp: --url --token --token-file --password --pin --accept-new
 * --culvert --gateway-port --json --timeout. Its input is a struct target. Secrets are copied and wiped from argv at once. */
extern const struct argp target_argp;
#define TARGET_CHILDREN                                                                            \
    ((const struct argp_child[]){{&target_argp, 0, "Where the gateway is:", 10}, {0}})

/* Where the gateway of this host has its sockets: the first of the three above. Caller owns; NULL with a fault that says where
 * it looked. */
char *target_local_folder(struct fault *reterr_fault) MUSTCHECK;
/* The token that lies in a file; 0 or an errno. */
int target_read_token(struct target *target, const char *path);
/* Fills in what was not given. -ERR_INVALID (bad URL), -ERR_CONNECT (no gateway found; says where it looked). */
int target_resolve(struct target *target, struct fault *reterr_fault);
void target_done(struct target *target);
