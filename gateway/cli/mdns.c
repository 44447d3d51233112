/* Fields between semicolons, in which \DDD is a byte in decimal and \c the character itself; the last one is the TXT
 * record, its strings in quotes. */
#include "gateway/cli/mdns.h"

#include "base/io/tls_certificate.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define FIELDS 10

enum {
    FIELD_EVENT,
    FIELD_INTERFACE,
    FIELD_FAMILY,
    FIELD_NAME,
    FIELD_TYPE,
    FIELD_DOMAIN,
    FIELD_HOST,
    FIELD_ADDRESS,
    FIELD_PORT,
    FIELD_TXT
};

struct span {
    const char *at;
    size_t length;
};

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* Into out without the escapes; false: it does not fit, or holds a NUL. */
static bool unescape(struct span in, char *out, size_t size)
{
    size_t length = 0;

    for (size_t i = 0; i < in.length; i++) {
        unsigned c = (unsigned char)in.at[i];
        if (c == '\\' && i + 3 < in.length && is_digit(in.at[i + 1]) && is_digit(in.at[i + 2]) &&
            is_digit(in.at[i + 3])) {
            c = (unsigned)(in.at[i + 1] - '0') * 100 + (unsigned)(in.at[i + 2] - '0') * 10 +
                (unsigned)(in.at[i + 3] - '0');
            i += 3;
        } else if (c == '\\' && i + 1 < in.length) {
            c = (unsigned char)in.at[++i];
        }
        if (c == 0 || c > 255 || length + 1 >= size)
            return false;
        out[length++] = (char)c;
    }
    out[length] = '\0';
    return true;
}

static size_t split(const char *line, size_t length, struct span fields[FIELDS])
{
    size_t count = 0, begin = 0;

    for (size_t i = 0; i <= length && count < FIELDS; i++) {
        if (i < length && (line[i] != ';' || count == FIELDS - 1))
            continue;
        fields[count++] = (struct span){line + begin, i - begin};
        begin = i + 1;
    }
    return count;
}

static void take_hint(const char *text, struct mdns_service *ret)
{
    const char *value = strchr(text, '=');
    size_t name = value ? (size_t)(value - text) : 0;

    if (!value)
        return;
    value++;
    if (name == strlen("gatewayTls") && strncasecmp(text, "gatewayTls", name) == 0)
        ret->tls = strcmp(value, "1") == 0;
    else if (name == strlen("gatewayTlsSha256") && strncasecmp(text, "gatewayTlsSha256", name) == 0)
        ret->fingerprint[0] =
            tls_fingerprint_parse(value, ret->fingerprint) ? ret->fingerprint[0] : '\0';
    else if (name == strlen("tailnetDns") && strncasecmp(text, "tailnetDns", name) == 0 &&
             strlen(value) < sizeof(ret->tailnet_name))
        snprintf(ret->tailnet_name, sizeof(ret->tailnet_name), "%s", value);
}

/* "role=gateway" "gatewayTls=1" … */
static void read_hints(struct span txt, struct mdns_service *ret)
{
    char text[512];
    size_t i = 0;

    while (i < txt.length) {
        if (txt.at[i++] != '"')
            continue;
        size_t begin = i;
        while (i < txt.length && txt.at[i] != '"')
            i += txt.at[i] == '\\' ? 2 : 1;
        if (i < txt.length &&
            unescape((struct span){txt.at + begin, i - begin}, text, sizeof(text)))
            take_hint(text, ret);
        i++;
    }
}

static bool read_address(struct span field, struct mdns_service *ret)
{
    struct in6_addr v6;
    struct in_addr v4;

    if (!unescape(field, ret->address, sizeof(ret->address)))
        return false;
    if (inet_pton(AF_INET, ret->address, &v4) == 1)
        return true;
    return inet_pton(AF_INET6, ret->address, &v6) == 1 && !IN6_IS_ADDR_LINKLOCAL(&v6);
}

bool mdns_parse(const char *line, size_t length, struct mdns_service *ret)
{
    struct span fields[FIELDS];
    char type[64], port[8], *end;

    *ret = (struct mdns_service){0};
    if (length > MDNS_LINE_MAX || split(line, length, fields) < FIELDS - 1)
        return false;
    if (fields[FIELD_EVENT].length != 1 || fields[FIELD_EVENT].at[0] != '=')
        return false;
    if (!unescape(fields[FIELD_TYPE], type, sizeof(type)) || strcmp(type, MDNS_TYPE) != 0 ||
        !unescape(fields[FIELD_NAME], ret->name, sizeof(ret->name)) ||
        !unescape(fields[FIELD_HOST], ret->host, sizeof(ret->host)) ||
        !read_address(fields[FIELD_ADDRESS], ret) ||
        !unescape(fields[FIELD_PORT], port, sizeof(port)) || !is_digit(port[0]))
        return false;
    long number = strtol(port, &end, 10);
    if (*end || number < 1 || number > 65535)
        return false;
    ret->port = (int)number;
    if (split(line, length, fields) == FIELDS)
        read_hints(fields[FIELD_TXT], ret);
    return true;
}

void mdns_url(const struct mdns_service *service, char *out, size_t size)
{
    snprintf(out, size, strchr(service->address, ':') ? "%s://[%s]:%d" : "%s://%s:%d",
             service->tls ? "wss" : "ws", service->address, service->port);
}
