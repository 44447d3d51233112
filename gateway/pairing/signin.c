/* Sign-in codes: a small table in memory. Path: signin_make (an operator asks for a link) -> signin_use (a
 * connect shows the code, conn/handshake_steps.c) -> pairing_approve_at_once. Owns the table; never a code,
 * only its SHA-256. */
#include "gateway/pairing/signin.h"

#include "base/mem.h"
#include "gateway/http/pages.h"
#include "gateway/listen.h"
#include "gateway/pairing/internal.h"

#include <stdio.h>
#include <string.h>

struct signin_code {
    char hash[SHA256_HEX];
    char maker[SHA256_HEX];   /* "": no device made it */
    char used_by[SHA256_HEX]; /* "": nobody yet */
    scope_set scopes;
    int64_t expires_at; /* loop_now; 0: a free row */
};

struct signin {
    struct signin_code codes[SIGNIN_OPEN_MAX];
};

struct signin *signin_new(void)
{
    return NEW(struct signin);
}

struct signin *signin_free(struct signin *signin)
{
    return signin ? mem_wipe_free(signin, sizeof(*signin)) : NULL;
}

/* ---- making ---- */

/* A row that is free or expired is older than any that is open. */
static struct signin_code *oldest(struct signin *signin)
{
    struct signin_code *found = &signin->codes[0];

    for (size_t i = 1; i < COUNT(signin->codes); i++)
        if (signin->codes[i].expires_at < found->expires_at)
            found = &signin->codes[i];
    return found;
}

int64_t signin_make(struct gateway *gw, const char *maker, scope_set scopes, char out[TOKEN_TEXT])
{
    struct signin_code *row = oldest(gw->pairing->signin);

    crypto_token(out);
    *row = (struct signin_code){.scopes = scopes, .expires_at = loop_now(gw->loop) + SIGNIN_TTL_MS};
    crypto_sha256_hex(out, strlen(out), row->hash);
    snprintf(row->maker, sizeof(row->maker), "%s", maker ? maker : "");
    return loop_wall(gw->loop) + SIGNIN_TTL_MS;
}

char *signin_link(struct gateway *gw, const char *code)
{
    CLEAN(mem_free) char *site = listen_url(gw), *page = pages_webchat(gw);

    return mem_format("%s%s#code=%s", site, page, code);
}

/* ---- using ---- */

/* Every open row is compared, so that the time tells nothing. */
static struct signin_code *find(struct signin *signin, const char *code, int64_t now)
{
    struct signin_code *found = NULL;
    char hash[SHA256_HEX];

    crypto_sha256_hex(code, strlen(code), hash);
    for (size_t i = 0; i < COUNT(signin->codes); i++)
        if (crypto_equal(hash, signin->codes[i].hash) && signin->codes[i].expires_at > now)
            found = &signin->codes[i];
    return found;
}

static const struct device *paired_operator(struct gateway *gw, const char *device_id)
{
    const struct device *device = device_find(gw, device_id);
    const struct device_token *token = device ? device_token_of(device, ROLE_OPERATOR) : NULL;

    return token && !token->revoked_at ? device : NULL;
}

bool signin_use(struct gateway *gw, const char *code, const char *device_id, scope_set *ret_scopes)
{
    struct signin_code *row = find(gw->pairing->signin, code, loop_now(gw->loop));
    const struct device *maker;

    if (!row)
        return false;
    if (row->used_by[0] &&
        (strcmp(row->used_by, device_id) != 0 || !paired_operator(gw, device_id)))
        return false;
    *ret_scopes = row->scopes;
    if (row->maker[0]) { /* it gives no more than its maker holds now */
        maker = paired_operator(gw, row->maker);
        if (!maker)
            return false;
        *ret_scopes &= scope_effective(maker->scopes, 4) &
                       scope_effective(device_token_of(maker, ROLE_OPERATOR)->scopes, 4);
    }
    snprintf(row->used_by, sizeof(row->used_by), "%s", device_id);
    return true;
}
