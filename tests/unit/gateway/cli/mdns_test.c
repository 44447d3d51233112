/* Lines of avahi-browse, good and bad. */
#include "gateway/cli/mdns.h"

#include "tests/t.h"

static bool parse(const char *line, struct mdns_service *ret)
{
    return mdns_parse(line, strlen(line), ret);
}

T(a_gateway_with_all_hints)
{
    struct mdns_service s;
    char url[160];

    t_ok(parse("=;eth0;IPv4;Nas\\032\\(OpenClaw\\)\\059;_openclaw-gw._tcp;local;nas.local;192.168."
               "1.5;18789;"
               "\"role=gateway\" \"displayName=A \\\"b\\\"; c\" \"gatewayTls=1\" "
               "\"gatewayTlsSha256=AB:"
               "CDabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd0123\" "
               "\"tailnetDns=nas.tail1.ts.net\"",
               &s));
    t_str(s.name, "Nas (OpenClaw);");
    t_str(s.host, "nas.local");
    t_str(s.address, "192.168.1.5");
    t_eq(s.port, 18789);
    t_ok(s.tls);
    t_str(s.fingerprint, "abcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcdabcd0123");
    t_str(s.tailnet_name, "nas.tail1.ts.net");
    mdns_url(&s, url, sizeof(url));
    t_str(url, "wss://192.168.1.5:18789");
}

T(without_hints_and_v6)
{
    struct mdns_service s;
    char url[160];

    t_ok(parse("=;eth0;IPv6;nas;_openclaw-gw._tcp;local;nas.local;fd00::5;18789;", &s));
    t_ok(!s.tls);
    t_str(s.fingerprint, "");
    mdns_url(&s, url, sizeof(url));
    t_str(url, "ws://[fd00::5]:18789");
    t_ok(parse("=;e;IPv4;n;_openclaw-gw._tcp;local;n.local;10.0.0.1;1", &s));
}

T(what_is_no_gateway)
{
    static const char *const lines[] = {
        "",
        ";;;;;;;;;",
        "+;eth0;IPv4;nas;_openclaw-gw._tcp;local",
        "=;eth0;IPv4;nas;_ssh._tcp;local;nas.local;192.168.1.5;22;",
        "=;eth0;IPv6;nas;_openclaw-gw._tcp;local;nas.local;fe80::1;18789;",
        "=;eth0;IPv4;nas;_openclaw-gw._tcp;local;nas.local;not-an-address;18789;",
        "=;eth0;IPv4;nas;_openclaw-gw._tcp;local;nas.local;192.168.1.5;0;",
        "=;eth0;IPv4;nas;_openclaw-gw._tcp;local;nas.local;192.168.1.5;70000;",
        "=;eth0;IPv4;nas;_openclaw-gw._tcp;local;nas.local;192.168.1.5;18789x;",
        "=;eth0;IPv4;na\\000s;_openclaw-gw._tcp;local;nas.local;192.168.1.5;18789;",
        "=;eth0;IPv4;na\\999s;_openclaw-gw._tcp;local;nas.local;192.168.1.5;18789;",
    };
    struct mdns_service s;

    for (size_t i = 0; i < COUNT(lines); i++)
        t_ok(!parse(lines[i], &s));
}

T(torn_hints_hint_nothing)
{
    struct mdns_service s;

    t_ok(parse("=;e;IPv4;n;_openclaw-gw._tcp;local;n.local;10.0.0.1;1;\"gatewayTlsSha256=12\" "
               "\"gatewayTls=1",
               &s));
    t_ok(!s.tls);
    t_str(s.fingerprint, "");
    t_ok(parse("=;e;IPv4;n;_openclaw-gw._tcp;local;n.local;10.0.0.1;1;\"gatewayTls=1\\", &s));
    t_ok(!s.tls);
}
