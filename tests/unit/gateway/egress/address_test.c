/* Which addresses are public. */
#include "gateway/egress/address.h"

#include "tests/t.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static struct sockaddr_storage address_of(const char *text)
{
    struct sockaddr_storage out = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out;

    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1)
        v4->sin_family = AF_INET;
    else if (inet_pton(AF_INET6, text, &v6->sin6_addr) == 1)
        v6->sin6_family = AF_INET6;
    else
        t_fail(__FILE__, __LINE__, "%s is no address", text);
    return out;
}

T(public_ones)
{
    static const char *const list[] = {
        "1.1.1.1",         "8.8.8.8",        "9.255.255.255",        "11.0.0.0",
        "100.63.255.255",  "100.128.0.0",    "126.255.255.255",      "128.0.0.0",
        "169.253.255.255", "172.15.255.255", "172.32.0.0",           "192.167.255.255",
        "198.17.255.255",  "198.20.0.0",     "223.255.255.255",      "2606:4700::1111",
        "2a00:1450::1",    "2003::1",        "2001:4860:4860::8888",
    };

    for (size_t i = 0; i < COUNT(list); i++) {
        struct sockaddr_storage address = address_of(list[i]);

        if (address_refusal((struct sockaddr *)&address))
            t_fail(__FILE__, __LINE__, "%s is public", list[i]);
        t_ok(!address_is_hopeless((struct sockaddr *)&address));
    }
}

T(the_others)
{
    static const struct {
        const char *text;
        bool hopeless;
    } list[] = {
        {"0.0.0.0", true},
        {"0.1.2.3", true},
        {"10.0.0.1", false},
        {"100.64.0.1", false},
        {"100.127.255.255", false},
        {"100.100.100.200", true},
        {"127.0.0.1", false},
        {"127.255.255.254", false},
        {"168.63.129.16", true},
        {"169.254.169.254", true},
        {"169.254.0.1", true},
        {"172.16.0.1", false},
        {"172.31.255.255", false},
        {"192.0.0.192", true},
        {"192.168.1.1", false},
        {"198.18.0.1", false},
        {"198.51.100.1", false},
        {"203.0.113.9", false},
        {"224.0.0.1", true},
        {"239.255.255.255", true},
        {"240.0.0.1", true},
        {"255.255.255.255", true},
        {"::", true},
        {"::1", false},
        {"::ffff:127.0.0.1", true},
        {"::ffff:8.8.8.8", true},
        {"::7f00:1", true},
        {"64:ff9b::7f00:1", true},
        {"64:ff9b:1::a00:1", true},
        {"fc00::1", false},
        {"fd12:3456::1", false},
        {"fd00:ec2::254", true},
        {"fe80::1", true},
        {"fec0::1", true},
        {"ff02::1", true},
        {"2001::1", true},
        {"2001:db8::1", false},
        {"2002:7f00:1::1", true},
        {"3fff::1", false},
        {"100::1", true},
        {"4000::1", true},
        {"2606:4700::5efe:7f00:1", true},
    };

    for (size_t i = 0; i < COUNT(list); i++) {
        struct sockaddr_storage address = address_of(list[i].text);

        if (!address_refusal((struct sockaddr *)&address))
            t_fail(__FILE__, __LINE__, "%s is not public", list[i].text);
        if (address_is_hopeless((struct sockaddr *)&address) != list[i].hopeless)
            t_fail(__FILE__, __LINE__, "%s: hopeless or not", list[i].text);
    }
}

T(unknown_families_are_refused)
{
    struct sockaddr_storage address = {.ss_family = AF_UNIX};

    t_ok(address_refusal((struct sockaddr *)&address) != NULL);
    t_ok(address_is_hopeless((struct sockaddr *)&address));
}

T(ports)
{
    t_ok(!port_is_refused(80) && !port_is_refused(443) && !port_is_refused(8080));
    t_ok(port_is_refused(22) && port_is_refused(25) && port_is_refused(6379));
    t_ok(port_is_refused(0) && port_is_refused(-1) && port_is_refused(65536));
}
