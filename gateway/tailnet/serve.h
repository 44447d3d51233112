/* gateway.tailscale.mode serve and funnel: tailscaled's proxy brings https://NAME.ts.net/ to a door of ours. The door is
 * a unix socket where tailscaled can use one (nobody else can then write its headers), else a loopback port of its
 * own. What comes by it is from elsewhere, whatever it says. Loop thread only. */
#pragma once

#include "base/json.h"
#include "gateway/tailnet/daemon.h"

struct gateway;
struct serve;

enum serve_mode { SERVE_OFF, SERVE_TAILNET, SERVE_FUNNEL };
enum serve_mode serve_mode_of(const struct gateway *gw);

/* Begins at once. With mode off it only takes out what an earlier run left in the background (the record in the state
 * directory says so), and is idle after that. daemon is borrowed. */
struct serve *serve_new(struct gateway *gw, struct daemon *daemon) MUSTCHECK;
struct serve *serve_free(struct serve *serve);
/* Is there a record of something left? Looks at the file. */
bool serve_left_something(const struct gateway *gw);
void serve_daemon_changed(struct serve *serve);
/* The end: what is ours is taken out. serve_busy until that is done; the caller bounds the wait. */
void serve_stop(struct serve *serve);
bool serve_busy(const struct serve *serve);

/* "https://gw.tail1234.ts.net" while it is served; NULL else. Borrowed. */
const char *serve_url(const struct serve *serve);
const char *serve_detail(const struct serve *serve);
/* "serve": {"mode","state":"waiting|working|serving|failed","detail","url"?,"target"?} */
void serve_write(const struct serve *serve, struct json_writer *w);
