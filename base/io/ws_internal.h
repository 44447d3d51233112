/* What the files of the WebSocket door share; nobody else includes it.
 *
 *   ws.c        the public calls that hold for every connection; life and end of struct ws
 *   ws_out.c    output queue and framing (pure)
 *   ws_lws.c    the door: one lws context per loop, and what lws tells us about a connection
 *   ws_server.c listening, accepting, half-open connections
 *   ws_http*.c  plain HTTP: request heads, requests, answers
 *   ws_client.c connecting
 *   ws_pair.c   two ends in memory */
#pragma once

#include "base/io/ws.h"
#include "base/io/ws_out.h"

struct lws;
struct lws_context;
struct lws_vhost;
struct ws_connect; /* a client on its way, ws_client.c */

#define WS_MAGIC   0x77734d31u
#define HALF_MAGIC 0x77734d32u

/* One write's worth of frames. It bounds what lws may hold back for a slow connection, and what one
 * connection may send before others have their turn. */
#define WS_BATCH_MAX     65536
/* What one read takes in at most: each connection owns a buffer of this size. */
#define WS_READ_MAX      2048
#define WS_CLOSE_WAIT_MS 2000
/* Descriptors above this are not served: lws keeps a table of this length. */
#define WS_FD_MAX        8192

/* What lws's opaque pointer of a connection refers to; begins both kinds. */
struct ws_any {
    uint32_t magic;
};

enum ws_state {
    WS_CONNECTING, /* client: no upgrade yet */
    WS_OPEN,
    WS_CLOSING, /* our close frame is queued or sent, or theirs came */
    WS_ENDED,   /* nothing more goes in or out; closed() is due */
};

struct ws {
    uint32_t magic;
    enum ws_state state;
    bool client, paused, flushing;
    bool over; /* what still comes in is thrown away: we closed */
    uint16_t close_code;
    uint32_t wrote; /* door->turn of the last write at once */
    int status;     /* client: the HTTP status of a refused upgrade */
    struct loop *loop;
    struct ws_door *door;     /* NULL: a pair */
    struct lws *wsi;          /* NULL: a pair, or gone */
    struct ws *other;         /* pair: the other end, NULL when it ended */
    struct ws_server *server; /* NULL: client or pair */
    struct ws_connect *connect;
    const struct ws_events *events;
    void *arg;
    struct ws_out out;
    size_t held; /* bytes lws could not write yet; counted with the queue */
    size_t output_max, message_max;
    struct buf in; /* a message that came in part */
    char *close_reason;
    struct timer close_timer;
    struct defer end;
    struct ws *flush_next;
    struct ws *next, **link; /* the server's connections */
    int64_t last_read;
    struct ws_peer peer;
};

/* ---- ws.c ---- */
struct ws *ws_new(struct loop *loop, size_t output_max, size_t message_max);
/* Ends the connection now: everything is dropped, closed() runs from a deferred call. */
void ws_end(struct ws *ws, uint16_t code, const char *reason);
/* As ws_end and closed() runs before it returns; the ws is gone. */
void ws_end_now(struct ws *ws, uint16_t code, const char *reason);
/* A part of a message (or all of it) came in. */
void ws_input(struct ws *ws, const char *data, size_t length, bool final, size_t to_come);
/* The peer's close frame. */
void ws_input_close(struct ws *ws, uint16_t code, const char *reason, size_t length);
void ws_count_output(struct ws *ws, size_t before);
size_t ws_cut_utf8(const char *text, size_t length, size_t max);

/* ---- ws_pair.c ---- */
void ws_pair_flush(struct ws *ws);
void ws_pair_detach(struct ws *ws);

/* ---- ws_lws.c ---- */
struct ws_door {
    struct loop *loop;
    bool tls;
    unsigned refs;  /* servers, connections, connects */
    unsigned depth; /* inside lws's callbacks */
    struct lws_context *context;
    struct lws_vhost *plain;          /* adopted connections without TLS, clients without TLS */
    struct lws_vhost *trust, *pinned; /* TLS clients: made when first used */
    uint8_t *batch;
    bool raw;                       /* the output path of ws_lws.c holds on this lws */
    struct ws *flush, **flush_tail; /* connections with output to write at the end of this turn */
    size_t flush_count;
    struct ws *reading; /* whose input is being delivered: its answers are gathered */
    uint32_t turn;      /* counts the turns in which something was written at once */
    struct defer turn_over;
    struct defer flush_later, destroy_later;
    struct ws_door *next;
    int event_fd; /* lws's own */
    void *reaper; /* libuv handle that waits for lws's own to be closed */
    unsigned rounds;
};

/* The loop's door, made when first asked for; tls: one that has started OpenSSL. NULL with a fault. */
struct ws_door *ws_door_ref(struct loop *loop, bool tls, struct fault *reterr_fault);
void ws_door_unref(struct ws_door *door);
/* A vhost with a server certificate; NULL with a fault. */
struct lws_vhost *ws_door_server_tls(struct ws_door *door, const char *certificate, const char *key,
                                     struct fault *reterr_fault);
void ws_door_drop_vhost(struct lws_vhost *vhost);
/* A vhost for TLS clients. */
struct lws_vhost *ws_door_client_tls(struct ws_door *door, bool pinned, struct fault *reterr_fault);
void ws_lws_flush_later(struct ws *ws);
/* Writes a message at once where nothing is pending and it is this turn's first to this connection.
 * 1: done; 0: queue it; negative: the connection is gone. */
/* ws_lws_write.c: what may be written now; writable: lws says so. */
void ws_lws_write_some(struct ws *ws, bool writable);
int ws_lws_send_now(struct ws *ws, const void *head, size_t head_length, struct bytes *tail);
/* The connection no longer waits for its turn to write. */
void ws_lws_forget_flush(struct ws *ws);
void ws_lws_pause(struct ws *ws, bool paused);
/* Closes the socket and forgets the connection; nothing is heard of it again. */
void ws_lws_kill(struct ws_door *door, struct lws *wsi);

/* ---- ws_server.c ---- */
/* An accepted connection that is not a WebSocket (yet). */
struct ws_half {
    uint32_t magic;
    struct ws_server *server;
    struct lws *wsi;
    struct http_exchange *exchange;
    struct timer deadline;
    bool waiting; /* for a request head or body: counted in half_open */
    bool left;    /* the kernel says that nobody is there any more */
    bool lingers; /* answered and closed for writing; what still comes is thrown away */
    struct ws_half *next, **link;
    struct ws_peer peer;
};

struct ws_server {
    struct loop *loop;
    struct ws_door *door;
    struct lws_vhost *vhost; /* NULL: door->plain */
    struct ws_server_config config;
    char *unix_path;
    int fd; /* -1: stopped */
    int port;
    struct watch *watch;
    bool accepting;
    int half_open;
    struct timer retry; /* after running out of descriptors */
    uint64_t turns;     /* of the loop at the last look */
    bool spins;
    struct timer look; /* while answers are awaited: are their clients still there? */
    struct ws_half *halves;
    struct ws *open;
};
void ws_half_waits(struct ws_half *half);    /* the head is (again) awaited, or the body */
void ws_half_has_head(struct ws_half *half); /* it came */
void ws_half_reads(struct ws_half *half, int64_t limit_ms); /* something else comes in, no longer */
void ws_half_must_move(
    struct ws_half *half); /* a reply is on its way: it may not stand still long */
void ws_half_free(struct ws_half *half);
/* The connection is gone: whoever handed it in hears of it. */
void ws_server_release(struct ws_server *server, struct ws_peer *peer);
/* The upgrade is done: the half becomes a ws. */
void ws_half_open(struct ws_half *half);

/* ---- ws_http_head.c ---- */
/* A request head for one callback. */
struct ws_head {
    struct lws *wsi;
    struct ws_request request;
    struct ws_header_copy *copies;
    char *path, *query;
};
void ws_head_init(struct ws_head *head, struct lws *wsi, const struct ws_peer *peer);
void ws_head_done(struct ws_head *head);
/* 0: upgrade. Else negative: refused, and the answer was written. */
int ws_http_confirm_upgrade(struct ws_half *half, const char *protocol);

/* ---- ws_http.c, ws_http_reply.c ---- */
/* Each returns what the lws callback returns. */
int ws_http_begin(struct ws_half *half);
int ws_http_body(struct ws_half *half, const void *data, size_t length);
int ws_http_whole(struct ws_half *half);
int ws_http_writable(struct ws_half *half);
void ws_http_look(struct ws_server *server); /* someone's answer is awaited */
/* The connection is gone; the owner hears so and may still reply to nobody. */
void ws_http_orphan(struct http_exchange *x);

/* ---- ws_client.c ---- */
void ws_connect_opened(struct ws *ws);
/* what: lws's words. */
void ws_connect_failed(struct ws *ws, const char *what);
/* 0, or -1 when the server's certificate is not the pinned one. */
int ws_connect_check_pin(struct ws *ws);
/* lws asks about one certificate of the chain; returns what its callback returns (0: go on). */
int ws_connect_verify(struct ws *ws, void *store, bool fine);
/* The owner closed it before it was open. */
void ws_connect_drop(struct ws *ws);
/* It opened and ended before the op's done ran. */
void ws_connect_forget(struct ws *ws);
