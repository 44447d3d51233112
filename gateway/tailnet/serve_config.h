/* tailscaled's serve-config with our one handler in it, and without it. What is somebody else's stays as it is. Pure.
 * tunnel.md 3 "ServeConfig". */
#pragma once

#include "base/json.h"

#define SERVE_PORT 443

/* What is ours. Borrowed. */
struct serve_claim {
    const char *host;   /* "name.tail1234.ts.net" */
    const char *target; /* "unix:/…/proxy.sock", "http://127.0.0.1:40123" */
    const char *
        session; /* of the held bus: tailscaled drops it with the bus; NULL: in the background, for good */
    bool funnel; /* public */
};

/* Puts it in; config is an object or NULL (nothing configured yet), changed in place. -ERR_EXISTS: the port, or what
 * Funnel says of it, is somebody else's; the fault says what stands there. -ERR_CORRUPT: not a serve-config. On
 * failure config is unchanged. */
int serve_config_add(struct json **config, const struct serve_claim *claim,
                     struct fault *reterr_fault);
/* Is it there? What an old tailscaled does not understand (Foreground) it leaves out without a word. */
bool serve_config_has(const struct json *config, const struct serve_claim *claim);
/* Takes it out, and what only it needed. True: something was changed. */
bool serve_config_remove(struct json *config, const struct serve_claim *claim);
/* Takes every background handler out that leads to this loopback port, whoever made it. */
bool serve_config_remove_port(struct json *config, int port);
