/* One pass over the bytes: tags change how the text that follows is written (html_open, html_close), text is
 * written with its blanks folded (html_text). Elements are not nested into a tree: a page may be as broken as
 * it likes. html_read tries the parts of a page that hold its content first. */
#include "gateway/tools/html.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_   24
#define HREF_MAX    2048
#define LISTS_MAX   16
#define CONTENT_MIN 200 /* bytes of text that make <main> or <article> the content */

struct tag {
    char name[NAME_MAX_];
    char href[HREF_MAX]; /* of a; src of img */
    char alt[256];
    bool closing, hidden;
};

struct html {
    const char *at, *end, *base;
    struct buf *out;
    struct html_page *page;
    const char *only; /* the element whose inside counts; NULL: all */
    int inside;       /* depth in it */
    bool markdown, in_title;
    char skip[NAME_MAX_]; /* what is passed over, "": nothing */
    int skip_depth;
    int pre;
    unsigned lines; /* line ends due before the next text */
    bool blank;     /* a blank is due */
    int lists;
    int numbers[LISTS_MAX]; /* next number; 0: a list of points */
    char href[HREF_MAX];    /* of the open link, "": none */
    bool cell;              /* in a row behind its first cell */
};

static const char *const void_names[] = {"br",   "img",  "hr",  "input", "meta",   "link", "wbr",
                                         "area", "base", "col", "embed", "source", "track"};
static const char *const raw_names[] = {"script", "style", "xmp", "noembed"};
static const char *const skip_names[] = {"template", "svg",      "math",   "iframe",
                                         "object",   "canvas",   "audio",  "video",
                                         "select",   "textarea", "button", "dialog"};
/* Around the content, where the whole page is taken. */
static const char *const frame_names[] = {"nav", "footer", "aside"};

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(names[i], name) == 0)
            return true;
    }
    return false;
}

/* ---- writing ---- */

static bool writes(const struct html *h)
{
    return !h->skip[0] && (!h->only || h->inside > 0) && !h->page->full;
}

static void put(struct html *h, const char *text, size_t length)
{
    if (h->out->length + length > h->out->max) {
        h->page->full = true;
        return;
    }
    buf_add(h->out, text, length);
}

/* What is due before the next visible bytes. */
static void put_due(struct html *h)
{
    if (h->out->length == 0)
        h->lines = 0;
    for (; h->lines > 0; h->lines--) {
        put(h, "\n", 1);
        h->blank = false;
    }
    if (h->blank && h->out->length > 0 && h->out->data[h->out->length - 1] != '\n')
        put(h, " ", 1);
    h->blank = false;
}

static void put_mark(struct html *h, const char *mark)
{
    if (!writes(h) || !h->markdown)
        return;
    put_due(h);
    put(h, mark, strlen(mark));
}

static void lines_due(struct html *h, unsigned lines)
{
    if (writes(h) && h->lines < lines)
        h->lines = lines;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static void title_add(struct html *h, const char *text, size_t length)
{
    size_t n = strlen(h->page->title);

    for (size_t i = 0; i < length && n + 4 < HTML_TITLE_MAX; i++) {
        bool blank = is_blank(text[i]);

        if (blank && (n == 0 || h->page->title[n - 1] == ' '))
            continue;
        h->page->title[n++] = blank ? ' ' : text[i];
    }
    h->page->title[n] = '\0';
}

/* One character as it is read: folded into the text around it. */
static void put_char(struct html *h, const char *c, size_t length)
{
    if (h->in_title) {
        title_add(h, c, length);
        return;
    }
    if (!writes(h))
        return;
    if (length == 1 && is_blank(*c) && h->pre == 0) {
        h->blank = true;
        return;
    }
    if (length == 1 && (unsigned char)*c < 0x20 && *c != '\n' && *c != '\t')
        return;
    put_due(h);
    put(h, c, length);
}

/* Text up to the next "<". */
static void html_text(struct html *h)
{
    while (h->at < h->end && *h->at != '<' && !h->page->full) {
        char decoded[8];
        size_t n = *h->at == '&' ? html_entity(h->at, (size_t)(h->end - h->at), decoded) : 0;

        if (n > 0 && decoded[0])
            put_char(h, decoded, strlen(decoded));
        if (n == 0)
            put_char(h, h->at, 1);
        h->at += n > 0 ? n : 1;
    }
}

/* ---- tags: reading ---- */

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

static void take_attribute(struct tag *tag, const char *name, const char *value, size_t length)
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
            if (!is_blank(value[i]))
                text[n++] = (char)(value[i] >= 'A' && value[i] <= 'Z' ? value[i] + 32 : value[i]);
        }
        text[n] = '\0';
        tag->hidden = tag->hidden || strstr(text, "display:none") ||
                      strstr(text, "visibility:hidden") || strstr(text, "font-size:0;") ||
                      strstr(text, "opacity:0;");
    }
}

static void skip_blanks(struct html *h)
{
    while (h->at < h->end && is_blank(*h->at))
        h->at++;
}

static bool ends_name(char c)
{
    return is_blank(c) || c == '>' || c == '/' || c == '=';
}

/* name, or name=value in any quoting; h->at stands on its first byte. */
static void read_attribute(struct html *h, struct tag *tag)
{
    const char *name = h->at, *value;
    char lower[NAME_MAX_];
    size_t length;

    while (h->at < h->end && !ends_name(*h->at))
        h->at++;
    lower_copy(lower, sizeof(lower), name, (size_t)(h->at - name));
    skip_blanks(h);
    if (h->at >= h->end || *h->at != '=') {
        take_attribute(tag, lower, "", 0);
        if (h->at == name && h->at < h->end)
            h->at++; /* a stray byte */
        return;
    }
    h->at++;
    skip_blanks(h);
    value = h->at;
    if (h->at < h->end && (*h->at == '"' || *h->at == '\'')) {
        const char *close = memchr(h->at + 1, *h->at, (size_t)(h->end - h->at - 1));

        value = h->at + 1;
        length = close ? (size_t)(close - value) : (size_t)(h->end - value);
        h->at = close ? close + 1 : h->end;
    } else {
        while (h->at < h->end && !is_blank(*h->at) && *h->at != '>')
            h->at++;
        length = (size_t)(h->at - value);
    }
    take_attribute(tag, lower, value, length);
}

/* h->at stands behind "<" or "</". */
static void read_tag(struct html *h, struct tag *tag)
{
    const char *name = h->at;

    tag->href[0] = tag->alt[0] = '\0';
    while (h->at < h->end && !ends_name(*h->at))
        h->at++;
    lower_copy(tag->name, sizeof(tag->name), name, (size_t)(h->at - name));
    for (;;) {
        while (h->at < h->end && (is_blank(*h->at) || *h->at == '/'))
            h->at++;
        if (h->at >= h->end || *h->at == '>')
            break;
        read_attribute(h, tag);
    }
    h->at += h->at < h->end;
}

/* ---- tags: meaning ---- */

static const struct {
    const char *name;
    unsigned lines;     /* due before and after */
    const char *mark;   /* Markdown, before */
    const char *unmark; /* after */
} elements[] = {
    {"p", 2, NULL, NULL},       {"div", 1, NULL, NULL},        {"section", 1, NULL, NULL},
    {"article", 2, NULL, NULL}, {"main", 2, NULL, NULL},       {"header", 1, NULL, NULL},
    {"footer", 1, NULL, NULL},  {"nav", 1, NULL, NULL},        {"aside", 1, NULL, NULL},
    {"h1", 2, "# ", NULL},      {"h2", 2, "## ", NULL},        {"h3", 2, "### ", NULL},
    {"h4", 2, "#### ", NULL},   {"h5", 2, "##### ", NULL},     {"h6", 2, "###### ", NULL},
    {"ul", 1, NULL, NULL},      {"ol", 1, NULL, NULL},         {"table", 2, NULL, NULL},
    {"tr", 1, NULL, NULL},      {"blockquote", 2, "> ", NULL}, {"pre", 2, "```\n", "\n```"},
    {"dl", 1, NULL, NULL},      {"dt", 1, NULL, NULL},         {"dd", 1, NULL, NULL},
    {"figure", 1, NULL, NULL},  {"figcaption", 1, NULL, NULL}, {"address", 1, NULL, NULL},
    {"form", 1, NULL, NULL},    {"fieldset", 1, NULL, NULL},   {"details", 1, NULL, NULL},
    {"summary", 1, NULL, NULL}, {"option", 1, NULL, NULL},     {"caption", 1, NULL, NULL},
    {"strong", 0, "**", "**"},  {"b", 0, "**", "**"},          {"em", 0, "*", "*"},
    {"i", 0, "*", "*"},         {"code", 0, "`", "`"},         {"body", 1, NULL, NULL},
};

static void html_element(struct html *h, const struct tag *tag)
{
    for (size_t i = 0; i < COUNT(elements); i++) {
        const char *mark = tag->closing ? elements[i].unmark : elements[i].mark;

        if (strcmp(elements[i].name, tag->name) != 0)
            continue;
        if (!tag->closing)
            lines_due(h, elements[i].lines);
        if (mark && !(h->pre > 0 && elements[i].lines == 0)) {
            if (tag->closing)
                h->blank = false; /* no blank before a closing mark */
            put_mark(h, mark);
        }
        if (tag->closing)
            lines_due(h, elements[i].lines);
    }
}

/* "//host/…" and "/…" get what the page's own address has before them. */
static void link_target(struct html *h, const char *href)
{
    const char *host = h->base ? strstr(h->base, "://") : NULL;
    size_t n = 0;

    if (host && href[0] == '/' && href[1] == '/')
        n = (size_t)(host - h->base) + 1;
    else if (host && href[0] == '/')
        n = (size_t)(host - h->base) + 3 + strcspn(host + 3, "/?#");
    if (n + strlen(href) >= sizeof(h->href))
        n = 0;
    if (n > 0)
        memcpy(h->href, h->base, n);
    memcpy(h->href + n, href, strlen(href) + 1);
}

/* "[text](" … ")": only links that lead somewhere. */
static void html_link(struct html *h, const struct tag *tag)
{
    if (!h->markdown || !writes(h))
        return;
    if (h->href[0]) {
        put(h, "](", 2);
        put(h, h->href, strlen(h->href));
        put(h, ")", 1);
        h->href[0] = '\0';
    }
    if (tag->closing || !tag->href[0] || tag->href[0] == '#' ||
        strncasecmp(tag->href, "javascript:", 11) == 0 || strncasecmp(tag->href, "data:", 5) == 0)
        return;
    link_target(h, tag->href);
    put_due(h);
    put(h, "[", 1);
}

static void html_list(struct html *h, const struct tag *tag)
{
    if (tag->closing) {
        h->lists -= h->lists > 0;
        return;
    }
    if (h->lists < LISTS_MAX)
        h->numbers[h->lists] = tag->name[0] == 'o' ? 1 : 0;
    h->lists++;
}

static void html_item(struct html *h)
{
    int depth = h->lists < 1 ? 1 : h->lists > LISTS_MAX ? LISTS_MAX : h->lists;
    char mark[16] = "- ";

    lines_due(h, 1);
    if (!writes(h))
        return;
    if (h->lists > 0 && h->numbers[depth - 1] > 0)
        snprintf(mark, sizeof(mark), "%d. ", h->numbers[depth - 1]++ % 100000);
    put_due(h);
    for (int i = 1; i < depth; i++)
        put(h, "  ", 2);
    put(h, mark, strlen(mark));
}

/* Tags with a meaning of their own; the rest is rows of `elements`. */
static void html_tag(struct html *h, const struct tag *tag)
{
    const char *name = tag->name;

    if (strcmp(name, "a") == 0)
        html_link(h, tag);
    else if (strcmp(name, "br") == 0 && writes(h))
        h->lines += h->lines < 2;
    else if (strcmp(name, "hr") == 0) {
        lines_due(h, 1);
        put_mark(h, "---");
        lines_due(h, 1);
    } else if (strcmp(name, "li") == 0 && !tag->closing)
        html_item(h);
    else if ((strcmp(name, "td") == 0 || strcmp(name, "th") == 0) && !tag->closing && writes(h)) {
        if (h->cell)
            put(h, " | ", 3);
        h->cell = true;
        h->blank = false;
    } else if (strcmp(name, "img") == 0 && tag->alt[0] && writes(h)) {
        put_due(h);
        put(h, "[picture: ", 10);
        put(h, tag->alt, strlen(tag->alt));
        put(h, "]", 1);
    }
    if (strcmp(name, "tr") == 0)
        h->cell = false;
    if (strcmp(name, "ul") == 0 || strcmp(name, "ol") == 0)
        html_list(h, tag);
    if (strcmp(name, "pre") == 0 && tag->closing)
        h->pre -= h->pre > 0;
    html_element(h, tag);
    if (strcmp(name, "pre") == 0 && !tag->closing)
        h->pre++;
}

/* What is passed over, with everything of its own name that stands in it. */
static bool html_skips(struct html *h, const struct tag *tag)
{
    if (h->skip[0]) {
        if (strcmp(h->skip, tag->name) == 0)
            h->skip_depth += tag->closing ? -1 : 1;
        if (h->skip_depth == 0)
            h->skip[0] = '\0';
        return true;
    }
    if (tag->closing || is_one_of(tag->name, void_names, COUNT(void_names)))
        return tag->hidden;
    if (!tag->hidden && !is_one_of(tag->name, skip_names, COUNT(skip_names)) &&
        !(!h->only && is_one_of(tag->name, frame_names, COUNT(frame_names))))
        return false;
    memcpy(h->skip, tag->name, sizeof(h->skip));
    h->skip_depth = 1;
    return true;
}

/* The text of a script or style is no HTML: to its closing tag. */
static void skip_raw(struct html *h, const char *name)
{
    size_t n = strlen(name);

    while (h->at < h->end) {
        h->at = memchr(h->at, '<', (size_t)(h->end - h->at));
        if (!h->at)
            h->at = h->end;
        else if ((size_t)(h->end - h->at) > n + 2 && h->at[1] == '/' &&
                 strncasecmp(h->at + 2, name, n) == 0)
            return;
        else
            h->at++;
    }
}

static void html_open(struct html *h)
{
    struct tag tag;

    tag.closing = h->at[1] == '/';
    tag.hidden = false;
    h->at += 1 + tag.closing;
    read_tag(h, &tag);
    if (!tag.closing && is_one_of(tag.name, raw_names, COUNT(raw_names))) {
        skip_raw(h, tag.name);
        return;
    }
    if (strcmp(tag.name, "title") == 0 && !h->skip[0]) {
        h->in_title = !tag.closing && !h->page->title[0];
        return;
    }
    if (strcmp(tag.name, "body") == 0 || strcmp(tag.name, "head") == 0)
        h->in_title = false;
    if (html_skips(h, &tag))
        return;
    if (h->only && strcmp(h->only, tag.name) == 0) {
        if (tag.closing)
            lines_due(h, 2);
        h->inside += tag.closing ? -(h->inside > 0) : 1;
    }
    html_tag(h, &tag);
}

/* "<!-- … -->", "<!…>", "<?…>". */
static void html_comment(struct html *h)
{
    size_t left = (size_t)(h->end - h->at);
    const char *close;

    if (left >= 4 && memcmp(h->at, "<!--", 4) == 0) {
        close = memmem(h->at + 4, left - 4, "-->", 3);
        h->at = close ? close + 3 : h->end;
        return;
    }
    close = memchr(h->at, '>', left);
    h->at = close ? close + 1 : h->end;
}

static bool opens_tag(const struct html *h)
{
    char c = h->end - h->at > 1 ? h->at[1] : ' ';

    if (c == '/')
        c = h->end - h->at > 2 ? h->at[2] : ' ';
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void html_walk(struct html *h)
{
    while (h->at < h->end && !h->page->full) {
        if (*h->at != '<')
            html_text(h);
        else if (h->end - h->at > 1 && (h->at[1] == '!' || h->at[1] == '?'))
            html_comment(h);
        else if (opens_tag(h))
            html_open(h);
        else {
            put_char(h, h->at, 1);
            h->at++;
        }
    }
}

void html_read(const char *html, size_t length, const char *base, bool markdown, struct buf *out,
               struct html_page *ret)
{
    static const char *const parts[] = {"main", "article", NULL};
    size_t before = out->length;

    for (size_t i = 0; i < COUNT(parts); i++) {
        struct html h = {.at = html,
                         .end = html + length,
                         .base = base,
                         .out = out,
                         .page = ret,
                         .only = parts[i],
                         .markdown = markdown};

        *ret = (struct html_page){.extractor = parts[i] ? parts[i] : "body"};
        if (out->length > before) { /* too little: the next part instead */
            out->length = before;
            out->data[before] = '\0';
        }
        html_walk(&h);
        if (out->length - before >= CONTENT_MIN || ret->full)
            return;
    }
}
