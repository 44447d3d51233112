/* index.html rewritten. Text is scanned, not parsed: what is built by a bundler has one <html>, and addresses
 * that begin with "./" in href and src. Pure; the caller owns the page. protocol.md 4.4, 8.3. */
#include "gateway/http/control_ui_page.h"

#include "base/crypto.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#define PAGE_MAX   (4u << 20)
#define HASHES_MAX 65536

/* ---- the policy ---- */

/* Connections go home and nowhere else: a page that is talked into another gateway (?gatewayUrl=, CVE-2026-25253)
 * cannot reach it. Styles are inline in what bundlers and markdown make. */
static const char policy[] =
    "default-src 'self'; base-uri 'none'; object-src 'none'; frame-ancestors 'none'; form-action "
    "'self'; script-src 'self' 'wasm-unsafe-eval'%s; style-src 'self' 'unsafe-inline'; img-src "
    "'self' data: blob:; media-src 'self' data: blob:; font-src 'self'; worker-src 'self' blob:; "
    "connect-src 'self' data:; frame-src 'self'";

char *control_ui_headers(const char *script_hashes)
{
    CLEAN(mem_free) char *text = mem_format(policy, script_hashes ? script_hashes : "");

    return mem_format("content-security-policy: %s\r\nx-frame-options: DENY\r\npermissions-policy: "
                      "camera=(self), microphone=(self), geolocation=()\r\n",
                      text);
}

/* base64 with padding, as policies spell it. */
static void add_hash(struct buf *out, const char *script, size_t length)
{
    uint8_t hash[SHA256_BYTES];
    char text[SHA256_HEX];

    crypto_sha256(script, length, hash);
    crypto_base64url(hash, sizeof(hash), text);
    for (char *c = text; *c; c++)
        *c = *c == '-' ? '+' : *c == '_' ? '/' : *c;
    buf_addf(out, " 'sha256-%s='", text);
}

/* ---- scanning ---- */

static const char *find(const char *from, const char *end, const char *word)
{
    size_t length = strlen(word);

    for (; (size_t)(end - from) >= length; from++)
        if (strncasecmp(from, word, length) == 0)
            return from;
    return NULL;
}

static void hash_scripts(const char *html, const char *end, struct buf *out)
{
    const char *tag = html;

    while ((tag = find(tag, end, "<script")) != NULL) {
        const char *body = memchr(tag, '>', (size_t)(end - tag));
        const char *close = body ? find(body, end, "</script") : NULL;
        if (!close)
            return;
        if (!find(tag, body, " src="))
            add_hash(out, body + 1, (size_t)(close - body - 1));
        tag = close;
    }
}

/* The value of an attribute within a tag; length 0: it is not there. */
static const char *attribute(const char *tag, const char *end, const char *name, size_t *ret_length)
{
    const char *at = find(tag, end, name), *value = at ? at + strlen(name) : NULL;

    *ret_length = 0;
    if (!value || (size_t)(end - value) < 3 || value[0] != '=' || value[1] != '"')
        return NULL;
    const char *quote = memchr(value + 2, '"', (size_t)(end - value - 2));
    if (!quote)
        return NULL;
    *ret_length = (size_t)(quote - value - 2);
    return value + 2;
}

/* ---- writing ---- */

static void add_attribute(struct buf *out, const char *name, const char *value)
{
    buf_addf(out, " %s=\"", name);
    for (; *value; value++) {
        if (strchr("\"&<>", *value))
            buf_addf(out, "&#%d;", *value);
        else
            buf_add_char(out, *value);
    }
    buf_add_char(out, '"');
}

/* "./x" holds at the page's own address only: on /chat/main it would lead to /chat/x. */
static void add_addressed(struct buf *out, const char *from, const char *end, const char *base)
{
    while (from < end) {
        const char *at = memmem(from, (size_t)(end - from), "=\"./", 4);
        bool ours = at && ((at - from >= 4 && strncmp(at - 4, "href", 4) == 0) ||
                           (at - from >= 3 && strncmp(at - 3, "src", 3) == 0));
        const char *stop = at ? at + 2 : end;

        buf_add(out, from, (size_t)(stop - from));
        from = stop;
        if (ours) {
            buf_addf(out, "%s/", base);
            from += 2;
        }
    }
}

void control_ui_page_write(const char *text, size_t length, const char *base,
                           struct control_ui_page *ret)
{
    const char *end = text + length, *tag = find(text, end, "<html");
    const char *tag_end = tag ? memchr(tag, '>', (size_t)(end - tag)) : NULL;
    size_t build_length = 0;
    struct buf hashes;

    *ret = (struct control_ui_page){0};
    buf_init(&ret->html, PAGE_MAX);
    buf_init(&hashes, HASHES_MAX);
    if (tag_end) {
        const char *build =
            attribute(tag, tag_end, "data-openclaw-control-ui-build-id", &build_length);
        if (build && build_length < sizeof(ret->build)) /* zeroed: it ends */
            memcpy(ret->build, build, build_length);
        tag += strlen("<html");
        buf_add(&ret->html, text, (size_t)(tag - text));
        add_attribute(&ret->html, "data-openclaw-control-ui-base-path", base);
        add_attribute(&ret->html, "data-openclaw-terminal-enabled", "false");
        text = tag;
    }
    add_addressed(&ret->html, text, end, base);
    if (ret->html.data)
        hash_scripts(ret->html.data, ret->html.data + ret->html.length, &hashes);
    CLEAN(mem_free) char *policy_headers = control_ui_headers(hashes.data);
    ret->headers = mem_format("cache-control: no-cache\r\n%s", policy_headers);
    buf_done(&hashes);
}

void control_ui_page_done(struct control_ui_page *page)
{
    buf_done(&page->html);
    page->headers = mem_free(page->headers);
}
