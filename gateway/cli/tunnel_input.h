/* What `culvert tunnel` was given, for its verbs. */
#pragma once

#include "base/io/op.h"
#include "gateway/cli/cli.h"
#include "tunnel/tunnel.h"

#include <argp.h>

struct tunnel_input {
    const char *verb, *target;    /* target NULL: none */
    struct tunnel_options tunnel; /* target and how to get there; no listeners, no callbacks */
    struct tunnel_listen listen[2];
    char *listen_host; /* owned, of --listen */
    const char *token_file;
    bool json;
};

/* "ADDR:PORT", "[v6]:PORT", "PORT" or "unix:PATH" into one or two listeners (the canvas has that port + 4, and may be missing);
 * NULL: the usual ports. *ret_host keeps the address (owned). Returns how many; 0: text is none of these. */
size_t tunnel_input_listen(const char *text, struct tunnel_listen listen[2], char **ret_host);

extern const struct argp_option cmd_tunnel_options[]; /* for completion */

int tunnel_verb_up(struct tunnel_input *input);
int tunnel_verb_status(struct tunnel_input *input);
int tunnel_verb_check(struct tunnel_input *input);
int tunnel_verb_discover(struct tunnel_input *input);
