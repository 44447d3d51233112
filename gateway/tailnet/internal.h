/* What the files of tailnet share. */
#pragma once

#include "gateway/tailnet/bind.h"
#include "gateway/tailnet/daemon.h"
#include "gateway/tailnet/serve.h"
#include "gateway/tailnet/whois.h"

struct tailscale {
    struct gateway *gw;
    struct daemon *daemon;
    struct whois *whois;
    struct bind *bind;   /* NULL: not asked for */
    struct serve *serve; /* the same */
    char seen[512];      /* of tailscaled: what whois' answers hang on */
};
