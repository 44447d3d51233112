/* One pass over the bytes: tags change how the text that follows is written (html_open, html_close), text is
 * written with its blanks folded (html_text). Elements are not nested into a tree: a page may be as broken as
 * it likes. html_read tries the parts of a page that hold its content first. */
#include "gateway/tools/html.h"

#include "gateway/tools/html_tag.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define LISTS_MAX   16
#define CONTENT_MIN 200 /* bytes of text that make <main> or <article> the content */

struct html {
    struct html_cursor in;
    const char *base;
    struct buf *out;
    struct html_page *page;
    const char *only; /* the element whose inside counts; NULL: all */
    int inside;       /* depth in it */
    bool markdown, in_title;
    char skip[HTML_NAME_MAX]; /* what is passed over, "": nothing */
    int skip_depth;
    int pre;
    unsigned lines; /* line ends due before the next text */
    bool blank;     /* a blank is due */
    int lists;
    int numbers[LISTS_MAX];   /* next number; 0: a list of points */
    char href[HTML_HREF_MAX]; /* of the open link, "": none */
    bool cell;                /* in a row behind its first cell */
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

static void title_add(struct html *h, const char *text, size_t length)
{
    size_t n = strlen(h->page->title);

    for (size_t i = 0; i < length && n + 4 < HTML_TITLE_MAX; i++) {
        bool blank = html_is_blank(text[i]);

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
    if (length == 1 && html_is_blank(*c) && h->pre == 0) {
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
    while (h->in.at < h->in.end && *h->in.at != '<' && !h->page->full) {
        char decoded[8];
        size_t n =
            *h->in.at == '&' ? html_entity(h->in.at, (size_t)(h->in.end - h->in.at), decoded) : 0;

        if (n > 0 && decoded[0])
            put_char(h, decoded, strlen(decoded));
        if (n == 0)
            put_char(h, h->in.at, 1);
        h->in.at += n > 0 ? n : 1;
    }
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

static void html_element(struct html *h, const struct html_tag *tag)
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
static void html_link(struct html *h, const struct html_tag *tag)
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

static void html_list(struct html *h, const struct html_tag *tag)
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
static void html_tag(struct html *h, const struct html_tag *tag)
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
static bool html_skips(struct html *h, const struct html_tag *tag)
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

    while (h->in.at < h->in.end) {
        h->in.at = memchr(h->in.at, '<', (size_t)(h->in.end - h->in.at));
        if (!h->in.at)
            h->in.at = h->in.end;
        else if ((size_t)(h->in.end - h->in.at) > n + 2 && h->in.at[1] == '/' &&
                 strncasecmp(h->in.at + 2, name, n) == 0)
            return;
        else
            h->in.at++;
    }
}

static void html_open(struct html *h)
{
    struct html_tag tag;

    tag.closing = h->in.at[1] == '/';
    tag.hidden = false;
    h->in.at += 1 + tag.closing;
    html_read_tag(&h->in, &tag);
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
    size_t left = (size_t)(h->in.end - h->in.at);
    const char *close;

    if (left >= 4 && memcmp(h->in.at, "<!--", 4) == 0) {
        close = memmem(h->in.at + 4, left - 4, "-->", 3);
        h->in.at = close ? close + 3 : h->in.end;
        return;
    }
    close = memchr(h->in.at, '>', left);
    h->in.at = close ? close + 1 : h->in.end;
}

static bool opens_tag(const struct html *h)
{
    char c = h->in.end - h->in.at > 1 ? h->in.at[1] : ' ';

    if (c == '/')
        c = h->in.end - h->in.at > 2 ? h->in.at[2] : ' ';
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static void html_walk(struct html *h)
{
    while (h->in.at < h->in.end && !h->page->full) {
        if (*h->in.at != '<')
            html_text(h);
        else if (h->in.end - h->in.at > 1 && (h->in.at[1] == '!' || h->in.at[1] == '?'))
            html_comment(h);
        else if (opens_tag(h))
            html_open(h);
        else {
            put_char(h, h->in.at, 1);
            h->in.at++;
        }
    }
}

void html_read(const char *html, size_t length, const char *base, bool markdown, struct buf *out,
               struct html_page *ret)
{
    static const char *const parts[] = {"main", "article", NULL};
    size_t before = out->length;

    for (size_t i = 0; i < COUNT(parts); i++) {
        struct html h = {.in = {html, html + length},
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
