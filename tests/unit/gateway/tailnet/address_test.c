/* Which addresses are the tailnet's, and what a request by tailscaled's proxy counts as before anybody was asked. */
#include "gateway/conn/ingress.h"
#include "gateway/tailnet/serve_record.h"
#include "gateway/tailnet/whois.h"
#include "tests/t.h"

#include <string.h>
#include <sys/stat.h>

static const struct {
    const char *text;
    bool tailnet;
} addresses[] = {
    {"100.64.0.0", true},
    {"100.127.255.255", true},
    {"100.63.255.255", false},
    {"100.128.0.0", false},
    {"127.0.0.1", false},
    {"10.0.0.1", false},
    {"fd7a:115c:a1e0::1", true},
    {"fd7a:115c:a1e0:ffff::9", true},
    {"fd7a:115c:a1e1::1", false},
    {"fd7a::1", false},
    {"::1", false},
    {"::ffff:100.64.0.7", true},
    {"::ffff:192.0.2.1", false},
};

T(addresses_of_the_tailnet)
{
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct address a;

        t_ok(address_parse(addresses[i].text, strlen(addresses[i].text), &a));
        t_eq(address_is_tailnet(&a), addresses[i].tailnet);
    }
}

T(addresses_as_tailscaled_reads_them)
{
    struct address v4, v6;
    char text[ADDRESS_TEXT + 8];

    t_ok(address_parse("100.64.0.7", 10, &v4));
    t_ok(address_parse("fd7a:115c:a1e0::7", 17, &v6));
    whois_address_text(&v4, 0, text);
    t_str(text, "100.64.0.7");
    whois_address_text(&v4, 41000, text);
    t_str(text, "100.64.0.7:41000");
    whois_address_text(&v6, 0, text);
    t_str(text, "fd7a:115c:a1e0::7");
    whois_address_text(&v6, 65535, text);
    t_str(text, "[fd7a:115c:a1e0::7]:65535");
}

/* ---- the proxy's door ---- */

#define NAME "gw.tail1.ts.net"

static struct ingress_facts by_proxy(void)
{
    return (struct ingress_facts){.transport = WS_UNIX,
                                  .own_uid = true,
                                  .proxy_door = true,
                                  .forwarded = true,
                                  .host = "localhost",
                                  .forwarded_host = NAME,
                                  .forwarded_for = "100.64.0.9",
                                  .tailnet_name = NAME};
}

T(what_comes_by_the_proxy_is_from_elsewhere)
{
    struct ingress_facts facts = by_proxy();
    struct ingress in;
    const char *why = NULL;

    t_eq(ingress_judge(&facts, &in, &why), 0);
    t_ok(!ingress_is_here(&in) && !in.own_uid && !in.direct && !in.exempt && !in.trusted_proxy);
    t_str(in.address, "100.64.0.9");
    t_str(in.rate_key, "100.64.0.9");

    /* On a port anybody of this host may have written that: all count together. */
    struct sockaddr_storage loopback = {.ss_family = AF_INET};
    ((struct sockaddr_in *)&loopback)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    facts.transport = WS_TCP;
    facts.own_uid = false;
    facts.remote = facts.local = &loopback;
    t_eq(ingress_judge(&facts, &in, &why), 0);
    t_ok(!ingress_is_here(&in) && !in.exempt);
    t_str(in.rate_key, "proxy");
    t_str(in.address, "");
}

static const struct {
    const char *origin, *host;
    bool forwarded;
    int status;
} origins[] = {
    {"https://" NAME, NAME, true, 0},
    {"https://GW.tail1.ts.net", "gw.TAIL1.ts.net:443", true, 0},
    {"http://" NAME, NAME, true, 403},          /* not what is served */
    {"https://" NAME ":8443", NAME, true, 403}, /* another server of this host */
    {"https://evil.example", NAME, true, 403},
    {"https://" NAME, "evil.example", true, 403},
    {"https://" NAME, NAME, false, 403}, /* nothing brought it here */
    {"null", NAME, true, 403},
};

T(pages_at_our_name_in_the_tailnet)
{
    for (size_t i = 0; i < COUNT(origins); i++) {
        struct ingress_facts facts = by_proxy();
        struct ingress in;
        const char *why = NULL;

        facts.proxy_door = facts.forwarded = origins[i].forwarded;
        facts.origin = origins[i].origin;
        facts.forwarded_host = origins[i].host;
        t_eq(ingress_judge(&facts, &in, &why), origins[i].status);
    }
}

T(pages_of_the_tailnet_listener)
{
    struct ingress_facts facts = {.transport = WS_UNIX,
                                  .host = NAME ":18789",
                                  .origin = "http://" NAME ":18789",
                                  .tailnet_name = NAME};
    struct ingress in;
    const char *why = NULL;

    t_eq(ingress_judge(&facts, &in, &why), 0);
    facts.tailnet_name = NULL; /* a name that only resolves to us */
    t_eq(ingress_judge(&facts, &in, &why), 403);
}

/* ---- the record ---- */

T(a_record_is_kept_and_read)
{
    const char *dir = t_tmpdir();
    struct serve_record record = {0}, back = {0};
    struct fault fault = {0};
    struct stat st;
    char path[512];

    t_eq(serve_record_read(dir, &back), -ERR_NOT_FOUND);
    t_ok(!serve_record_exists(dir));
    serve_record_set(&record, NAME, "http://127.0.0.1:4000", "");
    t_eq(serve_record_write(dir, &record, &fault), 0);
    t_ok(serve_record_exists(dir));
    t_eq(serve_record_read(dir, &back), 0);
    t_str(back.host, NAME);
    t_str(back.target, "http://127.0.0.1:4000");
    snprintf(path, sizeof(path), "%s/tailscale-serve.json", dir);
    t_eq(stat(path, &st), 0);
    t_eq(st.st_mode & 0777, 0600);

    FILE *file = fopen(path, "w");
    fputs("{\"host\":7}", file);
    fclose(file);
    serve_record_done(&back);
    t_eq(serve_record_read(dir, &back), -ERR_CORRUPT);
    serve_record_remove(dir);
    t_ok(!serve_record_exists(dir));
    serve_record_done(&record);
}
