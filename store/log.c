/* The event log. Offsets are given on the loop when an event is appended and never again: the log keeps
 * its newest row for ever (so its highest offset survives trimming), and each start begins a term, a row
 * with a random name and the first offset it may give.
 *
 * A batch with events joins the list of open batches at its first append and leaves it when it has
 * ended. The head that readers may be told is below everything still open, so that nobody is given
 * offset 6 while 5 is on its way. A batch that failed leaves a hole in the offsets. */
#include "store/private.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <stdio.h>

#define TRIM_STEP     512         /* rows deleted per transaction */
#define TRIM_SLACK    64          /* begin at limit + 1/64, end at the limit */
#define TRIM_AGE_MS   (60 * 1000) /* how often the age of the oldest row is looked at */
#define TRIM_HELD_MS  (5 * 1000)
#define TRIM_RETRY_MS (60 * 1000) /* after a step that failed */

/* ---- appending (loop) ---- */

int64_t store_log_append(struct store_batch *batch, const struct store_event *event)
{
    struct store_log *log = &batch->store->log;
    int64_t offset = ++log->given;

    if (batch->log_first == 0) {
        batch->log_first = offset;
        batch->log_prev = log->open_last;
        *(log->open_last ? &log->open_last->log_next : &log->open) = batch;
        log->open_last = batch;
    }
    batch->log_last = offset;
    batch->log_rows++;
    batch->log_bytes += (int64_t)(strlen(event->name) + strlen(event->payload) +
                                  (event->session_key ? strlen(event->session_key) : 0));
    ADD(batch, log_append, vi(offset), vt(event->name), vt(event->session_key), vi(event->scopes),
        vi(event->at), vt(event->payload));
    return offset;
}

void log_settle(struct store_batch *batch, bool ok)
{
    struct store_log *log = &batch->store->log;

    if (batch->log_first == 0)
        return;
    *(batch->log_prev ? &batch->log_prev->log_next : &log->open) = batch->log_next;
    *(batch->log_next ? &batch->log_next->log_prev : &log->open_last) = batch->log_prev;
    if (!ok)
        return;
    if (batch->log_last > log->durable)
        log->durable = batch->log_last;
    if (log->oldest == 0 || batch->log_first < log->oldest)
        log->oldest = batch->log_first;
}

static int64_t log_head(const struct store_log *log)
{
    int64_t below = log->open ? log->open->log_first - 1 : log->durable;
    return below < log->durable ? below : log->durable;
}

void store_log_position(const struct store *store, struct store_position *ret)
{
    const struct store_log *log = &store->log;

    memcpy(ret->epoch, log->terms[log->term_count - 1].epoch, sizeof(ret->epoch));
    ret->head = log_head(log);
    ret->oldest = log->oldest;
}

/* ---- cursors (loop) ---- */

enum store_cursor store_log_cursor(const struct store *store, const char *epoch, int64_t after)
{
    const struct store_log *log = &store->log;
    int64_t end = log_head(log);

    for (size_t i = log->term_count; i-- > 0; end = log->terms[i].first - 1) {
        if (strcmp(log->terms[i].epoch, epoch) != 0)
            continue;
        if (after > end || after < 0)
            return STORE_CURSOR_AHEAD;
        return log->oldest > 0 && after + 1 < log->oldest ? STORE_CURSOR_TRIMMED : STORE_CURSOR_OK;
    }
    return STORE_CURSOR_EPOCH;
}

/* ---- starting (before the threads) ---- */

static void log_add_term(struct store_log *log, const char *epoch, int64_t first)
{
    log->terms = mem_grow(log->terms, log->term_count + 1, sizeof(*log->terms));
    struct store_term *term = &log->terms[log->term_count++];
    snprintf(term->epoch, sizeof(term->epoch), "%s", epoch);
    term->first = first;
}

static int log_load_terms(struct sql *sql, struct store_log *log)
{
    struct sql_rows rows;
    int r;

    sql_rows(sql, STATEMENT_term_all, NULL, 0, &rows);
    while ((r = sql_next(&rows)) > 0) {
        int64_t first = sql_integer(&rows, 1);
        log_add_term(log, sql_text(&rows, 0), first);
        if (first - 1 > log->given)
            log->given = first - 1;
    }
    sql_rows_done(&rows);
    return r;
}

static int log_load_numbers(struct sql *sql, enum statement statement, int64_t *ret_a,
                            int64_t *ret_b)
{
    struct sql_rows rows;
    int r;

    sql_rows(sql, statement, NULL, 0, &rows);
    r = sql_next(&rows);
    if (r > 0) {
        *ret_a = sql_integer(&rows, 0);
        *ret_b = sql_integer(&rows, 1);
    }
    sql_rows_done(&rows);
    return r < 0 ? r : 0;
}

int log_load(struct store *store)
{
    struct sql *sql = &store->writer.sql;
    struct store_log *log = &store->log;
    struct log_trim *trim = &store->writer.trim;
    uint8_t random[16];
    char epoch[33];
    int r;

    r = log_load_numbers(sql, STATEMENT_log_bounds, &log->oldest, &log->durable);
    log->given = log->durable;
    if (r == 0)
        r = log_load_terms(sql, log);
    if (r == 0)
        r = log_load_numbers(sql, STATEMENT_log_total, &trim->rows, &trim->bytes);
    if (r < 0)
        return r;

    crypto_random(random, sizeof(random));
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(epoch + 2 * i, 3, "%02x", random[i]);
    log_add_term(log, epoch, log->given + 1);
    trim->oldest = log->oldest;
    return 0;
}

int log_write_term(struct sql *sql, const struct store_log *log, int64_t now)
{
    const struct store_term *term = &log->terms[log->term_count - 1];
    int r;

    r = sql_run(sql, STATEMENT_term_add, VALUES(vt(term->epoch), vi(term->first), vi(now)));
    return r < 0 ? r : sql_run(sql, STATEMENT_term_trim, VALUES(vi(STORE_TERMS_MAX)));
}

void log_done(struct store_log *log)
{
    log->terms = mem_free(log->terms);
    log->term_count = 0;
}

/* ---- trimming (writer) ---- */

int log_total_write(struct sql *sql, const struct log_trim *trim)
{
    return sql_run(sql, STATEMENT_log_total_put, VALUES(vi(trim->rows), vi(trim->bytes)));
}

static bool log_is_over(int64_t value, int64_t limit, bool trimming)
{
    return value > limit + (trimming ? 0 : limit / TRIM_SLACK);
}

bool log_trim_due(const struct log_trim *trim, int64_t now)
{
    if (now < trim->not_before || trim->rows <= 1)
        return false;
    return log_is_over(trim->rows, trim->max_rows, trim->trimming) ||
           log_is_over(trim->bytes, trim->max_bytes, trim->trimming) || now >= trim->next_age_check;
}

/* The last offset that every durable cursor has passed. */
static int log_trim_held(struct sql *sql, int64_t *ret)
{
    int64_t lowest = 0, consumers = 0;
    int r = log_load_numbers(sql, STATEMENT_consumer_lowest, &lowest, &consumers);

    *ret = consumers > 0 ? lowest : INT64_MAX;
    return r;
}

/* Which of the oldest rows go: the last offset of them (0: none), and what is left then. */
static int log_trim_choose(struct sql *sql, const struct log_trim *trim, int64_t now,
                           struct log_trim *left, int64_t *ret_through)
{
    struct sql_rows rows;
    int64_t held;
    int r;

    *ret_through = 0;
    r = log_trim_held(sql, &held);
    if (r < 0)
        return r;
    sql_rows(sql, STATEMENT_log_oldest, VALUES(vi(TRIM_STEP + 1)), &rows);
    for (int n = 0; (r = sql_next(&rows)) > 0; n++) {
        left->oldest = sql_integer(&rows, 0);
        bool old = sql_integer(&rows, 1) < now - trim->max_age_ms;
        bool over = (left->rows > trim->max_rows || old) && left->oldest <= held;
        over = over || left->bytes > trim->max_bytes;
        if (!over || left->rows <= 1 || n == TRIM_STEP)
            break;
        *ret_through = left->oldest;
        left->rows--;
        left->bytes -= sql_integer(&rows, 2);
    }
    sql_rows_done(&rows);
    return r < 0 ? r : 0;
}

static int log_trim_run(struct sql *sql, struct log_trim *trim, int64_t now)
{
    struct log_trim left = *trim;
    int64_t through = 0;
    int r;

    r = log_trim_choose(sql, trim, now, &left, &through);
    if (r == 0 && through > 0) {
        r = sql_run(sql, STATEMENT_log_trim, VALUES(vi(through)));
        if (r == 0)
            r = log_total_write(sql, &left);
    }
    if (r == 0)
        r = sql_run(sql, STATEMENT_commit, NULL, 0);
    if (r < 0)
        return r;

    bool whole_step = trim->rows - left.rows == TRIM_STEP;
    *trim = left;
    trim->trimming = whole_step;
    if (!whole_step)
        trim->next_age_check = now + TRIM_AGE_MS;
    if (through == 0 && trim->rows > trim->max_rows) /* held: not again with every commit */
        trim->not_before = now + TRIM_HELD_MS;
    return 0;
}

void log_trim_step(struct sql *sql, struct log_trim *trim, int64_t now)
{
    int r = sql_run(sql, STATEMENT_begin, NULL, 0);

    if (r == 0)
        r = log_trim_run(sql, trim, now);
    if (r < 0) {
        trim->not_before = now + TRIM_RETRY_MS;
        if (sql_in_transaction(sql))
            sql_run(sql, STATEMENT_rollback, NULL, 0);
    }
}

/* ---- reading (reader) ---- */

static void log_row(struct arena *arena, const struct sql_rows *rows, struct store_logged *row)
{
    *row = (struct store_logged){
        .offset = sql_integer(rows, 0),
        .at = sql_integer(rows, 1),
        .scopes = (uint32_t)sql_integer(rows, 2),
        .name = read_text(arena, rows, 3),
        .session_key = read_text(arena, rows, 4),
        .payload = read_text(arena, rows, 5),
    };
}

static int log_read_rows(struct sql *sql, struct read *read)
{
    struct store_logged *out = arena_take(&read->arena, (size_t)read->limit * sizeof(*out));
    struct sql_rows rows;
    int r;

    read->rows = out;
    sql_rows(sql, STATEMENT_log_page,
             VALUES(vi(read->after), vi(read->through), vi(read->limit + 1)), &rows);
    while ((r = sql_next(&rows)) > 0) {
        size_t bytes = sql_length(&rows, 5);
        bool room = read->count == 0 || read->bytes + bytes <= read->max_bytes;
        read->more = read->count == (size_t)read->limit || !room;
        if (read->more)
            break;
        log_row(&read->arena, &rows, &out[read->count++]);
        read->bytes += bytes;
    }
    sql_rows_done(&rows);
    return r < 0 ? r : 0;
}

/* Oldest and rows are of one moment: trimming between them would be a gap nobody is told of. */
static int log_read_run(struct sql *sql, struct read *read)
{
    int64_t newest;
    int r;

    r = sql_run(sql, STATEMENT_begin_read, NULL, 0);
    if (r < 0)
        return r;
    r = log_load_numbers(sql, STATEMENT_log_bounds, &read->oldest, &newest);
    if (r == 0)
        r = log_read_rows(sql, read);
    sql_run(sql, STATEMENT_commit, NULL, 0);
    return r;
}

static void log_read_give(struct read *read)
{
    struct store_log_page *page = CONTAINER(read->op, struct store_log_page, op);

    page->rows = read->rows;
    page->count = read->count;
    page->bytes = read->bytes;
    page->oldest = read->oldest;
    page->more = read->more;
    page->next = read->more ? page->rows[page->count - 1].offset : read->through;
    page->memory = TAKE(read->arena.chunk);
}

void store_log_read(struct store *store, struct store_log_page *page, int64_t after, int limit,
                    size_t max_bytes)
{
    struct read *read = read_new(log_read_run, log_read_give);

    read->after = after;
    read->through = log_head(&store->log);
    if (read->through < after)
        read->through = after;
    read->limit = read_limit(limit);
    read->max_bytes = max_bytes;
    read_start(store, read, &page->op);
}

void store_log_page_done(struct store_log_page *page)
{
    read_memory_free(TAKE(page->memory));
    page->rows = NULL;
    page->count = 0;
}
