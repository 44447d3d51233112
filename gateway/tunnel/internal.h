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

    /* a bridge */
    struct json *tree;
    struct bridge_claims claims;
    struct local_answer who;
    struct op op;
    uint64_t ticket; /* 0: none yet */
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
    int64_t complaints_since;
    unsigned complaints, unsaid;
};

/* tunnels.c */
void arrival_free(struct arrival *arrival);
void arrival_say(struct arrival *arrival, const struct buf *line);
/* An error line, the log, the end. */
void arrival_refuse(struct arrival *arrival, const char *why);

/* bridge.c, stream.c: the first line is whole. Either may free the arrival. */
void arrival_bridge(struct arrival *arrival);
void arrival_bridge_readable(struct arrival *arrival);
void arrival_stream(struct arrival *arrival);
