/* Inside html.c: reading one tag of a page, in any quoting. */
#pragma once

#include "gateway/tools/html.h"

#define HTML_NAME_MAX 24
#define HTML_HREF_MAX 2048

struct html_cursor {
    const char *at, *end;
};

struct html_tag {
    char name[HTML_NAME_MAX];
    char href[HTML_HREF_MAX]; /* of a; src of img */
    char alt[256];
    bool closing, hidden;
};

static inline bool html_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

/* The cursor stands behind "<" or "</", afterwards behind ">" or at the end. closing is the caller's; hidden is only
 * ever set. */
void html_read_tag(struct html_cursor *c, struct html_tag *tag);
