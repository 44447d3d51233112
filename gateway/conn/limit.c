/* Limits: a bounded table of keys, each with the times of its last hits. First the table (pure, the
 * caller brings the clock), then the two uses the gateway makes of it. */
#include "gateway/conn/limit.h"

#include "base/mem.h"
#include "gateway/config/config.h"
#include "gateway/conn/conn.h"
#include "gateway/gateway.h"

#include <stdio.h>
#include <string.h>

#define KEY_MAX 192

/* ---- the table ---- */

struct limit_row {
    char *key;
    int64_t locked_until;
    int64_t *hits; /* oldest first */
    unsigned count, room;
};

struct limit_table {
    struct limit_row *rows;
    size_t count, room;
};

struct limit_table *limit_table_new(void)
{
    return NEW(struct limit_table);
}

static void row_done(struct limit_row *row)
{
    mem_free(row->key);
    mem_free(row->hits);
}

struct limit_table *limit_table_free(struct limit_table *table)
{
    if (!table)
        return NULL;
    for (size_t i = 0; i < table->count; i++)
        row_done(&table->rows[i]);
    mem_free(table->rows);
    return mem_free(table);
}

size_t limit_count(const struct limit_table *table)
{
    return table->count;
}

static struct limit_row *row_find(const struct limit_table *table, const char *key)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].key, key) == 0)
            return &table->rows[i];
    return NULL;
}

static int64_t row_touched(const struct limit_row *row)
{
    int64_t last = row->count ? row->hits[row->count - 1] : 0;
    return row->locked_until > last ? row->locked_until : last;
}

static struct limit_row *row_longest_quiet(struct limit_table *table)
{
    struct limit_row *oldest = &table->rows[0];

    for (size_t i = 1; i < table->count; i++)
        if (row_touched(&table->rows[i]) < row_touched(oldest))
            oldest = &table->rows[i];
    return oldest;
}

static struct limit_row *row_new(struct limit_table *table, const char *key)
{
    struct limit_row *row;

    if (table->count == LIMIT_ROWS_MAX) {
        row = row_longest_quiet(table);
        row_done(row);
    } else {
        if (table->count == table->room) {
            table->room = table->room ? table->room * 2 : 16;
            table->rows = mem_grow(table->rows, table->room, sizeof(*table->rows));
        }
        row = &table->rows[table->count++];
    }
    *row = (struct limit_row){.key = mem_string(key)};
    return row;
}

static void row_drop_oldest(struct limit_row *row, unsigned how_many)
{
    row->count -= how_many;
    memmove(row->hits, row->hits + how_many, row->count * sizeof(*row->hits));
}

static void row_expire(struct limit_row *row, const struct limit_rule *rule, int64_t now)
{
    unsigned old = 0;

    while (old < row->count && row->hits[old] <= now - rule->window_ms)
        old++;
    if (old)
        row_drop_oldest(row, old);
}

static unsigned rule_max(const struct limit_rule *rule)
{
    return rule->max > LIMIT_HITS_MAX ? LIMIT_HITS_MAX : (unsigned)rule->max;
}

int64_t limit_wait(const struct limit_table *table, const char *key, const struct limit_rule *rule,
                   int64_t now)
{
    const struct limit_row *row = row_find(table, key);

    if (!row)
        return 0;
    if (rule->lockout_ms)
        return row->locked_until > now ? row->locked_until - now : 0;
    if (row->count < rule_max(rule))
        return 0;

    int64_t free_at = row->hits[row->count - rule_max(rule)] + rule->window_ms;
    return free_at > now ? free_at - now : 0;
}

unsigned limit_hit(struct limit_table *table, const char *key, const struct limit_rule *rule,
                   int64_t now)
{
    struct limit_row *row = row_find(table, key);

    if (!row)
        row = row_new(table, key);
    row_expire(row, rule, now);
    if (row->count == LIMIT_HITS_MAX)
        row_drop_oldest(row, 1);
    if (row->count == row->room) {
        row->room = row->room ? row->room * 2 : 8;
        row->hits = mem_grow(row->hits, row->room, sizeof(*row->hits));
    }
    row->hits[row->count++] = now;
    if (rule->lockout_ms && row->count >= rule_max(rule))
        row->locked_until = now + rule->lockout_ms;
    return row->count;
}

void limit_forget(struct limit_table *table, const char *key)
{
    struct limit_row *row = row_find(table, key);

    if (!row)
        return;
    row_done(row);
    *row = table->rows[--table->count];
}

int64_t limit_delay(unsigned hits)
{
    int64_t delay = LIMIT_DELAY_FIRST_MS;

    while (hits-- > 1 && delay < LIMIT_DELAY_MAX_MS)
        delay *= 2;
    return delay < LIMIT_DELAY_MAX_MS ? delay : LIMIT_DELAY_MAX_MS;
}

/* ---- the gateway's ---- */

struct limits {
    struct limit_table *auth, *control;
};

struct limits *limits_new(struct gateway *gw)
{
    struct limits *limits = NEW(struct limits);

    (void)gw;
    limits->auth = limit_table_new();
    limits->control = limit_table_new();
    return limits;
}

struct limits *limits_free(struct limits *limits)
{
    if (!limits)
        return NULL;
    limit_table_free(limits->auth);
    limit_table_free(limits->control);
    return mem_free(limits);
}

static struct limit_rule auth_rule(const struct gateway *gw, bool exempt)
{
    return (struct limit_rule){
        .max = config_int(gw->config, KNOB_rate_max_attempts),
        .window_ms = config_int(gw->config, KNOB_rate_window_ms),
        .lockout_ms = exempt ? 0 : config_int(gw->config, KNOB_rate_lockout_ms),
    };
}

int64_t limit_auth_wait(struct gateway *gw, const char *key, bool exempt)
{
    struct limit_rule rule = auth_rule(gw, exempt);

    return exempt ? 0 : limit_wait(gw->limits->auth, key, &rule, loop_now(gw->loop));
}

int64_t limit_auth_failed(struct gateway *gw, const char *key, bool exempt)
{
    struct limit_rule rule = auth_rule(gw, exempt);
    unsigned hits = limit_hit(gw->limits->auth, key, &rule, loop_now(gw->loop));

    return exempt ? limit_delay(hits) : 0;
}

void limit_auth_passed(struct gateway *gw, const char *key)
{
    limit_forget(gw->limits->auth, key);
}

int64_t limit_control(struct gateway *gw, const struct conn *conn, const char *method)
{
    static const struct limit_rule rule = {LIMIT_CONTROL_MAX, LIMIT_CONTROL_MS, 0};
    const char *who = conn->device_id   ? conn->device_id
                      : conn->remote_ip ? conn->remote_ip
                                        : "local";
    int64_t now = loop_now(gw->loop);
    char key[KEY_MAX];

    snprintf(key, sizeof(key), "%.100s %.80s", method, who);
    int64_t wait = limit_wait(gw->limits->control, key, &rule, now);
    if (wait == 0)
        limit_hit(gw->limits->control, key, &rule, now);
    return wait;
}
