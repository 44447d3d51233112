/* One session on its way, then the session: ssh_open with the policy of a link and what became of it. Tunnel thread
 * only. */
#pragma once

#include "tunnel/link.h"

struct attempt;
/* None comes from inside an attempt_* call. */
struct attempt_events {
    void (*reached)(void *arg, struct attempt *attempt); /* it is past TCP; NULL ok */
    void (*ready)(void *arg, struct attempt *attempt);
    void (*refused)(void *arg, struct attempt *attempt, const struct fault *why);
    void (*lost)(void *arg, struct attempt *attempt, const struct fault *why); /* it was ready */
};

/* config is borrowed and outlives it. deadline_ms 0: none. */
struct attempt *attempt_new(const struct link_config *config, int64_t deadline_ms,
                            const struct attempt_events *events, void *arg) MUSTCHECK;
struct attempt *attempt_free(struct attempt *attempt); /* NULL ok; also inside its events */

struct ssh *attempt_ssh(const struct attempt *attempt);
enum ssh_step attempt_step(const struct attempt *attempt);
int64_t attempt_age(const struct attempt *attempt);
bool attempt_is_asking(const struct attempt *attempt);
/* It is past TCP and moved lately, or a person is asked: a fresh one beside it would only disturb. */
bool attempt_gets_on(const struct attempt *attempt);
