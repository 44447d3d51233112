/* The WebSocket door (libwebsockets on our loop): a server for TCP and unix sockets that also answers
 * plain HTTP on the same port, a client, and a pair joined in memory. Loop thread only.
 *
 * Output path (design.md section 4): frames are made once with their header, queued as references, and
 * all queued frames of a connection leave in one write; where nothing is pending an event leaves at
 * once. No permessage-deflate. */
#pragma once

#include "base/buf.h"
#include "base/io/op.h"

#include <netinet/in.h>
#include <sys/socket.h>

struct ws;        /* one connection, server or client side */
struct ws_server; /* one listening set */

#define WS_CLOSE_REASON_MAX 120 /* bytes, cut at a UTF-8 boundary; protocol.md 1.3 */

enum ws_transport { WS_TCP, WS_UNIX, WS_PAIR, WS_TUNNEL /* ws_server_adopt */ };

/* Who is at the other end of the socket, by the kernel's word only. */
struct ws_peer {
    enum ws_transport transport;
    struct sockaddr_storage remote, local; /* TCP */
    uint32_t uid;                          /* UNIX, TUNNEL: SO_PEERCRED; else UINT32_MAX */
    int32_t pid;                           /* UNIX, TUNNEL; else 0 */
    int fd;                                /* borrowed; -1 for a pair */
    bool tls;
    int door;    /* of ws_server_config; else 0 */
    void *owner; /* TUNNEL: what ws_server_adopt was given; else NULL */
};

/* A request head: the upgrade, or plain HTTP. Valid during the callback only. */
struct ws_request {
    const struct ws_peer *peer;
    const char *method; /* "GET" */
    const char *path;   /* decoded path without the query */
    const char *query;  /* raw, "" when absent */
    const void *head;   /* for ws_header */
};
/* Value of a header (lower-case name), NULL when absent. A name given twice joins with ", " (of a name
 * that HTTP itself does not define, lws tells the first only). */
const char *ws_header(const struct ws_request *request, const char *name);

/* What a connection tells its owner. arg is the owner's. None is called from inside a ws_* call.
 * closed is the last call (also after ws_close); code 1006 when the other side just vanished. */
struct ws_events {
    void (*message)(struct ws *ws, void *arg, const char *text, size_t length); /* whole messages */
    void (*drained)(struct ws *ws, void *arg); /* output went from something to nothing; optional */
    void (*pong)(struct ws *ws, void *arg);    /* optional */
    void (*closed)(struct ws *ws, void *arg, uint16_t code, const char *reason);
};

/* One plain HTTP exchange: a request, its body when whole, one reply. It belongs to its owner from the
 * first callback until http_reply, http_end or http_cut ends it, which one of them must, once; also after
 * the client has gone. A reply that does not begin in time: the client gets a 503, the owner gone(). */
struct http_exchange;
const struct ws_request *http_request(const struct http_exchange *x);
/* The request body, already whole; "" when there is none. */
const char *http_body(const struct http_exchange *x, size_t *ret_length);
/* What the head says of the body's length. */
size_t http_body_announced(const struct http_exchange *x);

struct http_events {
    /* The client left, or took nothing of a reply for reply_timeout_ms. Once, never after the end, never
     * from inside an http_* call. What is written from now on goes nowhere; the owner ends the exchange
     * here or later. */
    void (*gone)(void *arg);
    /* After http_write said -ERR_FULL: half of the queue is free again. NULL ok. */
    void (*drained)(void *arg);
};
/* Who is told. An owner that does not ask still ends the exchange. */
void http_watch(struct http_exchange *x, const struct http_events *events, void *arg);
void *http_watcher(const struct http_exchange *x); /* that arg */
/* The reply begins within so many ms, instead of reply_timeout_ms; 0: the owner bounds it. */
void http_patience(struct http_exchange *x, int64_t ms);

/* headers: "name: value\r\n…" or NULL. body is referenced and leaves in pieces as the client takes it. HEAD
 * gets the head alone. */
void http_reply(struct http_exchange *x, int status, const char *content_type, const char *headers,
                struct bytes *body);

/* A reply in parts, of any length and for any time: chunked (HTTP/1.0: until the close). */
void http_begin(struct http_exchange *x, int status, const char *content_type, const char *headers);
/* Copied. -ERR_FULL: more than server.stream_max waits already (one part may pass it), nothing was taken,
 * drained() will tell; -ERR_CLOSED: the client has gone; -ERR_TOO_LARGE: more than 16 MiB at once. */
int http_write(struct http_exchange *x, const void *data, size_t length);
size_t http_queued(const struct http_exchange *x);
void http_end(struct http_exchange *x);
/* Ends it so that the client sees that something is missing: the connection goes. */
void http_cut(struct http_exchange *x);

struct ws_server_config {
    void *arg;
    /* 0 to accept the upgrade, else the HTTP status to refuse it with (a short body says why). */
    int (*upgrade)(void *arg, const struct ws_request *request);
    /* An accepted connection: return the events and owner's arg; valid from now on. */
    void (*open)(void *arg, struct ws *ws, const struct ws_request *request,
                 const struct ws_events **ret_events, void **ret_arg);
    /* The head of a plain request has come, its body has not. True: go on, taking a body of at most
     * *body_max bytes (preset: http_body_max; a longer one is 413). False: the owner answers without it, now or
     * later; with a body on the way the connection closes after that. NULL: always go on. */
    bool (*http_head)(void *arg, struct http_exchange *x, size_t *body_max);
    void (*http)(void *arg, struct http_exchange *x); /* the request is whole. NULL: 404 */
    /* Out of descriptors: end a connection that is of no use yet. False: there is none. NULL ok. */
    bool (*make_room)(void *arg);
    /* The last of what ws_server_adopt made with this owner is gone. NULL ok. */
    void (*released)(void *arg, void *owner);

    const char *host;      /* "127.0.0.1", "::1", "0.0.0.0"; NULL with unix_path */
    int port;              /* 0: any free one */
    const char *unix_path; /* a stream socket made with mode; a dead leftover is replaced */
    uint32_t unix_mode;    /* 0: 0600 */
    int door;              /* the owner's name for this listener: ws_peer has it */
    const char *tls_certificate, *tls_key; /* files; NULL: plain */
    size_t message_max; /* inbound message ceiling once ws_set_message_max was not called */
    size_t output_max;  /* bytes queued per connection; see ws_send */
    int half_open_max; /* connections that wait for a request head; one more: the oldest is dropped */
    int64_t head_timeout_ms;
    int64_t
        reply_timeout_ms; /* an HTTP reply is awaited, or stands still, no longer; 0: a minute */
    size_t http_body_max;
    size_t stream_max; /* bytes queued per reply in parts; 0: 256 KiB */
};

/* 0, or negative and a fault that names the address and who holds it when that can be told. */
int ws_listen(struct loop *loop, const struct ws_server_config *config, struct ws_server **ret,
              struct fault *reterr_fault);
int ws_server_port(const struct ws_server *server);
/* A connected stream socket that came another way, served as one of this server's own but without TLS: whatever
 * begins on it, plain HTTP or an upgrade. Takes the (non-blocking) descriptor, also when it fails; then it is closed.
 * owner, not NULL, is told apart by ws_peer.owner and stays the caller's until released(), which comes exactly once,
 * also after a failure. */
int ws_server_adopt(struct ws_server *server, int fd, void *owner);
/* Ends at once what was adopted with an owner that is(): not from inside such a connection's own callbacks. */
void ws_server_drop(struct ws_server *server, bool (*is)(const void *owner, const void *arg),
                    const void *arg);
/* Stops accepting; open connections live on until closed. */
void ws_server_stop(struct ws_server *server);
/* Everything closed at once; closed callbacks run before it returns. NULL ok. */
struct ws_server *ws_server_free(struct ws_server *server);

/* Where a client goes. host is resolved by uv_getaddrinfo first (never on the loop). */
struct ws_target {
    const char *host;
    int port;
    const char *unix_path; /* instead of host and port */
    const char *path;      /* "/" */
    bool tls;
    const char
        *pin; /* SHA-256 of the leaf certificate, as people paste it; NULL: system trust decides */
    const char *origin; /* NULL: none */
    size_t message_max, output_max;
};
/* op ends 0 when the connection is open; events may come from then on. *ret_ws is set at once and is
 * owned by the door; the caller may ws_close it at any time. Fault: DNS, refused, TLS, HTTP status. When
 * the op fails (also after a ws_close before it was open) no event is ever called and the ws is gone
 * once the op's done has returned. Without a deadline of the op's own: 30 s. */
void ws_connect(struct op *op, const struct ws_target *target, const struct ws_events *events,
                void *arg, struct ws **ret_ws);

/* Two ends joined in memory: what one sends the other receives on a later turn. */
void ws_pair(struct loop *loop, size_t output_max, struct ws **ret_a, struct ws **ret_b);
void ws_set_events(struct ws *ws, const struct ws_events *events, void *arg);

/* Queue one text message: head is copied, tail (NULL allowed) is referenced, the message is head then
 * tail. -ERR_FULL when the connection's output_max would be passed (nothing is queued), -ERR_CLOSED
 * after a close. */
int ws_send(struct ws *ws, const void *head, size_t head_length, struct bytes *tail);
/* Several messages follow in this turn: they leave in one write at its end. */
void ws_gather(struct ws *ws);
size_t ws_queued(const struct ws *ws);   /* bytes not yet given to the kernel */
size_t ws_output_total(void);            /* the same over all connections of the process */
size_t ws_received(const struct ws *ws); /* bytes of a message that has come in part */
size_t ws_input_total(void); /* bytes of messages that have come in part, over all connections */
void ws_ping(struct ws *ws);
/* Sends what is queued and the close frame, waits at most 2 s for the peer's, then closed() runs. */
void ws_close(struct ws *ws, uint16_t code, const char *reason);
/* Drops the queue and the socket; closed() runs on a later turn. */
void ws_abort(struct ws *ws);
void ws_pause(struct ws *ws, bool paused);            /* stop and restart reading */
void ws_set_message_max(struct ws *ws, size_t bytes); /* over it: close 1009 */
const struct ws_peer *ws_peer(const struct ws *ws);
int64_t ws_last_read(const struct ws *ws); /* loop_now() of the last bytes that came in */
