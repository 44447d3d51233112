/* Which peer a name means. */
#include "base/nearest.h"
#include "tunnel/tailnet.h"

#include <arpa/inet.h>
#include <string.h>
#include <strings.h>

/* The part before the first dot. */
static size_t label_length(const char *name)
{
    return strcspn(name, ".");
}

static bool same(const char *name, const char *wanted, size_t length)
{
    return strlen(name) == length && strncasecmp(name, wanted, length) == 0;
}

static bool has_address(const struct tailnet_node *node, const char *wanted)
{
    struct in6_addr a, b;

    for (size_t i = 0; i < node->address_count; i++) {
        const char *address = node->addresses[i];
        if (strcmp(address, wanted) == 0)
            return true;
        if (inet_pton(AF_INET6, address, &a) == 1 && inet_pton(AF_INET6, wanted, &b) == 1 &&
            memcmp(&a, &b, sizeof(a)) == 0)
            return true;
    }
    return false;
}

/* How well it fits: the best wins, if only one fits so well. Host names are what machines call themselves, and first
 * labels of another tailnet belong to nodes that it shares with ours: either may be somebody who wants to be taken for
 * another, so these two are told to the person and never dialled. */
enum fit { NO_FIT, HOST_NAME, SHARED_LABEL, OUR_LABEL, WHOLE };

static enum fit fit_of(const struct tailnet_status *status, const struct tailnet_node *node,
                       const char *wanted, size_t length)
{
    size_t label = label_length(node->name);
    bool ours = node->name[label] == '.' && strcasecmp(node->name + label + 1, status->suffix) == 0;

    if (length == 0)
        return NO_FIT;
    if (same(node->name, wanted, length) || has_address(node, wanted))
        return WHOLE;
    if (label == length && strncasecmp(node->name, wanted, length) == 0)
        return ours ? OUR_LABEL : SHARED_LABEL;
    return same(node->host_name, wanted, length) ? HOST_NAME : NO_FIT;
}

struct search {
    const struct tailnet_status *status;
    const struct tailnet_node *best;
    enum fit fit;
    bool twice;
    struct nearest nearest;
};

static void look_at(struct search *search, const struct tailnet_node *node, const char *wanted,
                    size_t length)
{
    enum fit fit = fit_of(search->status, node, wanted, length);

    nearest_try(&search->nearest, node->name, label_length(node->name));
    nearest_try(&search->nearest, node->name, strlen(node->name));
    if (fit > search->fit) {
        search->best = node;
        search->fit = fit;
        search->twice = false;
    } else if (fit != NO_FIT && fit == search->fit) {
        search->twice = true;
    }
}

const struct tailnet_node *tailnet_find(const struct tailnet_status *status, const char *name,
                                        struct fault *reterr_fault)
{
    struct search search = {.status = status};
    size_t length = strlen(name);

    if (length > 0 && name[length - 1] == '.')
        length--;
    nearest_init(&search.nearest, name);
    look_at(&search, &status->self, name, length);
    for (size_t i = 0; i < status->peer_count; i++)
        look_at(&search, &status->peers[i], name, length);
    if (search.fit >= OUR_LABEL && !search.twice)
        return search.best;
    if (search.twice)
        fault_set(
            reterr_fault, -ERR_INVALID,
            "more than one device of the tailnet is called %s: give its MagicDNS name or address "
            "(culvert tunnel discover lists them)",
            name);
    else if (search.best)
        fault_set(reterr_fault, -ERR_NOT_FOUND,
                  "no device of this tailnet has the name %s; %s calls itself so: give that name "
                  "if it is the one",
                  name, search.best->name);
    else if (strcmp(status->state, "Running") != 0)
        fault_set(reterr_fault, -ERR_NOT_FOUND,
                  "the tailnet is not up here (%s): run 'tailscale up'", status->state);
    else if (search.nearest.best[0])
        fault_set(reterr_fault, -ERR_NOT_FOUND,
                  "the tailnet has no device called %s: did you mean %s?", name,
                  search.nearest.best);
    else
        fault_set(reterr_fault, -ERR_NOT_FOUND,
                  "the tailnet has no device called %s ('tailscale status' lists them)", name);
    return NULL;
}
