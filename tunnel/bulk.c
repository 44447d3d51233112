/* off -> opening -> up -> (lost) -> a wait -> opening …, for as long as the control session lives. Owns the session. */
#include "tunnel/bulk.h"

#include "base/crypto.h"
#include "base/mem.h"
#include "tunnel/attempt.h"

#define BULK_MAGIC   0x62756c6bu
#define BULK_OPEN_MS 30000

struct bulk {
    uint32_t magic;
    struct link_config config;
    struct attempt *attempt;
    struct op probe;
    struct timer again;
    struct backoff backoff;
    void (*notice)(void *arg, const char *text);
    void (*gone)(void *arg, struct ssh *ssh);
    bool wanted, up;
    bool told; /* that there is none */
};

static void bulk_open(void *arg);

/* The control session said, asked and wrote down all there is; here that is nobody's business. */
static void bulk_on_notice(void *arg, const char *text)
{
    (void)arg;
    (void)text;
}
static const struct link_events bulk_link_events = {.notice = bulk_on_notice};

struct bulk *bulk_new(const struct link_config *config, void (*gone)(void *arg, struct ssh *ssh))
{
    struct bulk *bulk = NEW(struct bulk);

    bulk->magic = BULK_MAGIC;
    bulk->config = *config;
    bulk->config.accept_new = bulk->config.allow_child = false;
    bulk->config.events = &bulk_link_events;
    bulk->notice = config->events->notice;
    bulk->gone = gone;
    backoff_init(&bulk->backoff, BULK_FIRST_MS, BULK_CAP_MS);
    return bulk;
}

static void bulk_close(struct bulk *bulk)
{
    if (bulk->up)
        bulk->gone(bulk->config.arg, attempt_ssh(bulk->attempt));
    bulk->up = false;
    op_drop(&bulk->probe);
    timer_stop(bulk->config.loop, &bulk->again);
    bulk->attempt = attempt_free(bulk->attempt);
}

struct bulk *bulk_free(struct bulk *bulk)
{
    if (!bulk)
        return NULL;
    bulk_close(bulk);
    bulk->magic = 0;
    return mem_free(bulk);
}

struct ssh *bulk_session(const struct bulk *bulk)
{
    return bulk->up ? attempt_ssh(bulk->attempt) : NULL;
}

void bulk_start(struct bulk *bulk)
{
    if (bulk->wanted)
        return;
    bulk->wanted = true;
    backoff_reset(&bulk->backoff);
    bulk_open(bulk);
}

void bulk_stop(struct bulk *bulk)
{
    bulk->wanted = false;
    bulk_close(bulk);
}

static void bulk_again(struct bulk *bulk)
{
    bulk_close(bulk);
    timer_start(bulk->config.loop, &bulk->again,
                backoff_next(&bulk->backoff, (double)crypto_random_below(1u << 20) / (1u << 20)), 0,
                bulk_open, bulk);
}

static void bulk_on_ready(void *arg, struct attempt *attempt)
{
    struct bulk *bulk = arg;

    (void)attempt;
    CHECK(bulk, BULK_MAGIC);
    bulk->up = true;
}

static void bulk_on_refused(void *arg, struct attempt *attempt, const struct fault *why)
{
    struct bulk *bulk = arg;
    struct fault notice = *why;

    (void)attempt;
    CHECK(bulk, BULK_MAGIC);
    if (!bulk->told) {
        bulk->told = true;
        fault_prefix(&notice, "no second session to that host, downloads share the first");
        bulk->notice(bulk->config.arg, notice.text);
    }
    bulk_again(bulk);
}

static void bulk_on_lost(void *arg, struct attempt *attempt, const struct fault *why)
{
    struct bulk *bulk = arg;

    (void)attempt;
    (void)why;
    CHECK(bulk, BULK_MAGIC);
    backoff_reset(&bulk->backoff);
    bulk_again(bulk);
}

static const struct attempt_events bulk_events = {
    .ready = bulk_on_ready, .refused = bulk_on_refused, .lost = bulk_on_lost};

static void bulk_open(void *arg)
{
    struct bulk *bulk = arg;
    bulk->attempt = attempt_new(&bulk->config, BULK_OPEN_MS, &bulk_events, bulk);
}

static void bulk_on_probed(struct op *op, int result)
{
    struct bulk *bulk = CONTAINER(op, struct bulk, probe);

    CHECK(bulk, BULK_MAGIC);
    if (result < 0 && bulk->up) {
        backoff_reset(&bulk->backoff);
        bulk_again(bulk);
    }
}

void bulk_nudge(struct bulk *bulk)
{
    if (!bulk->wanted)
        return;
    if (timer_running(&bulk->again)) {
        timer_start(bulk->config.loop, &bulk->again, 0, 0, bulk_open, bulk);
    } else if (bulk->up && !op_running(&bulk->probe)) {
        op_init(&bulk->probe, bulk->config.loop, bulk_on_probed, LINK_PROBE_MS);
        bulk->config.ssh->probe(attempt_ssh(bulk->attempt), &bulk->probe);
    }
}
