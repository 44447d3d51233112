/* What the files of gateway/tunnel share. */
#pragma once

#include "base/buf.h"
#include "base/io/op.h"
#include "gateway/conn/local.h"
#include "gateway/gateway.h"
#include "gateway/tunnel/tickets.h"
#include "gateway/tunnel/tunnels.h"
#include "tunnel/bridge.h"

#define ARRIVAL_MAGIC 0x6172726du

/* A connection to tunnel.sock: before its line, while it is looked at, and as a bridge. */
struct arrival {
    uint32_t magic;
    struct tunnels *tunnels;
    struct arrival *next, **link;
    int fd;
    uint32_t uid;
    int32_t pid;
    struct watch *watch;
    struct timer deadline;
    struct buf line;
    bool waiting; /* for its line */
    bool looking; /* the pool looks at it */

    /* a bridge */
    struct json *tree;
    struct bridge_claims claims;
    struct local_answer who;
    struct op op;
    uint64_t ticket; /* 0: none yet */
};

/* So many lines in a minute; the others are counted. */
struct words {
    int64_t since;
    unsigned said, unsaid;
};

struct tunnels {
    struct gateway *gw;
    struct tickets *tickets;
    char *path;
    int fd; /* -1: not listening */
    struct watch *watch;
    struct timer retry; /* after running out of descriptors */
    struct arrival *arrivals;
    size_t waiting;
    unsigned looks;
    struct words complaints, news; /* what the log may still say */
};

/* tunnels.c */
void arrival_free(struct arrival *arrival);
void arrival_say(struct arrival *arrival, const struct buf *line);
/* Something of this kind may be logged now. */
bool tunnels_may_say(struct tunnels *tunnels, struct words *words, const char *what);
/* An error line, the log, the end. */
void arrival_refuse(struct arrival *arrival, const char *why);

/* bridge.c, stream.c: the first line is whole. Either may free the arrival. */
void arrival_bridge(struct arrival *arrival);
void arrival_bridge_readable(struct arrival *arrival);
void arrival_stream(struct arrival *arrival);
