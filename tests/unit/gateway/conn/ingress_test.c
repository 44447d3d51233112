/* The verdict on an upgrade: Origin, Host, forwarding headers, canonical addresses. */
#include "gateway/conn/ingress.h"

#include "tests/unit/gateway/conn/kit.h"

#include <arpa/inet.h>

static struct sockaddr_storage at(const char *text, uint16_t port)
{
    struct sockaddr_storage s = {0};
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};

    if (inet_pton(AF_INET, text, &in.sin_addr) == 1)
        memcpy(&s, &in, sizeof(in));
    else if (inet_pton(AF_INET6, text, &in6.sin6_addr) == 1)
        memcpy(&s, &in6, sizeof(in6));
    return s;
}

struct visit {
    struct sockaddr_storage remote, local;
    struct ingress_facts facts;
    struct ingress in;
    const char *why;
};

static void visit_init(struct visit *v, const char *remote, const char *local)
{
    *v = (struct visit){.remote = at(remote, 50000), .local = at(local, 18789)};
    v->facts = (struct ingress_facts){
        .transport = WS_TCP,
        .remote = &v->remote,
        .local = &v->local,
        .host = "127.0.0.1:18789",
        .machine = "box",
    };
}

static int judge(struct visit *v)
{
    return ingress_judge(&v->facts, &v->in, &v->why);
}

T(addresses_have_one_form)
{
    static const struct {
        const char *text, *form, *key;
    } cases[] = {
        {"1.2.3.4", "1.2.3.4", "1.2.3.4"},
        {"::ffff:1.2.3.4", "1.2.3.4", "1.2.3.4"},
        {"::FFFF:0102:0304", "1.2.3.4", "1.2.3.4"},
        {"[::ffff:1.2.3.4]:80", "1.2.3.4", "1.2.3.4"},
        {"1.2.3.4:9000", "1.2.3.4", "1.2.3.4"},
        {" 2001:DB8::1 ", "2001:db8::1", "2001:db8::"},
        {"[2001:db8:1:2:3:4:5:6]:443", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"},
    };
    static const char *const bad[] = {"", "1.2.3", "host", "[::1", "1.2.3.4.5", "::g", "[]"};
    struct address a;
    char text[ADDRESS_TEXT];

    for (size_t i = 0; i < COUNT(cases); i++) {
        t_ok(address_parse(cases[i].text, strlen(cases[i].text), &a));
        address_text(&a, text);
        t_str(text, cases[i].form);
        address_rate_key(&a, text);
        t_str(text, cases[i].key);
    }
    for (size_t i = 0; i < COUNT(bad); i++)
        t_ok(!address_parse(bad[i], strlen(bad[i]), &a));
}

T(ranges)
{
    static const struct {
        const char *address, *range;
        bool in;
    } cases[] = {
        {"10.1.2.3", "10.0.0.0/8", true},   {"11.1.2.3", "10.0.0.0/8", false},
        {"10.1.2.3", "10.1.2.3", true},     {"10.1.2.3", "10.1.2.2/31", true},
        {"10.1.2.4", "10.1.2.2/31", false}, {"10.1.2.3", "0.0.0.0/0", true},
        {"fd00::1", "fd00::/8", true},      {"fe00::1", "fd00::/8", false},
        {"10.1.2.3", "fd00::/8", false},    {"::ffff:10.1.2.3", "10.0.0.0/8", true},
        {"10.1.2.3", "10.0.0.0/33", false}, {"10.1.2.3", "10.0.0.0/-1", false},
        {"10.1.2.3", "10.0.0.0/8x", false}, {"10.1.2.3", "10.0.0.0/", false},
        {"10.1.2.3", "nonsense", false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address a;
        t_ok(address_parse(cases[i].address, strlen(cases[i].address), &a));
        t_eq(address_in(&a, cases[i].range), cases[i].in);
    }
}

T(loopback_is_direct_only_by_our_own_name_and_port)
{
    static const struct {
        const char *remote, *local, *host;
        bool loopback, direct;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1", "127.0.0.1:18789", true, true},
        {"127.0.0.1", "127.0.0.1", "localhost:18789", true, true},
        {"127.0.0.1", "127.0.0.1", "LOCALHOST:18789", true, true},
        {"::1", "::1", "[::1]:18789", true, true},
        {"::ffff:127.0.0.1", "::ffff:127.0.0.1", "127.0.0.1:18789", true, true},
        {"127.0.0.1", "127.0.0.1", "localhost:9999", true, false}, /* ssh -L 9999 */
        {"127.0.0.1", "127.0.0.1", "localhost", true, false},
        {"127.0.0.1", "127.0.0.1", "box.tail1234.ts.net", true, false},
        {"127.0.0.1", "127.0.0.1", "box.tail1234.ts.net:18789", true, false},
        {"127.0.0.1", "127.0.0.1", "evil.example:18789", true, false},
        {"127.0.0.1", "127.0.0.1", "localhost.evil.example:18789", true, false},
        {"127.0.0.1", "127.0.0.1", "localhost:18789x", true, false},
        {"127.0.0.1", "127.0.0.1", NULL, true, false},
        {"192.168.1.9", "192.168.1.2", "192.168.1.2:18789", false, false},
        {"192.168.1.9", "192.168.1.2", "localhost:18789", false, false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct visit v;
        visit_init(&v, cases[i].remote, cases[i].local);
        v.facts.host = cases[i].host;
        t_eq(judge(&v), 0);
        t_eq(v.in.loopback, cases[i].loopback);
        t_eq(v.in.direct, cases[i].direct);
    }
}

/* OC#1795, #116526, #59190: a proxied request is never local, whoever sends the header. */
T(a_forwarded_request_is_never_local)
{
    struct visit v;

    visit_init(&v, "127.0.0.1", "127.0.0.1");
    v.facts.forwarded = true;
    v.facts.forwarded_for = "127.0.0.1";
    t_eq(judge(&v), 0);
    t_ok(!v.in.loopback && !v.in.direct && v.in.proxied && !v.in.trusted_proxy);
    t_str(v.in.address, "127.0.0.1");
}

T(forwarded_addresses_count_only_from_our_proxies)
{
    CLEAN(json_free) struct json *proxies = kit_json("['10.0.0.0/8','127.0.0.1']");
    static const struct {
        const char *remote, *header, *address;
        bool trusted;
    } cases[] = {
        {"10.0.0.1", "203.0.113.5", "203.0.113.5", true},
        {"10.0.0.1", "1.1.1.1, 203.0.113.5, 10.0.0.2", "203.0.113.5", true}, /* spoofed first hop */
        {"10.0.0.1", "10.0.0.7, 10.0.0.2", "10.0.0.7", true},
        {"10.0.0.1", "1.1.1.1, nonsense, 10.0.0.2", "10.0.0.2", true},
        {"10.0.0.1", "", "10.0.0.1", true},
        {"10.0.0.1", "::ffff:203.0.113.5", "203.0.113.5", true},
        {"198.51.100.1", "203.0.113.5", "198.51.100.1", false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct visit v;
        visit_init(&v, cases[i].remote, "10.0.0.9");
        v.facts.forwarded = true;
        v.facts.forwarded_for = cases[i].header;
        v.facts.trusted_proxies = proxies;
        t_eq(judge(&v), 0);
        t_eq(v.in.trusted_proxy, cases[i].trusted);
        t_str(v.in.address, cases[i].address);
    }
}

/* GHSA-5847-rm3g-23mw: one bucket for an IPv4 address however it is written; one for an IPv6 network. */
T(rate_keys)
{
    static const struct {
        const char *remote, *key;
        bool exempt;
    } cases[] = {
        {"203.0.113.5", "203.0.113.5", false},
        {"::ffff:203.0.113.5", "203.0.113.5", false},
        {"2001:db8:0:1::5", "2001:db8:0:1::", false},
        {"2001:db8:0:1:ffff::9", "2001:db8:0:1::", false},
        {"127.0.0.1", "127.0.0.1", true},
        {"127.9.9.9", "127.9.9.9", true},
        {"::1", "::", true},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct visit v;
        visit_init(&v, cases[i].remote, "0.0.0.0");
        t_eq(judge(&v), 0);
        t_str(v.in.rate_key, cases[i].key);
        t_eq(v.in.exempt, cases[i].exempt);
    }
}

/* ClawJacked: every Origin-bearing request is checked, on loopback too. */
T(origins)
{
    CLEAN(json_free)
    struct json *allowed = kit_json("['https://panel.example/','http://other.example:8080']");
    static const struct {
        const char *local, *host, *origin;
        int status;
    } cases[] = {
        {"127.0.0.1", "127.0.0.1:18789", "http://127.0.0.1:18789", 0},
        {"127.0.0.1", "localhost:18789", "http://localhost:18789", 0},
        {"::1", "[::1]:18789", "http://[::1]:18789", 0},
        {"127.0.0.1", "LocalHost:18789", "http://localhost:18789", 0},
        {"192.168.1.2", "192.168.1.2:18789", "http://192.168.1.2:18789", 0},
        {"192.168.1.2", "box:18789", "http://box:18789", 0},
        {"192.168.1.2", "box.local:18789", "http://box.local:18789", 0},
        {"127.0.0.1", "localhost:9999", "http://localhost:9999", 0}, /* culvert tunnel --listen */
        {"127.0.0.1", "127.0.0.1:18789", "https://panel.example", 0},
        {"127.0.0.1", "127.0.0.1:18789", "http://other.example:8080", 0},
        {"127.0.0.1", "127.0.0.1:18789", "null", 403},
        {"127.0.0.1", "127.0.0.1:18789", "", 403},
        {"127.0.0.1", "127.0.0.1:18789", "http://127.0.0.1:3000", 403},
        {"127.0.0.1", "127.0.0.1:18789", "http://localhost:18789", 403},
        {"127.0.0.1", "127.0.0.1:18789", "https://127.0.0.1:18789", 403},
        {"127.0.0.1", "127.0.0.1:18789", "http://127.0.0.1:18789.evil.example", 403},
        {"127.0.0.1", "127.0.0.1:18789", "http://127.0.0.1:18789/", 403},
        {"127.0.0.1", "127.0.0.1:18789", "https://evil.example", 403},
        {"127.0.0.1", "127.0.0.1:18789", "http://other.example", 403},
        {"127.0.0.1", "127.0.0.1:18789", "https://panel.example.evil.example", 403},
        {"127.0.0.1", "evil.example:18789", "http://evil.example:18789", 403}, /* DNS rebinding */
        {"127.0.0.1", "localhost.evil.example", "http://localhost.evil.example", 403},
        {"192.168.1.2", "localhost:18789", "http://localhost:18789", 403},
        {"192.168.1.2", "boxer:18789", "http://boxer:18789", 403},
        {"127.0.0.1", NULL, "http://127.0.0.1:18789", 403},
        {"127.0.0.1", "", "http://", 403},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct visit v;
        visit_init(&v, cases[i].local, cases[i].local);
        v.facts.host = cases[i].host;
        v.facts.origin = cases[i].origin;
        v.facts.allowed_origins = allowed;
        int status = judge(&v);
        if (status != cases[i].status)
            t_fail(__FILE__, __LINE__, "host %s origin %s: %d", cases[i].host ? cases[i].host : "-",
                   cases[i].origin, status);
    }
}

T(unix_sockets_go_by_the_kernels_uid)
{
    struct ingress in;
    const char *why;
    struct ingress_facts ours = {.transport = WS_UNIX, .own_uid = true};
    struct ingress_facts theirs = {.transport = WS_UNIX};
    struct ingress_facts pair = {.transport = WS_PAIR, .own_uid = true};
    struct ingress_facts tunnel = {.transport = WS_PAIR};

    t_eq(ingress_judge(&ours, &in, &why), 0);
    t_ok(in.own_uid && in.exempt && !in.loopback && ingress_is_here(&in));
    t_eq(ingress_judge(&theirs, &in, &why), 0);
    t_ok(!in.own_uid && !ingress_is_here(&in));
    t_eq(ingress_judge(&pair, &in, &why), 0);
    t_ok(in.own_uid && ingress_is_here(&in));
    t_eq(ingress_judge(&tunnel, &in, &why), 0);
    t_ok(!in.own_uid && !in.exempt && !ingress_is_here(&in));
}
