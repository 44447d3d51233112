/* What is read of tailscaled's JSON, and which node a name means. */
#include "base/mem.h"
#include "tests/t.h"
#include "tunnel/tailnet/call.h"

static struct tailnet_status status;
static struct tailnet_who who;
static struct fault fault;

static struct json *json_of(const char *text)
{
    CLEAN(mem_free) char *copy = mem_string(text);

    for (char *c = copy; *c; c++)
        if (*c == '\'')
            *c = '"';
    struct json *json = json_parse(copy, strlen(copy), &fault);
    t_ok(json);
    return json;
}

static int read_status_of(const char *text)
{
    CLEAN(json_free) struct json *json = json_of(text);

    tailnet_status_done(&status);
    return read_status(json, &status, &fault);
}

static int read_who_of(const char *text)
{
    CLEAN(json_free) struct json *json = json_of(text);

    tailnet_who_done(&who);
    return read_who(json, &who, &fault);
}

T(names_that_peers_chose_are_fit_for_a_terminal)
{
    t_eq(read_status_of("{'BackendState':'Running','Peer':{'k':{'HostName':'a\\u001b[2Jb\\u009bc',"
                        "'TailscaleIPs':['100.64.0.2']}}}"),
         0);
    t_str(status.peers[0].name, "a?[2Jb??c"); /* no MagicDNS: its own word */
    tailnet_status_done(&status);
}

T(lists_have_ceilings)
{
    struct buf text;

    buf_init(&text, 8u << 20);
    buf_add_str(&text, "{'BackendState':'Running','Self':{'TailscaleIPs':[");
    for (int i = 0; i < 20; i++)
        buf_addf(&text, "%s'100.64.0.%d'", i ? "," : "", i);
    buf_add_str(&text, "],'Tags':[");
    for (int i = 0; i < 100; i++)
        buf_addf(&text, "%s'tag:%d'", i ? "," : "", i);
    buf_add_str(&text, "]},'Peer':{");
    for (int i = 0; i < TAILNET_PEERS_MAX + 5; i++)
        buf_addf(&text, "%s'k%d':{}", i ? "," : "", i);
    buf_add_str(&text, "}}");
    t_eq(read_status_of(text.data), 0);
    t_eq(status.self.address_count, TAILNET_ADDRESSES);
    t_str(status.self.tags[63], "tag:63");
    t_ok(!status.self.tags[64]);
    t_eq(status.peer_count, TAILNET_PEERS_MAX);
    tailnet_status_done(&status);
    buf_done(&text);
}

T(who_somebody_is_is_taken_as_it_stands_or_not_at_all)
{
    t_eq(read_who_of("{'Node':{'Name':'a.b.','Tags':['tag:x']},'UserProfile':{'LoginName':'al@x','"
                     "DisplayName':'A\\nl'}}"),
         0);
    t_str(who.login, "al@x");
    t_str(who.user, "A?l");
    t_str(who.node, "a.b");
    t_str(who.tags[0], "tag:x");
    tailnet_who_done(&who);
}

T(odd_identities_are_refused)
{
    static const char *const odd[] = {
        "{'Node':{},'UserProfile':{'LoginName':'al\\n@x'}}",
        "{'Node':{'Tags':['tag:a\\u0007']},'UserProfile':{}}",
        "{'Node':{'Tags':[7]},'UserProfile':{}}",
        "{'Node':{'Tags':'tag:a'},'UserProfile':{}}",
        "{'UserProfile':{}}",
        "{'Node':null,'UserProfile':{}}",
        "[]",
    };

    for (size_t i = 0; i < COUNT(odd); i++) {
        if (read_who_of(odd[i]) != -ERR_CORRUPT)
            t_fail(__FILE__, __LINE__, "taken: %s", odd[i]);
        t_ok(!who.login && !who.tags);
    }
    tailnet_who_done(&who);
}

static const char *found(const char *name)
{
    const struct tailnet_node *node;

    fault_clear(&fault);
    node = tailnet_find(&status, name, &fault);
    return node ? node->name : "";
}

T(a_name_finds_its_node)
{
    t_eq(
        read_status_of(
            "{'BackendState':'Running','MagicDNSSuffix':'t.net','Self':{'DNSName':'me.t.net.','"
            "TailscaleIPs':['100.64.0.1']}"
            ",'Peer':{"
            "'a':{'DNSName':'box.t.net.','HostName':'workshop','TailscaleIPs':['100.64.0.2','fd7a::"
            "2']},"
            "'b':{'DNSName':'box-1.t.net.','HostName':'Box','TailscaleIPs':['100.64.0.3']},"
            "'c':{'DNSName':'box.other.net.','HostName':'far','TailscaleIPs':['100.64.0.4']},"
            "'d':{'DNSName':'attic.t.net.','HostName':'workshop','TailscaleIPs':['100.64.0.5']},'e'"
            ":{'DNSName':'shared.x.net.'},'f':{'DNSName':'shared.y.net.'}}}"),
        0);
    t_str(found("attic"), "attic.t.net");
    t_str(found("ATTIC.t.net."), "attic.t.net");
    t_str(found("100.64.0.3"), "box-1.t.net");
    t_str(found("fd7a:0::2"), "box.t.net");
    t_str(found("far"), ""); /* by its own word: told, not dialled */
    t_has(fault.text, "box.other.net calls itself so");
    t_str(found("me"), "me.t.net");
    t_str(found("box.other.net"), "box.other.net");
    t_str(found("box"), "box.t.net"); /* our own tailnet's before a shared one's */
    t_str(found("shared"), "");
    t_has(fault.text, "more than one");
    t_str(found("workshop"), "");
    t_has(fault.text, "more than one");
    t_str(found("attik"), "");
    t_has(fault.text, "did you mean attic?");
    t_str(found(""), "");
    t_eq(fault.code, -ERR_NOT_FOUND);
    tailnet_status_done(&status);
}
