/* The link: one SSH session to the target that comes back by itself (control), and a second beside it (bulk.h). The
 * states are tunnel.h's; what each does with what happens is one table in link.c. Tunnel thread only.
 *
 * Attempts overlap: while none has got past TCP a fresh one starts every LINK_FRESH_MS, because the kernel's own
 * retries of a lost SYN come at 1, 3, 7 s, and the path may be back in between. */
#pragma once

#include "base/backoff.h"
#include "tunnel/ssh/session.h"
#include "tunnel/tunnel.h"

#define LINK_ATTEMPTS_MAX                                                                          \
    6 /* at once; then the second oldest makes room: the oldest is for slow paths */
#define LINK_FRESH_MS       500
#define LINK_FRESH_LATER_MS 2000 /* the same after LINK_EAGER_FOR_MS */
#define LINK_STALLED_MS                                                                            \
    3000 /* an attempt past TCP that stands still so long no longer holds fresh ones back */
#define LINK_ATTEMPT_MS   30000 /* an attempt takes no longer, but for questions */
#define LINK_FIRST_MS     100   /* the first wait after a refusal, doubling … */
#define LINK_EAGER_MS     700   /* … to this for as long as LINK_EAGER_FOR_MS, */
#define LINK_EAGER_FOR_MS 120000
#define LINK_PATIENT_MS   5000 /* then to this */
#define LINK_FAILED_MS    300000
#define LINK_STEADY_MS    5000 /* up so long: the next loss begins with short waits again */
#define LINK_PROBE_MS     1000 /* after a nudge: heard of within this, or lost */

/* ssh/session.h, or a test's double. */
struct link_ssh {
    void (*open)(struct op *op, const struct ssh_target *target, const struct ssh_options *options,
                 const struct ssh_policy *policy, const struct ssh_events *events, void *arg,
                 struct ssh **ret);
    struct ssh *(*close)(struct ssh *ssh);
    void (*probe)(struct ssh *ssh, struct op *op);
    void (*facts)(const struct ssh *ssh, struct ssh_facts *ret);
};

/* None comes from inside a link_* call. */
struct link_events {
    void (*changed)(void *arg);                    /* state, last error, next attempt */
    void (*found)(void *arg, struct ssh *control); /* a session: look for a way, then link_way() */
    void (*lost)(void *arg); /* the control session is gone (closed when this returns) */
    void (*arrived)(void *arg, struct ssh_channel *channel, const struct ssh_arrival *arrival);
    void (*notice)(void *arg, const char *text);
    void (*ask)(void *arg, struct ssh_question *question); /* NULL: nobody */
};

struct link_config {
    struct loop *loop;
    const struct link_ssh *ssh;
    const struct ssh_target *target; /* borrowed, as are the options */
    const struct ssh_options *options;
    struct ssh_secrets *secrets;
    bool accept_new, password, allow_child;
    bool once; /* the first failure or loss ends it */
    const struct link_events *events;
    void *arg;
};

struct link;
struct link *link_new(const struct link_config *config) MUSTCHECK; /* connects at once */
struct link *link_free(struct link *link);

/* What became of the search for a way over the control session: NULL: there is one. */
void link_way(struct link *link, const struct fault *why);
void link_nudge(struct link *link);

struct ssh *link_control(const struct link *link); /* NULL: none */

struct link_facts {
    enum tunnel_state state;
    bool hold; /* a new connection may wait for the path; else it is refused */
    int64_t since, lost_at, back_at, next_attempt_at; /* wall ms */
    uint64_t reconnects;
    const char *last_error; /* "" */
};
void link_facts(const struct link *link, struct link_facts *ret);
