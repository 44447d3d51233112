/* The verdict on an upgrade, over headers line by line: a refused Origin is never let in by another
 * header, a forwarded request is never direct, and texts stay inside their room. */
#include "base/mem.h"
#include "gateway/conn/ingress.h"
#include "tests/fuzz/fuzz.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* Line n of the input, NULL when empty. */
static char *line(const char **at, const char *end)
{
    const char *start = *at;
    const char *stop = start < end ? memchr(start, '\n', (size_t)(end - start)) : NULL;

    if (!stop)
        stop = end;
    *at = stop < end ? stop + 1 : end;
    return stop > start ? mem_slice(start, (size_t)(stop - start)) : NULL;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data, *end = at + size;
    CLEAN(mem_free)
    char *host = line(&at, end), *origin = line(&at, end), *xff = line(&at, end),
         *xfh = line(&at, end), *xfp = line(&at, end), *proxies = line(&at, end),
         *origins = line(&at, end);
    CLEAN(json_free)
    struct json *ranges = proxies ? json_parse(proxies, strlen(proxies), NULL) : NULL;
    CLEAN(json_free)
    struct json *allowed = origins ? json_parse(origins, strlen(origins), NULL) : NULL;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(18789)};
    struct sockaddr_storage loopback = {0};
    const char *why = NULL;

    in.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    memcpy(&loopback, &in, sizeof(in));
    struct ingress_facts facts = {
        .transport = WS_TCP,
        .remote = &loopback,
        .local = &loopback,
        .host = host,
        .origin = origin,
        .forwarded_for = xff,
        .forwarded_host = xfh,
        .forwarded_proto = xfp,
        .forwarded = xff || xfh || xfp,
        .machine = "box",
        .trusted_proxies = ranges,
        .allowed_origins = allowed,
    };
    struct ingress ingress = {0};
    int status = ingress_judge(&facts, &ingress, &why);

    require(status == 0 || (status == 403 && origin && why));
    if (status)
        return 0;
    require(ingress.rate_key[0] && strnlen(ingress.address, ADDRESS_TEXT) < ADDRESS_TEXT);
    require(!facts.forwarded || (!ingress.direct && !ingress.loopback));
    require(!ingress.direct || ingress.loopback);
    require(ingress.browser == (origin != NULL));
    if (origin && !allowed && !facts.forwarded) {
        require(host && strncasecmp(origin, "http://", 7) == 0 &&
                strcasecmp(origin + 7, host) == 0);
    }
    return 0;
}
