/* Ways to a server: jump hosts, a ProxyCommand, and what goes wrong on them. */
#include "tests/wire/tunnel/ssh_kit.h"

/* The rig's client configuration, for a host named "inner" behind others. */
static void way_config(struct kit *k, const struct sshd_rig *inner, const char *lines)
{
    char *text = mem_format(
        "Host inner\nHostName 127.0.0.1\nPort %d\nUser %s\nUserKnownHostsFile %s/known_hosts\n"
        "IdentityFile %s/id_ed25519\n%s\n"
        "Host hop\nHostName 127.0.0.1\nPort %d\nUser %s\n"
        "Host round\nHostName 127.0.0.1\nPort 1\nProxyJump back\n"
        "Host back\nHostName 127.0.0.1\nPort 2\nProxyJump round\n"
        "Host *\nUserKnownHostsFile %s/known_hosts\nGlobalKnownHostsFile /dev/null\n"
        "IdentityFile %s/id_ed25519\nIdentityAgent none\n",
        inner->port, inner->user, inner->folder, inner->folder, lines, k->rig->port, k->rig->user,
        k->rig->folder, k->rig->folder);

    sshd_rig_write(k->rig, "ssh_config", text);
    mem_free(text);
}

static void way_target(struct kit *k, const char *target)
{
    struct fault why;

    fault_clear(&why);
    ssh_target_done(&k->rig->target);
    require(ssh_target_parse(target, &k->rig->target, &why) == 0);
}

static void way_works(struct kit *k)
{
    struct stream *s;

    t_eq(kit_open(k), 0);
    t_str(k->why.text, "");
    if (k->result < 0)
        return;
    s = stream_exec(k, "head -c 3000000 /dev/zero; cat");
    stream_write(s, "end", 3);
    ssh_channel_end(s->channel);
    KIT_UNTIL(k, s->closed);
    t_eq(s->data.length, 3000003);
    stream_free(s);
}

T(by_a_jump_host)
{
    struct kit *k = kit_new("");
    struct sshd_rig *inner = sshd_rig_new(k->loop, "");

    way_config(k, inner, "ProxyJump hop");
    way_target(k, "inner");
    way_works(k);
    sshd_rig_signal(k->rig, SIGKILL); /* the jump host goes */
    KIT_UNTIL(k, k->lost);
    t_has(k->why.text, "by way of hop");
    kit_close(k);
    sshd_rig_kill(k->rig);
    for (int turns = 0; turns < 30; turns++) { /* closed in every state */
        kit_start(k);
        for (int i = 0; i < turns * 3 && !k->ended; i++)
            (void)loop_turn(k->loop, /* wait= */ true);
        kit_close(k);
        KIT_UNTIL(k, k->ended);
        sshd_rig_kill(k->rig);
        sshd_rig_kill(inner);
    }
    kit_close(k);
    sshd_rig_free(inner);
    kit_free(k);
}

T(by_two_jump_hosts)
{
    struct kit *k = kit_new("");
    struct sshd_rig *inner = sshd_rig_new(k->loop, ""), *second = sshd_rig_new(k->loop, "");
    char lines[1200];

    (void)snprintf(lines, sizeof lines,
                   "ProxyJump hop,second\nHost second\nHostName localhost\nPort "
                   "%d\nUserKnownHostsFile %s/known_hosts\n"
                   "HostKeyAlias [127.0.0.1]:%d\nIdentityFile %s/id_ed25519\n",
                   second->port, second->folder, second->port, second->folder);
    way_config(k, inner, lines);
    way_target(k, "inner");
    way_works(k);
    kit_close(k);
    sshd_rig_write(k->rig, "known_hosts", "");
    t_eq(kit_open(k), -ERR_DENIED); /* nobody knows the first hop any more */
    t_has(k->why.text, "by way of second: by way of hop");
    kit_close(k);
    sshd_rig_free(inner);
    sshd_rig_free(second);
    kit_free(k);
}

T(a_circle_is_named)
{
    struct kit *k = kit_new("");

    way_config(k, k->rig, "");
    way_target(k, "round");
    t_eq(kit_open(k), -ERR_INVALID);
    t_has(k->why.text, "circle");
    t_has(k->why.text, "round");
    kit_free(k);
}

T(by_a_proxy_command)
{
    struct kit *k = kit_new("");
    char line[400];

    (void)snprintf(line, sizeof line, "ProxyCommand ssh -F %s -W %%h:%%p hop", k->rig->config);
    way_config(k, k->rig, line);
    way_target(k, "inner");
    way_works(k);
    kit_close(k);
    way_config(k, k->rig, "ProxyCommand echo no way for you >&2; exit 3");
    t_eq(kit_open(k), -ERR_CONNECT);
    t_has(k->why.text, "no way for you");
    kit_free(k);
}

T(a_name_and_a_port_that_are_not_there)
{
    struct kit *k = kit_new("");

    way_target(k, "no-such-host.invalid");
    t_eq(kit_open(k), -ERR_CONNECT);
    t_has(k->why.text, "no-such-host.invalid");
    kit_close(k);
    way_target(k, "ssh://127.0.0.1:1");
    t_eq(kit_open(k), -ERR_CONNECT);
    t_has(k->why.text, "refused");
    kit_free(k);
}
