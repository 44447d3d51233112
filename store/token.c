/* Device tokens, one per device and role; only their hashes. */
#include "store/private.h"

void store_token_put(struct store_batch *batch, const struct store_token *token)
{
    ADD(batch, token_put, vt(token->device_id), vt(token->role), vt(token->hash), vt(token->scopes),
        vi(token->created_at), vi(token->rotated_at), vi(token->revoked_at),
        vi(token->last_used_at));
}

int store_token_each(struct store *store, store_token_fn *fn, void *arg)
{
    struct each each;
    int r;

    each_start(store, STATEMENT_token_all, NULL, 0, &each);
    while ((r = sql_next(&each.rows)) > 0) {
        const struct sql_rows *row = &each.rows;
        fn(arg, &(struct store_token){
                    .device_id = sql_text(row, 0),
                    .role = sql_text(row, 1),
                    .hash = sql_text(row, 2),
                    .scopes = sql_text(row, 3),
                    .created_at = sql_integer(row, 4),
                    .rotated_at = sql_integer(row, 5),
                    .revoked_at = sql_integer(row, 6),
                    .last_used_at = sql_integer(row, 7),
                });
    }
    return each_done(&each, r);
}
