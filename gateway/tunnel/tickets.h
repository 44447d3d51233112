/* The tickets of tunnel.sock: who registered a tunnel gets one, and each stream of the tunnel shows it. 256 bits, of which only
 * the hash is kept; bound to a unix user; good as long as its owner says. In memory, bounded. Loop thread only. */
#pragma once

#include "base/crypto.h"
#include "gateway/tunnel/peer_identity.h"

#define TICKETS_MAX        256
#define TICKETS_USER_MAX   64   /* of one unix user but us */
#define TICKETS_ONE_MAX    128  /* of one identity: people may share our account */
#define TICKET_STREAMS_MAX 1024 /* at once by one ticket */

struct tickets;
struct tickets *tickets_new(void) MUSTCHECK;
struct tickets *tickets_free(struct tickets *tickets);

struct ticket {
    uint64_t id; /* never 0, never used again */
    char hash[SHA256_HEX];
    uint32_t uid; /* whose streams may show it */
    int32_t pid;  /* and of which process; 0: any */
    struct peer_identity *identity;
    uint32_t streams; /* the caller's count */
};

/* identity is referenced and told the ticket's id. out: the only copy of the text. -ERR_FULL with a fault. */
int tickets_issue(struct tickets *tickets, uint32_t uid, int32_t pid,
                  struct peer_identity *identity, char out[TOKEN_TEXT], struct ticket **ret,
                  struct fault *reterr_fault);
/* The ticket of this text, if it is shown by whom it was given to; NULL and why. In time that does not depend on how
 * much of a wrong one is right. */
struct ticket *tickets_check(struct tickets *tickets, const char *text, uint32_t uid, int32_t pid,
                             const char **ret_why);
struct ticket *tickets_find(struct tickets *tickets, uint64_t id); /* NULL: it ended */
void tickets_end(struct tickets *tickets, uint64_t id);            /* unknown is fine */
size_t tickets_count(const struct tickets *tickets);
