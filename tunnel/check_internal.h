/* Between check.c (the session's steps, the end) and check_reach.c (bridge, forwarding, gateway). */
#pragma once

#include "tunnel/probe.h"
#include "tunnel/tunnel.h"

#define CHECK_MAGIC 0x63686563u
#define CHECK_TEXT  900

enum check_place {
    PLACE_CONFIG, /* as enum ssh_step, up to authentication */
    PLACE_NAME,
    PLACE_TCP,
    PLACE_SSH,
    PLACE_HOST_KEY,
    PLACE_AUTH,
    PLACE_BRIDGE,
    PLACE_FORWARDING,
    PLACE_GATEWAY,
    PLACE_END,
};

/* What a channel to the gateway was answered. */
enum check_road { ROAD_UNTRIED, ROAD_OPEN, ROAD_NOBODY, ROAD_FORBIDDEN };

struct check {
    uint32_t magic;
    struct op *op;
    struct loop *loop;
    struct tunnel_options *options;
    void (*step)(void *arg, const struct tunnel_check_step *step);
    void *arg;
    struct defer begin;
    struct ssh_target target;
    struct ssh_options ssh_options;
    struct ssh_policy policy;
    struct op opening;
    struct ssh *ssh;
    enum check_place at; /* not told yet */
    bool entered[PLACE_END];
    char detail[PLACE_END][300]; /* what the session said as it entered */
    struct probe bridge, probe;
    struct bridge_offer offer;
    bool offered;
    enum check_road streamlocal, direct;
    struct fault streamlocal_why, direct_why;
    int64_t asked_at;
};

/* One thing found, printf-like; remedy NULL: nothing to do. */
void check_tell(struct check *check, enum check_place place, enum tunnel_check_result result,
                const char *remedy, const char *format, ...) PRINTF(5, 6);
/* The step at hand has failed, and with it the whole; check is gone afterwards. */
void check_fail(struct check *check, const char *remedy, const struct fault *why);
void check_end(struct check *check, int result, const struct fault *why);
/* The session is ready: everything else, to check_end. */
void check_reach(struct check *check);
