/* Pairing requests that wait for a person. */
#include "store/private.h"

void store_pairing_put(struct store_batch *batch, const struct store_pairing *pairing)
{
    ADD(batch, pairing_put, vt(pairing->request_id), vt(pairing->device_id), vt(pairing->record),
        vi(pairing->created_at), vi(pairing->expires_at));
}

void store_pairing_remove(struct store_batch *batch, const char *request_id)
{
    ADD(batch, pairing_remove, vt(request_id));
}

int store_pairing_each(struct store *store, store_pairing_fn *fn, void *arg)
{
    struct each each;
    int r;

    each_start(store, STATEMENT_pairing_all, NULL, 0, &each);
    while ((r = sql_next(&each.rows)) > 0) {
        const struct sql_rows *row = &each.rows;
        fn(arg, &(struct store_pairing){
                    .request_id = sql_text(row, 0),
                    .device_id = sql_text(row, 1),
                    .record = sql_text(row, 2),
                    .created_at = sql_integer(row, 3),
                    .expires_at = sql_integer(row, 4),
                });
    }
    return each_done(&each, r);
}
