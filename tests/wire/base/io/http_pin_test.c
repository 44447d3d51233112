/* The pin of a transfer: it goes to that address and to no other, whatever the URL's name is. */
#include "tests/rig/fetch.h"

T(a_pinned_transfer_keeps_its_own_name)
{
    const char *const scripts[] = {OK_HEAD "Content-Length: 2\r\n\r\nhi", NULL};
    struct fetch *f = fetch_new(false);
    char *url;

    begin(scripts);
    url = mem_format("http://no-such-host.invalid:%d/x", server->port);
    start(f, "", (struct http_spec){.url = url, .pin = "127.0.0.1"});
    wait_end(f);
    t_eq(f->result, 0);
    t_str(f->call.body.data, "hi");
    t_has(server->request.data, "Host: no-such-host.invalid:");
    mem_free(url);
    done(f);
}

T(an_address_in_the_url_does_not_win_over_the_pin)
{
    const char *const scripts[] = {OK_HEAD "Content-Length: 2\r\n\r\nhi", NULL};
    struct fetch *f = fetch_new(false);

    begin(scripts);
    start(f, "/", (struct http_spec){.pin = "127.0.0.9"}); /* the URL says 127.0.0.1 */
    wait_end(f);
    t_eq(f->result, -ERR_CONNECT);
    t_eq(server->requests, 0);
    done(f);
}

T(redirects_are_told)
{
    struct fetch *f = get("HTTP/1.1 302 Found\r\nLocation: ../b\r\nContent-Length: 0\r\n\r\n",
                          (struct http_spec){.tell_redirect = true});

    t_eq(f->result, 0);
    t_eq(f->call.status, 302);
    t_has(f->call.redirect, "/b");
    f->call.redirect = mem_free(f->call.redirect);
    done(f);
}

T(urls_are_read_as_transfers_read_them)
{
    static const struct {
        const char *url, *host;
        int port;
        bool has_user;
    } good[] = {
        {"http://Example.COM/x", "example.com", 80, false},
        {"https://example.com:8443", "example.com", 8443, false},
        {"http://0x7f.1/", "127.0.0.1", 80, false},
        {"http://2130706433/", "127.0.0.1", 80, false},
        {"http://017700000001/", "127.0.0.1", 80, false},
        {"http://[::1]:81/", "::1", 81, false},
        {"https://me:pw@example.com/", "example.com", 443, true},
        {"https://me@example.com/", "example.com", 443, true},
    };
    static const char *const bad[] = {"",
                                      "example.com",
                                      "ftp://example.com/",
                                      "http://",
                                      "file:///etc/x",
                                      "http://a b/",
                                      "http://[::1%25lo]/",
                                      "http://x:0x50/",
                                      "http://x\ny/"};
    struct http_url url;

    for (size_t i = 0; i < COUNT(good); i++) {
        t_eq(http_url_parse(good[i].url, &url), 0);
        t_str(url.host, good[i].host);
        t_eq(url.port, good[i].port);
        t_eq(url.has_user, good[i].has_user);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        if (http_url_parse(bad[i], &url) != -ERR_INVALID)
            t_fail(__FILE__, __LINE__, "%s is no URL of ours", bad[i]);
}
