/* What libssh2 cannot do is done by ssh: the same calls, the same events. */
#include "tests/wire/tunnel/ssh_kit.h"

#include <glob.h>

static struct kit *kit_rsa(const char *sshd_extra)
{
    struct kit *k = kit_new(sshd_extra);
    char *text;

    (void)setenv("XDG_RUNTIME_DIR", t_tmpdir(), 1); /* where its sockets are */
    sshd_rig_key(k->rig, "id_rsa", "rsa", "");
    sshd_rig_write(k->rig, "authorized_keys", "");
    sshd_rig_authorize(k->rig, "id_rsa", "");
    text = mem_format(
        "Host *\nUserKnownHostsFile %s/known_hosts\nGlobalKnownHostsFile /dev/null\nIdentityFile "
        "%s/id_rsa\nIdentityAgent none\nStrictHostKeyChecking yes\nLocalForward 1 127.0.0.1:1\n",
        k->rig->folder, k->rig->folder);
    sshd_rig_write(k->rig, "ssh_config", text);
    mem_free(text);
    k->policy.allow_child = true;
    return k;
}

static size_t folders_left(void)
{
    glob_t found;
    size_t n;
    char pattern[300];

    (void)snprintf(pattern, sizeof pattern, "%s/culvert-ssh-*", t_tmpdir());
    if (glob(pattern, 0, NULL, &found) != 0)
        return 0;
    n = found.gl_pathc;
    globfree(&found);
    return n;
}

T(an_rsa_key_is_used_by_ssh)
{
    size_t before = folders_left();
    struct kit *k = kit_rsa("");
    struct echo *tcp = echo_new(k->loop, NULL), *local;
    struct ssh_facts facts;
    struct stream *s;

    t_eq(kit_open(k), 0);
    t_str(k->why.text, "");
    ssh_facts(k->ssh, &facts);
    t_ok(facts.child);
    t_has(k->notices, "id_rsa");
    t_has(k->notices, "RSA");
    s = stream_exec(k, "cat; echo out; echo err >&2; exit 7");
    t_eq(s->opened, 0);
    stream_write(s, "hello ", 6);
    ssh_channel_end(s->channel);
    KIT_UNTIL(k, s->closed);
    t_str(stream_text(s), "hello out\n");
    t_has(s->noise.data, "err\n");
    t_eq(s->exit_status, 7);
    t_ok(s->ended);
    stream_free(s);
    local = echo_new(k->loop, sshd_rig_path(k->rig, "echo.sock"));
    for (int i = 0; i < 4; i++) {
        s = stream_start(
            k, (i & 1) != 0
                   ? (struct ssh_channel_spec){.kind = SSH_STREAMLOCAL, .path = local->path}
                   : (struct ssh_channel_spec){
                         .kind = SSH_TCP, .host = "127.0.0.1", .port = tcp->port});
        KIT_UNTIL(k, s->opened != 1);
        t_eq(s->opened, 0);
        stream_write(s, "there and back", 14);
        KIT_UNTIL(k, s->data.length == 14);
        ssh_channel_end(s->channel);
        KIT_UNTIL(k, s->closed);
        stream_free(s);
    }
    s = stream_start(k, (struct ssh_channel_spec){.kind = SSH_TCP, .host = "127.0.0.1", .port = 1});
    KIT_UNTIL(k, s->opened != 1);
    t_eq(s->opened, -ERR_CONNECT);
    stream_free(s);
    k->notices[0] = '\0';
    kit_close(k);
    t_eq(folders_left(), before);
    t_eq(kit_open(k), 0); /* said once */
    t_str(k->notices, "");
    s = stream_exec(k, "yes");
    KIT_UNTIL(k, s->data.length > 100000);
    kit_close(k); /* in the middle */
    s->channel = NULL;
    stream_free(s);
    t_eq(folders_left(), before);
    echo_free(tcp);
    echo_free(local);
    kit_free(k);
}

/* The path of a stream is what the far end offers: ssh must not read our environment for it. */
T(a_path_over_there_reads_no_variable_of_ours)
{
    struct kit *k = kit_rsa("");
    struct echo *local = echo_new(k->loop, sshd_rig_path(k->rig, "of-ours.sock"));
    static const char *const names[] = {"${CULVERT_TEST_SECRET}.sock", "%%.sock", "a:1"};

    (void)setenv("CULVERT_TEST_SECRET", "of-ours", 1);
    t_eq(kit_open(k), 0);
    for (size_t i = 0; i < COUNT(names); i++) {
        struct stream *s =
            stream_start(k, (struct ssh_channel_spec){.kind = SSH_STREAMLOCAL,
                                                      .path = sshd_rig_path(k->rig, names[i])});
        KIT_UNTIL(k, s->opened != 1);
        t_eq(s->opened, -ERR_UNSUPPORTED);
        stream_free(s);
    }
    echo_free(local);
    kit_free(k);
}

T(many_bytes_and_a_reader_that_pauses)
{
    struct kit *k = kit_rsa("");
    struct echo *echo = echo_new(k->loop, NULL);
    size_t length = 3u << 20;
    char *sent = mem_new(length);
    struct stream *s, *paused;

    for (size_t i = 0; i < length; i++)
        sent[i] = (char)(i * 31 + i / 251);
    t_eq(kit_open(k), 0);
    paused = stream_exec(k, "head -c 2000000 /dev/zero");
    paused->take = 1000;
    s = stream_start(
        k, (struct ssh_channel_spec){.kind = SSH_TCP, .host = "127.0.0.1", .port = echo->port});
    KIT_UNTIL(k, s->opened != 1);
    stream_write(s, sent, length);
    KIT_UNTIL(k, s->data.length == length);
    t_ok(s->data.length == length && memcmp(s->data.data, sent, length) == 0);
    KIT_UNTIL(k, paused->data.length == 1000);
    paused->take = SIZE_MAX;
    ssh_channel_resume(paused->channel);
    KIT_UNTIL(k, paused->closed);
    t_eq(paused->data.length, 2000000);
    t_eq(paused->exit_status, 0);
    stream_free(s);
    stream_free(paused);
    echo_free(echo);
    mem_free(sent);
    kit_free(k);
}

static void on_listen(struct op *op, int result)
{
    (void)op;
    (void)result;
}

T(a_port_over_there_by_ssh)
{
    struct kit *k = kit_rsa("");
    struct stream *s = stream_new(k);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct op op, taken;
    int port = 0, other = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memset(&op, 0, sizeof op);
    memset(&taken, 0, sizeof taken);
    t_eq(kit_open(k), 0);
    op_init(&op, k->loop, on_listen, 15000);
    ssh_listen(k->ssh, &op, NULL, 0, &port);
    KIT_UNTIL(k, !op_running(&op));
    t_eq(op.result, 0);
    t_ok(port > 0);
    op_init(&taken, k->loop, on_listen, 15000);
    ssh_listen(k->ssh, &taken, "127.0.0.1", k->rig->port, &other);
    KIT_UNTIL(k, !op_running(&taken));
    t_eq(taken.result, -ERR_DENIED);
    address.sin_port = htons((uint16_t)port);
    t_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    KIT_UNTIL(k, k->arrivals == 1);
    s->opened = 0;
    s->channel = k->arrived;
    ssh_channel_take(k->arrived, &stream_events, s);
    t_eq(write(fd, "knock", 5), 5);
    KIT_UNTIL(k, s->data.length == 5);
    (void)close(fd);
    KIT_UNTIL(k, s->closed);
    stream_free(s);
    kit_free(k);
}

T(its_server_stops_and_its_server_is_killed)
{
    struct kit *k = kit_rsa("");
    int64_t since;

    t_eq(kit_open(k), 0);
    sshd_rig_signal(k->rig, SIGSTOP);
    since = loop_now(k->loop);
    KIT_UNTIL(k, k->lost);
    t_ok(loop_now(k->loop) - since <= 7000);
    kit_close(k);
    sshd_rig_kill(k->rig);
    t_eq(kit_open(k), 0);
    sshd_rig_signal(k->rig, SIGKILL);
    KIT_UNTIL(k, k->lost);
    t_has(k->why.text, "ssh ended");
    kit_free(k);
}

T(a_hardened_server)
{
    struct kit *k = kit_new("Ciphers chacha20-poly1305@openssh.com\n");
    struct stream *s;

    t_eq(kit_open(k), -ERR_CONNECT);
    t_has(k->why.text, "in common");
    t_has(k->why.text, "install ssh");
    kit_close(k);
    k->policy.allow_child = true;
    t_eq(kit_open(k), 0);
    s = stream_exec(k, "echo through");
    KIT_UNTIL(k, s->closed);
    t_str(stream_text(s), "through\n");
    stream_free(s);
    kit_free(k);
}

T(without_a_child_it_says_what_to_do)
{
    struct kit *k = kit_rsa("");

    k->policy.allow_child = false;
    t_eq(kit_open(k), -ERR_AUTH);
    t_has(k->why.text, "RSA");
    t_has(k->why.text, "ssh-keygen -t ed25519");
    kit_close(k);
    k->policy.allow_child = true;
    sshd_rig_write(k->rig, "authorized_keys", "");
    t_eq(kit_open(k), -ERR_AUTH); /* ssh is not let in either: its own words */
    t_has(k->why.text, "Permission denied");
    kit_free(k);
}

/* $HOME elsewhere: its configuration, its keys, its known hosts, not the account's. */
T(another_home)
{
    struct kit *k = kit_rsa("");
    char *home = mem_format("%s/a home %%h", k->rig->folder), *was = mem_string(getenv("HOME"));
    char *folder = mem_format("%s/.ssh", home), *command;
    struct ssh_facts facts;

    command = mem_format("mkdir -p -m 700 '%s' && cd '%s' && cp ../../id_rsa . && cp "
                         "../../known_hosts . && echo 'GlobalKnownHostsFile /dev/null' > config",
                         folder, folder);
    const char *argv[] = {"sh", "-c", command, NULL};
    t_eq(sshd_rig_run(argv), 0);
    setenv("HOME", home, 1);
    k->rig->options.config_file = NULL;
    t_eq(kit_open(k), 0);
    t_str(k->why.text, "");
    ssh_facts(k->ssh, &facts);
    t_ok(facts.child);
    kit_close(k);
    setenv("HOME", was, 1);
    mem_free(home);
    mem_free(was);
    mem_free(folder);
    mem_free(command);
    kit_free(k);
}

T(closed_in_every_state)
{
    struct kit *k = kit_rsa("");
    size_t before = folders_left();

    for (int turns = 0; turns < 25; turns++) {
        kit_start(k);
        for (int i = 0; i < turns * 3 && !k->ended; i++)
            (void)loop_turn(k->loop, /* wait= */ true);
        kit_close(k);
        KIT_UNTIL(k, k->ended);
        sshd_rig_kill(k->rig);
    }
    t_eq(folders_left(), before);
    kit_free(k);
}
