/* A Control UI from a folder (gateway.controlUi.root): the published one, or anybody's. protocol.md 4.4, 8.3.
 * Loop thread only. */
#pragma once

#include "base/own.h"

struct gateway;
struct control_ui;

struct control_ui *control_ui_new(void) MUSTCHECK;
struct control_ui *control_ui_free(struct control_ui *ui);

/* The build that is served now, as its index.html names it; NULL: none is served, it names none, or nobody has
 * asked for it yet. Borrowed until the next request. */
const char *control_ui_build(const struct gateway *gw);
