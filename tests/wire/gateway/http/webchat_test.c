/* WebChat as it is served: its files with their types, the policy on each, packed or whole, again or not. */
#include "gateway/webchat/page.h"
#include "tests/wire/gateway/http/kit.h"

/* The value of a header of the answer, cut off behind it; NULL: it is not there. */
static const char *header(struct kit_answer *a, const char *name)
{
    char *at = strcasestr(a->head, name), *end;

    if (!at)
        return NULL;
    at += strlen(name);
    end = strstr(at, "\r\n");
    if (end)
        *end = '\0';
    return at;
}

T(every_file_with_its_type_and_the_policy)
{
    struct gateway *gw = kit_gateway(NULL);
    size_t count = 0;

    for (const struct page_file *file = page_files; file->path; file++, count++) {
        CLEAN(mem_free) char *line = mem_format("GET %s", file->path);
        struct kit_answer a = kit_call(gw, line, NULL, NULL);

        t_eq(a.status, 200);
        t_eq(a.length, file->whole_size);
        t_ok(memcmp(a.body, file->whole, file->whole_size) == 0);
        t_ok(strcasestr(a.head, file->type) != NULL);
        t_ok(strstr(a.head, "default-src 'none'; script-src 'self'; style-src 'self'; "
                            "connect-src 'self';") != NULL);
        t_ok(strstr(a.head, "frame-ancestors 'none'") != NULL);
        t_ok(strstr(a.head, "unsafe") == NULL);
        t_ok(strcasestr(a.head, "x-content-type-options: nosniff") != NULL);
        t_ok(strcasestr(a.head, "referrer-policy: no-referrer") != NULL);
        t_ok(strcasestr(a.head, "content-encoding") == NULL);
        kit_done(&a);
    }
    t_ok(count > 30);
    gateway_free(gw);
}

T(the_page_at_its_addresses)
{
    struct gateway *gw = kit_gateway(NULL);

    kit_expect(gw, "GET /", NULL, NULL, 200, "text/html; charset=utf-8", "<!doctype html>");
    kit_expect(gw, "HEAD /", NULL, NULL, 200, "etag: \"", "");
    kit_expect(gw, "GET /index.html", NULL, NULL, 200, "text/html", "<!doctype html>");
    kit_expect(gw, "GET /js/nowhere.js", NULL, NULL, 404, "text/plain", NULL);
    kit_expect(gw, "GET /js/", NULL, NULL, 404, NULL, NULL);
    kit_expect(gw, "GET /../culvert.json", NULL, NULL, 404, NULL, NULL);
    kit_expect(gw, "POST /", NULL, "{}", 405, NULL, NULL);
    gateway_free(gw);

    gw = kit_gateway("{gateway:{controlUi:{basePath:'/desk'}}}");
    kit_expect(gw, "GET /desk", NULL, NULL, 308, "location: /desk/", NULL);
    kit_expect(gw, "GET /desk/", NULL, NULL, 200, "text/html", "<!doctype html>");
    kit_expect(gw, "GET /desk/js/main.js", NULL, NULL, 200, "text/javascript", NULL);
    kit_expect(gw, "GET /js/main.js", NULL, NULL, 404, NULL, NULL);
    gateway_free(gw);

    gw = kit_gateway("{gateway:{controlUi:{enabled:false}}}");
    kit_expect(gw, "GET /", NULL, NULL, 404, NULL, NULL);
    gateway_free(gw);
}

T(what_the_browser_has_is_not_sent_again)
{
    struct gateway *gw = kit_gateway(NULL);
    struct kit_answer a = kit_call(gw, "GET /js/main.js", NULL, NULL);
    CLEAN(mem_free) char *known = mem_format("If-None-Match: %s\r\n", header(&a, "etag: "));

    kit_done(&a);
    a = kit_answer(gw, kit_ask(gw, "GET /js/main.js", known, NULL),
                   true); /* a 304 ends with its head */
    t_eq(a.status, 304);
    t_eq(a.length, 0);
    kit_done(&a);
    kit_expect(gw, "GET /js/app.js", known, NULL, 200, NULL, NULL);
    kit_expect(gw, "GET /js/main.js", "If-None-Match: \"other\"\r\n", NULL, 200, NULL, NULL);
    gateway_free(gw);
}

T(packed_for_who_takes_it)
{
    static const struct {
        const char *accept;
        bool packed;
    } rows[] = {
        {"Accept-Encoding: gzip, deflate, br\r\n", true},
        {"Accept-Encoding: GZIP\r\n", true},
        {"Accept-Encoding: br\r\n", false},
        {"Accept-Encoding: gzip;q=0\r\n", false},
        {"Accept-Encoding: identity\r\n", false},
    };
    struct gateway *gw = kit_gateway(NULL);

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct kit_answer a = kit_call(gw, "GET /vendor/purify.js", rows[i].accept, NULL);

        t_eq(a.status, 200);
        t_eq(strcasestr(a.head, "content-encoding: gzip") != NULL, rows[i].packed);
        t_eq((unsigned char)a.body[0] == 0x1f && (unsigned char)a.body[1] == 0x8b, rows[i].packed);
        t_ok(strcasestr(a.head, "vary: accept-encoding") != NULL);
        kit_done(&a);
    }
    gateway_free(gw);
}
