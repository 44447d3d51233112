/* Whose key is it: unknown, changed, revoked, only an authority's. Refused before anything else is said. */
#include "tests/wire/tunnel/ssh_kit.h"

static void known(struct kit *k, const char *format, const char *key)
{
    char *pub = sshd_rig_read(k->rig, key),
         *text = mem_format("%s[127.0.0.1]:%d %s", format, k->rig->port, pub);

    sshd_rig_write(k->rig, "known_hosts", text);
    mem_free(pub);
    mem_free(text);
}

/* An sshd that saw no authentication says so in its log. */
static void refused(struct kit *k, const char *sentence, const char *remedy)
{
    char *log;

    t_eq(kit_open(k), -ERR_DENIED);
    t_has(k->why.text, sentence);
    t_has(k->why.text, remedy);
    t_ok(strstr(k->steps, "authentication") == NULL);
    log = sshd_rig_read(k->rig, "log");
    t_ok(strstr(log, "Accepted") == NULL && strstr(log, "Failed") == NULL);
    mem_free(log);
}

T(an_unknown_host_needs_consent)
{
    struct kit *k = kit_new("");
    char *text;

    sshd_rig_write(k->rig, "known_hosts", "");
    refused(k, "is not known here", "--accept-new");
    t_has(k->why.text, "SHA256:");
    kit_close(k);
    k->policy.accept_new = true;
    t_eq(kit_open(k), 0);
    t_has(k->notices, "is new");
    t_has(k->notices, "SHA256:");
    kit_close(k);
    text = sshd_rig_read(k->rig, "known_hosts");
    t_has(text, "ssh-ed25519");
    mem_free(text);
    k->policy.accept_new = false;
    t_eq(kit_open(k), 0); /* known from now on */
    kit_free(k);
}

T(a_changed_key_is_never_taken)
{
    struct kit *k = kit_new("");

    known(k, "", "id_ed25519.pub"); /* another key of the same type */
    k->policy.accept_new = true;
    refused(k, "has changed", "known_hosts' -R '[127.0.0.1]:");
    t_has(k->why.text, "known_hosts:1");
    kit_free(k);
}

T(a_revoked_key)
{
    struct kit *k = kit_new("");

    known(k, "@revoked ", "host_ed25519.pub");
    k->policy.accept_new = true;
    refused(k, "is revoked", "must not be used");
    kit_free(k);
}

T(only_an_authority_is_known)
{
    struct kit *k = kit_new("");

    known(k, "@cert-authority ", "id_ed25519.pub");
    k->policy.accept_new = true;
    refused(k, "certificate authority", "known_hosts");
    kit_free(k);
}

T(a_host_known_by_another_type_is_not_new)
{
    struct kit *k = kit_new("");

    sshd_rig_key(k->rig, "host_ecdsa", "ecdsa", "");
    known(k, "", "host_ecdsa.pub");
    k->policy.accept_new = true;
    refused(k, "in a type", "known_hosts");
    kit_free(k);
}

T(known_hosts_that_cannot_be_read_is_no_answer)
{
    struct kit *k = kit_new("");

    (void)unlink(sshd_rig_path(k->rig, "known_hosts"));
    require(mkdir(sshd_rig_path(k->rig, "known_hosts"), 0700) == 0);
    k->policy.accept_new = true;
    refused(k, "cannot be checked", "known_hosts");
    kit_free(k);
}
