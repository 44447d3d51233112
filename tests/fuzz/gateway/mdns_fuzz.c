/* Any line as one of avahi-browse: what passes for a service has an address and a port, and a URL that says both. */
#include "gateway/cli/mdns.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct mdns_service service;
    char url[160];

    if (!mdns_parse((const char *)data, size, &service))
        return 0;
    require(service.port >= 1 && service.port <= 65535 && service.address[0]);
    require(service.fingerprint[0] == '\0' || strlen(service.fingerprint) == 64);
    mdns_url(&service, url, sizeof(url));
    require(strstr(url, service.address) && strlen(url) < sizeof(url) - 1);
    return 0;
}
