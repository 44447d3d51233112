/* Bytes of JSON strings: plain runs and UTF-8, eight bytes at a time where they are plain. */
#include "base/json_internal.h"

#include <endian.h>
#include <string.h>

#define ONES  0x0101010101010101ull
#define HIGHS 0x8080808080808080ull

/* The high bit of each byte that is not plain. Borrows only reach bytes above a hit, so the lowest set
 * bit is exact, which is all that is used. */
static uint64_t unplain_bytes(uint64_t word)
{
    uint64_t quote = word ^ (ONES * '"');
    uint64_t slash = word ^ (ONES * '\\');
    uint64_t below = (word - ONES * 0x20) | (quote - ONES) | (slash - ONES);

    return (below | word) & HIGHS;
}

/* Which byte in memory the lowest set bit belongs to. */
static size_t first_byte(uint64_t hit)
{
    return (size_t)__builtin_ctzll(hit) / 8;
}

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

size_t json_plain_run(const char *text, size_t length)
{
    size_t at = 0;

    while (length - at >= 8) {
        uint64_t word, hit;
        memcpy(&word, text + at, sizeof(word));
        word = le64toh(word); /* the first byte lowest */
        hit = unplain_bytes(word);
        if (hit)
            return at + first_byte(hit);
        at += 8;
    }
    while (at < length && is_plain((unsigned char)text[at]))
        at++;
    return at;
}

unsigned json_utf8_sequence(const char *text, size_t length)
{
    const unsigned char *s = (const unsigned char *)text;

    if (length == 0)
        return 0;
    if (s[0] < 0x80)
        return 1;
    unsigned size = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
    if (s[0] < 0xc2 || s[0] > 0xf4 || length < size)
        return 0;
    for (unsigned i = 1; i < size; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    /* Overlong forms, surrogates, beyond U+10FFFF: told by the second byte (Unicode table 3-7). */
    bool bad = (s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
               (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f);
    return bad ? 0 : size;
}

bool json_is_utf8(const char *text, size_t length)
{
    size_t at = 0;

    while (at < length) {
        at += json_plain_run(text + at, length - at);
        if (at == length)
            break;
        unsigned size = json_utf8_sequence(text + at, length - at);
        if (size == 0 || text[at] == '\0')
            return false;
        at += size;
    }
    return true;
}
