/* Turns that have begun and not ended. */
#include "store/private.h"

void store_turn_put(struct store_batch *batch, const struct store_turn *turn)
{
    ADD(batch, turn_put, vt(turn->run_id), vt(turn->session_key), vt(turn->session_id),
        vt(turn->detail), vi(turn->started_at));
}

void store_turn_remove(struct store_batch *batch, const char *run_id)
{
    ADD(batch, turn_remove, vt(run_id));
}

int store_turn_each(struct store *store, store_turn_fn *fn, void *arg)
{
    struct each each;
    int r;

    each_start(store, STATEMENT_turn_all, NULL, 0, &each);
    while ((r = sql_next(&each.rows)) > 0) {
        const struct sql_rows *row = &each.rows;
        fn(arg, &(struct store_turn){
                    .run_id = sql_text(row, 0),
                    .session_key = sql_text(row, 1),
                    .session_id = sql_text(row, 2),
                    .detail = sql_text(row, 3),
                    .started_at = sql_integer(row, 4),
                });
    }
    return each_done(&each, r);
}
