/* Tickets: a small table, looked through whole each time. Owns the rows and a reference of each identity. */
#include "gateway/tunnel/tickets.h"

#include "base/mem.h"

#include <string.h>
#include <unistd.h>

struct tickets {
    struct ticket *rows[TICKETS_MAX];
    size_t count;
    uint64_t last_id;
};

struct tickets *tickets_new(void)
{
    return NEW(struct tickets);
}

static void ticket_free(struct ticket *ticket)
{
    peer_identity_unref(ticket->identity);
    mem_wipe_free(ticket, sizeof(*ticket));
}

struct tickets *tickets_free(struct tickets *tickets)
{
    if (!tickets)
        return NULL;
    while (tickets->count)
        ticket_free(tickets->rows[--tickets->count]);
    return mem_free(tickets);
}

size_t tickets_count(const struct tickets *tickets)
{
    return tickets->count;
}

static size_t count_of(const struct tickets *tickets, const struct peer_identity *identity)
{
    char key[IDENTITY_RATE_KEY_MAX], other[IDENTITY_RATE_KEY_MAX];
    size_t same = 0;

    peer_identity_rate_key(identity, key);
    for (size_t i = 0; i < tickets->count; i++) {
        peer_identity_rate_key(tickets->rows[i]->identity, other);
        same += strcmp(key, other) == 0;
    }
    return same;
}

/* Nobody alone can use up what is there for all. */
static int has_room(const struct tickets *tickets, uint32_t uid,
                    const struct peer_identity *identity, struct fault *fault)
{
    size_t same = 0;

    for (size_t i = 0; i < tickets->count; i++)
        same += tickets->rows[i]->uid == uid;
    if (tickets->count == TICKETS_MAX)
        return fault_set(fault, -ERR_FULL, "%d tunnels are open here already; close one",
                         TICKETS_MAX);
    if (same >= TICKETS_USER_MAX && uid != (uint32_t)geteuid())
        return fault_set(fault, -ERR_FULL, "you have %d tunnels open here already; close one",
                         TICKETS_USER_MAX);
    if (count_of(tickets, identity) >= TICKETS_ONE_MAX)
        return fault_set(fault, -ERR_FULL, "you have %d tunnels open here already; close one",
                         TICKETS_ONE_MAX);
    return 0;
}

int tickets_issue(struct tickets *tickets, uint32_t uid, int32_t pid,
                  struct peer_identity *identity, char out[TOKEN_TEXT], struct ticket **ret,
                  struct fault *reterr_fault)
{
    int r = has_room(tickets, uid, identity, reterr_fault);

    if (r < 0)
        return r;
    struct ticket *ticket = NEW(struct ticket);
    crypto_token(out);
    crypto_sha256_hex(out, strlen(out), ticket->hash);
    ticket->id = ++tickets->last_id;
    ticket->uid = uid;
    ticket->pid = pid;
    ticket->identity = peer_identity_ref(identity);
    identity->ticket = ticket->id;
    tickets->rows[tickets->count++] = ticket;
    *ret = ticket;
    return 0;
}

struct ticket *tickets_check(struct tickets *tickets, const char *text, uint32_t uid, int32_t pid,
                             const char **ret_why)
{
    struct ticket *found = NULL;
    char hash[SHA256_HEX];

    crypto_sha256_hex(text, strlen(text), hash);
    for (size_t i = 0; i < tickets->count; i++)
        if (crypto_equal(hash, tickets->rows[i]->hash))
            found = tickets->rows[i];
    if (!found)
        *ret_why = "no such ticket: the tunnel it was made for has ended, or never was";
    else if (found->uid != uid || (found->pid && found->pid != pid))
        *ret_why = "that ticket was given to somebody else";
    else
        return found;
    return NULL;
}

struct ticket *tickets_find(struct tickets *tickets, uint64_t id)
{
    for (size_t i = 0; i < tickets->count; i++)
        if (tickets->rows[i]->id == id)
            return tickets->rows[i];
    return NULL;
}

void tickets_end(struct tickets *tickets, uint64_t id)
{
    for (size_t i = 0; i < tickets->count; i++) {
        if (tickets->rows[i]->id != id)
            continue;
        ticket_free(tickets->rows[i]);
        tickets->rows[i] = tickets->rows[--tickets->count];
        return;
    }
}
