/* A bridge: a `culvert bridge` that somebody's ssh started registers, says what sshd told it, and gets a ticket that is good
 * while it stays. The path: arrival_bridge -> (pool) whose is it, and does its word count -> on_known -> register_bridge.
 * Its word counts when the kernel says it runs as our own user and it passes the one-road test, for then it is a program
 * that sshd started and not sshd itself, which brings whatever line its client wishes to any socket. */
#define LOG_SUBSYSTEM "tunnel"
#include "base/log.h"
#include "base/mem.h"
#include "gateway/conn/conns.h"
#include "gateway/identity.h"
#include "gateway/tunnel/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static struct peer_identity *bridge_identity(const struct arrival *arrival, bool vouched)
{
    const struct bridge_claims *claims = &arrival->claims;
    struct peer_identity *identity = peer_identity_new(IDENTITY_SSH);

    identity->uid = arrival->uid;
    identity->vouched = vouched;
    identity->user = arrival->who.user[0] ? mem_string(arrival->who.user) : NULL;
    identity->name = mem_string(claims->as);
    identity->key = mem_string(claims->key);
    identity->method = mem_string(claims->method);
    identity->address = mem_string(claims->address);
    /* Whoever may forward to our own socket could have said it: worse than nothing. */
    if (!vouched && arrival->uid == (uint32_t)geteuid()) {
        identity->name = mem_free(identity->name);
        identity->key = mem_free(identity->key);
        identity->method = mem_free(identity->method);
        identity->address = mem_free(identity->address);
    }
    return identity;
}

static void offer(struct arrival *arrival, const char *ticket)
{
    struct tunnels *tunnels = arrival->tunnels;
    CLEAN(buf_done) struct buf line;
    CLEAN(mem_free) char *version = mem_string(CULVERT_VERSION);
    CLEAN(mem_free) char *gateway = mem_string(tunnels->gw->identity->device_id);
    struct bridge_offer out = {
        .socket = tunnels->path,
        .version = version,
        .gateway = gateway,
        .services = {[BRIDGE_GATEWAY] = true},
    };

    snprintf(out.ticket, sizeof(out.ticket), "%s", ticket);
    buf_init(&line, BRIDGE_LINE_MAX);
    bridge_write_offer(&line, &out);
    arrival_say(arrival, &line);
    crypto_wipe(line.data, line.length);
    crypto_wipe(out.ticket, sizeof(out.ticket));
}

static void register_bridge(struct arrival *arrival, bool vouched)
{
    CLEAN(peer_identity_unref)
    struct peer_identity *identity = bridge_identity(arrival, vouched);
    CLEAN(mem_free) char *who = peer_identity_text(identity);
    struct ticket *ticket;
    struct fault fault = {0};
    char text[TOKEN_TEXT];

    if (tickets_issue(arrival->tunnels->tickets, arrival->uid, /* pid= */ 0, identity, text,
                      &ticket, &fault) < 0) {
        arrival_refuse(arrival, fault.text);
        return;
    }
    arrival->ticket = ticket->id;
    if (tunnels_may_say(arrival->tunnels, &arrival->tunnels->news, "tunnels came or went"))
        log_info("a tunnel for %s", who);
    offer(arrival, text);
    crypto_wipe(text, sizeof(text));
}

static void on_known(struct op *op, int result)
{
    struct arrival *arrival = CONTAINER(op, struct arrival, op);

    CHECK(arrival, ARRIVAL_MAGIC);
    arrival->looking = false;
    arrival->tunnels->looks--;
    if (result < 0 && tunnels_may_say(arrival->tunnels, &arrival->tunnels->news, "looked at") &&
        arrival->uid == (uint32_t)geteuid())
        log_info("what a bridge tells of itself does not count: %s", op->fault.text);
    register_bridge(arrival, result == 0);
}

/* Whose it is, by name; and if ours, whether it is a program with one road: sshd itself, which brings
 * whatever line its client wishes, is none. */
void arrival_bridge(struct arrival *arrival)
{
    struct gateway *gw = arrival->tunnels->gw;
    struct fault fault = {0};
    bool ours = arrival->uid == (uint32_t)geteuid();

    if (bridge_read_register(arrival->line.data, arrival->line.length, &arrival->tree,
                             &arrival->claims, &fault) < 0) {
        arrival_refuse(arrival, fault.text);
        return;
    }
    if (arrival->tunnels->looks == TUNNEL_LOOKS_MAX) { /* local peers wait in the same line */
        arrival_refuse(arrival, "too many tunnels register at once, try again");
        return;
    }
    arrival->looking = true;
    arrival->tunnels->looks++;
    op_init(&arrival->op, gw->loop, on_known, 0);
    local_ask(conns_local_gate(gw), &arrival->op,
              &(struct local_question){
                  .transport = WS_UNIX,
                  .fd = arrival->fd,
                  .uid = (uint32_t)geteuid(),
                  .peer_uid = arrival->uid,
                  .only_who = !ours,
                  .answer = &arrival->who,
              });
}

/* A bridge says nothing more; it stays, or it goes. */
void arrival_bridge_readable(struct arrival *arrival)
{
    char idle[512];
    ssize_t n = recv(arrival->fd, idle, sizeof(idle), MSG_DONTWAIT);

    if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
        return;
    if (tunnels_may_say(arrival->tunnels, &arrival->tunnels->news, "tunnels came or went"))
        log_info("a tunnel of uid %u has ended", arrival->uid);
    arrival_free(arrival);
}
