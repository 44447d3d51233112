/* trust_judge as a table: who is trusted, how far, by which list; and that nobody ever gets operator.admin, nor anything by
 * what it could have made up. */
#include "gateway/config/check.h"
#include "gateway/config/config.h"
#include "tests/rig/rig.h"
#include "tests/unit/gateway/tunnel/kit.h"

#include <unistd.h>

#define CONFIG                                                                                     \
    "{tunnel: {trust: {"                                                                           \
    "unix: {alice: {scopes: ['operator.read']}, build: {role: 'node'}},"                           \
    "keys: {'" KEY_A "': {scopes: ['operator.write']}},"                                           \
    "names: {'alice-laptop': {role: 'both', scopes: ['operator.approvals']}},"                     \
    "logins: {'Alice@example.com': {scopes: ['operator.read']},"                                   \
    "         'tagged-devices': {scopes: ['operator.read']}},"                                     \
    "tags: {'tag:ci': {scopes: ['operator.read', 'operator.write']}}}}}"

#define CAP               "'culvert.dev/cap/gateway'"
#define OPERATOR(scopes_) true, true, scopes_, false
#define NOBODY            false, false, SCOPE_NONE, false

static const struct {
    const char *what;
    struct who who;
    bool trusted, as_operator;
    scope_set scopes;
    bool node;
} rows[] = {
    {"a bridge by its unix user",
     {IDENTITY_SSH, .uid = 1000, .user = "alice"},
     OPERATOR(SCOPE_READ)},
    {"another user", {IDENTITY_SSH, .uid = 1001, .user = "bob"}, NOBODY},
    {"the beginning of a name", {IDENTITY_SSH, .uid = 1001, .user = "ali"}, NOBODY},
    {"a user of this host, at gateway.sock",
     {IDENTITY_UNIX, .uid = 1000, .user = "alice"},
     OPERATOR(SCOPE_READ)},
    {"a user whose name is not known", {IDENTITY_UNIX, .uid = 1000}, NOBODY},
    {"a node", {IDENTITY_UNIX, .uid = 1002, .user = "build"}, true, false, 0, true},
    {"a forwarded port is nobody's", {IDENTITY_FORWARD, .uid = 1000, .user = "alice"}, NOBODY},
    {"a vouched key", {IDENTITY_SSH, .vouched = true, .key = KEY_A}, OPERATOR(SCOPE_WRITE)},
    {"a key by its bearer's word", {IDENTITY_SSH, .user = "bob", .key = KEY_A}, NOBODY},
    {"another key", {IDENTITY_SSH, .vouched = true, .key = KEY_B}, NOBODY},
    {"a vouched name",
     {IDENTITY_SSH, .vouched = true, .name = "alice-laptop"},
     true,
     true,
     SCOPE_APPROVALS,
     true},
    {"a name by its bearer's word", {IDENTITY_SSH, .user = "bob", .name = "alice-laptop"}, NOBODY},
    {"what matches adds up",
     {IDENTITY_SSH, .user = "alice", .vouched = true, .key = KEY_A, .name = "alice-laptop"},
     true,
     true,
     SCOPE_READ | SCOPE_WRITE | SCOPE_APPROVALS,
     true},
    {"published: the far host's word about an address",
     {IDENTITY_PUBLISH, .user = "alice", .vouched = true, .key = KEY_A, .via = "vps",
      .address = "192.0.2.7"},
     NOBODY},
    {"a login, whatever its case",
     {IDENTITY_TAILNET, .login = "alice@EXAMPLE.com", .node = "laptop"},
     OPERATOR(SCOPE_READ)},
    {"a login told by a bridge",
     {IDENTITY_SSH, .vouched = true, .login = "alice@example.com"},
     NOBODY},
    {"a tag",
     {IDENTITY_TAILNET, .login = "tagged-devices", .tag = "tag:ci"},
     OPERATOR(SCOPE_READ | SCOPE_WRITE)},
    {"the login that all tagged nodes share is nobody's",
     {IDENTITY_TAILNET, .login = "tagged-devices", .tag = "tag:other"},
     NOBODY},
    {"a tagged node is not its owner",
     {IDENTITY_TAILNET, .login = "alice@example.com", .tag = "tag:other"},
     NOBODY},
    {"a unix user's name on the tailnet", {IDENTITY_TAILNET, .user = "alice"}, NOBODY},
    {"a grant",
     {IDENTITY_TAILNET, .capabilities = "{" CAP ":[{'scopes':['operator.read']}]}"},
     OPERATOR(SCOPE_READ)},
    {"grants add up, admin is left out",
     {IDENTITY_TAILNET,
      .capabilities = "{" CAP ":[{'role':'operator','scopes':['operator.admin','operator.talk']},"
                      "{'role':'node'}]}"},
     true,
     true,
     SCOPE_TALK,
     true},
    {"a grant of admin alone",
     {IDENTITY_TAILNET, .capabilities = "{" CAP ":[{'scopes':['operator.admin']}]}"},
     OPERATOR(SCOPE_NONE)},
    {"another capability",
     {IDENTITY_TAILNET, .capabilities = "{'example.com/cap/x':[{'scopes':['operator.read']}]}"},
     NOBODY},
    {"a grant told by a bridge",
     {IDENTITY_SSH, .vouched = true, .capabilities = "{" CAP ":[{'scopes':['operator.read']}]}"},
     NOBODY},
    {"a role nobody knows",
     {IDENTITY_TAILNET, .capabilities = "{" CAP ":[{'role':'root','scopes':['operator.read']}]}"},
     NOBODY},
    {"grants that are none",
     {IDENTITY_TAILNET, .capabilities = "{" CAP ":['operator.read',7,null,[],{'role':7}]}"},
     NOBODY},
    {"a grant that is no list",
     {IDENTITY_TAILNET, .capabilities = "{" CAP ":'operator.read'}"},
     NOBODY},
};

T(the_table)
{
    struct rig *rig = rig_new(CONFIG);

    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(peer_identity_unref) struct peer_identity *identity = who_new(&rows[i].who);
        struct trust_grant grant;
        trust_judge(rig->gw, identity, &grant);
        if (grant.trusted != rows[i].trusted || grant.as_operator != rows[i].as_operator ||
            grant.scopes != rows[i].scopes || grant.node != rows[i].node ||
            (grant.trusted && !grant.by))
            t_fail(__FILE__, __LINE__, "%s: trusted %d operator %d scopes %x node %d", rows[i].what,
                   grant.trusted, grant.as_operator, grant.scopes, grant.node);
        t_ok((grant.scopes & SCOPE_ADMIN) == 0);
    }
    rig_free(rig);
}

T(nobody_is_trusted_without_a_mapping)
{
    struct rig *rig = rig_new("{tunnel: {trust: {capability: ''}}}");
    struct trust_grant grant = {.trusted = true};

    trust_judge(rig->gw, NULL, &grant);
    t_ok(!grant.trusted && !grant.scopes && !grant.node);
    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(peer_identity_unref) struct peer_identity *identity = who_new(&rows[i].who);
        trust_judge(rig->gw, identity, &grant);
        t_ok(!grant.trusted);
    }
    rig_free(rig);
}

static void expect_refused(const char *text, const char *part)
{
    CLEAN(mem_free) char *path = mem_format("%s/bad.json", t_tmpdir());
    struct config *config = NULL;
    struct fault fault = {0};
    FILE *file = fopen(path, "w");

    t_ok(file && fputs(text, file) >= 0 && fclose(file) == 0);
    t_eq(config_load(path, &config, &fault), -ERR_INVALID);
    t_has(fault.text, part);
    config_free(config);
}

T(the_configuration_refuses_admin_and_what_it_does_not_know)
{
    expect_refused("{tunnel: {trust: {unix: {alice: {scopes: ['operator.admin']}}}}}",
                   "an identity never gets operator.admin by itself");
    expect_refused("{tunnel: {trust: {tags: {'tag:x': {scopes: ['operator.admin']}}}}}",
                   "an identity never gets operator.admin by itself");
    expect_refused("{tunnel: {trust: {keys: {x: {scopes: ['operator.raed']}}}}}",
                   "the nearest is \"operator.read\"");
    expect_refused("{tunnel: {trust: {names: {x: {role: 'admin'}}}}}", "expected one of");
    expect_refused("{tunnel: {trust: {unix: {alice: {scope: []}}}}}",
                   "the nearest known one is \"scopes\"");
    expect_refused("{tunnel: {trust: {users: {}}}}", "unknown key");
    expect_refused("{tunnel: {trust: {unix: {alice: 'operator.read'}}}}", "expected an object");
}
