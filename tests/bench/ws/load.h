/* The load generator's connections: plain sockets, our own WebSocket framing, one epoll. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct peer;
/* A text frame: kind 'r' for a response, 'e' for an event, else '?'. The text is borrowed. */
typedef void peer_frame_fn(struct peer *p, char kind, const char *text, size_t length);

struct peer {
    int fd;
    int number;
    char *in; /* what is not parsed yet */
    size_t in_length, in_room;
    char *out; /* what the kernel did not take yet */
    size_t out_length, out_room;
    bool writable_wanted;
    int64_t *sent_at; /* ring of the times of unanswered requests */
    unsigned sent, answered;
    unsigned events;
};

struct url {
    char host[128], unix_path[108], path[128];
    int port;
};

int64_t now_us(void);
__attribute__((noreturn, format(printf, 1, 2))) void die(const char *format, ...);
void url_parse(const char *text, struct url *ret);
/* Connects, upgrades and (connect_text not NULL) does the Culvert handshake; blocking. */
void peer_open(struct peer *p, int number, const struct url *url, const char *connect_text);
void peer_close(struct peer *p);
/* A masked text frame, ready to be sent again and again; the caller owns it. */
char *frame_make(const char *text, size_t *ret_length);
void peer_send(struct peer *p, int epoll, const char *frames, size_t length);
/* Reads what is there and calls fn for each whole text frame. */
void peer_read(struct peer *p, peer_frame_fn *fn);
void peer_flush(struct peer *p, int epoll);
