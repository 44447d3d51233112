/* What the store's tests share: a loop with a clock of their own, a commit that is waited for. */
#pragma once

#include "base/mem.h"
#include "store/store.h"
#include "tests/t.h"

#include <stdlib.h>

struct rig {
    struct loop *loop;
    struct store *store;
    struct fault fault;
    int open;
};

static inline void rig_open(struct rig *g, const struct store_config *config)
{
    g->fault = (struct fault){0};
    g->store = NULL;
    g->open = store_open(g->loop, config, &g->store, &g->fault);
}

static inline struct rig rig_new(const char *path)
{
    struct rig g = {.loop = loop_new(LOOP_VIRTUAL)};

    rig_open(&g, &(struct store_config){.path = path});
    if (g.open < 0)
        t_fail(__FILE__, __LINE__, "store_open: %s", g.fault.text);
    return g;
}

static inline void rig_free(struct rig *g)
{
    g->store = store_close(g->store);
    while (loop_turn(g->loop, false))
        ;
    g->loop = loop_free(g->loop);
}

static inline const char *rig_path(const char *name)
{
    static char path[512];

    snprintf(path, sizeof(path), "%s/%s", t_tmpdir(), name);
    return path;
}

struct waiter {
    struct op op;
    int ended; /* how many times */
    int result;
    int order; /* 1 for the first to end */
};

static int waiters_ended;

static inline void waiter_done(struct op *op, int result)
{
    struct waiter *w = CONTAINER(op, struct waiter, op);

    w->ended++;
    w->result = result;
    w->order = ++waiters_ended;
}

static inline struct op *waiter_op(struct rig *g, struct waiter *w)
{
    memset(w, 0, sizeof(*w));
    op_init(&w->op, g->loop, waiter_done, 0);
    return &w->op;
}

static inline int wait_for(struct rig *g, struct waiter *w)
{
    while (!w->ended)
        loop_turn(g->loop, true);
    return w->result;
}

/* Commits and waits. */
static inline int commit(struct rig *g, struct store_batch *batch)
{
    struct waiter w;

    store_commit(batch, waiter_op(g, &w));
    t_eq(w.ended, 0);
    return wait_for(g, &w);
}
