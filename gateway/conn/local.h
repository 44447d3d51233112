/* Is the peer a process of ours with only one road? design.md section 5 "Local". The kernel is asked in
 * the pool; cannot tell means not local. */
#pragma once

#include "base/io/op.h"
#include "gateway/conn/ingress.h"

#define LOCAL_SCANS_MAX   2    /* at once; the others wait for their turn */
#define LOCAL_DEADLINE_MS 3000 /* of one scan */

struct local_gate;

/* Everything the test needs to know, by value: the scan runs beside the loop. */
struct local_question {
    enum ws_transport transport;
    struct sockaddr_storage remote, local; /* TCP */
    int fd;                                /* UNIX: our end, still open while the op runs */
    uint32_t uid;                          /* ours */
    uint32_t peer_uid;                     /* UNIX: theirs */
    bool browser;  /* a page: known browsers have many roads and are let pass by name */
    bool only_who; /* who it is, not whether it is local: the answer is no */
    struct local_answer *answer; /* NULL ok; filled when op ends, also with "not local" */
};

/* Whose process holds the other end. */
struct local_answer {
    uint32_t uid;  /* UINT32_MAX: cannot tell */
    char user[64]; /* its name, or "uid 1234"; "" */
};

struct local_gate *local_gate_new(struct loop *loop) MUSTCHECK;
struct local_gate *local_gate_free(struct local_gate *gate); /* no op may be running */
/* op (op_init'ed) ends 0: local; -ERR_DENIED and a fault: not, and why. */
void local_ask(struct local_gate *gate, struct op *op, const struct local_question *question);
