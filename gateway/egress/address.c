/* The special-purpose registries of IANA (RFC 6890 and what followed) as two tables. IPv6 is the other way
 * round: only 2000::/3 is public, without the parts below. */
#include "gateway/egress/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

struct block {
    uint8_t prefix[16];
    int bits;
    const char *what;
    bool hopeless;
};

static const struct block blocks_v4[] = {
    {{0}, 8, "of this network", true},
    {{10}, 8, "private", false},
    {{100, 100, 100, 200}, 32, "cloud metadata", true},
    {{100, 64}, 10, "shared (CGNAT)", false},
    {{127}, 8, "loopback", false},
    {{168, 63, 129, 16}, 32, "cloud metadata", true},
    {{169, 254}, 16, "link-local", true},
    {{172, 16}, 12, "private", false},
    {{192, 0, 0}, 24, "reserved", true},
    {{192, 0, 2}, 24, "for documentation", false},
    {{192, 88, 99}, 24, "a relay's", false},
    {{192, 168}, 16, "private", false},
    {{198, 18}, 15, "for benchmarks", false},
    {{198, 51, 100}, 24, "for documentation", false},
    {{203, 0, 113}, 24, "for documentation", false},
    {{224}, 4, "multicast", true},
    {{240}, 4, "reserved", true},
};

static const struct block blocks_v6[] = {
    {{0}, 128, "unspecified", true},
    {{[15] = 1}, 128, "loopback", false},
    {{[10] = 0xff, [11] = 0xff}, 96, "IPv4 in disguise", true},
    {{0}, 96, "IPv4 in disguise", true},
    {{0x00, 0x64, 0xff, 0x9b}, 32, "IPv4 behind NAT64", true},
    {{0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54}, 128, "cloud metadata", true},
    {{0xfc}, 7, "private (unique local)", false},
    {{0xfe, 0x80}, 10, "link-local", true},
    {{0xfe, 0xc0}, 10, "site-local", true},
    {{0xff}, 8, "multicast", true},
    {{0x20, 0x01, 0x00}, 23, "reserved", true}, /* Teredo, ORCHID and others */
    {{0x20, 0x01, 0x0d, 0xb8}, 32, "for documentation", false},
    {{0x20, 0x02}, 16, "IPv4 in disguise", true},
    {{0x3f, 0xff, 0x00}, 20, "for documentation", false},
};

static bool block_holds(const struct block *block, const uint8_t *address)
{
    int whole = block->bits / 8, rest = block->bits % 8;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));

    return memcmp(block->prefix, address, (size_t)whole) == 0 &&
           (rest == 0 || ((block->prefix[whole] ^ address[whole]) & mask) == 0);
}

static const struct block *block_of(const struct block *blocks, size_t count,
                                    const uint8_t *address)
{
    for (size_t i = 0; i < count; i++) {
        if (block_holds(&blocks[i], address))
            return &blocks[i];
    }
    return NULL;
}

/* What is neither in a table nor public. */
static const struct block other = {.what = "of no public network", .hopeless = true};

static const struct block *find(const struct sockaddr *address)
{
    static const struct block isatap = {.what = "IPv4 in disguise", .hopeless = true};
    const struct block *block;
    uint8_t raw[16];

    if (address->sa_family == AF_INET) {
        memcpy(raw, &((const struct sockaddr_in *)(const void *)address)->sin_addr, 4);
        return block_of(blocks_v4, COUNT(blocks_v4), raw);
    }
    if (address->sa_family != AF_INET6)
        return &other;
    memcpy(raw, &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr, 16);
    block = block_of(blocks_v6, COUNT(blocks_v6), raw);
    if (block)
        return block;
    if ((raw[0] & 0xe0) != 0x20)
        return &other;
    return (raw[8] & 0xfd) == 0 && raw[9] == 0 && raw[10] == 0x5e && raw[11] == 0xfe ? &isatap
                                                                                     : NULL;
}

const char *address_refusal(const struct sockaddr *address)
{
    const struct block *block = find(address);
    return block ? block->what : NULL;
}

bool address_is_hopeless(const struct sockaddr *address)
{
    const struct block *block = find(address);
    return block && block->hopeless;
}

bool port_is_refused(int port)
{
    static const uint16_t ports[] = {
        1,    7,    9,    11,   13,   15,   17,   19,   20,   21,   22,   23,   25,    37,
        42,   43,   53,   69,   77,   79,   87,   95,   101,  102,  103,  104,  109,   110,
        111,  113,  115,  117,  119,  123,  135,  137,  139,  143,  161,  179,  389,   427,
        465,  512,  513,  514,  515,  526,  530,  531,  532,  540,  548,  554,  556,   563,
        587,  601,  636,  989,  990,  993,  995,  1719, 1720, 1723, 2049, 3659, 4045,  4190,
        5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211,
    };

    if (port <= 0 || port > 65535)
        return true;
    for (size_t i = 0; i < COUNT(ports); i++) {
        if (ports[i] == port)
            return true;
    }
    return false;
}
