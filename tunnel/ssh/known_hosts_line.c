/* One line of known_hosts: its parts, and whether its names mean a host. sshd(8) "SSH_KNOWN_HOSTS FILE FORMAT". Pure. */
#include "base/crypto.h"
#include "base/io/tls_digest.h"
#include "tunnel/ssh/known_hosts_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define PATTERN_MAX                                                                                \
    1023 /* of one name; OpenSSH takes no longer one and then leaves the whole line */

static const char *skip_blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\t'))
        at++;
    return at;
}

static const char *skip_word(const char *at, const char *end)
{
    while (at < end && *at != ' ' && *at != '\t')
        at++;
    return at;
}

/* Takes the next word of the line; false when there is none. */
static bool take_word(const char **at, const char *end, const char **ret, size_t *ret_length)
{
    *ret = skip_blanks(*at, end);
    *at = skip_word(*ret, end);
    *ret_length = (size_t)(*at - *ret);
    return *ret_length > 0;
}

static bool is_word(const char *text, size_t length, const char *word)
{
    return length == strlen(word) && memcmp(text, word, length) == 0;
}

bool known_line_read(const char *text, size_t length, struct known_line *ret)
{
    const char *at = text, *end = text + strnlen(text, length);

    while (end > at && end[-1] == '\r')
        end--;
    *ret = (struct known_line){.marker = KNOWN_PLAIN};
    if (!take_word(&at, end, &ret->names, &ret->names_length) || *ret->names == '#')
        return false;
    if (*ret->names == '@') {
        /* A blank of either kind ends a marker; for OpenSSH a tab does not always: @revoked must hold. */
        if (is_word(ret->names, ret->names_length, "@revoked"))
            ret->marker = KNOWN_REVOKED;
        else if (is_word(ret->names, ret->names_length, "@cert-authority"))
            ret->marker = KNOWN_AUTHORITY;
        else
            return false;
        if (!take_word(&at, end, &ret->names, &ret->names_length) || *ret->names == '@')
            return false;
    }
    return take_word(&at, end, &ret->type, &ret->type_length) && *ret->type != '#' &&
           take_word(&at, end, &ret->base64, &ret->base64_length);
}

bool known_line_revoked(const char *text, size_t length, struct known_line *ret)
{
    const char *at = text, *end = text + strnlen(text, length);

    while (end > at && end[-1] == '\r')
        end--;
    *ret = (struct known_line){.marker = KNOWN_REVOKED};
    return take_word(&at, end, &ret->type, &ret->type_length) && *ret->type != '#' &&
           take_word(&at, end, &ret->base64, &ret->base64_length);
}

/* ---- hashed names ---- */

int known_name_hash(const char *name, const uint8_t salt[20], char out[64])
{
    uint8_t hash[SHA1_BYTES];
    char salt_text[29], hash_text[29]; /* 20 bytes in base64 */
    int r = tls_hmac_sha1(salt, SHA1_BYTES, name, strlen(name), hash);

    if (r < 0)
        return r;
    crypto_base64(salt, SHA1_BYTES, salt_text);
    crypto_base64(hash, SHA1_BYTES, hash_text);
    snprintf(out, 64, "|1|%s|%s", salt_text, hash_text);
    return 0;
}

static bool is_hash_of(const char *names, size_t length, const char *name)
{
    uint8_t salt[SHA1_BYTES];
    char expected[64];
    const char *bar;

    if (length < 3 || memcmp(names, "|1|", 3) != 0)
        return false;
    bar = memchr(names + 3, '|', length - 3);
    if (bar == NULL || crypto_base64_decode(names + 3, (size_t)(bar - names - 3), salt,
                                            sizeof(salt)) != SHA1_BYTES)
        return false;
    return known_name_hash(name, salt, expected) == 0 && is_word(names, length, expected);
}

/* ---- patterns ---- */

/* "*" any run, "?" any one character. Only the last star is tried again, so the cost is bounded by the product of
 * the two lengths. */
static bool matches(const char *pattern, const char *end, const char *name)
{
    const char *star = NULL, *retry = NULL;

    while (*name) {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (pattern < end &&
                   (*pattern == '?' || tolower((unsigned char)*pattern) == (unsigned char)*name)) {
            pattern++;
            name++;
        } else if (star) {
            pattern = star;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (pattern < end && *pattern == '*')
        pattern++;
    return pattern == end;
}

bool known_line_names(const struct known_line *line, const char *name)
{
    const char *at = line->names, *end = at + line->names_length;
    bool named = false;

    if (*at == '|')
        return is_hash_of(at, line->names_length, name);
    while (at < end) {
        bool negated = *at == '!';
        at += negated;
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;

        if (stop - at >= PATTERN_MAX)
            return false;
        if (matches(at, stop, name)) {
            if (negated)
                return false;
            named = true;
        }
        at = comma ? comma + 1 : end;
    }
    return named;
}
