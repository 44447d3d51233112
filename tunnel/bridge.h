/* What the two ends of a tunnel say before the bytes: `culvert bridge` to its reader, and the first line of a
 * stream on tunnel.sock. Pure.
 *
 *   bridge, on its standard output, one line (JSON):
 *     {"culvert":1,"version":"0.1.0","socket":"/…/tunnel.sock","ticket":"…","gateway":"<device id>",
 *      "services":["gateway","canvas"]}
 *   or why not: {"culvert":1,"error":"no gateway is running here; …"}
 *   then it answers each line it reads ("ping 7") with the same ("pong 7") until its input ends.
 *   Lines before it that are not JSON (a login script's greeting) are passed over, at most 64 KiB.
 *
 *   a stream: "CULVERT/1 <ticket> <service>[ from=<address>]\n", then the bytes of the service. No answer when all is
 *   well; else one line "CULVERT/1 error <why>\n" and the end.
 *
 *   registering, by `culvert bridge` on tunnel.sock: "CULVERT/1 bridge <claims JSON>\n"; the answer is the line above.
 *   The ticket lives as long as that connection, for any number of streams by the same unix user. */
#pragma once

#include "base/buf.h"
#include "base/json.h"

#define BRIDGE_LINE_MAX    4096
#define BRIDGE_NOISE_MAX   65536 /* bytes before the bridge's line */
#define BRIDGE_TICKET      48    /* room for TOKEN_TEXT: 256 bits, base64url, NUL */
#define BRIDGE_ADDRESS_MAX 64    /* with its NUL; likewise below */
#define BRIDGE_NAME_MAX    65
#define BRIDGE_ERROR_MAX   512

enum bridge_service { BRIDGE_GATEWAY, BRIDGE_CANVAS, BRIDGE_SERVICES };
const char *bridge_service_name(enum bridge_service service);
bool bridge_service_parse(const char *name, enum bridge_service *ret);

/* What a name, an address, a key and a method may look like, so that each is a word and nothing more. */
bool bridge_is_name(const char *text);    /* letters, digits and . _ @ + - */
bool bridge_is_address(const char *text); /* letters, digits and . : % _ - [ ] */
bool bridge_is_key(const char *text);     /* "SHA256:" and 43 characters of base64 */

/* What a bridge says of where it came from; borrowed or NULL. Believed as far as its unix user is. */
struct bridge_claims {
    const char *as;      /* forced command: culvert bridge --as NAME */
    const char *address; /* client's, from SSH_CONNECTION */
    const char *key; /* "SHA256:…" from SSH_USER_AUTH (ExposeAuthInfo); NULL: not told by sshd */
    const char *method; /* "publickey", "password" */
};
/* What is not a word as above is left out. */
void bridge_write_register(struct buf *out, const struct bridge_claims *claims);
/* line with or without its LF. tree owns what ret points to. */
int bridge_read_register(const char *line, size_t length, struct json **ret_tree,
                         struct bridge_claims *ret, struct fault *reterr_fault);

/* What `culvert bridge` prints. Owned. */
struct bridge_offer {
    char *socket, *gateway, *version;
    char ticket[BRIDGE_TICKET];
    bool services[BRIDGE_SERVICES];
    char *error; /* instead of all that */
};
void bridge_write_offer(struct buf *out, const struct bridge_offer *offer);
/* line with or without its LF (and CR). -ERR_NOT_FOUND: not the bridge's line (a greeting): go on reading;
 * -ERR_UNSUPPORTED: another version's; -ERR_CORRUPT: the bridge's, and broken. 0 also for an offer that is an
 * error. After a failure there is nothing to free. */
int bridge_read_offer(const char *line, size_t length, struct bridge_offer *ret,
                      struct fault *reterr_fault);
void bridge_offer_done(struct bridge_offer *offer);

/* The first line of a stream, with its LF; from NULL, or no address: not told. */
void bridge_write_stream(struct buf *out, const char *ticket, enum bridge_service service,
                         const char *from);
struct bridge_stream {
    char ticket[BRIDGE_TICKET];
    enum bridge_service service;
    char from[BRIDGE_ADDRESS_MAX];
};
/* line with or without its LF. */
int bridge_read_stream(const char *line, size_t length, struct bridge_stream *ret,
                       struct fault *reterr_fault);

/* Does the line register a bridge, rather than begin a stream? */
bool bridge_is_register(const char *line, size_t length);

/* "CULVERT/1 error <why>\n": what a stream that is not served hears, and the end. */
void bridge_write_error(struct buf *out, const char *why);
/* False: the line is none. */
bool bridge_read_error(const char *line, size_t length, char ret_why[BRIDGE_ERROR_MAX]);
