/* WebChat, from memory, where pages.h says that it stands. A file is named by its path, "/" is index.html; what a browser has already is
 * answered 304 by its ETag. The headers are the page's half of design.md section 5, Browsers: nothing but
 * our own files runs or is loaded, nobody frames it, strings do not become markup but through DOMPurify. Owns
 * nothing. */
#include "gateway/http/pages.h"
#include "gateway/http/route.h"
#include "gateway/webchat/page.h"

#include "base/mem.h"

#include <string.h>
#include <strings.h>

/* connect-src 'self' holds for the WebSocket of our own origin too (CSP level 3). */
static const char policy[] =
    "content-security-policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dompurify\r\n"
    "cross-origin-opener-policy: same-origin\r\n"
    "cross-origin-resource-policy: same-origin\r\n"
    "permissions-policy: camera=(), geolocation=(), microphone=()\r\n"
    "cache-control: no-cache\r\n"
    "vary: accept-encoding\r\n";

static const struct page_file *page_find(const char *path)
{
    if (strcmp(path, "/") == 0)
        path = "/index.html";
    for (const struct page_file *file = page_files; file->path; file++)
        if (strcmp(file->path, path) == 0)
            return file;
    return NULL;
}

/* Does the list name gzip, and not to refuse it. */
static bool takes_gzip(const char *accept)
{
    const char *at = accept ? strcasestr(accept, "gzip") : NULL;

    return at != NULL && strncmp(at + 4, ";q=0", 4) != 0;
}

/* The page's addresses are relative: its own must end with a slash. */
static void redirect(struct web_call *call)
{
    CLEAN(mem_free) char *page = pages_webchat(call->gw);
    CLEAN(mem_free) char *headers = mem_format("location: %s\r\n", page);
    CLEAN(bytes_unref) struct bytes *body = bytes_new("", 0);

    web_reply(call, 308, "text/plain; charset=utf-8", headers, body);
}

void route_webchat(struct web_call *call)
{
    const char *path = call->request->path;
    const struct page_file *file = page_find(*call->rest ? call->rest : "/");
    const char *known = web_header(call, "if-none-match");
    CLEAN(bytes_unref) struct bytes *body = NULL;
    CLEAN(mem_free) char *headers = NULL;
    bool packed, same;

    if (!*call->rest && path[strlen(path) - 1] != '/') {
        redirect(call);
        return;
    }
    if (file == NULL) {
        web_text(call, 404, "Not Found");
        return;
    }
    packed = takes_gzip(web_header(call, "accept-encoding"));
    same = known != NULL && strstr(known, file->etag) != NULL;
    headers = mem_format("%setag: %s\r\n%s", policy, file->etag,
                         packed && !same ? "content-encoding: gzip\r\n" : "");
    body = same     ? bytes_new("", 0)
           : packed ? bytes_new(file->packed, file->packed_size)
                    : bytes_new(file->whole, file->whole_size);
    web_reply(call, same ? 304 : 200, file->type, headers, body);
}
