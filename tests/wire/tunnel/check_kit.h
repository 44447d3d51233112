/* What the tests of tunnel_check share: a real sshd, somebody who looks, a gateway or a bridge in the far host's place. */
#pragma once

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

static inline void on_step(void *arg, const struct tunnel_check_step *step)
{
    static const char *const words[] = {"ok", "fail", "skip", "note"};
    struct scene *scene = arg;
    size_t n = strlen(scene->told);

    snprintf(scene->told + n, sizeof(scene->told) - n, "%s %s: %s%s%s%s\n", words[step->result],
             step->name, step->detail, step->remedy ? " (" : "", step->remedy ? step->remedy : "",
             step->remedy ? ")" : "");
}

static inline void on_done(struct op *op, int result)
{
    struct scene *scene = CONTAINER(op, struct scene, op);

    t_ok(!scene->ended);
    scene->ended = true;
    scene->result = result;
}

static inline void on_beat(void *arg)
{
    (void)arg;
}

static inline int check(struct scene *scene)
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
    return scene->result;
}

/* ---- the far end ---- */

static inline void drop_peer(struct peer *peer)
{
    peer->watch = watch_free(peer->watch);
    close(peer->fd);
    peer->fd = -1;
}

static inline void on_request(void *arg, int events)
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

static inline void on_peer(void *arg, int events)
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

static inline void far_listen(struct scene *scene, bool unix_socket)
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
static inline char *far_bridge(struct scene *scene, const char *body)
{
    char *command = mem_format("sh %s/bridge", scene->rig->folder);
    char *script = mem_format("%s\n", body);

    sshd_rig_write(scene->rig, "bridge", script);
    mem_free(script);
    return command;
}

/* ---- scenes ---- */

static inline struct scene *scene_new(const char *sshd_extra)
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

static inline void scene_free(struct scene *scene)
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
