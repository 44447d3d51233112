/* Who a tailnet address is, by tailscaled's word, remembered for a moment. Loop thread only. */
#pragma once

#include "base/io/op.h"
#include "gateway/conn/address.h"
#include "gateway/tunnel/peer_identity.h"
#include "tunnel/tailnet.h"

#define WHOIS_KEEP_MS     60000
#define WHOIS_KEEP_NOT_MS 5000 /* that there is none */
#define WHOIS_ROWS_MAX    256  /* remembered or on their way */
#define WHOIS_RUNNING_MAX 32
#define WHOIS_WAITING_MAX 1024 /* those who wait for an answer */

struct whois;
struct whois *whois_new(struct loop *loop, struct tailnet *api) MUSTCHECK; /* api is borrowed */
struct whois *whois_free(struct whois *whois);
/* op ends 0 and *ret is a reference of the asker's, -ERR_NOT_FOUND: nobody's, else it could not be asked. port 0: the
 * address alone. A loopback port belongs to somebody else the next time, so only tailnet addresses are
 * remembered (they name the node, whatever the port). */
void whois_ask(struct whois *whois, struct op *op, const struct address *address, uint16_t port,
               struct peer_identity **ret);
void whois_forget(
    struct whois *whois); /* what is remembered: somebody may have another address now */
/* "100.64.0.1", "[fd7a::1]:443": as tailscaled reads it. Pure. */
void whois_address_text(const struct address *address, uint16_t port, char out[ADDRESS_TEXT + 8]);
