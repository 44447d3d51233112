/* tunnel_check against a real sshd: each step that can fail says its sentence, and what is well says so. */
#include "tests/rig/sshd_rig.h"
#include "tunnel/tunnel.h"

#include <stddef.h>
#include <sys/un.h>

#define WAIT_MS 20000

struct scene {
    struct loop *loop;
    struct sshd_rig *rig;
    struct tunnel_options options;
    struct op op;
    bool ended;
    int result;
    char told[16384]; /* "result name: detail (remedy)" a line each */
    const char *answer;
    /* a gateway in the far host's place */
    int listener;
    int port; /* of a TCP one */
    char path[108];
    struct watch *watch;
    const char *reply;
    char asked[2048]; /* what it was sent */
    struct peer {
        struct scene *scene;
        struct watch *watch;
        int fd;
    } peers[8];
    size_t peer_count;
};

/* ---- the one who looks ---- */

static void on_step(void *arg, const struct tunnel_check_step *step)
{
    static const char *const words[] = {"ok", "fail", "skip", "note"};
    struct scene *scene = arg;
    size_t n = strlen(scene->told);

    snprintf(scene->told + n, sizeof(scene->told) - n, "%s %s: %s%s%s%s\n", words[step->result],
             step->name, step->detail, step->remedy ? " (" : "", step->remedy ? step->remedy : "",
             step->remedy ? ")" : "");
}

static void on_done(struct op *op, int result)
{
    struct scene *scene = CONTAINER(op, struct scene, op);

    t_ok(!scene->ended);
    scene->ended = true;
    scene->result = result;
}

static void on_beat(void *arg)
{
    (void)arg;
}

static int check(struct scene *scene)
{
    struct timer beat = {0};
    int64_t until = loop_now(scene->loop) + WAIT_MS;

    scene->told[0] = '\0';
    scene->ended = false;
    op_init(&scene->op, scene->loop, on_done, 0);
    tunnel_check(&scene->op, &scene->options, on_step, scene);
    t_str(scene->told, ""); /* nothing from inside the call */
    timer_start(scene->loop, &beat, 200, 200, on_beat, NULL);
    while (!scene->ended && loop_now(scene->loop) < until)
        (void)loop_turn(scene->loop, true);
    timer_stop(scene->loop, &beat);
    t_ok(scene->ended);
    if (!scene->ended)
        op_drop(&scene->op);
    if (getenv("CHECK_SHOW"))
        fputs(scene->told, stderr);
    return scene->result;
}

/* ---- the far end ---- */

static void drop_peer(struct peer *peer)
{
    peer->watch = watch_free(peer->watch);
    close(peer->fd);
    peer->fd = -1;
}

static void on_request(void *arg, int events)
{
    struct peer *peer = arg;
    struct scene *scene = peer->scene;
    char text[2048];
    ssize_t got = recv(peer->fd, text, sizeof(text) - 1, MSG_DONTWAIT);

    (void)events;
    if (got > 0) {
        size_t n = strlen(scene->asked);

        text[got] = '\0';
        snprintf(scene->asked + n, sizeof(scene->asked) - n, "%s", text);
        if (strstr(text, "\r\n\r\n") == NULL)
            return;
        (void)!send(peer->fd, scene->reply, strlen(scene->reply), MSG_NOSIGNAL);
    }
    drop_peer(peer); /* answered, or it only looked */
}

static void on_peer(void *arg, int events)
{
    struct scene *scene = arg;
    struct peer *peer = &scene->peers[scene->peer_count % COUNT(scene->peers)];

    (void)events;
    int fd = accept4(scene->listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    if (peer->watch)
        drop_peer(peer);
    scene->peer_count++;
    *peer = (struct peer){.scene = scene, .fd = fd};
    peer->watch = watch_new(scene->loop, fd, POLLIN, on_request, peer);
}

#define HEALTHY                                                                                    \
    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n{\"ok\":true,\"status\":\"live\"}"

static void far_listen(struct scene *scene, bool unix_socket)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);

    scene->listener =
        socket(unix_socket ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (unix_socket) {
        snprintf(scene->path, sizeof(scene->path), "%.90s/tunnel.sock", scene->rig->folder);
        unlink(scene->path);
        memcpy(path.sun_path, scene->path, sizeof(path.sun_path));
        t_eq(bind(scene->listener, (struct sockaddr *)&path, sizeof(path)), 0);
    } else {
        t_eq(bind(scene->listener, (struct sockaddr *)&address, sizeof(address)), 0);
    }
    t_eq(listen(scene->listener, 8), 0);
    if (!unix_socket) {
        t_eq(getsockname(scene->listener, (struct sockaddr *)&address, &length), 0);
        scene->port = ntohs(address.sin_port);
    }
    scene->watch = watch_new(scene->loop, scene->listener, POLLIN, on_peer, scene);
    scene->reply = HEALTHY;
}

#define TICKET "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQ"

/* A program in the place of `culvert bridge`; body runs after a greeting. The caller frees. */
static char *far_bridge(struct scene *scene, const char *body)
{
    char *command = mem_format("sh %s/bridge", scene->rig->folder);
    char *script = mem_format("%s\n", body);

    sshd_rig_write(scene->rig, "bridge", script);
    mem_free(script);
    return command;
}

/* ---- scenes ---- */

static struct scene *scene_new(const char *sshd_extra)
{
    struct scene *scene = NEW(struct scene);

    scene->loop = loop_new(LOOP_REAL);
    scene->listener = -1;
    scene->rig = sshd_rig_new(scene->loop, sshd_extra);
    if (!scene->rig)
        return scene;
    scene->options = (struct tunnel_options){
        .target = scene->rig->address,
        .config_file = scene->rig->config,
        .bridge_command = "culvert-is-not-here bridge",
        .gateway_port = 1, /* nobody */
    };
    return scene;
}

static void scene_free(struct scene *scene)
{
    for (size_t i = 0; i < COUNT(scene->peers); i++)
        if (scene->peers[i].watch)
            drop_peer(&scene->peers[i]);
    watch_free(scene->watch);
    if (scene->listener >= 0)
        close(scene->listener);
    sshd_rig_free(scene->rig);
    loop_free(scene->loop);
    mem_free(scene);
}

#define SCENE(name, extra)                                                                         \
    struct scene *name = scene_new(extra);                                                         \
    if (!name->rig) {                                                                              \
        scene_free(name);                                                                          \
        return;                                                                                    \
    }

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
    t_has(scene->told, "ssh-keygen -R");
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

/* ---- what fails after ---- */

T(no_culvert_and_no_gateway)
{
    SCENE(scene, "");
    t_eq(check(scene), -ERR_CONNECT);
    t_has(scene->told, "ok authentication: ");
    t_has(scene->told, " is let in by the key SHA256:");
    t_has(scene->told, "note bridge: culvert is not in PATH there");
    t_has(scene->told, "(install culvert there, or say where it is: --culvert '");
    t_has(scene->told, "ok forwarding: allowed to port 1 there");
    t_has(scene->told, "fail gateway: nobody listens on port 1 there");
    t_has(scene->told, "start it there: culvert gateway");
    scene_free(scene);
}

T(no_culvert_but_a_gateway)
{
    SCENE(scene, "");
    far_listen(scene, false);
    scene->options.gateway_port = scene->port;
    t_eq(check(scene), 0);
    t_has(scene->told, "note bridge: ");
    t_has(scene->told, "ok forwarding: to port ");
    t_has(scene->told, "ok gateway: it answers over its port in ");
    t_has(scene->asked, "GET /health HTTP/1.1\r\nHost: 127.0.0.1:");

    scene->reply = "HTTP/1.1 404 Not Found\r\n\r\n";
    t_eq(check(scene), -ERR_UNSUPPORTED);
    t_has(scene->told,
          "fail gateway: what listens there speaks HTTP (status 404) and is no gateway");
    scene->reply = "220 mail.example ESMTP\r\n";
    t_eq(check(scene), -ERR_UNSUPPORTED);
    t_has(scene->told, "fail gateway: what listens there does not speak HTTP");
    scene->reply = "";
    t_ok(check(scene) < 0);
    t_has(scene->told, "fail gateway: no answer over its port");
    scene_free(scene);
}

T(no_forwarding_and_no_culvert)
{
    SCENE(scene, "DisableForwarding yes\n");
    t_eq(check(scene), -ERR_DENIED);
    t_has(scene->told, "fail forwarding: 127.0.0.1 does not forward to 127.0.0.1 port 1");
    t_has(scene->told, "AllowTcpForwarding yes");
    t_has(scene->told, "skip gateway: ");
    scene_free(scene);
}

#define OFFER                                                                                      \
    "echo 'Welcome to the far host'; echo "                                                        \
    "'{\"culvert\":1,\"version\":\"9.8.7\",\"socket\":\"%s\","                                     \
    "\"ticket\":\"" TICKET "\",\"gateway\":\"abc\",\"services\":[\"gateway\",\"canvas\"]}'; cat"

T(by_the_bridge)
{
    SCENE(scene, "");
    far_listen(scene, true);
    CLEAN(mem_free) char *body = mem_format(OFFER, scene->path);
    CLEAN(mem_free) char *command = far_bridge(scene, body);

    scene->options.bridge_command = command;
    t_eq(check(scene), 0);
    t_has(scene->told, "ok bridge: culvert 9.8.7 is there and offers gateway canvas (after what");
    t_has(scene->told, "ok forwarding: to ");
    t_has(scene->told, "tunnel.sock: open");
    t_has(scene->told, "ok gateway: it answers over the bridge's socket in ");
    t_ok(strncmp(scene->asked, "CULVERT/1 " TICKET " gateway\nGET /health ", 60) == 0);
    t_ok(!strstr(scene->told, TICKET));

    scene->reply = "CULVERT/1 error the ticket is not known\n";
    t_eq(check(scene), -ERR_DENIED);
    t_has(scene->told, "fail gateway: the gateway refuses the stream: the ticket is not known");
    scene_free(scene);
}

T(the_bridge_without_forwarding)
{
    SCENE(scene, "DisableForwarding yes\n");
    CLEAN(mem_free)
    char *body =
        mem_format("if [ \"$1 $2\" = '--stdio gateway' ]; then read line; printf 'HTTP/1.1 "
                   "200 OK\\r\\n\\r\\n{\"ok\":true}'; exit; fi\n" OFFER,
                   "/nowhere/tunnel.sock");
    CLEAN(mem_free) char *command = far_bridge(scene, body);

    scene->options.bridge_command = command;
    t_eq(check(scene), 0);
    t_has(scene->told, "note forwarding: ");
    t_has(scene->told, "MaxSessions");
    t_has(scene->told, "ok gateway: it answers over culvert bridge --stdio in ");
    scene_free(scene);
}

T(the_bridge_has_no_gateway)
{
    SCENE(scene, "");
    CLEAN(mem_free)
    char *command =
        far_bridge(scene, "echo '{\"culvert\":1,\"error\":\"no gateway is running here; "
                          "start it\"}'");

    scene->options.bridge_command = command;
    t_eq(check(scene), -ERR_CONNECT);
    t_has(scene->told, "note bridge: culvert is there, and says: no gateway is running here");
    t_has(scene->told, "fail gateway: nobody listens on port 1 there, and culvert there knows of "
                       "no gateway either");
    scene_free(scene);
}

T(the_bridge_breaks)
{
    SCENE(scene, "");
    CLEAN(mem_free)
    char *command = far_bridge(scene, "echo 'bridge: libssh2.so is missing' >&2; exit 3");

    scene->options.bridge_command = command;
    t_ok(check(scene) < 0);
    t_has(scene->told, "note bridge: the far end closed without an answer: bridge: libssh2.so is "
                       "missing");
    mem_free(far_bridge(scene, "yes 'all work and no play' | head -c 200000"));
    t_ok(check(scene) < 0);
    t_has(scene->told, "note bridge: the far end says more than anybody asked");
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
