/* Sign-in codes: who shows one with a proved device key has that device paired, with no more than the
 * code's maker held. Single use, short-lived, kept in memory as a hash: a restart forgets them. This is what a
 * WebChat link carries. design.md section 5 "Browsers". Loop thread only. */
#pragma once

#include "base/crypto.h"
#include "gateway/conn/scope.h"

struct gateway;
struct signin;

#define SIGNIN_TTL_MS   600000
#define SIGNIN_OPEN_MAX 64 /* one more takes the place of the oldest */

struct signin *signin_new(void) MUSTCHECK;
struct signin *signin_free(struct signin *signin);

/* A fresh code. maker: the device that asks for it, NULL when it has none (then the code does not end with
 * that device's pairing). scopes: what the maker holds. out is the only copy: 256 random bits. Returns when it
 * expires, wall ms. */
int64_t signin_make(struct gateway *gw, const char *maker, scope_set scopes, char out[TOKEN_TEXT]);
/* The device shows a code: true, and what it may be given; from now on the code is that device's alone. It
 * may show it again until it expires (the answer may have been lost on the way) as long as it has not been
 * removed or revoked meanwhile. */
bool signin_use(struct gateway *gw, const char *code, const char *device_id, scope_set *ret_scopes);

/* Where a browser finds WebChat and signs in with the code. Caller owns the text; it holds a secret. */
char *signin_link(struct gateway *gw, const char *code) MUSTCHECK;
