/* Idempotency keys: a hash table in memory, written through. An entry knows two outcomes: the newest
 * that was put (what find answers) and the last that reached the disk; when the last of its commits has
 * ended, the durable one stands, or the entry goes. Entries are listed in order of put, so the oldest
 * leave first, by age or by number. Of all but the newest few the outcome is given up once it is on disk
 * and read back when somebody asks: keys are many, repeated ones few. */
#include "store/private.h"

#include "base/crypto.h"
#include "base/mem.h"

struct idempotency_entry {
    struct idempotency_entry *chain;         /* same bucket */
    struct idempotency_entry *older, *newer; /* order of put */
    char *outcome;                           /* owned */
    char *durable;                           /* owned, or the same as outcome, or NULL */
    int64_t at;
    uint64_t hash;
    unsigned pending; /* commits on their way */
    bool on_disk;     /* the durable one is there and not in memory */
    bool warm;        /* table->cold or newer */
    char key[];
};

/* A put of one batch; in its arena. */
struct idempotency_change {
    struct idempotency_change *next;
    const char *key, *outcome;
    int64_t at;
};

/* ---- the table ---- */

/* Keys come from clients: the seed keeps them from choosing collisions. */
static uint64_t idempotency_hash(const struct idempotency *table, const char *key)
{
    uint64_t h = table->seed;

    for (const char *p = key; *p; p++) {
        h = (h ^ (unsigned char)*p) * 0x9e3779b97f4a7c15u;
        h ^= h >> 29;
    }
    return h;
}

static struct idempotency_entry **idempotency_slot(const struct idempotency *table, const char *key)
{
    uint64_t hash = idempotency_hash(table, key);
    struct idempotency_entry **slot = &table->buckets[hash & (table->bucket_count - 1)];

    while (*slot && ((*slot)->hash != hash || strcmp((*slot)->key, key) != 0))
        slot = &(*slot)->chain;
    return slot;
}

static void idempotency_grow(struct idempotency *table)
{
    size_t count = table->bucket_count ? table->bucket_count * 2 : 256;
    struct idempotency_entry **buckets = mem_array(count, sizeof(struct idempotency_entry *));

    for (struct idempotency_entry *e = table->oldest; e; e = e->newer) {
        e->chain = buckets[e->hash & (count - 1)];
        buckets[e->hash & (count - 1)] = e;
    }
    mem_free(table->buckets);
    table->buckets = buckets;
    table->bucket_count = count;
}

static void idempotency_link(struct idempotency *table, struct idempotency_entry *e)
{
    e->older = table->newest;
    e->newer = NULL;
    *(table->newest ? &table->newest->newer : &table->oldest) = e;
    table->newest = e;
    if (!table->cold)
        table->cold = e;
    e->warm = true;
    table->warm++;
}

static void idempotency_unlink(struct idempotency *table, struct idempotency_entry *e)
{
    if (e->warm)
        table->warm--;
    if (table->cold == e)
        table->cold = e->newer;
    *(e->older ? &e->older->newer : &table->oldest) = e->newer;
    *(e->newer ? &e->newer->older : &table->newest) = e->older;
}

static void idempotency_remove(struct idempotency *table, struct idempotency_entry *e)
{
    struct idempotency_entry **slot = idempotency_slot(table, e->key);

    *slot = e->chain;
    idempotency_unlink(table, e);
    table->count--;
    if (e->durable != e->outcome)
        mem_free(e->durable);
    mem_free(e->outcome);
    mem_free(e);
}

/* The entry of key, at the newest end, with this outcome on top of what was durable. */
static struct idempotency_entry *idempotency_set(struct idempotency *table, const char *key,
                                                 const char *outcome, int64_t at)
{
    if (table->count >= table->bucket_count)
        idempotency_grow(table);

    struct idempotency_entry **slot = idempotency_slot(table, key), *e = *slot;
    if (e) {
        idempotency_unlink(table, e);
        if (e->durable != e->outcome)
            mem_free(e->outcome);
    } else {
        size_t length = strlen(key);
        e = mem_new(sizeof(*e) + length + 1);
        memcpy(e->key, key, length);
        e->hash = idempotency_hash(table, key);
        *slot = e;
        table->count++;
    }
    e->outcome = mem_string(outcome);
    e->at = at;
    idempotency_link(table, e);
    return e;
}

static void idempotency_make_durable(struct idempotency_entry *e, const char *outcome)
{
    if (e->durable != e->outcome)
        mem_free(e->durable);
    e->on_disk = false;
    e->durable = strcmp(e->outcome, outcome) == 0 ? e->outcome : mem_string(outcome);
}

/* No commit is on its way: what is on disk is what there is. */
static void idempotency_rest(struct idempotency *table, struct idempotency_entry *e)
{
    if (!e->durable && !e->on_disk) {
        idempotency_remove(table, e);
        return;
    }
    if (e->outcome != e->durable)
        mem_free(e->outcome);
    e->outcome = e->durable;
}

/* Gives up the outcomes of what is no longer among the newest, in order; one that is on its way to the
 * disk holds up those behind it. */
static void idempotency_cool(struct idempotency *table)
{
    while (table->warm > STORE_IDEMPOTENCY_KEEP && !table->cold->pending) {
        struct idempotency_entry *e = table->cold;

        e->outcome = e->durable = mem_free(e->outcome);
        e->on_disk = true;
        e->warm = false;
        table->warm--;
        table->cold = e->newer;
    }
}

/* ---- public ---- */

void store_idempotency_put(struct store_batch *batch, const char *key, const char *outcome,
                           int64_t at)
{
    struct idempotency_change *change = arena_take(&batch->arena, sizeof(*change));

    change->key = arena_copy(&batch->arena, key, strlen(key));
    change->outcome = arena_copy(&batch->arena, outcome, strlen(outcome));
    change->at = at;
    *batch->changes_tail = change;
    batch->changes_tail = &change->next;
    ADD(batch, idempotency_put, vt(key), vt(outcome), vi(at));
}

enum store_known store_idempotency_find(const struct store *store, const char *key,
                                        const char **ret)
{
    const struct idempotency *table = &store->idempotency;
    const struct idempotency_entry *e = table->count ? *idempotency_slot(table, key) : NULL;

    *ret = NULL;
    if (!e || e->at + STORE_IDEMPOTENCY_MS <= loop_wall(store->loop))
        return STORE_UNKNOWN;
    *ret = e->outcome;
    return e->outcome ? STORE_KNOWN : STORE_ON_DISK;
}

/* ---- an outcome from the disk ---- */

static int idempotency_read_run(struct sql *sql, struct read *read)
{
    struct sql_rows rows;
    int r;

    sql_rows(sql, STATEMENT_idempotency_one, VALUES(vt(read->key)), &rows);
    r = sql_next(&rows);
    if (r > 0)
        read->outcome = read_text(&read->arena, &rows, 0);
    sql_rows_done(&rows);
    return r < 0 ? r : 0;
}

/* Not over one that was put meanwhile. */
static void idempotency_read_give(struct read *read)
{
    const struct idempotency *table = &read->store->idempotency;
    struct idempotency_entry *e = table->count ? *idempotency_slot(table, read->key) : NULL;

    if (!e || e->outcome || !read->outcome)
        return;
    e->outcome = e->durable = mem_string(read->outcome);
    e->on_disk = false;
}

void store_idempotency_fetch(struct store *store, struct op *op, const char *key)
{
    struct read *read = read_new(idempotency_read_run, idempotency_read_give);

    read->store = store;
    read->key = arena_copy(&read->arena, key, strlen(key));
    read_start(store, read, op);
}

/* ---- a batch's way ---- */

static bool idempotency_is_over(const struct idempotency *table, int64_t now)
{
    const struct idempotency_entry *e = table->oldest;

    return e && !e->pending &&
           (table->count > STORE_IDEMPOTENCY_MAX || e->at + STORE_IDEMPOTENCY_MS <= now);
}

void idempotency_apply(struct store_batch *batch)
{
    struct idempotency *table = &batch->store->idempotency;

    if (!batch->changes)
        return;
    for (struct idempotency_change *c = batch->changes; c; c = c->next)
        idempotency_set(table, c->key, c->outcome, c->at)->pending++;
    while (idempotency_is_over(table, batch->now)) {
        ADD(batch, idempotency_remove, vt(table->oldest->key));
        idempotency_remove(table, table->oldest);
    }
}

void idempotency_settle(struct store_batch *batch, bool ok)
{
    struct idempotency *table = &batch->store->idempotency;

    for (struct idempotency_change *c = batch->changes; c; c = c->next) {
        struct idempotency_entry *e = *idempotency_slot(table, c->key);
        if (fails(e && e->pending > 0))
            continue;
        if (ok)
            idempotency_make_durable(e, c->outcome);
        if (--e->pending == 0)
            idempotency_rest(table, e);
    }
    idempotency_cool(table);
}

/* ---- life ---- */

int idempotency_load(struct store *store)
{
    struct idempotency *table = &store->idempotency;
    int64_t now = loop_wall(store->loop);
    struct sql_rows rows;
    int r;

    crypto_random(&table->seed, sizeof(table->seed));
    sql_rows(&store->writer.sql, STATEMENT_idempotency_all, NULL, 0, &rows);
    while ((r = sql_next(&rows)) > 0) {
        int64_t at = sql_integer(&rows, 2);
        if (at + STORE_IDEMPOTENCY_MS <= now)
            continue;
        struct idempotency_entry *e =
            idempotency_set(table, sql_text(&rows, 0), sql_text(&rows, 1), at);
        e->durable = e->outcome;
        idempotency_cool(table);
    }
    sql_rows_done(&rows);
    return r;
}

void idempotency_done(struct idempotency *table)
{
    while (table->oldest)
        idempotency_remove(table, table->oldest);
    table->buckets = mem_free(table->buckets);
    table->bucket_count = 0;
}
