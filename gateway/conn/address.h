/* Internet addresses as text and as ranges: one canonical form (v4-mapped IPv6 folded to IPv4). Pure. */
#pragma once

#include "base/own.h"

#include <sys/socket.h>

#define ADDRESS_TEXT 48

struct address {
    uint8_t bytes[16];
    bool v6;
};

/* False when the family is neither IPv4 nor IPv6. */
bool address_from_socket(const struct sockaddr_storage *socket, struct address *ret,
                         uint16_t *ret_port);
/* "1.2.3.4", "::1", "[::1]", with or without ":port" where that is unambiguous. */
bool address_parse(const char *text, size_t length, struct address *ret);
void address_text(const struct address *address, char out[ADDRESS_TEXT]);
bool address_is_loopback(const struct address *address);
/* 100.64.0.0/10 and fd7a:115c:a1e0::/48, which tailnets give out. The first is others' too (providers). */
bool address_is_tailnet(const struct address *address);
bool address_equal(const struct address *a, const struct address *b);
/* range is an address or "address/bits". */
bool address_in(const struct address *address, const char *range);
/* What one attacker owns: the address itself, for IPv6 its /64. */
void address_rate_key(const struct address *address, char out[ADDRESS_TEXT]);
