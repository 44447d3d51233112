/* off -> opening -> up -> (lost) -> a wait -> opening …, for as long as the control session lives. Owns the session. */
#include "tunnel/bulk.h"

#include "base/crypto.h"
#include "base/mem.h"

#define BULK_MAGIC   0x62756c6bu
#define BULK_OPEN_MS 30000

struct bulk {
    uint32_t magic;
    struct link_config config;
    struct op op, probe;
    struct ssh *ssh;
    struct ssh_policy policy;
    struct timer again;
    struct backoff backoff;
    void (*gone)(void *arg, struct ssh *ssh);
    bool wanted, up;
    bool told; /* that there is none */
};

static void bulk_open(void *arg);

static void bulk_on_notice(void *arg, const char *text)
{
    (void)arg;
    (void)text; /* the control session said the same */
}

struct bulk *bulk_new(const struct link_config *config, void (*gone)(void *arg, struct ssh *ssh))
{
    struct bulk *bulk = NEW(struct bulk);

    bulk->magic = BULK_MAGIC;
    bulk->config = *config;
    bulk->gone = gone;
    bulk->policy = (struct ssh_policy){.accept_new = false,
                                       .password = config->password,
                                       .allow_child = false,
                                       .secrets = config->secrets,
                                       .arg = bulk,
                                       .notice = bulk_on_notice};
    backoff_init(&bulk->backoff, BULK_FIRST_MS, BULK_CAP_MS);
    return bulk;
}

static void bulk_close(struct bulk *bulk)
{
    if (bulk->up)
        bulk->gone(bulk->config.arg, bulk->ssh);
    bulk->up = false;
    op_drop(&bulk->op);
    op_drop(&bulk->probe);
    timer_stop(bulk->config.loop, &bulk->again);
    bulk->ssh = bulk->config.ssh->close(bulk->ssh);
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
    return bulk->up ? bulk->ssh : NULL;
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

static void bulk_on_lost(void *arg, const struct fault *why)
{
    struct bulk *bulk = arg;

    (void)why;
    CHECK(bulk, BULK_MAGIC);
    backoff_reset(&bulk->backoff);
    bulk_again(bulk);
}

static const struct ssh_events bulk_events = {.lost = bulk_on_lost};

static void bulk_on_end(struct op *op, int result)
{
    struct bulk *bulk = CONTAINER(op, struct bulk, op);

    CHECK(bulk, BULK_MAGIC);
    if (result >= 0) {
        bulk->up = true;
        return;
    }
    if (!bulk->told) {
        struct fault notice = op->fault;
        bulk->told = true;
        fault_prefix(&notice, "no second session to that host, downloads share the first");
        bulk->config.events->notice(bulk->config.arg, notice.text);
    }
    bulk_again(bulk);
}

static void bulk_open(void *arg)
{
    struct bulk *bulk = arg;

    op_init(&bulk->op, bulk->config.loop, bulk_on_end, BULK_OPEN_MS);
    bulk->config.ssh->open(&bulk->op, bulk->config.target, bulk->config.options, &bulk->policy,
                           &bulk_events, bulk, &bulk->ssh);
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
        bulk->config.ssh->probe(bulk->ssh, &bulk->probe);
    }
}
