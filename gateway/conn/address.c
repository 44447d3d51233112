/* Addresses: from sockets and text to 16 bytes and back. IPv4 sits in the first four bytes. Pure. */
#include "gateway/conn/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t mapped_head[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

static void fold(struct address *a, const uint8_t v6[16])
{
    *a = (struct address){0};
    if (memcmp(v6, mapped_head, sizeof(mapped_head)) == 0) {
        memcpy(a->bytes, v6 + 12, 4);
        return;
    }
    memcpy(a->bytes, v6, 16);
    a->v6 = true;
}

bool address_from_socket(const struct sockaddr_storage *socket, struct address *ret,
                         uint16_t *ret_port)
{
    if (socket->ss_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, socket, sizeof(in));
        *ret = (struct address){0};
        memcpy(ret->bytes, &in.sin_addr, 4);
        *ret_port = ntohs(in.sin_port);
        return true;
    }
    if (socket->ss_family == AF_INET6) {
        struct sockaddr_in6 in;
        memcpy(&in, socket, sizeof(in));
        fold(ret, in.sin6_addr.s6_addr);
        *ret_port = ntohs(in.sin6_port);
        return true;
    }
    return false;
}

static bool parse_plain(const char *text, size_t length, struct address *ret)
{
    char copy[INET6_ADDRSTRLEN];
    uint8_t raw[16];

    if (length == 0 || length >= sizeof(copy))
        return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (inet_pton(AF_INET, copy, raw) == 1) {
        *ret = (struct address){0};
        memcpy(ret->bytes, raw, 4);
        return true;
    }
    if (inet_pton(AF_INET6, copy, raw) != 1)
        return false;
    fold(ret, raw);
    return true;
}

bool address_parse(const char *text, size_t length, struct address *ret)
{
    const char *end;

    while (length > 0 && (*text == ' ' || *text == '\t')) {
        text++;
        length--;
    }
    while (length > 0 && (text[length - 1] == ' ' || text[length - 1] == '\t'))
        length--;
    if (length > 0 && *text == '[') {
        end = memchr(text, ']', length);
        return end && parse_plain(text + 1, (size_t)(end - text - 1), ret);
    }
    if (parse_plain(text, length, ret))
        return true;
    end = memchr(text, ':', length);
    return end && parse_plain(text, (size_t)(end - text), ret);
}

void address_text(const struct address *address, char out[ADDRESS_TEXT])
{
    if (!inet_ntop(address->v6 ? AF_INET6 : AF_INET, address->bytes, out, ADDRESS_TEXT))
        out[0] = '\0';
}

bool address_is_loopback(const struct address *address)
{
    static const uint8_t one[16] = {[15] = 1};

    return address->v6 ? memcmp(address->bytes, one, 16) == 0 : address->bytes[0] == 127;
}

bool address_is_tailnet(const struct address *address)
{
    static const uint8_t v6[] = {0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0};

    if (address->v6)
        return memcmp(address->bytes, v6, sizeof(v6)) == 0;
    return address->bytes[0] == 100 && (address->bytes[1] & 0xc0) == 64;
}

bool address_equal(const struct address *a, const struct address *b)
{
    return a->v6 == b->v6 && memcmp(a->bytes, b->bytes, a->v6 ? 16 : 4) == 0;
}

static bool same_bits(const struct address *a, const struct address *b, unsigned bits)
{
    for (unsigned i = 0; i < bits; i += 8) {
        unsigned left = bits - i;
        unsigned mask = left >= 8 ? 0xffu : 0xff00u >> left & 0xffu;
        if (((unsigned)(a->bytes[i / 8] ^ b->bytes[i / 8]) & mask) != 0)
            return false;
    }
    return true;
}

bool address_in(const struct address *address, const char *range)
{
    struct address base;
    const char *slash = strchr(range, '/');
    size_t length = slash ? (size_t)(slash - range) : strlen(range);

    if (!parse_plain(range, length, &base) || base.v6 != address->v6)
        return false;
    unsigned width = base.v6 ? 128 : 32;
    if (!slash)
        return same_bits(address, &base, width);

    char *end;
    unsigned long bits = strtoul(slash + 1, &end, 10);
    if (end == slash + 1 || *end || slash[1] == '-' || slash[1] == '+' || bits > width)
        return false;
    return same_bits(address, &base, (unsigned)bits);
}

void address_rate_key(const struct address *address, char out[ADDRESS_TEXT])
{
    struct address key = *address;

    if (key.v6)
        memset(key.bytes + 8, 0, 8);
    address_text(&key, out);
}
