/* Durable cursors of event consumers; log.c asks for the lowest before it trims. */
#include "store/private.h"

void store_consumer_put(struct store_batch *batch, const struct store_consumer *consumer)
{
    ADD(batch, consumer_put, vt(consumer->name), vi(consumer->offset), vi(consumer->at));
}

void store_consumer_remove(struct store_batch *batch, const char *name)
{
    ADD(batch, consumer_remove, vt(name));
}

int store_consumer_each(struct store *store, store_consumer_fn *fn, void *arg)
{
    struct each each;
    int r;

    each_start(store, STATEMENT_consumer_all, NULL, 0, &each);
    while ((r = sql_next(&each.rows)) > 0) {
        const struct sql_rows *row = &each.rows;
        fn(arg, &(struct store_consumer){
                    .name = sql_text(row, 0),
                    .offset = sql_integer(row, 1),
                    .at = sql_integer(row, 2),
                });
    }
    return each_done(&each, r);
}
