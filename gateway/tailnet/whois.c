/* Questions of who somebody is. One row per address: those who ask while it is on its way share the answer; then it is
 * kept a moment. Path: whois_ask -> find or make the row -> on_answered -> everybody who waits. Owns the rows. */
#include "gateway/tailnet/whois.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

struct asker {
    struct asker *next;
    struct whois_row *row;
    struct op *op;
    struct peer_identity **ret;
};

struct whois_row {
    struct whois_row *next;
    struct whois *whois;
    char key[ADDRESS_TEXT + 8];
    char address[ADDRESS_TEXT];
    bool keep, stale; /* stale: forgotten while it was on its way */
    struct op op;
    struct tailnet_who who;
    int64_t until; /* loop_now(); of an answer */
    int result;
    struct fault fault;
    struct peer_identity *identity;
    struct asker *askers;
};

struct whois {
    struct loop *loop;
    struct tailnet *api;
    struct whois_row *rows; /* the newest first */
    size_t count, running, waiting;
};

struct whois *whois_new(struct loop *loop, struct tailnet *api)
{
    struct whois *whois = NEW(struct whois);

    whois->loop = loop;
    whois->api = api;
    return whois;
}

static void row_free(struct whois_row *row)
{
    struct whois *whois = row->whois;
    struct whois_row **at = &whois->rows;

    while (*at != row)
        at = &(*at)->next;
    *at = row->next;
    whois->count--;
    while (row->askers) {
        struct asker *asker = row->askers;
        row->askers = asker->next;
        op_drop(asker->op);
        mem_free(asker);
    }
    op_drop(&row->op);
    tailnet_who_done(&row->who);
    peer_identity_unref(row->identity);
    mem_free(row);
}

struct whois *whois_free(struct whois *whois)
{
    if (!whois)
        return NULL;
    while (whois->rows)
        row_free(whois->rows);
    return mem_free(whois);
}

void whois_address_text(const struct address *address, uint16_t port, char out[ADDRESS_TEXT + 8])
{
    char text[ADDRESS_TEXT];

    address_text(address, text);
    if (port)
        snprintf(out, ADDRESS_TEXT + 8, address->v6 ? "[%s]:%u" : "%s:%u", text, port);
    else
        snprintf(out, ADDRESS_TEXT + 8, "%s", text);
}

/* ---- rows ---- */

static bool is_over(const struct whois_row *row)
{
    return !op_running(&row->op);
}

static struct whois_row *row_find(struct whois *whois, const char *key)
{
    for (struct whois_row *row = whois->rows, *next; row; row = next) {
        next = row->next;
        if (is_over(row) && row->until <= loop_now(whois->loop))
            row_free(row);
        else if (!row->stale && strcmp(row->key, key) == 0)
            return row;
    }
    return NULL;
}

/* The longest remembered makes room. */
static bool make_room(struct whois *whois)
{
    struct whois_row *oldest = NULL;

    if (whois->count < WHOIS_ROWS_MAX)
        return true;
    for (struct whois_row *row = whois->rows; row; row = row->next)
        if (is_over(row))
            oldest = row;
    if (oldest)
        row_free(oldest);
    return oldest != NULL;
}

void whois_forget(struct whois *whois)
{
    for (struct whois_row *row = whois->rows, *next; row; row = next) {
        next = row->next;
        if (is_over(row))
            row_free(row);
        else
            row->stale = true;
    }
}

/* ---- the answer ---- */

static char *text_or_null(const char *text)
{
    return text && text[0] ? mem_string(text) : NULL;
}

static struct peer_identity *identity_of(struct whois_row *row)
{
    struct peer_identity *identity = peer_identity_new(IDENTITY_TAILNET);
    struct tailnet_who *who = &row->who;

    identity->address = mem_string(row->address);
    identity->login = text_or_null(who->login);
    identity->node = text_or_null(who->node);
    identity->tags = TAKE(who->tags);
    identity->capabilities = TAKE(who->capabilities);
    return identity;
}

static void on_answered(struct op *op, int result)
{
    struct whois_row *row = CONTAINER(op, struct whois_row, op);
    struct whois *whois = row->whois;

    whois->running--;
    row->result = result;
    row->fault = op->fault;
    row->until = loop_now(whois->loop) + (result == 0 ? WHOIS_KEEP_MS : WHOIS_KEEP_NOT_MS);
    if (result == 0)
        row->identity = identity_of(row);
    while (row->askers) {
        struct asker *asker = row->askers;
        row->askers = asker->next;
        whois->waiting--;
        if (result == 0)
            *asker->ret = peer_identity_ref(row->identity);
        else
            asker->op->fault = row->fault;
        op_end(asker->op, result);
        mem_free(asker);
    }
    /* What could not be asked may be asked again at once; only answers are kept. */
    if (!row->keep || row->stale || (result < 0 && result != -ERR_NOT_FOUND))
        row_free(row);
}

/* ---- asking ---- */

static void on_asker_gone(struct op *op, void *worker)
{
    struct asker *asker = worker, **at = &asker->row->askers;

    (void)op;
    while (*at != asker)
        at = &(*at)->next;
    *at = asker->next;
    asker->row->whois->waiting--;
    mem_free(asker);
}

static struct whois_row *row_start(struct whois *whois, const char *key,
                                   const struct address *address)
{
    if (whois->running >= WHOIS_RUNNING_MAX || !make_room(whois))
        return NULL;
    struct whois_row *row = NEW(struct whois_row);
    row->whois = whois;
    row->keep = address_is_tailnet(address);
    snprintf(row->key, sizeof(row->key), "%s", key);
    address_text(address, row->address);
    row->next = whois->rows;
    whois->rows = row;
    whois->count++;
    whois->running++;
    op_init(&row->op, whois->loop, on_answered, TAILNET_CALL_MS);
    tailnet_whois(whois->api, &row->op, key, &row->who);
    return row;
}

static void end_at_once(struct op *op, int result, const char *why)
{
    op_start(op, NULL, NULL);
    if (result < 0)
        fault_set(&op->fault, result, "%s", why);
    op_end(op, result);
}

void whois_ask(struct whois *whois, struct op *op, const struct address *address, uint16_t port,
               struct peer_identity **ret)
{
    char key[ADDRESS_TEXT + 8];

    whois_address_text(address, address_is_tailnet(address) ? 0 : port, key);
    struct whois_row *row = row_find(whois, key);
    if (row && is_over(row)) {
        if (row->result == 0)
            *ret = peer_identity_ref(row->identity);
        end_at_once(op, row->result, row->fault.text);
        return;
    }
    if (whois->waiting < WHOIS_WAITING_MAX && !row)
        row = row_start(whois, key, address);
    if (!row || whois->waiting >= WHOIS_WAITING_MAX) {
        end_at_once(op, -ERR_FULL, "too many peers wait to be asked about");
        return;
    }
    struct asker *asker = NEW(struct asker);
    asker->row = row;
    asker->op = op;
    asker->ret = ret;
    asker->next = row->askers;
    row->askers = asker;
    whois->waiting++;
    op_start(op, on_asker_gone, asker);
}
