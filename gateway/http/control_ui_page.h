/* The page of a Control UI as it leaves us: told where it stands, and held to a policy. Pure. */
#pragma once

#include "base/buf.h"

#define CONTROL_UI_BUILD_MAX 160

struct control_ui_page {
    struct buf html;
    char *headers;
    char build[CONTROL_UI_BUILD_MAX]; /* as the page names it, "": it does not */
};
/* From the built index.html: attributes of <html> that say the base path and what is not there, addresses
 * that hold on every path, and a policy that names its inline scripts by their hashes. */
void control_ui_page_write(const char *text, size_t length, const char *base,
                           struct control_ui_page *ret);
void control_ui_page_done(struct control_ui_page *page);

/* Security headers; script_hashes: " 'sha256-…'" … or NULL. Caller owns. */
char *control_ui_headers(const char *script_hashes) MUSTCHECK;
