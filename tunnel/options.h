/* tunnel_options with everything copied. Any thread, one at a time. */
#pragma once

#include "tunnel/tunnel.h"

struct tunnel_options *tunnel_options_copy(const struct tunnel_options *options) MUSTCHECK;
struct tunnel_options *tunnel_options_free(struct tunnel_options *options); /* tickets are wiped */
