/* HTML as something to read: text or Markdown, without scripts, styles, what is hidden and what stands around the
 * content. Takes any bytes; linear in their length. Pure; any thread. */
#pragma once

#include "base/buf.h"

#define HTML_TITLE_MAX 256 /* bytes */

struct html_page {
    char title[HTML_TITLE_MAX + 1];
    const char *extractor; /* which part was taken: "main", "article" or "body"; static */
    bool full;             /* out's ceiling was reached: the rest is missing */
};

/* html is UTF-8. base: the page's own address, for links (NULL: they stay as they are). Appends to out. */
void html_read(const char *html, size_t length, const char *base, bool markdown, struct buf *out,
               struct html_page *ret);

/* html_entity.c: "&name;" at text: bytes it takes, or 0 when it is none; its UTF-8 in out, ended by NUL. */
size_t html_entity(const char *text, size_t length, char out[8]);
