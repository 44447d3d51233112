/* Small settings that survive a start. */
#include "store/private.h"

#include "base/mem.h"

void store_meta_put(struct store_batch *batch, const char *key, const char *value)
{
    ADD(batch, meta_put, vt(key), vt(value));
}

char *store_meta_get(struct store *store, const char *key)
{
    struct each each;
    char *value = NULL;

    each_start(store, STATEMENT_meta_get, VALUES(vt(key)), &each);
    int r = sql_next(&each.rows);
    if (r > 0)
        value = mem_string(sql_text(&each.rows, 0));
    each_done(&each, r);
    return value;
}
