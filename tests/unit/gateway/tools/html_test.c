/* Pages as something to read, however broken. */
#include "gateway/tools/html.h"

#include "base/json.h"
#include "base/mem.h"
#include "gateway/tools/charset.h"
#include "tests/t.h"

static struct html_page page;

static char *read(const char *html, bool markdown)
{
    struct buf out;

    buf_init(&out, 1 << 20);
    html_read(html, strlen(html), "https://example.com/a/b?c", markdown, &out, &page);
    return buf_take(&out);
}

static void check(const char *html, bool markdown, const char *expected)
{
    CLEAN(mem_free) char *text = read(html, markdown);
    t_str(text, expected);
}

T(text)
{
    check("plain", false, "plain");
    check("<p>one</p><p>two</p>", false, "one\n\ntwo");
    check("a  \n b<br>c", false, "a b\nc");
    check("<ul><li>x<li>y</ul><ol><li>p</li><li>q</li></ol>", false, "- x\n- y\n1. p\n2. q");
    check("<ul><li>x<ul><li>deep</ul></ul>", false, "- x\n  - deep");
    check("<table><tr><th>a<th>b</tr><tr><td>1</td><td>2</td></tr></table>", false, "a | b\n1 | 2");
    check("<pre>a\n  b</pre>", false, "a\n  b");
    check("x &amp; y &lt;z&gt; &#65;&#x42; &eacute; &nbsp; &unknown; &", false,
          "x & y <z> AB \xc3\xa9 &unknown; &");
    check("1 < 2 and 3 > 2", false, "1 < 2 and 3 > 2");
}

T(markdown)
{
    check("<h1>T</h1><p>a <b>b</b> <i>c</i></p>", true, "# T\n\na **b** *c*");
    check("<a href=\"https://x.org/\">x</a>", true, "[x](https://x.org/)");
    check("<a href='/y'>x</a> <a href=//z.org/>z</a>", true,
          "[x](https://example.com/y) [z](https://z.org/)");
    check("<a href=\"javascript:alert(1)\">x</a> <a href=#top>y</a>", true, "x y");
    check("<pre><code>a\nb</code></pre>", true, "```\na\nb\n```");
    check("<img src=x alt=\"a cat\">", true, "[picture: a cat]");
    check("<code>x</code>", true, "`x`");
}

T(what_nobody_sees_is_not_read)
{
    check("a<script>alert('<p>no</p>')</script>b<style>p{}</style>c", false, "abc");
    check("a<!-- <p>no</p> -->b<![CDATA[no]]>c<?php no ?>d", false, "abcd");
    check("<p>a</p><p hidden>no</p><p style='display: none'>no <p>x</p></p><p>b</p>", false,
          "a\n\nb");
    check("<div aria-hidden=true>no <div>no</div> no</div>yes", false, "yes");
    check("<template>no</template><svg><text>no</text></svg>yes", false, "yes");
    check("<nav>menu</nav>text<footer>foot</footer>", false, "text");
}

T(title_and_content)
{
    char html[2000];
    char long_text[300];

    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 1] = '\0';
    snprintf(html, sizeof(html),
             "<html><head><title>A &amp;\n B</title></head><body>menu<main><p>%s</p></main>foot",
             long_text);
    check(html, false, long_text);
    t_str(page.title, "A & B");
    t_str(page.extractor, "main");
    snprintf(html, sizeof(html), "menu<article>%s</article>foot", long_text);
    check(html, false, long_text);
    t_str(page.extractor, "article");
    check("menu<main>short</main>foot", false, "menu\n\nshort\n\nfoot");
    t_str(page.extractor, "body");
}

T(broken_pages)
{
    static const char *const pages[] = {
        "",
        "<",
        "</",
        "<!",
        "<!--",
        "<p",
        "<p ",
        "<p a",
        "<p a=",
        "<p a='",
        "<p a=\"x",
        "<a href=x",
        "&",
        "&#",
        "&#x",
        "&#99999999;",
        "&#0;",
        "&#xd800;",
        "<script>",
        "<script",
        "</script",
        "<pre>",
        "</pre></ul></ol></li>",
        "<title>",
        "<template>",
        "<p ====>x",
        "<p / / >x",
        "<a href=><a href=y>z",
        "<li>",
        "<td>",
        "\xff\xfe<p>\x80",
        "<\0p>",
    };

    for (size_t i = 0; i < COUNT(pages); i++) {
        for (int markdown = 0; markdown < 2; markdown++) {
            CLEAN(mem_free) char *text = read(pages[i], markdown);
            t_ok(text != NULL);
        }
    }
}

T(deep_and_long_pages_stay_within_their_ceiling)
{
    struct buf html, out;

    buf_init(&html, 16u << 20);
    for (int i = 0; i < 100000; i++)
        buf_add_str(&html, "<ul><li><a href='/some/where'>x</a><div>");
    buf_init(&out, 65536);
    html_read(html.data, html.length, "https://example.com/", true, &out, &page);
    t_ok(!out.bad && out.length <= 65536);
    t_ok(page.full);
    buf_done(&out);
    buf_done(&html);
}

/* ---- character sets ---- */

static void converts(const char *raw, const char *type, const char *expected)
{
    struct buf out;

    buf_init(&out, 1 << 16);
    charset_to_utf8(raw, strlen(raw), type, &out);
    t_ok(json_is_utf8(out.data ? out.data : "", out.length));
    t_str(out.data ? out.data : "", expected);
    buf_done(&out);
}

T(character_sets)
{
    converts("caf\xc3\xa9", "text/html", "caf\xc3\xa9");
    converts("caf\xe9", "text/html; charset=ISO-8859-1", "caf\xc3\xa9");
    converts("caf\xe9 \x80", "text/html",
             "caf\xc3\xa9 \xe2\x82\xac"); /* nobody says: Windows-1252 */
    converts("<meta charset=\"koi8-r\">\xc1", "", "<meta charset=\"koi8-r\">\xd0\xb0");
    converts("\xef\xbb\xbfx", "text/html; charset=iso-8859-1", "x"); /* the mark wins */
    converts("a\xc3", "text/html; charset=utf-8", "a\xef\xbf\xbd");
    converts("\x82\xa0", "text/html; charset=Shift_JIS", "\xe3\x81\x82");
    converts("x\xe9", "text/html; charset=no-such-set", "x\xc3\xa9");
    {
        struct buf out;

        buf_init(&out, 1 << 16);
        charset_to_utf8("\xff\xfeh\0i\0", 6, "", &out);
        t_str(out.data, "hi");
        buf_done(&out);
    }
}
