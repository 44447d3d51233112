/* Reading what tailscaled tells. Everything may be missing and nothing is believed: what is absent or of another kind
 * is empty, lists are cut at their ceilings, and what a peer chose for itself (host names, display names) is made fit
 * for a terminal. Who somebody is (login, tags) is taken as it stands or not at all. Pure. */
#include "tunnel/tailnet/call.h"

#include "base/mem.h"

#include <string.h>

#define TEXT_MAX  255 /* bytes of a name */
#define LIST_MAX  64  /* tags, certificate domains */
#define WORDS_MAX 1024

/* Control characters, also the C1 ones (U+0080 to U+009F), become '?'. */
static char *make_plain(char *text)
{
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < ' ' || *c == 127)
            *c = '?';
        else if ((unsigned char)c[0] == 0xc2 && (unsigned char)c[1] < 0xa0)
            c[0] = c[1] = '?';
    return text;
}

/* A sentence: longer ones are not told. */
static char *read_words(const char *text)
{
    return make_plain(mem_string(strlen(text) > WORDS_MAX ? "" : text));
}

char *read_plain(const char *text)
{
    return read_words(strlen(text) > TEXT_MAX ? "" : text);
}

static char *plain(const struct json *object, const char *key)
{
    return read_plain(json_string(json_get(object, key), ""));
}

/* A DNS name without its last dot. */
static char *dns_name(const struct json *object, const char *key)
{
    char *name = plain(object, key);
    size_t length = strlen(name);

    if (length > 0 && name[length - 1] == '.')
        name[length - 1] = '\0';
    return name;
}

/* NULL when there is none. */
static char **list(const struct json *array)
{
    size_t count = json_kind(array) == JSON_ARRAY ? json_count(array) : 0, at = 0;

    if (count == 0)
        return NULL;
    char **out = mem_array((count < LIST_MAX ? count : LIST_MAX) + 1, sizeof(*out));
    json_each (item, array) {
        if (at == LIST_MAX)
            break;
        if (json_kind(item) == JSON_STRING)
            out[at++] = read_plain(json_string(item, ""));
    }
    return out;
}

static char **list_free(char **texts)
{
    for (size_t i = 0; texts && texts[i]; i++)
        mem_free(texts[i]);
    return mem_free(texts);
}

/* ---- status ---- */

static void read_node(const struct json *json, struct tailnet_node *ret)
{
    const struct json *addresses = json_get(json, "TailscaleIPs");

    *ret = (struct tailnet_node){0};
    ret->host_name = plain(json, "HostName");
    ret->name = dns_name(json, "DNSName");
    if (!*ret->name) { /* no MagicDNS */
        mem_free(ret->name);
        ret->name = mem_string(ret->host_name);
    }
    if (json_kind(addresses) == JSON_ARRAY)
        json_each (address, addresses) {
            if (ret->address_count == TAILNET_ADDRESSES)
                break;
            if (json_kind(address) == JSON_STRING)
                ret->addresses[ret->address_count++] = read_plain(json_string(address, ""));
        }
    ret->tags = list(json_get(json, "Tags"));
    ret->user_id = json_integer(json_get(json, "UserID"), 0);
    ret->online = json_boolean(json_get(json, "Online"), false);
}

static void node_done(struct tailnet_node *node)
{
    mem_free(node->name);
    mem_free(node->host_name);
    for (size_t i = 0; i < node->address_count; i++)
        mem_free(node->addresses[i]);
    list_free(node->tags);
}

void tailnet_status_done(struct tailnet_status *status)
{
    mem_free(status->state);
    mem_free(status->suffix);
    mem_free(status->version);
    node_done(&status->self);
    for (size_t i = 0; i < status->peer_count; i++)
        node_done(&status->peers[i]);
    mem_free(status->peers);
    list_free(status->cert_domains);
    mem_free(status->health);
    *status = (struct tailnet_status){0};
}

static void read_peers(const struct json *peers, struct tailnet_status *ret)
{
    size_t count = json_kind(peers) == JSON_OBJECT ? json_count(peers) : 0;

    if (count > TAILNET_PEERS_MAX)
        count = TAILNET_PEERS_MAX;
    ret->peers = mem_array(count + 1, sizeof(*ret->peers));
    json_each (peer, count ? peers : NULL) {
        if (ret->peer_count == count)
            break;
        if (json_kind(peer) == JSON_OBJECT)
            read_node(peer, &ret->peers[ret->peer_count++]);
    }
}

static char *read_health(const struct json *sentences)
{
    struct buf out;

    buf_init(&out, 1u << 20);
    json_each (sentence, json_kind(sentences) == JSON_ARRAY ? sentences : NULL) {
        CLEAN(mem_free) char *text = read_words(json_string(sentence, ""));
        if (out.length + strlen(text) < WORDS_MAX)
            buf_addf(&out, "%s%s", out.length ? "; " : "", text);
    }
    return buf_take(&out);
}

/* Versions tell the suffix in one of two places. */
static char *read_suffix(const struct json *json)
{
    const struct json *now = json_path(json, "CurrentTailnet");
    return plain(json_get(now, "MagicDNSSuffix") ? now : json, "MagicDNSSuffix");
}

int read_status(const struct json *json, struct tailnet_status *ret, struct fault *fault)
{
    const struct json *self = json_get(json, "Self");

    *ret = (struct tailnet_status){0};
    if (json_kind(json) != JSON_OBJECT || json_kind(json_get(json, "BackendState")) != JSON_STRING)
        return fault_set(fault, -ERR_CORRUPT, "no status: BackendState is missing");
    ret->state = plain(json, "BackendState");
    ret->suffix = read_suffix(json);
    ret->version = plain(json, "Version");
    ret->tun = json_boolean(json_get(json, "TUN"), true); /* older ones know nothing else */
    read_node(json_kind(self) == JSON_OBJECT ? self : NULL, &ret->self);
    ret->self.self = true;
    ret->self.online = ret->self.online || strcmp(ret->state, "Running") == 0;
    read_peers(json_get(json, "Peer"), ret);
    ret->cert_domains = list(json_get(json, "CertDomains"));
    ret->health = read_health(json_get(json, "Health"));
    return 0;
}

/* ---- whois ---- */

/* Who somebody is: exactly as told. */
static bool exact(const struct json *json, char **ret)
{
    const char *text = json_string(json, "");

    *ret = read_plain(text);
    return strcmp(*ret, text) == 0;
}

void tailnet_who_done(struct tailnet_who *who)
{
    mem_free(who->login);
    mem_free(who->user);
    mem_free(who->node);
    list_free(who->tags);
    json_free(who->capabilities);
    *who = (struct tailnet_who){0};
}

static bool exact_tags(const struct json *tags)
{
    if (tags && json_kind(tags) != JSON_ARRAY && json_kind(tags) != JSON_NULL)
        return false;
    if (json_kind(tags) != JSON_ARRAY)
        return true;
    json_each (tag, tags) {
        CLEAN(mem_free) char *text = NULL;
        if (json_kind(tag) != JSON_STRING || !exact(tag, &text))
            return false;
    }
    return json_count(tags) <= LIST_MAX;
}

int read_who(const struct json *json, struct tailnet_who *ret, struct fault *fault)
{
    const struct json *node = json_get(json, "Node"), *user = json_get(json, "UserProfile");
    const struct json *capabilities = json_get(json, "CapMap");

    *ret = (struct tailnet_who){0};
    if (json_kind(node) != JSON_OBJECT || json_kind(user) != JSON_OBJECT)
        return fault_set(fault, -ERR_CORRUPT, "no identity: Node or UserProfile is missing");
    ret->user = plain(user, "DisplayName");
    ret->node = dns_name(node, "Name");
    if (!exact(json_get(user, "LoginName"), &ret->login) || !exact_tags(json_get(node, "Tags"))) {
        tailnet_who_done(ret);
        return fault_set(fault, -ERR_CORRUPT, "a login or tag that cannot be one");
    }
    ret->tags = list(json_get(node, "Tags"));
    if (json_kind(capabilities) == JSON_OBJECT && json_count(capabilities) > 0)
        ret->capabilities = json_copy(capabilities);
    return 0;
}

/* ---- errors ---- */

/* {"error": "…"} or plain text with a line end. */
void read_error(const char *body, size_t length, char *out, size_t size)
{
    CLEAN(json_free)
    struct json *json = length && *body == '{' ? json_parse(body, length, NULL) : NULL;
    const char *told = json_string(json_get(json, "error"), NULL);

    if (told)
        body = told, length = strlen(told);
    while (length > 0 && (body[length - 1] == '\n' || body[length - 1] == ' '))
        length--;
    if (length == 0 || !json_is_utf8(body, length))
        body = "(no reason told)", length = strlen(body);
    if (length >= size) {
        length = size - 1;
        while (length > 0 && ((unsigned char)body[length] & 0xc0) == 0x80)
            length--;
    }
    memcpy(out, body, length);
    out[length] = '\0';
    make_plain(out);
}
