/* The table of tickets: who may show one, how long, how many there are. And how an identity reads and counts. */
#include "gateway/tunnel/tickets.h"

#include "tests/unit/gateway/tunnel/kit.h"

#include <unistd.h>

static struct peer_identity *somebody(void)
{
    return who_new(&(struct who){IDENTITY_SSH, .uid = 1000, .user = "alice"});
}

static struct ticket *issue(struct tickets *tickets, uint32_t uid, int32_t pid,
                            char out[TOKEN_TEXT])
{
    CLEAN(peer_identity_unref) struct peer_identity *identity = somebody();
    struct ticket *ticket = NULL;

    t_eq(tickets_issue(tickets, uid, pid, identity, out, &ticket, NULL), 0);
    return ticket;
}

/* As somebody by a forced command on our own account. */
static int issue_as(struct tickets *tickets, const char *name, struct fault *fault)
{
    CLEAN(peer_identity_unref)
    struct peer_identity *identity = who_new(
        &(struct who){IDENTITY_SSH, .uid = geteuid(), .user = "us", .vouched = true, .name = name});
    struct ticket *ticket;
    char text[TOKEN_TEXT];

    return tickets_issue(tickets, geteuid(), 0, identity, text, &ticket, fault);
}

T(a_ticket_is_its_users_and_ends)
{
    struct tickets *tickets = tickets_new();
    char text[TOKEN_TEXT], forged[TOKEN_TEXT];
    const char *why = NULL;
    struct ticket *ticket = issue(tickets, 1000, 0, text);

    t_eq(strlen(text), 43);
    t_ok(strstr(ticket->hash, text) == NULL); /* only the hash is kept */
    t_eq(ticket->identity->ticket, ticket->id);
    t_ok(tickets_check(tickets, text, 1000, 77, &why) == ticket);
    t_ok(tickets_check(tickets, text, 1000, 78, &why) == ticket); /* any number of streams */
    t_ok(!tickets_check(tickets, text, 1001, 77, &why));
    t_has(why, "somebody else");
    t_ok(!tickets_check(tickets, text, 0, 77, &why)); /* root's streams are not hers */
    memcpy(forged, text, sizeof(forged));
    forged[42] = forged[42] == 'A' ? 'B' : 'A';
    t_ok(!tickets_check(tickets, forged, 1000, 77, &why));
    t_has(why, "no such ticket");
    t_ok(!tickets_check(tickets, ticket->hash, 1000, 77, &why)); /* the hash opens nothing */
    t_ok(!tickets_check(tickets, "", 1000, 77, &why));

    tickets_end(tickets, ticket->id);
    tickets_end(tickets, 99);
    t_ok(!tickets_check(tickets, text, 1000, 77, &why));
    t_eq(tickets_count(tickets), 0);
    tickets_free(tickets);
}

T(a_ticket_of_one_process)
{
    struct tickets *tickets = tickets_new();
    char text[TOKEN_TEXT];
    const char *why = NULL;

    issue(tickets, 1000, 77, text);
    t_ok(tickets_check(tickets, text, 1000, 77, &why) != NULL);
    t_ok(!tickets_check(tickets, text, 1000, 78, &why));
    tickets_free(tickets);
}

T(ids_and_texts_never_come_again)
{
    struct tickets *tickets = tickets_new();
    char first[TOKEN_TEXT], second[TOKEN_TEXT];
    uint64_t id = issue(tickets, 1000, 0, first)->id;

    tickets_end(tickets, id);
    t_ok(issue(tickets, 1000, 0, second)->id != id);
    t_ok(strcmp(first, second) != 0);
    t_ok(tickets_find(tickets, id) == NULL);
    tickets_free(tickets);
}

T(one_user_cannot_use_up_all)
{
    struct tickets *tickets = tickets_new();
    CLEAN(peer_identity_unref) struct peer_identity *identity = somebody();
    uint32_t other = geteuid() + 1;
    struct ticket *ticket;
    struct fault fault = {0};
    char text[TOKEN_TEXT];

    for (int i = 0; i < TICKETS_USER_MAX; i++)
        issue(tickets, other, 0, text);
    t_eq(tickets_issue(tickets, other, 0, identity, text, &ticket, &fault), -ERR_FULL);
    t_has(fault.text, "close one");
    for (int i = TICKETS_USER_MAX; i < TICKETS_MAX; i++)
        t_eq(issue_as(tickets, i & 1 ? "alice" : "bob", &fault), 0);
    t_eq(issue_as(tickets, "carol", &fault), -ERR_FULL);
    t_eq(tickets_count(tickets), TICKETS_MAX);
    tickets_free(tickets);
}

T(one_person_on_a_shared_account_cannot_either)
{
    struct tickets *tickets = tickets_new();
    struct fault fault = {0};

    for (int i = 0; i < TICKETS_ONE_MAX; i++)
        t_eq(issue_as(tickets, "alice", &fault), 0);
    t_eq(issue_as(tickets, "alice", &fault), -ERR_FULL);
    t_has(fault.text, "close one");
    t_eq(issue_as(tickets, "bob", &fault), 0);
    tickets_free(tickets);
}

/* ---- identities ---- */

#define LONG                                                                                       \
    "a-host-with-a-very-long-name.example.com.a-host-with-a-very-long-name.example.com."           \
    "a-host-with-a-very-long-name.example.com"

static const struct {
    struct who who;
    const char *text, *key, *address;
} identities[] = {
    {{IDENTITY_SSH, .uid = 7, .user = "alice", .vouched = true, .key = KEY_A,
      .address = "192.0.2.7"},
     "ssh alice, key " KEY_A ", from 192.0.2.7",
     "uid:7:" KEY_A,
     "192.0.2.7"},
    {{IDENTITY_SSH, .uid = 7, .user = "alice", .vouched = true, .address = "192.0.2.7"},
     "ssh alice, key not told by sshd, from 192.0.2.7",
     "uid:7:from:192.0.2.7",
     "192.0.2.7"},
    {{IDENTITY_SSH, .uid = 7, .user = "git", .vouched = true, .name = "alice", .key = KEY_A},
     "ssh git as alice, key " KEY_A,
     "uid:7:as:alice",
     NULL},
    {{IDENTITY_SSH, .uid = 7, .user = "alice", .key = KEY_A, .address = "192.0.2.7"},
     "ssh alice, by its own word, key " KEY_A ", from 192.0.2.7",
     "uid:7",
     NULL},
    {{IDENTITY_SSH, .uid = 7}, "ssh uid 7, key not told by sshd", "uid:7", NULL},
    {{IDENTITY_FORWARD, .uid = 7, .user = "alice"},
     "forwarded on this host by alice (ssh -L or the like)",
     "uid:7",
     NULL},
    {{IDENTITY_UNIX, .uid = 7, .user = "alice"}, "unix user alice", "uid:7", NULL},
    {{IDENTITY_PUBLISH, .uid = UINT32_MAX, .via = "vps", .address = "2001:db8::1"},
     "published on vps, from 2001:db8::1",
     "publish:2001:db8:::vps",
     "2001:db8::1"},
    {{IDENTITY_PUBLISH, .via = "evil\n\033[2J"},
     "published on evil??[2J",
     "publish:?:evil\n\033[2J",
     NULL},
    {{IDENTITY_TAILNET, .login = "a@b.c", .node = "laptop"},
     "tailnet a@b.c, node laptop",
     "tailnet:a@b.c",
     NULL},
    {{IDENTITY_TAILNET, .login = "tagged-devices", .tag = "tag:ci", .node = "runner"},
     "tailnet tag:ci, node runner",
     "tailnet:runner",
     NULL},
};

T(how_an_identity_reads_and_counts)
{
    for (size_t i = 0; i < COUNT(identities); i++) {
        CLEAN(peer_identity_unref) struct peer_identity *identity = who_new(&identities[i].who);
        CLEAN(mem_free) char *text = peer_identity_text(identity);
        char key[IDENTITY_RATE_KEY_MAX];

        peer_identity_rate_key(identity, key);
        t_str(text, identities[i].text);
        t_str(key, identities[i].key);
        const char *address = peer_identity_address(identity);
        t_str(address ? address : "(none)",
              identities[i].address ? identities[i].address : "(none)");
    }
}

T(what_is_too_long_to_count_by_is_counted_by_its_hash)
{
    CLEAN(peer_identity_unref)
    struct peer_identity *a = who_new(&(struct who){IDENTITY_PUBLISH, .via = LONG "a"});
    CLEAN(peer_identity_unref)
    struct peer_identity *b = who_new(&(struct who){IDENTITY_PUBLISH, .via = LONG "b"});
    char key_a[IDENTITY_RATE_KEY_MAX], key_b[IDENTITY_RATE_KEY_MAX];

    peer_identity_rate_key(a, key_a);
    peer_identity_rate_key(b, key_b);
    t_eq(strlen(key_a), 64);
    t_ok(strcmp(key_a, key_b) != 0);
}
