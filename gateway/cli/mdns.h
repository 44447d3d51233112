/* What avahi-browse prints about a gateway on this network. Pure. protocol.md 9.6: the TXT record is a hint, not more. */
#pragma once

#include "base/err.h"

#define MDNS_TYPE     "_openclaw-gw._tcp"
#define MDNS_LINE_MAX 8192

/* Everything as the network said it: not to be trusted, and not for a terminal as it is. */
struct mdns_service {
    char name[256]; /* of the instance */
    char host[256]; /* "nas.local" */
    char address[64];
    int port;
    bool tls;               /* TXT gatewayTls=1 */
    char fingerprint[65];   /* TXT gatewayTlsSha256, lower-case hex; "" */
    char tailnet_name[256]; /* TXT tailnetDns; "" */
};

/* One line of `avahi-browse -rp`: true for a resolved service that can be reached from here (a link-local v6 address
 * cannot be written into a URL). */
bool mdns_parse(const char *line, size_t length, struct mdns_service *ret);
/* "ws://192.168.1.5:18789", "wss://[fd00::5]:18789". */
void mdns_url(const struct mdns_service *service, char *out, size_t size);
