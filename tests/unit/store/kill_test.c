/* kill -9: a child appends and tells of each acknowledged batch, is killed at a random point, and all it
 * told of is found, each time, on one database. CULVERT_LONG=1: 100 kills instead of 5. */
#include "tests/unit/store/kit.h"

#include "base/crypto.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define IN_FLIGHT 32

/* ---- the child ---- */

struct child {
    struct loop *loop;
    struct store *store;
    int64_t next; /* message seq */
    int out;
    struct slot {
        struct op op;
        struct child *child;
        int64_t told[2]; /* seq, offset */
    } slots[IN_FLIGHT];
};

static void slot_start(struct slot *slot);

static void slot_done(struct op *op, int result)
{
    struct slot *slot = CONTAINER(op, struct slot, op);

    if (result < 0 || write(slot->child->out, slot->told, sizeof(slot->told)) < 0)
        _exit(3);
    slot_start(slot);
}

static void slot_start(struct slot *slot)
{
    struct child *c = slot->child;
    struct store_batch *batch = store_batch(c->store);
    char payload[64];

    slot->told[0] = c->next++;
    snprintf(payload, sizeof(payload), "{\"seq\":%lld}", (long long)slot->told[0]);
    store_message_put(batch,
                      &(struct store_message){"s", "m", "user", NULL, payload, slot->told[0], 1});
    slot->told[1] = store_log_append(
        batch, &(struct store_event){"chat", NULL, payload, 0, loop_wall(c->loop)});
    op_init(&slot->op, c->loop, slot_done, 0);
    store_commit(batch, &slot->op);
}

static void child_run(const char *path, int64_t next, int out)
{
    struct child *c = NEW(struct child);

    c->loop = loop_new(LOOP_REAL);
    c->next = next;
    c->out = out;
    if (store_open(c->loop, &(struct store_config){.path = path, .checkpoint_pages = 50}, &c->store,
                   NULL) < 0)
        _exit(2);
    for (size_t i = 0; i < IN_FLIGHT; i++) {
        c->slots[i].child = c;
        slot_start(&c->slots[i]);
    }
    for (;;)
        loop_turn(c->loop, true);
}

/* ---- the parent ---- */

struct told {
    int64_t seq, offset;
};

struct ledger {
    struct told *told;
    size_t count, room;
    int64_t highest_seq, highest_offset;
};

static void listen_and_kill(struct ledger *l, const char *path)
{
    uint64_t after = 1 + crypto_random_below(400);
    struct told told;
    int pipe_ends[2];

    t_eq(pipe(pipe_ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        close(pipe_ends[0]);
        child_run(path, l->highest_seq + 1000, pipe_ends[1]);
    }
    close(pipe_ends[1]);
    for (uint64_t n = 0; read(pipe_ends[0], &told, sizeof(told)) == (ssize_t)sizeof(told); n++) {
        if (l->count == l->room) {
            l->room = l->room ? l->room * 2 : 1024;
            l->told = mem_grow(l->told, l->room, sizeof(told));
        }
        l->told[l->count++] = told;
        l->highest_seq = told.seq > l->highest_seq ? told.seq : l->highest_seq;
        t_ok(told.offset > l->highest_offset);
        l->highest_offset = told.offset;
        if (n == after)
            kill(pid, SIGKILL);
    }
    close(pipe_ends[0]);

    int status = 0;
    t_eq(waitpid(pid, &status, 0), pid);
    t_ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

struct reading {
    struct store_log_page page;
    bool done;
};

static void on_page(struct op *op, int result)
{
    struct reading *r = CONTAINER(CONTAINER(op, struct store_log_page, op), struct reading, page);

    r->done = true;
    t_eq(result, 0);
}

/* Walks the log once, the ledger beside it: both rise by offset. */
static void expect_all(struct ledger *l, struct rig *g)
{
    struct reading r = {0};
    size_t found = 0;

    do {
        int64_t after = r.page.next;
        store_log_page_done(&r.page);
        r.done = false;
        op_init(&r.page.op, g->loop, on_page, 0);
        store_log_read(g->store, &r.page, after, 1000, SIZE_MAX);
        while (!r.done)
            loop_turn(g->loop, true);
        for (size_t i = 0; i < r.page.count && found < l->count; i++) {
            char payload[64];
            if (r.page.rows[i].offset != l->told[found].offset)
                continue;
            snprintf(payload, sizeof(payload), "{\"seq\":%lld}", (long long)l->told[found].seq);
            t_str(r.page.rows[i].payload, payload);
            found++;
        }
    } while (r.page.more);
    store_log_page_done(&r.page);
    t_eq(found, l->count);
}

T(nothing_acknowledged_is_lost_by_kill)
{
    const char *text = getenv("CULVERT_LONG");
    int kills = text && strcmp(text, "1") == 0 ? 100 : 5;
    CLEAN(mem_free) char *path = mem_string(rig_path("kill.db"));
    struct ledger l = {0};

    crypto_init();
    signal(SIGPIPE, SIG_IGN);
    for (int i = 0; i < kills; i++) {
        listen_and_kill(&l, path);
        struct rig g = rig_new(path);
        struct store_position p;
        store_log_position(g.store, &p);
        t_ok(p.head >= l.highest_offset);
        expect_all(&l, &g);
        rig_free(&g);
    }
    printf("    %d kills, %zu batches acknowledged\n", kills, l.count);
    t_ok(l.count > 0);
    mem_free(l.told);
}
