/* Which addresses of the Internet something that a stranger named may be fetched from. Pure; any thread. */
#pragma once

#include "base/own.h"

#include <sys/socket.h>

/* NULL: a public address. Else what it is ("loopback", "private", …); lifts of the rule (spec.exceptions)
 * never reach what address_is_hopeless says. */
const char *address_refusal(const struct sockaddr *address);
/* Cloud metadata, link-local, unspecified, multicast: nobody has a good reason. */
bool address_is_hopeless(const struct sockaddr *address);
/* Ports of other protocols, which a request could be made to speak by its text (the list of the Fetch
 * standard, "bad ports"). */
bool port_is_refused(int port);
