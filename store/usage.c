/* What was used, by day, agent, session and model: sums that grow with the batch that ends a turn. Days
 * are of UTC. Kept as long as store_usage_trim lets them. */
#include "store/private.h"

#include <string.h>

void store_usage_add(struct store_batch *batch, const struct store_usage *usage)
{
    const struct store_usage *u = usage;

    ADD(batch, usage_add, vt(u->day), vt(u->agent_id), vt(u->session_key), vt(u->provider),
        vt(u->model), vi(u->turns), vi(u->input), vi(u->output), vi(u->cache_read),
        vi(u->cache_write), vi(u->input_cost), vi(u->output_cost), vi(u->cache_read_cost),
        vi(u->cache_write_cost), vi(u->unpriced), vi(u->asked), vi(u->answered), vi(u->tool_calls),
        vi(u->errors), vi(u->first_at), vi(u->last_at));
}

void store_usage_trim(struct store_batch *batch, const char *before_day)
{
    ADD(batch, usage_trim, vt(before_day));
}

/* ---- reading (reader) ---- */

static void usage_row(struct arena *arena, const struct sql_rows *rows, struct store_usage *row)
{
    *row = (struct store_usage){
        .day = read_text(arena, rows, 0),
        .agent_id = read_text(arena, rows, 1),
        .session_key = read_text(arena, rows, 2),
        .provider = read_text(arena, rows, 3),
        .model = read_text(arena, rows, 4),
        .turns = sql_integer(rows, 5),
        .input = sql_integer(rows, 6),
        .output = sql_integer(rows, 7),
        .cache_read = sql_integer(rows, 8),
        .cache_write = sql_integer(rows, 9),
        .input_cost = sql_integer(rows, 10),
        .output_cost = sql_integer(rows, 11),
        .cache_read_cost = sql_integer(rows, 12),
        .cache_write_cost = sql_integer(rows, 13),
        .unpriced = sql_integer(rows, 14),
        .asked = sql_integer(rows, 15),
        .answered = sql_integer(rows, 16),
        .tool_calls = sql_integer(rows, 17),
        .errors = sql_integer(rows, 18),
        .first_at = sql_integer(rows, 19),
        .last_at = sql_integer(rows, 20),
    };
}

static int usage_read_run(struct sql *sql, struct read *read)
{
    struct store_usage *out =
        arena_take(&read->arena, (size_t)read->limit * sizeof(struct store_usage));
    struct sql_rows rows;
    int r;

    read->rows = out;
    sql_rows(sql, STATEMENT_usage_page,
             VALUES(vt(read->from), vt(read->to), vt(read->agent_id), vt(read->session_key),
                    vi(read->limit)),
             &rows);
    while ((r = sql_next(&rows)) > 0)
        usage_row(&read->arena, &rows, &out[read->count++]);
    sql_rows_done(&rows);
    read->more = read->count == (size_t)read->limit;
    return r < 0 ? r : 0;
}

static void usage_read_give(struct read *read)
{
    struct store_usage_page *page = CONTAINER(read->op, struct store_usage_page, op);

    page->rows = read->rows;
    page->count = read->count;
    page->more = read->more;
    page->memory = TAKE(read->arena.chunk);
}

/* ---- asking (loop) ---- */

static const char *usage_copy(struct read *read, const char *text)
{
    return text ? arena_copy(&read->arena, text, strlen(text)) : NULL;
}

void store_usage_read(struct store *store, struct store_usage_page *page, const char *from_day,
                      const char *to_day, const char *agent_id, const char *session_key)
{
    struct read *read = read_new(usage_read_run, usage_read_give);

    read->from = usage_copy(read, from_day);
    read->to = usage_copy(read, to_day);
    read->agent_id = usage_copy(read, agent_id);
    read->session_key = usage_copy(read, session_key);
    read->limit = STORE_USAGE_MAX;
    read_start(store, read, &page->op);
}

void store_usage_page_done(struct store_usage_page *page)
{
    read_memory_free(TAKE(page->memory));
    page->rows = NULL;
    page->count = 0;
}
