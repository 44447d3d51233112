/* Name and attributes of a tag, from left to right; what is cut off ends where the page does. */
#include "gateway/tools/html_tag.h"

#include <string.h>
#include <strings.h>

static void lower_copy(char *out, size_t size, const char *text, size_t length)
{
    size_t n = length < size - 1 ? length : size - 1;

    for (size_t i = 0; i < n; i++)
        out[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ? text[i] + 32 : text[i]);
    out[n] = '\0';
}

/* The value of an attribute, its references decoded, cut to size. */
static void copy_value(char *out, size_t size, const char *text, size_t length)
{
    size_t n = 0;

    for (size_t i = 0; i < length;) {
        char decoded[8] = {text[i]};
        size_t took = text[i] == '&' ? html_entity(text + i, length - i, decoded) : 0;

        if (took == 0)
            decoded[0] = text[i], decoded[1] = '\0';
        i += took > 0 ? took : 1;
        if (n + strlen(decoded) >= size)
            break;
        for (const char *p = decoded; *p; p++)
            out[n++] = (unsigned char)*p < 0x20 ? ' ' : *p;
    }
    out[n] = '\0';
}

static void take_attribute(struct html_tag *tag, const char *name, const char *value, size_t length)
{
    char text[512];

    if ((strcmp(name, "href") == 0 && strcmp(tag->name, "a") == 0) ||
        (strcmp(name, "src") == 0 && strcmp(tag->name, "img") == 0))
        copy_value(tag->href, sizeof(tag->href), value, length);
    else if (strcmp(name, "alt") == 0)
        copy_value(tag->alt, sizeof(tag->alt), value, length);
    else if (strcmp(name, "hidden") == 0)
        tag->hidden = true;
    else if (strcmp(name, "aria-hidden") == 0)
        tag->hidden = tag->hidden || (length == 4 && strncasecmp(value, "true", 4) == 0);
    else if (strcmp(name, "style") == 0) {
        size_t n = 0;

        for (size_t i = 0; i < length && n + 1 < sizeof(text); i++) {
            if (!html_is_blank(value[i]))
                text[n++] = (char)(value[i] >= 'A' && value[i] <= 'Z' ? value[i] + 32 : value[i]);
        }
        text[n] = '\0';
        tag->hidden = tag->hidden || strstr(text, "display:none") ||
                      strstr(text, "visibility:hidden") || strstr(text, "font-size:0;") ||
                      strstr(text, "opacity:0;");
    }
}

static void skip_blanks(struct html_cursor *c)
{
    while (c->at < c->end && html_is_blank(*c->at))
        c->at++;
}

static bool ends_name(char byte)
{
    return html_is_blank(byte) || byte == '>' || byte == '/' || byte == '=';
}

/* name, or name=value in any quoting; c->at stands on its first byte. */
static void read_attribute(struct html_cursor *c, struct html_tag *tag)
{
    const char *name = c->at, *value;
    char lower[HTML_NAME_MAX];
    size_t length;

    while (c->at < c->end && !ends_name(*c->at))
        c->at++;
    lower_copy(lower, sizeof(lower), name, (size_t)(c->at - name));
    skip_blanks(c);
    if (c->at >= c->end || *c->at != '=') {
        take_attribute(tag, lower, "", 0);
        if (c->at == name && c->at < c->end)
            c->at++; /* a stray byte */
        return;
    }
    c->at++;
    skip_blanks(c);
    value = c->at;
    if (c->at < c->end && (*c->at == '"' || *c->at == '\'')) {
        const char *close = memchr(c->at + 1, *c->at, (size_t)(c->end - c->at - 1));

        value = c->at + 1;
        length = close ? (size_t)(close - value) : (size_t)(c->end - value);
        c->at = close ? close + 1 : c->end;
    } else {
        while (c->at < c->end && !html_is_blank(*c->at) && *c->at != '>')
            c->at++;
        length = (size_t)(c->at - value);
    }
    take_attribute(tag, lower, value, length);
}

/* c->at stands behind "<" or "</". */
void html_read_tag(struct html_cursor *c, struct html_tag *tag)
{
    const char *name = c->at;

    tag->href[0] = tag->alt[0] = '\0';
    while (c->at < c->end && !ends_name(*c->at))
        c->at++;
    lower_copy(tag->name, sizeof(tag->name), name, (size_t)(c->at - name));
    for (;;) {
        while (c->at < c->end && (html_is_blank(*c->at) || *c->at == '/'))
            c->at++;
        if (c->at >= c->end || *c->at == '>')
            break;
        read_attribute(c, tag);
    }
    c->at += c->at < c->end;
}
