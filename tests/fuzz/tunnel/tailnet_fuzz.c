/* What tailscaled tells: whatever JSON comes, a status and an identity are read or refused, strings are never NULL and
 * fit for a terminal, ceilings hold, and a name is found or not. */
#include "tests/fuzz/fuzz.h"

#include "tunnel/tailnet/call.h"

#include <string.h>

static void check_text(const char *text)
{
    require(text && json_is_utf8(text, strlen(text)));
    for (const char *c = text; *c; c++)
        require((unsigned char)*c >= ' ' && *c != 127);
}

static void check_node(const struct tailnet_node *node)
{
    check_text(node->name);
    check_text(node->host_name);
    require(node->address_count <= TAILNET_ADDRESSES);
    for (size_t i = 0; i < node->address_count; i++)
        check_text(node->addresses[i]);
    for (size_t i = 0; node->tags && node->tags[i]; i++)
        check_text(node->tags[i]);
}

static void check_status(const struct json *json)
{
    struct tailnet_status status;
    struct fault fault = {0};

    if (read_status(json, &status, &fault) == 0) {
        check_text(status.state);
        check_text(status.suffix);
        check_text(status.version);
        check_text(status.health);
        check_node(&status.self);
        require(status.peer_count <= TAILNET_PEERS_MAX);
        for (size_t i = 0; i < status.peer_count; i++)
            check_node(&status.peers[i]);
        (void)tailnet_find(&status, "box", &fault);
        if (status.peer_count)
            (void)tailnet_find(&status, status.peers[0].name, &fault);
    } else {
        require(fault.code && !status.state && !status.peers);
    }
    tailnet_status_done(&status);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    CLEAN(json_free) struct json *json = json_parse((const char *)data, size, NULL);
    struct tailnet_who who;
    struct fault fault = {0};
    char words[64];

    read_error((const char *)data, size, words, sizeof(words));
    check_text(words);
    if (!json)
        return 0;
    check_status(json);
    if (read_who(json, &who, &fault) == 0) {
        check_text(who.login);
        check_text(who.user);
        check_text(who.node);
    } else {
        require(fault.code && !who.login && !who.tags && !who.capabilities);
    }
    tailnet_who_done(&who);
    return 0;
}
