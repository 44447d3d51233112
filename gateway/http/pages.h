/* Where pages stand on the gateway port: WebChat at "/", or, when gateway.controlUi.root names a folder, that
 * folder at "/" and WebChat at "/webchat/"; all of it below gateway.controlUi.basePath. Loop thread only. */
#pragma once

#include "base/own.h"

struct gateway;

bool pages_enabled(struct gateway *gw);    /* gateway.controlUi.enabled */
bool pages_has_folder(struct gateway *gw); /* … and gateway.controlUi.root is set */
/* gateway.controlUi.basePath as "" or "/path", and the folder's absolute path (NULL: none is set). Caller
 * owns. */
char *pages_base(struct gateway *gw) MUSTCHECK;
char *pages_folder(struct gateway *gw) MUSTCHECK;
/* The part of a request's path below the base: "/…", "" for the base itself; NULL: it lies elsewhere. */
const char *pages_path(struct gateway *gw, const char *path);
/* Where WebChat is: "/" or "/base/webchat/". Caller owns. */
char *pages_webchat(struct gateway *gw) MUSTCHECK;
