/* A stream of a tunnel: its ticket is checked, then the descriptor goes to the WebSocket server with the ticket's identity, and
 * whatever follows the line (plain HTTP, an upgrade) is served like what comes by a port. */
#include "base/mem.h"
#include "gateway/listen.h"
#include "gateway/tunnel/internal.h"

#include <string.h>

/* Who it is: the bridge itself, or whom the far host saw. The caller's reference. */
static struct peer_identity *stream_identity(const struct ticket *ticket, const char *from)
{
    if (ticket->identity->kind != IDENTITY_PUBLISH)
        return peer_identity_ref(ticket->identity);

    struct peer_identity *identity = peer_identity_new(IDENTITY_PUBLISH);
    identity->via = mem_string(ticket->identity->via);
    identity->address = from[0] ? mem_string(from) : NULL;
    identity->ticket = ticket->id;
    return identity;
}

static const char *stream_trouble(const struct arrival *arrival, const struct bridge_stream *stream,
                                  struct ticket **ret)
{
    struct tunnels *tunnels = arrival->tunnels;
    const char *why = NULL;
    struct ticket *ticket =
        tickets_check(tunnels->tickets, stream->ticket, arrival->uid, arrival->pid, &why);

    *ret = ticket;
    if (!ticket)
        return why;
    if (stream->from[0] && ticket->identity->kind != IDENTITY_PUBLISH)
        return "that ticket may not name an address";
    if (stream->service != BRIDGE_GATEWAY)
        return "this gateway has no canvas host";
    if (ticket->streams >= TICKET_STREAMS_MAX)
        return "too many connections through this tunnel at once";
    return tunnels->gw->stopping ? "the gateway is stopping" : NULL;
}

void arrival_stream(struct arrival *arrival)
{
    struct ws_server *server = listen_server(arrival->tunnels->gw, DOOR_SOCKET);
    struct bridge_stream stream;
    struct fault fault = {0};
    struct ticket *ticket;

    if (bridge_read_stream(arrival->line.data, arrival->line.length, &stream, &fault) < 0) {
        arrival_refuse(arrival, fault.text);
        return;
    }
    const char *why = server ? stream_trouble(arrival, &stream, &ticket) : "no gateway listens";
    crypto_wipe(stream.ticket, sizeof(stream.ticket));
    if (why) {
        arrival_refuse(arrival, why);
        return;
    }
    struct peer_identity *identity = stream_identity(ticket, stream.from);
    int fd = arrival->fd;
    ticket->streams++;
    arrival->watch = watch_free(arrival->watch);
    arrival->fd = -1;
    arrival_free(arrival);
    ws_server_adopt(server, fd, identity); /* the reference comes back by tunnels_released */
}
