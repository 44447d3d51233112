/* tunnel_check against a real sshd, up to a session that is ready: each step that can fail says its sentence, and what is
 * well says so. */
#include "tests/wire/tunnel/check_kit.h"

/* ---- what fails before the session is ready ---- */

T(a_name_nobody_knows)
{
    SCENE(scene, "");
    scene->options.target = "ssh://bob@nowhere.invalid:2200";
    t_ok(check(scene) < 0);
    t_has(scene->told, "ok configuration: nowhere.invalid is bob@nowhere.invalid, port 2200\n"
                       "fail name: the name nowhere.invalid is not known here");
    t_has(scene->told, "getent hosts nowhere.invalid");
    t_has(scene->told, "skip tcp: ");
    t_has(scene->told, "skip gateway: ");
    scene_free(scene);
}

T(a_bad_target_and_a_bad_configuration)
{
    SCENE(scene, "");
    scene->options.target = "-oProxyCommand=x";
    t_eq(check(scene), -ERR_INVALID);
    t_has(scene->told, "fail configuration: an SSH target's host cannot begin with");
    sshd_rig_write(scene->rig, "ssh_config", "Host *\n  Nonsense yes\n");
    scene->options.target = scene->rig->address;
    t_eq(check(scene), -ERR_INVALID);
    t_has(scene->told, "Bad configuration option: nonsense");
    t_has(scene->told, "ssh -G 127.0.0.1 shows");
    scene_free(scene);
}

T(a_closed_port)
{
    SCENE(scene, "");
    struct scene *other = scene_new("");
    CLEAN(mem_free) char *target = mem_format("ssh://127.0.0.1:%d", other->rig->port);
    scene_free(other);
    scene->options.target = target;
    t_ok(check(scene) < 0);
    t_has(scene->told, "ok name: ");
    t_has(scene->told, "fail tcp: ");
    t_has(scene->told, "Connection refused");
    t_has(scene->told, "systemctl status ssh");
    t_has(scene->told, "skip ssh: ");
    scene_free(scene);
}

T(no_ssh_server)
{
    SCENE(scene, "");
    scene->rig->refuse = true;
    t_ok(check(scene) < 0);
    t_has(scene->told, "ok tcp: 127.0.0.1 port ");
    t_has(scene->told, "fail ssh: ");
    t_has(scene->told, "ssh -v -p ");
    scene_free(scene);
}

T(host_keys)
{
    SCENE(scene, "");

    sshd_rig_write(scene->rig, "known_hosts", "");
    t_eq(check(scene), -ERR_DENIED);
    t_has(scene->told, "ok ssh: SSH-2.0-OpenSSH");
    t_has(scene->told, "fail host key: the host key of 127.0.0.1 is not known here");
    t_has(scene->told, "--accept-new");

    sshd_rig_key(scene->rig, "other", "ed25519", "");
    CLEAN(mem_free) char *public = sshd_rig_read(scene->rig, "other.pub");
    CLEAN(mem_free) char *line = mem_format("[127.0.0.1]:%d %s", scene->rig->port, public);
    sshd_rig_write(scene->rig, "known_hosts", line);
    t_eq(check(scene), -ERR_DENIED);
    t_has(scene->told, "fail host key: the host key of 127.0.0.1 has changed");
    t_has(scene->told, "ssh-keygen -f '");
    t_has(scene->told, "skip authentication: ");

    sshd_rig_write(scene->rig, "known_hosts", "");
    scene->options.accept_new = true;
    (void)check(scene);
    t_has(scene->told, "note host key: ");
    t_has(scene->told, "ok host key: ssh-ed25519 SHA256:");
    CLEAN(mem_free) char *now = sshd_rig_read(scene->rig, "known_hosts");
    t_ok(now[0] != '\0');
    scene_free(scene);
}

T(not_let_in)
{
    SCENE(scene, "");
    sshd_rig_write(scene->rig, "authorized_keys", "");
    t_eq(check(scene), -ERR_AUTH);
    t_has(scene->told, "ok host key: ");
    t_has(scene->told, "fail authentication: 127.0.0.1 does not let ");
    t_has(scene->told, "journalctl -u ssh");
    t_has(scene->told, "skip bridge: ");
    scene_free(scene);
}

static void on_ask(void *arg, struct tunnel_question *question)
{
    struct scene *scene = arg;

    t_has(question->prompt, "assphrase");
    tunnel_check_answer(question, scene->answer);
}

T(asks_for_the_passphrase)
{
    SCENE(scene, "");
    CLEAN(mem_free) char *key = mem_string(sshd_rig_path(scene->rig, "locked"));

    sshd_rig_key(scene->rig, "locked", "ed25519", "open sesame");
    sshd_rig_authorize(scene->rig, "locked", "");
    sshd_rig_write(scene->rig, "authorized_keys", "");
    sshd_rig_authorize(scene->rig, "locked", "");
    scene->options.identity = key;
    scene->options.ask = on_ask;
    scene->options.arg = scene;
    scene->answer = "open sesame";
    (void)check(scene);
    t_has(scene->told, "ok authentication: ");
    t_ok(!strstr(scene->told, "sesame"));
    scene_free(scene);
}

/* ---- other ways there ---- */

static void add_config(struct scene *scene, const char *first)
{
    CLEAN(mem_free) char *config = sshd_rig_read(scene->rig, "ssh_config");
    CLEAN(mem_free) char *both = mem_format("%s%s", first, config);

    sshd_rig_write(scene->rig, "ssh_config", both);
}

T(by_a_jump_host)
{
    SCENE(scene, "");
    struct sshd_rig *hop = sshd_rig_new(scene->loop, "");
    CLEAN(mem_free) char *known = sshd_rig_read(scene->rig, "known_hosts");
    CLEAN(mem_free) char *hops = sshd_rig_read(hop, "known_hosts");
    CLEAN(mem_free) char *both = mem_format("%s%s", known, hops);
    CLEAN(mem_free)
    char *first = mem_format("Host inner\n  HostName 127.0.0.1\n  Port %d\n  ProxyJump hop\n"
                             "Host hop\n  HostName 127.0.0.1\n  Port %d\n"
                             "  IdentityFile %s/id_ed25519\n",
                             scene->rig->port, hop->port, hop->folder);

    add_config(scene, first);
    scene->options.target = "inner";
    t_eq(check(scene), -ERR_DENIED);
    t_has(scene->told, "skip name: resolved on the way, not here");
    t_has(scene->told, "fail tcp: by way of hop: the host key of 127.0.0.1 is not known here");
    t_has(scene->told, "culvert tunnel check for a jump host");

    sshd_rig_write(scene->rig, "known_hosts", both);
    t_eq(check(scene), -ERR_CONNECT);
    t_has(scene->told, "ok tcp: ");
    t_has(scene->told, "ok authentication: ");
    t_has(scene->told, "fail gateway: nobody listens on port 1 there");
    sshd_rig_free(hop);
    scene_free(scene);
}

T(by_a_proxy_command)
{
    SCENE(scene, "");
    add_config(scene, "Host *\n  ProxyCommand echo 'no way out' >&2; exit 4\n");
    t_ok(check(scene) < 0);
    t_has(scene->told, "skip name: resolved on the way, not here");
    t_has(scene->told, "no way out");
    t_has(scene->told, "the command itself by hand");
    t_ok(!strstr(scene->told, "ok ssh: "));
    scene_free(scene);
}

T(by_a_child_ssh)
{
    SCENE(scene, "");
    CLEAN(mem_free) char *key = mem_string(sshd_rig_path(scene->rig, "id_rsa"));

    sshd_rig_key(scene->rig, "id_rsa", "rsa", "");
    sshd_rig_write(scene->rig, "authorized_keys", "");
    sshd_rig_authorize(scene->rig, "id_rsa", "");
    far_listen(scene, false);
    scene->options.identity = key;
    scene->options.allow_child = true;
    scene->options.gateway_port = scene->port;
    t_eq(check(scene), 0);
    t_has(scene->told, "note authentication: 127.0.0.1 is reached by the ssh program: ");
    t_has(scene->told, "ok authentication: ");
    t_has(scene->told, "is let in, by the ssh program");
    t_has(scene->told, "ok gateway: it answers over its port in ");
    scene_free(scene);
}

/* ---- its end ---- */

T(publish_only)
{
    SCENE(scene, "");
    scene->options.no_gateway = true;
    t_eq(check(scene), 0);
    t_has(scene->told, "ok authentication: ");
    t_has(scene->told, "skip gateway: ");
    scene_free(scene);
}

T(not_waited_for)
{
    SCENE(scene, "");
    for (int turns = 0; turns < 60; turns += 7) {
        scene->told[0] = '\0';
        scene->ended = false;
        op_init(&scene->op, scene->loop, on_done, 0);
        tunnel_check(&scene->op, &scene->options, on_step, scene);
        for (int i = 0; i < turns && !scene->ended; i++)
            (void)loop_turn(scene->loop, false);
        op_drop(&scene->op);
    }
    scene_free(scene);
}
