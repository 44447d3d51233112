/* Devices: who has been paired, as a person approved it. */
#include "store/private.h"

void store_device_put(struct store_batch *batch, const struct store_device *device)
{
    const struct store_device *d = device;

    ADD(batch, device_put, vt(d->device_id), vt(d->public_key), vt(d->display_name),
        vt(d->platform), vt(d->device_family), vt(d->client_id), vt(d->client_mode), vt(d->roles),
        vt(d->scopes), vt(d->remote_ip), vt(d->approved_via), vt(d->last_seen_reason), vt(d->node),
        vi(d->created_at), vi(d->approved_at), vi(d->last_seen_at));
}

void store_device_remove(struct store_batch *batch, const char *device_id)
{
    ADD(batch, device_remove, vt(device_id));
    ADD(batch, token_remove_of, vt(device_id));
}

int store_device_each(struct store *store, store_device_fn *fn, void *arg)
{
    struct each each;
    int r;

    each_start(store, STATEMENT_device_all, NULL, 0, &each);
    while ((r = sql_next(&each.rows)) > 0) {
        const struct sql_rows *row = &each.rows;
        fn(arg, &(struct store_device){
                    .device_id = sql_text(row, 0),
                    .public_key = sql_text(row, 1),
                    .display_name = sql_text(row, 2),
                    .platform = sql_text(row, 3),
                    .device_family = sql_text(row, 4),
                    .client_id = sql_text(row, 5),
                    .client_mode = sql_text(row, 6),
                    .roles = sql_text(row, 7),
                    .scopes = sql_text(row, 8),
                    .remote_ip = sql_text(row, 9),
                    .approved_via = sql_text(row, 10),
                    .last_seen_reason = sql_text(row, 11),
                    .node = sql_text(row, 12),
                    .created_at = sql_integer(row, 13),
                    .approved_at = sql_integer(row, 14),
                    .last_seen_at = sql_integer(row, 15),
                });
    }
    return each_done(&each, r);
}
