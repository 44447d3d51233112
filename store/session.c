/* The session index: one row per session key. */
#include "store/private.h"

void store_session_put(struct store_batch *batch, const struct store_session *session)
{
    ADD(batch, session_put, vt(session->key), vt(session->session_id), vt(session->agent_id),
        vt(session->label), vt(session->entry), vi(session->created_at), vi(session->updated_at),
        vi(session->message_count));
}

void store_session_remove(struct store_batch *batch, const char *key)
{
    ADD(batch, session_remove, vt(key));
}

int store_session_each(struct store *store, store_session_fn *fn, void *arg)
{
    struct each each;
    int r;

    each_start(store, STATEMENT_session_all, NULL, 0, &each);
    while ((r = sql_next(&each.rows)) > 0) {
        const struct sql_rows *row = &each.rows;
        fn(arg, &(struct store_session){
                    .key = sql_text(row, 0),
                    .session_id = sql_text(row, 1),
                    .agent_id = sql_text(row, 2),
                    .label = sql_text(row, 3),
                    .entry = sql_text(row, 4),
                    .created_at = sql_integer(row, 5),
                    .updated_at = sql_integer(row, 6),
                    .message_count = sql_integer(row, 7),
                });
    }
    return each_done(&each, r);
}
