/* One session to a real sshd: signing in with a key file, streams of all kinds, both ways, and the end. */
#include "tests/wire/tunnel/ssh_kit.h"

T(a_key_file_lets_us_in)
{
    struct kit *k = kit_new("");
    struct ssh_facts facts;

    t_eq(kit_open(k), 0);
    t_str(k->why.text, "");
    ssh_facts(k->ssh, &facts);
    t_str(facts.user, k->rig->user);
    t_str(facts.address, "127.0.0.1");
    t_has(facts.banner, "SSH-2.0-OpenSSH");
    t_has(facts.host_key, "SHA256:");
    t_has(facts.key, "SHA256:");
    t_has(facts.algorithms, "curve25519-sha256");
    t_ok(!facts.child);
    t_has(k->steps, "configuration");
    t_has(k->steps, "ready");
    kit_free(k);
}

T(a_command_and_its_end)
{
    struct kit *k = kit_new("");
    struct stream *s;

    t_eq(kit_open(k), 0);
    s = stream_exec(k, "cat; echo out; echo err >&2; exit 7");
    t_eq(s->opened, 0);
    stream_write(s, "hello ", 6);
    ssh_channel_end(s->channel);
    KIT_UNTIL(k, s->closed);
    t_str(stream_text(s), "hello out\n");
    t_str(s->noise.data, "err\n");
    t_eq(s->exit_status, 7);
    t_ok(s->ended);
    stream_free(s);
    kit_free(k);
}

T(tcp_and_unix_sockets_over_there)
{
    struct kit *k = kit_new("");
    struct echo *tcp = echo_new(k->loop, NULL);
    struct echo *local = echo_new(k->loop, sshd_rig_path(k->rig, "echo.sock"));
    struct stream *streams[2];

    t_eq(kit_open(k), 0);
    streams[0] = stream_start(
        k, (struct ssh_channel_spec){.kind = SSH_TCP, .host = "127.0.0.1", .port = tcp->port});
    streams[1] =
        stream_start(k, (struct ssh_channel_spec){.kind = SSH_STREAMLOCAL, .path = local->path});
    for (size_t i = 0; i < 2; i++) {
        struct stream *s = streams[i];

        KIT_UNTIL(k, s->opened != 1);
        t_eq(s->opened, 0);
        stream_write(s, "there and back", 14);
        KIT_UNTIL(k, s->data.length == 14);
        t_str(stream_text(s), "there and back");
        ssh_channel_end(s->channel);
        KIT_UNTIL(k, s->closed);
        t_eq(s->exit_status, -1);
        stream_free(s);
    }
    echo_free(tcp);
    echo_free(local);
    kit_free(k);
}

T(refusals_say_why)
{
    struct kit *k = kit_new("AllowTcpForwarding no\n");
    struct stream *s[3];

    t_eq(kit_open(k), 0);
    s[0] =
        stream_start(k, (struct ssh_channel_spec){.kind = SSH_TCP, .host = "127.0.0.1", .port = 1});
    s[1] = stream_start(
        k, (struct ssh_channel_spec){.kind = SSH_STREAMLOCAL, .path = "/nonexistent/socket"});
    s[2] = stream_start(k, (struct ssh_channel_spec){.kind = SSH_STREAMLOCAL, .path = ""});
    KIT_UNTIL(k, s[0]->opened != 1 && s[1]->opened != 1 && s[2]->opened != 1);
    t_eq(s[0]->opened, -ERR_DENIED);
    t_has(s[0]->why.text, "AllowTcpForwarding");
    t_eq(s[1]->opened, -ERR_CONNECT);
    t_has(s[1]->why.text, "/nonexistent/socket");
    t_eq(s[2]->opened, -ERR_INVALID);
    for (size_t i = 0; i < 3; i++)
        stream_free(s[i]);
    kit_free(k);
}

T(nobody_there)
{
    struct kit *k = kit_new("MaxSessions 1\n");
    struct stream *s, *one, *two;

    t_eq(kit_open(k), 0);
    s = stream_start(k, (struct ssh_channel_spec){.kind = SSH_TCP, .host = "127.0.0.1", .port = 1});
    KIT_UNTIL(k, s->opened != 1);
    t_eq(s->opened, -ERR_CONNECT);
    t_has(s->why.text, "port 1");
    one = stream_exec(k, "cat");
    two = stream_exec(k, "cat");
    t_eq(one->opened, 0);
    t_eq(two->opened, -ERR_FULL);
    t_has(two->why.text, "MaxSessions");
    stream_free(s);
    stream_free(one);
    stream_free(two);
    kit_free(k);
}

T(a_killed_sshd_is_told_once_with_its_streams)
{
    struct kit *k = kit_new("");
    struct stream *s;

    t_eq(kit_open(k), 0);
    s = stream_exec(k, "cat");
    sshd_rig_signal(k->rig, SIGKILL);
    KIT_UNTIL(k, k->lost);
    t_eq(k->why.code, -ERR_CLOSED);
    t_has(k->why.text, "closed the connection");
    t_ok(s->closed);
    t_eq(s->why.code, -ERR_CLOSED);
    stream_free(s);
    s = stream_start(k, (struct ssh_channel_spec){.kind = SSH_EXEC, .command = "true"});
    KIT_UNTIL(k, s->opened != 1);
    t_eq(s->opened, -ERR_CLOSED);
    stream_free(s);
    kit_free(k);
}

T(closing_while_everything_runs)
{
    struct kit *k = kit_new("");
    struct stream *s[4];

    for (int turns = 0; turns < 40; turns++) { /* in every state of the attempt */
        kit_start(k);
        for (int i = 0; i < turns * 2 && !k->ended; i++)
            (void)loop_turn(k->loop, /* wait= */ true);
        kit_close(k);
        KIT_UNTIL(k, k->ended);
        sshd_rig_kill(k->rig);
    }
    t_eq(kit_open(k), 0);
    s[0] = stream_exec(k, "cat");
    s[1] = stream_exec(k, "yes");
    s[2] = stream_start(k, (struct ssh_channel_spec){.kind = SSH_EXEC, .command = "cat"});
    s[3] = stream_start(k, (struct ssh_channel_spec){.kind = SSH_EXEC, .command = "cat"});
    s[3]->channel = ssh_channel_drop(s[3]->channel);
    kit_close(k);
    for (size_t i = 0; i < 4; i++) {
        t_ok(!s[i]->closed);
        s[i]->channel = NULL; /* went with the session */
        stream_free(s[i]);
    }
    kit_free(k);
}
