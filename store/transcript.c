/* Transcripts: messages of a session, in order of seq. Written by batches, read by pages. */
#include "store/private.h"

void store_message_put(struct store_batch *batch, const struct store_message *message)
{
    const struct store_message *m = message;

    ADD(batch, message_put, vt(m->session_id), vi(m->seq), vt(m->message_id), vt(m->role),
        vt(m->run_id), vi(m->at), vt(m->message));
}

void store_message_adopt(struct store_batch *batch, const char *session_id, int64_t seq,
                         const char *run_id)
{
    ADD(batch, message_adopt, vt(run_id), vt(session_id), vi(seq));
}

void store_messages_drop(struct store_batch *batch, const char *session_id, int64_t through_seq,
                         bool archive, int64_t at)
{
    if (archive)
        ADD(batch, message_archive, vi(at), vt(session_id), vi(through_seq));
    ADD(batch, message_drop, vt(session_id), vi(through_seq));
}

/* ---- reading (reader) ---- */

static void message_row(struct arena *arena, const struct sql_rows *rows, struct store_row *row)
{
    *row = (struct store_row){
        .seq = sql_integer(rows, 0),
        .at = sql_integer(rows, 1),
        .message_id = read_text(arena, rows, 2),
        .run_id = read_text(arena, rows, 3),
        .message = read_text(arena, rows, 4),
    };
}

static void messages_reverse(struct store_row *rows, size_t count)
{
    for (size_t i = 0; i < count / 2; i++) {
        struct store_row row = rows[i];
        rows[i] = rows[count - 1 - i];
        rows[count - 1 - i] = row;
    }
}

static int message_count(struct sql *sql, struct read *read)
{
    struct sql_rows rows;
    int r;

    sql_rows(sql, STATEMENT_message_count, VALUES(vt(read->session_id)), &rows);
    r = sql_next(&rows);
    if (r > 0)
        read->total = sql_integer(&rows, 0);
    sql_rows_done(&rows);
    return r < 0 ? r : 0;
}

/* Newest first from SQL, until limit or max_bytes; then turned round. */
static int message_collect(struct read *read, struct sql_rows *rows)
{
    struct store_row *out = arena_take(&read->arena, (size_t)read->limit * sizeof(*out));
    int r;

    read->rows = out;
    while ((r = sql_next(rows)) > 0) {
        size_t bytes = sql_length(rows, 4);
        if (read->count > 0 && read->bytes + bytes > read->max_bytes)
            break;
        message_row(&read->arena, rows, &out[read->count++]);
        read->bytes += bytes;
    }
    sql_rows_done(rows);
    messages_reverse(out, read->count);
    return r < 0 ? r : 0;
}

static int messages_read_run(struct sql *sql, struct read *read)
{
    struct sql_rows rows;
    int r;

    r = sql_run(sql, STATEMENT_begin_read, NULL, 0);
    if (r < 0)
        return r;
    r = message_count(sql, read);
    if (r == 0 && read->message_id)
        sql_rows(sql, STATEMENT_message_one, VALUES(vt(read->session_id), vt(read->message_id)),
                 &rows);
    else if (r == 0)
        sql_rows(sql, STATEMENT_message_page,
                 VALUES(vt(read->session_id), vi(read->through), vi(read->limit)), &rows);
    if (r == 0)
        r = message_collect(read, &rows);
    sql_run(sql, STATEMENT_commit, NULL, 0);
    return r;
}

static void messages_read_give(struct read *read)
{
    struct store_page *page = CONTAINER(read->op, struct store_page, op);

    page->rows = read->rows;
    page->count = read->count;
    page->total = read->total;
    page->bytes = read->bytes;
    page->memory = TAKE(read->arena.chunk);
}

/* ---- asking (loop) ---- */

static struct read *messages_read_new(const char *session_id)
{
    struct read *read = read_new(messages_read_run, messages_read_give);

    read->session_id = arena_copy(&read->arena, session_id, strlen(session_id));
    return read;
}

void store_messages_read(struct store *store, struct store_page *page, const char *session_id,
                         int64_t through_seq, int limit, size_t max_bytes)
{
    struct read *read = messages_read_new(session_id);

    read->through = through_seq > 0 ? through_seq : INT64_MAX;
    read->limit = read_limit(limit);
    read->max_bytes = max_bytes;
    read_start(store, read, &page->op);
}

void store_message_read(struct store *store, struct store_page *page, const char *session_id,
                        const char *message_id)
{
    struct read *read = messages_read_new(session_id);

    read->message_id = arena_copy(&read->arena, message_id, strlen(message_id));
    read->limit = 1;
    read_start(store, read, &page->op);
}

void store_page_done(struct store_page *page)
{
    read_memory_free(TAKE(page->memory));
    page->rows = NULL;
    page->count = 0;
}
