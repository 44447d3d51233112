/* Which set it is, then iconv piece by piece; what it refuses is replaced byte by byte. */
#include "gateway/tools/charset.h"

#include "base/json.h"
#include "base/mem.h"

#include <errno.h>
#include <iconv.h>
#include <string.h>
#include <strings.h>

#define META_LOOK   4096
#define SET_MAX     40
#define REPLACEMENT "\xef\xbf\xbd"

/* The name behind "charset=" in length bytes of text; "" when there is none. */
static void find_name(const char *text, size_t length, char out[SET_MAX])
{
    size_t n = 0;

    out[0] = '\0';
    for (size_t i = 0; i + 8 < length; i++) {
        if (strncasecmp(text + i, "charset=", 8) != 0)
            continue;
        for (i += 8; i < length && (text[i] == '"' || text[i] == '\'' || text[i] == ' '); i++)
            ;
        while (
            i < length && n + 1 < SET_MAX &&
            strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_:.", text[i]) &&
            text[i])
            out[n++] = text[i++];
        out[n] = '\0';
        return;
    }
}

static const char *mark_of(const char *text, size_t length)
{
    if (length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        return "UTF-8";
    if (length >= 2 && memcmp(text, "\xff\xfe", 2) == 0)
        return "UTF-16LE";
    if (length >= 2 && memcmp(text, "\xfe\xff", 2) == 0)
        return "UTF-16BE";
    return NULL;
}

static void copy_without_nul(const char *text, size_t length, struct buf *out)
{
    while (length > 0) {
        const char *nul = memchr(text, '\0', length);
        size_t n = nul ? (size_t)(nul - text) : length;

        buf_add(out, text, n);
        n += nul ? 1 : 0;
        text += n;
        length -= n;
    }
}

static void convert(iconv_t set, const char *text, size_t length, struct buf *out)
{
    char *in = mem_slice(text, length), *at = in;
    size_t left = length;

    while (left > 0 && !out->bad) {
        char chunk[8192], *to = chunk;
        size_t room = sizeof(chunk);
        size_t r = iconv(set, &at, &left, &to, &room);

        copy_without_nul(chunk, (size_t)(to - chunk), out);
        if (r == (size_t)-1 && errno != E2BIG && left > 0) {
            buf_add(out, REPLACEMENT, 3);
            at++;
            left--;
            (void)iconv(set, NULL, NULL, NULL, NULL);
        }
    }
    mem_free(in);
}

void charset_to_utf8(const char *text, size_t length, const char *content_type, struct buf *out)
{
    const char *mark = mark_of(text, length);
    char name[SET_MAX];
    iconv_t set = (iconv_t)-1;

    find_name(content_type, strlen(content_type), name);
    if (!name[0])
        find_name(text, length < META_LOOK ? length : META_LOOK, name);
    if (mark) {
        (void)memcpy(name, mark, strlen(mark) + 1);
        text += mark[4] == '8' ? 3 : 2;
        length -= mark[4] == '8' ? 3 : 2;
    }
    if ((!name[0] || strcasecmp(name, "utf-8") == 0 || strcasecmp(name, "utf8") == 0 ||
         strcasecmp(name, "us-ascii") == 0) &&
        json_is_utf8(text, length)) {
        buf_add(out, text, length);
        return;
    }
    if (strcasecmp(name, "iso-8859-1") == 0 || strcasecmp(name, "latin1") == 0)
        name[0] = '\0'; /* browsers read it as Windows-1252 */
    if (name[0])
        set = iconv_open("UTF-8", name);
    if (set == (iconv_t)-1)
        set = iconv_open("UTF-8", "WINDOWS-1252");
    if (set == (iconv_t)-1) { /* iconv's tables are not installed: as it is, the writer mends it */
        copy_without_nul(text, length, out);
        return;
    }
    convert(set, text, length, out);
    (void)iconv_close(set);
}
