/* The one-road test: does every process that holds a socket have no other road than the one to us? A
 * process with one road cannot carry somebody else's traffic. design.md section 5. Blocks: for the pool. */
#pragma once

#include "base/err.h"

struct one_road {
    uint64_t inode;         /* the peer's socket */
    uint32_t uid;           /* every holder's uid must be this */
    uint16_t listener_port; /* TCP connections to it on loopback are no other road; 0: none */
    bool browser;           /* known browsers may have other roads: they are let pass by name */
    int64_t deadline_ms;    /* on the monotonic clock */
};

/* 0, or negative and why not (cannot tell counts as not). */
int one_road_test(const struct one_road *road, struct fault *reterr_fault);
/* Does the process hold the socket? 1, 0, or -ERR_DENIED: we may not look. */
int one_road_holds(int32_t pid, uint64_t inode);
/* Program names that carry other people's traffic by trade; and the browsers we know. For tests too. */
bool one_road_is_carrier(const char *program);
bool one_road_is_browser(const char *program);
