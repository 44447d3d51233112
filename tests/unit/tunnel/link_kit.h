/* A link with a virtual clock and sessions that do what the test says. Included by one file of a program. */
#pragma once

#include "base/mem.h"
#include "tests/t.h"
#include "tunnel/link.h"

#define FAKES_MAX 2048

/* The double of ssh/session.h's session. */
struct ssh {
    struct rig *rig;
    struct op *op;
    const struct ssh_policy *policy;
    const struct ssh_events *events;
    void *arg;
    bool closed;
};

struct rig {
    struct loop *loop;
    struct link *link;
    struct ssh *fakes[FAKES_MAX];
    size_t count; /* opened so far */
    int refuse;   /* each attempt fails at once with this */
    struct op *probe;
    size_t probes, changed, found, lost, notices, asked, arrived;
    struct ssh *control;
};
static struct rig *g; /* link_ssh's functions have no argument for it */

static inline void fake_cancel(struct op *op, void *worker)
{
    (void)op;
    ((struct ssh *)worker)->op = NULL;
}

static inline void fake_open(struct op *op, const struct ssh_target *target,
                             const struct ssh_options *options, const struct ssh_policy *policy,
                             const struct ssh_events *events, void *arg, struct ssh **ret)
{
    struct ssh *ssh = NEW(struct ssh);

    (void)target;
    (void)options;
    require(g->count < FAKES_MAX);
    *ssh = (struct ssh){.rig = g, .op = op, .policy = policy, .events = events, .arg = arg};
    g->fakes[g->count++] = *ret = ssh;
    op_start(op, fake_cancel, ssh);
    if (g->refuse) {
        fault_set(&op->fault, g->refuse, "refused: %s", err_text(g->refuse));
        op_end(op, g->refuse);
    }
}

static inline struct ssh *fake_close(struct ssh *ssh)
{
    if (ssh) {
        t_ok(!ssh->closed);
        ssh->closed = true;
    }
    return NULL;
}

static inline void fake_probe_cancel(struct op *op, void *worker)
{
    (void)op;
    (void)worker;
    g->probe = NULL;
}

static inline void fake_probe(struct ssh *ssh, struct op *op)
{
    t_ok(!ssh->closed);
    g->probes++;
    g->probe = op;
    op_start(op, fake_probe_cancel, ssh);
}

static inline void fake_facts(const struct ssh *ssh, struct ssh_facts *ret)
{
    (void)ssh;
    *ret = (struct ssh_facts){0};
}
static const struct link_ssh fake = {fake_open, fake_close, fake_probe, fake_facts};

static inline void on_changed(void *arg)
{
    ((struct rig *)arg)->changed++;
}
static inline void on_found(void *arg, struct ssh *control)
{
    ((struct rig *)arg)->found++;
    ((struct rig *)arg)->control = control;
}
static inline void on_lost(void *arg)
{
    struct rig *rig = arg;
    rig->lost++;
    t_ok(!rig->control->closed); /* what runs over it is cut before it goes */
    rig->control = NULL;
}
static inline void on_arrived(void *arg, struct ssh_channel *channel,
                              const struct ssh_arrival *arrival)
{
    (void)channel;
    (void)arrival;
    ((struct rig *)arg)->arrived++;
}
static inline void on_notice(void *arg, const char *text)
{
    (void)text;
    ((struct rig *)arg)->notices++;
}
static inline void on_ask(void *arg, struct ssh_question *question)
{
    (void)question;
    ((struct rig *)arg)->asked++;
}
static const struct link_events events = {on_changed, on_found,  on_lost,
                                          on_arrived, on_notice, on_ask};

static inline void rig_start(int refuse, bool once)
{
    g = NEW(struct rig);
    g->loop = loop_new(LOOP_VIRTUAL);
    g->refuse = refuse;
    struct link_config config = {
        .loop = g->loop, .ssh = &fake, .once = once, .events = &events, .arg = g};
    g->link = link_new(&config);
    loop_advance(g->loop, 0);
}

static inline void rig_end(void)
{
    size_t changed = g->changed;

    g->link = link_free(g->link);
    loop_advance(g->loop, 400000);
    t_eq(g->changed, changed);
    for (size_t i = 0; i < g->count; i++) {
        t_ok(g->fakes[i]->closed);
        mem_free(g->fakes[i]);
    }
    loop_free(g->loop);
    g = mem_free(g);
}

static inline struct link_facts facts(void)
{
    struct link_facts now;
    link_facts(g->link, &now);
    return now;
}
static inline size_t alive(void)
{
    size_t count = 0;
    for (size_t i = 0; i < g->count; i++)
        count += !g->fakes[i]->closed;
    return count;
}
static inline struct ssh *newest(void)
{
    return g->fakes[g->count - 1];
}
static inline void ready(struct ssh *ssh)
{
    t_ok(!ssh->closed && ssh->op);
    op_end(ssh->op, 0);
    ssh->op = NULL;
    loop_advance(g->loop, 0);
}
static inline void refuse(struct ssh *ssh, int code, const char *text)
{
    fault_set(&ssh->op->fault, code, "%s", text);
    op_end(ssh->op, code);
    ssh->op = NULL;
    loop_advance(g->loop, 0);
}
static inline void lose(struct ssh *ssh)
{
    struct fault why;
    fault_set(&why, -ERR_CLOSED, "the path is gone");
    ssh->events->lost(ssh->arg, &why);
    loop_advance(g->loop, 0);
}
static inline void way(void)
{
    link_way(g->link, NULL);
    loop_advance(g->loop, 0);
}
/* Up, and for so long. */
static inline void bring_up(int64_t steady_ms)
{
    ready(newest());
    way();
    t_eq(facts().state, TUNNEL_UP);
    loop_advance(g->loop, steady_ms);
}
