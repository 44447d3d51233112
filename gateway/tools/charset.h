/* Text of any character set as UTF-8. Pure but for iconv's tables; any thread. */
#pragma once

#include "base/buf.h"

/* Appends length bytes as UTF-8 to out: the set is what a byte order mark, the Content-Type or the page's own
 * <meta> says, else UTF-8, or Windows-1252 where that does not fit. Bytes that fit nothing become U+FFFD; NUL
 * goes. out's ceiling may cut the end. */
void charset_to_utf8(const char *text, size_t length, const char *content_type, struct buf *out);
