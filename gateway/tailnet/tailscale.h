/* The gateway in a tailnet: its addresses, its peers' identities, tailscaled's proxy in front. Nothing of it runs until
 * the configuration or a peer asks for it. README.md here. Loop thread only. */
#pragma once

#include "base/json.h"

struct gateway;
struct tailscale;

/* What cannot go together, before anything listens: Serve and Funnel with a wider bind, Funnel without a password.
 * protocol.md 9.5. */
int tailscale_check(const struct gateway *gw, struct fault *reterr_fault);

struct tailscale *tailscale_new(struct gateway *gw) MUSTCHECK;
struct tailscale *tailscale_free(struct tailscale *tailscale);
void tailscale_start(struct gateway *gw); /* the gateway's port is bound */
/* What is ours at tailscaled is taken back. While tailscale_busy the loop has to go round; the caller bounds it. */
void tailscale_stop(struct gateway *gw);
bool tailscale_busy(const struct gateway *gw);

/* Our MagicDNS name; NULL: not known. Borrowed until the next turn. */
const char *tailscale_name(const struct gateway *gw);
/* "https://gw.tail1234.ts.net" while tailscaled's proxy leads here; NULL else. Borrowed until the next turn. */
const char *tailscale_url(const struct gateway *gw);
/* May a user whom tailscaled's proxy names come in without the shared secret? gateway.auth.allowTailscale. */
bool tailscale_allows_users(const struct gateway *gw);
/* Key "tailscale" with what runs; nothing when nothing was asked for. */
void tailscale_write(struct gateway *gw, struct json_writer *w);
/* One line for the start: what the tailnet waits for or has. Caller owns; NULL: nothing was asked for. */
char *tailscale_line(const struct gateway *gw) MUSTCHECK;
