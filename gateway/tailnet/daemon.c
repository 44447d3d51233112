/* Holding on to tailscaled. Path: want -> attempt (the bus and the status side by side) -> on_notify asks for the
 * status again after a moment -> on_bus_ended -> attempt after a pause. The bus tells that something changed; what it
 * is now is always read from the status, so a notice that is missed or unknown costs nothing. Owns the client, both
 * ops, and those who wait for the first status. */
#include "gateway/tailnet/daemon.h"

#define LOG_SUBSYSTEM "tailnet"
#include "base/backoff.h"
#include "base/crypto.h"
#include "base/log.h"
#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RETRY_FIRST_MS 200
#define RETRY_CAP_MS   15000
#define SETTLE_MS      150   /* notices come in bursts */
#define LOOK_AGAIN_MS  30000 /* without a notice */
#define BUS_GOOD_MS    5000  /* held that long, its loss is retried at once */
#define WAITERS_MAX    512
#define BUS_MASK       (TAILNET_BUS_INITIAL_STATE | TAILNET_BUS_PREFS)

struct waiter {
    struct waiter *next;
    struct daemon *daemon;
    struct op *op;
};

struct daemon {
    struct loop *loop;
    struct tailnet *api;
    void (*changed)(void *arg);
    void *arg;
    bool wanted, again; /* again: the status was asked for while it was on its way */
    struct op bus, asking;
    struct timer retry, refresh;
    struct defer tell;
    struct backoff backoff;
    struct tailnet_status status, fresh;
    bool known, failed, bus_refused, ssh_known, ssh;
    int64_t bus_since; /* loop_now() of its first notice; 0: none yet */
    char session[128];
    char trouble[FAULT_TEXT_MAX];
    struct waiter *waiting;
    size_t waiting_count;
};

static void attempt(void *arg);
static void ask_status(void *arg);

static void on_tell(void *arg)
{
    struct daemon *daemon = arg;
    daemon->changed(daemon->arg);
}

struct daemon *daemon_new(struct loop *loop, void (*changed)(void *arg), void *arg)
{
    struct daemon *daemon = NEW(struct daemon);

    daemon->loop = loop;
    daemon->changed = changed;
    daemon->arg = arg;
    daemon->api = tailnet_new(loop, NULL);
    backoff_init(&daemon->backoff, RETRY_FIRST_MS, RETRY_CAP_MS);
    snprintf(daemon->trouble, sizeof(daemon->trouble), "waiting for tailscaled to answer");
    return daemon;
}

struct daemon *daemon_free(struct daemon *daemon)
{
    if (!daemon)
        return NULL;
    daemon_stop(daemon);
    while (daemon->waiting) {
        struct waiter *waiter = daemon->waiting;
        daemon->waiting = waiter->next;
        op_drop(waiter->op);
        mem_free(waiter);
    }
    tailnet_status_done(&daemon->status);
    tailnet_status_done(&daemon->fresh);
    tailnet_free(daemon->api);
    return mem_free(daemon);
}

/* ---- those who wait for the first status ---- */

static void on_waiter_gone(struct op *op, void *worker)
{
    struct waiter *waiter = worker, **at = &waiter->daemon->waiting;

    (void)op;
    while (*at != waiter)
        at = &(*at)->next;
    *at = waiter->next;
    waiter->daemon->waiting_count--;
    mem_free(waiter);
}

static void answer_waiters(struct daemon *daemon, int result)
{
    while (daemon->waiting) {
        struct waiter *waiter = daemon->waiting;
        daemon->waiting = waiter->next;
        daemon->waiting_count--;
        if (result < 0)
            fault_set(&waiter->op->fault, result, "%s", daemon->trouble);
        op_end(waiter->op, result);
        mem_free(waiter);
    }
}

void daemon_wait(struct daemon *daemon, struct op *op)
{
    daemon_want(daemon);
    bool full = daemon->waiting_count >= WAITERS_MAX;
    if (daemon->known || full) {
        op_start(op, NULL, NULL);
        if (full)
            fault_set(&op->fault, -ERR_FULL, "too many wait for tailscaled");
        op_end(op, full ? -ERR_FULL : 0);
        return;
    }
    struct waiter *waiter = NEW(struct waiter);
    waiter->daemon = daemon;
    waiter->op = op;
    waiter->next = daemon->waiting;
    daemon->waiting = waiter;
    daemon->waiting_count++;
    op_start(op, on_waiter_gone, waiter);
    if (!op_running(&daemon->asking))
        ask_status(daemon);
}

/* ---- the status ---- */

static void on_status(struct op *op, int result)
{
    struct daemon *daemon = CONTAINER(op, struct daemon, asking);

    if (result == 0) {
        tailnet_status_done(&daemon->status);
        daemon->status = daemon->fresh;
        daemon->fresh = (struct tailnet_status){0};
        daemon->trouble[0] = '\0';
    } else {
        snprintf(daemon->trouble, sizeof(daemon->trouble), "%s",
                 op->fault.text[0] ? op->fault.text : err_text(result));
        tailnet_status_done(&daemon->status);
        daemon->status = (struct tailnet_status){0};
    }
    daemon->known = result == 0;
    daemon->failed = result < 0;
    answer_waiters(daemon, result);
    defer_start(daemon->loop, &daemon->tell, on_tell, daemon);
    int64_t next = daemon->again ? SETTLE_MS : LOOK_AGAIN_MS;
    daemon->again = false;
    timer_start(daemon->loop, &daemon->refresh, next, 0, ask_status, daemon);
}

static void ask_status(void *arg)
{
    struct daemon *daemon = arg;

    if (op_running(&daemon->asking)) {
        daemon->again = true;
        return;
    }
    timer_stop(daemon->loop, &daemon->refresh);
    op_init(&daemon->asking, daemon->loop, on_status, TAILNET_CALL_MS);
    tailnet_status_get(daemon->api, &daemon->asking, /* peers= */ false, &daemon->fresh);
}

/* ---- the bus ---- */

static void on_notify(void *arg, const struct json *notify)
{
    struct daemon *daemon = arg;
    const char *session = json_string(json_get(notify, "SessionID"), NULL);
    const struct json *ssh = json_get(json_get(notify, "Prefs"), "RunSSH");

    if (!daemon->bus_since)
        daemon->bus_since = loop_now(daemon->loop);
    daemon->bus_refused = false;
    if (session)
        snprintf(daemon->session, sizeof(daemon->session), "%s", session);
    if (json_kind(ssh) == JSON_BOOL) {
        daemon->ssh_known = true;
        daemon->ssh = json_boolean(ssh, true);
    }
    if (op_running(&daemon->asking))
        daemon->again = true;
    else
        timer_start(daemon->loop, &daemon->refresh, SETTLE_MS, 0, ask_status, daemon);
}

/* The daemon went, or we were too slow for it, or it has no bus. Whether it is still there the status tells. */
static void on_bus_ended(struct op *op, int result)
{
    struct daemon *daemon = CONTAINER(op, struct daemon, bus);
    bool was_good = daemon->bus_since && loop_now(daemon->loop) - daemon->bus_since >= BUS_GOOD_MS;

    log_debug("tailscaled's bus ended: %s", op->fault.text[0] ? op->fault.text : err_text(result));
    daemon->bus_refused = !daemon->bus_since && result < 0;
    daemon->bus_since = 0;
    daemon->session[0] = '\0';
    daemon->ssh_known = false;
    if (was_good)
        backoff_reset(&daemon->backoff);
    double random = (double)crypto_random_below(1u << 20) / (double)(1u << 20);
    timer_start(daemon->loop, &daemon->retry, backoff_next(&daemon->backoff, random), 0, attempt,
                daemon);
    ask_status(daemon);
    defer_start(daemon->loop, &daemon->tell, on_tell, daemon);
}

static void attempt(void *arg)
{
    struct daemon *daemon = arg;

    op_init(&daemon->bus, daemon->loop, on_bus_ended, 0);
    tailnet_watch(daemon->api, &daemon->bus, BUS_MASK, on_notify, daemon);
    ask_status(daemon);
}

void daemon_want(struct daemon *daemon)
{
    if (daemon->wanted)
        return;
    daemon->wanted = true;
    attempt(daemon);
}

void daemon_nudge(struct daemon *daemon)
{
    if (daemon->wanted && !op_running(&daemon->bus))
        timer_start(daemon->loop, &daemon->retry, SETTLE_MS, 0, attempt, daemon);
}

void daemon_stop(struct daemon *daemon)
{
    op_drop(&daemon->bus);
    op_drop(&daemon->asking);
    timer_stop(daemon->loop, &daemon->retry);
    timer_stop(daemon->loop, &daemon->refresh);
    defer_stop(daemon->loop, &daemon->tell);
    daemon->session[0] = '\0';
}

/* ---- asked by others ---- */

struct tailnet *daemon_api(struct daemon *daemon)
{
    return daemon->api;
}

bool daemon_exists(const struct daemon *daemon)
{
    return access(tailnet_socket(daemon->api), F_OK) == 0;
}

const struct tailnet_status *daemon_status(const struct daemon *daemon)
{
    return daemon->known ? &daemon->status : NULL;
}

bool daemon_failed(const struct daemon *daemon)
{
    return daemon->failed;
}

bool daemon_running(const struct daemon *daemon)
{
    return daemon->known && strcmp(daemon->status.state, "Running") == 0;
}

bool daemon_is_own(const struct daemon *daemon, const struct address *address)
{
    const struct tailnet_node *self = &daemon->status.self;
    struct address own;

    for (size_t i = 0; daemon->known && i < self->address_count; i++)
        if (address_parse(self->addresses[i], strlen(self->addresses[i]), &own) &&
            address_equal(&own, address))
            return true;
    return false;
}

const char *daemon_session(const struct daemon *daemon)
{
    return daemon->session;
}

bool daemon_without_bus(const struct daemon *daemon)
{
    return daemon->known && daemon->bus_refused;
}

bool daemon_ssh_is_off(const struct daemon *daemon)
{
    return daemon->ssh_known && !daemon->ssh;
}

bool daemon_is_at_least(const struct daemon *daemon, int major, int minor)
{
    char *end;
    long has_major = daemon->known ? strtol(daemon->status.version, &end, 10) : -1;

    if (has_major < 0 || *end != '.')
        return false;
    long has_minor = strtol(end + 1, NULL, 10);
    return has_major > major || (has_major == major && has_minor >= minor);
}

const char *daemon_trouble(const struct daemon *daemon)
{
    return daemon->trouble;
}
