/* Losing the path and having it back, against a real sshd that is killed, stopped or not there. */
#include "tests/wire/tunnel/world.h"

#define UPGRADE "GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

static int64_t end_of(struct world *w, int fd)
{
    char c;
    int end = 0;
    int64_t began = world_ms();

    t_eq(world_hear(w, fd, &c, 1, &end), 0);
    t_ok(end == 0 || end == -ECONNRESET);
    return world_ms() - began;
}

T(a_killed_sshd_is_survived)
{
    struct world *w = world_new("");

    world_start(w, (struct tunnel_options){0});
    world_up(w);
    int port = world_port(w, 0), fd = world_dial(w);
    t_ok(world_echo_text(w, fd, "before"));
    for (uint64_t i = 1; i <= 3; i++) {
        int64_t began = world_ms();
        sshd_rig_kill(w->rig);
        end_of(w, fd);
        close(fd);
        fd = world_dial(w); /* at once: held */
        t_ok(world_echo_text(w, fd, "after"));
        int64_t took = world_ms() - began;
        if (took > 3000)
            t_fail(__FILE__, __LINE__, "back after %lld ms", (long long)took);
        tunnel_status(w->tunnel, &w->status);
        t_eq(w->status.reconnects, i);
        t_ok(w->status.lost_at > 0 && w->status.back_at >= w->status.lost_at);
        t_ok(w->status.last_error[0] != '\0');
    }
    t_eq(world_port(w, 0), port);
    close(fd);
    world_free(w);
}

T(within_a_second_of_an_sshd_that_comes_back)
{
    struct world *w = world_new("");

    world_start(w, (struct tunnel_options){0});
    world_up(w);
    world_pass(w, 200);
    w->rig->refuse = true;
    sshd_rig_kill(w->rig);
    world_until(w, w->status.state == TUNNEL_WAITING);
    world_pass(w, 2500);
    int fd = world_dial(w);
    t_eq(send(fd, "held", 4, 0), 4);
    world_until(w, (tunnel_status(w->tunnel, &w->status), w->status.held == 1));
    w->rig->refuse = false;
    int64_t back = world_ms();
    char heard[4];
    int end = 0;
    t_eq(world_hear(w, fd, heard, 4, &end), 4);
    if (world_ms() - back > 2000) /* the bar is a second, and the sanitizers' share */
        t_fail(__FILE__, __LINE__, "reconnected after %lld ms", (long long)(world_ms() - back));
    close(fd);
    world_free(w);
}

T(bulk_alone_lost_leaves_the_websockets)
{
    struct world *w = world_new("");

    world_start(w, (struct tunnel_options){0});
    world_up(w);
    world_until(w, w->rig->count == 2);
    world_pass(w, 700); /* the second session is being opened */
    int web = world_dial(w), http = world_dial(w);
    t_ok(world_echo_text(w, web, UPGRADE));
    t_ok(world_echo_text(w, http, "over bulk"));
    (void)kill(-w->rig->pids[1], SIGKILL);
    end_of(w, http);
    close(http);
    t_ok(world_echo_text(w, web, "still here"));
    t_eq(w->status.state, TUNNEL_UP);
    t_eq(w->status.reconnects, 0);
    http = world_dial(w); /* over control meanwhile */
    t_ok(world_echo_text(w, http, "no bulk"));
    world_until(w, w->rig->count == 3); /* opened anew */
    close(web);
    close(http);
    world_free(w);
}

T(a_bridge_that_ends_is_begun_again_and_running_streams_stay)
{
    struct world *w = world_new("");

    world_start(w, (struct tunnel_options){0});
    world_up(w);
    int web = world_dial(w);
    t_ok(world_echo_text(w, web, UPGRADE));
    char *pids = sshd_rig_read(w->rig, "bridge.pids");
    t_ok(strtol(pids, NULL, 10) > 1);
    (void)kill((pid_t)strtol(pids, NULL, 10), SIGKILL);
    mem_free(pids);
    world_until(w, w->status.state != TUNNEL_UP);
    int fd = world_dial(w);
    t_ok(world_echo_text(w, fd, "by the new bridge"));
    t_ok(world_echo_text(w, web, "still here"));
    t_eq(w->rig->count, 2); /* the same sessions */
    close(fd);
    close(web);
    world_free(w);
}

T(a_stop_in_mid_connect_takes_no_time)
{
    struct world *w = world_new("");

    for (int i = 0; i < 3; i++) {
        int64_t began = world_ms();
        world_start(w, (struct tunnel_options){0});
        world_pass(w, i * 60);
        size_t changes = w->changes;
        w->tunnel = tunnel_stop(w->tunnel);
        t_ok(world_ms() - began < 1000 + i * 60);
        world_pass(w, 50);
        t_eq(w->changes, changes);
    }
    /* A server that accepts and says nothing. */
    watch_free(w->rig->watch);
    w->rig->watch = watch_new(w->loop, w->rig->fd, 0, world_on_echo, w);
    world_start(w, (struct tunnel_options){0});
    world_pass(w, 300);
    int64_t began = world_ms();
    w->tunnel = tunnel_stop(w->tunnel);
    t_ok(world_ms() - began < 1000);
    world_free(w);
}

T(a_changed_host_key_fails_and_says_what_to_do)
{
    struct world *w = world_new("");

    sshd_rig_key(w->rig, "other", "ed25519", "");
    char *pub = sshd_rig_read(w->rig, "other.pub");
    char *line = mem_format("[127.0.0.1]:%d %s", w->rig->port, pub);
    sshd_rig_write(w->rig, "known_hosts", line);
    mem_free(pub);
    mem_free(line);
    world_start(w, (struct tunnel_options){0});
    world_until(w, w->status.state == TUNNEL_FAILED);
    t_has(w->status.last_error, "key");
    t_ok(w->status.next_attempt_at > w->status.since + 200000);
    int fd = world_dial(w); /* refused at once, not held */
    t_ok(end_of(w, fd) < 3000);
    close(fd);
    world_free(w);
}

T(once_ends_where_there_is_nobody)
{
    struct world *w = world_new("");

    w->rig->refuse = true;
    world_start(w, (struct tunnel_options){.once = true});
    world_until(w, w->status.state == TUNNEL_CLOSED);
    t_ok(w->status.last_error[0] != '\0');
    world_pass(w, 1000);
    t_eq(w->status.state, TUNNEL_CLOSED);
    world_free(w);
}

/* A port that was free a moment ago. */
static int free_port(void)
{
    int port, fd = world_listen_tcp(&port);
    (void)close(fd);
    return port;
}

T(a_published_port_leads_here_and_comes_back)
{
    struct world *w = world_new("");
    struct tunnel_publish publish = {
        .port = free_port(), .unix_path = w->socket, .ticket = WORLD_TICKET};

    world_start(
        w, (struct tunnel_options){.publish = &publish, .publish_count = 1, .no_gateway = true});
    world_until(w, w->status.endpoint_count == 1);
    t_ok(w->status.endpoints[0].published);
    t_eq(world_port(w, 0), publish.port);
    int fd = world_dial(w);
    t_ok(world_echo_text(w, fd, "hello"));
    t_has(w->line, "CULVERT/1 " WORLD_TICKET " gateway");
    t_eq(w->rig->count, 1); /* no second session for this */

    sshd_rig_kill(w->rig);
    end_of(w, fd);
    close(fd);
    world_until(w, w->status.endpoint_count == 0);
    world_until(w, w->status.endpoint_count == 1);
    fd = world_dial(w);
    t_ok(world_echo_text(w, fd, "again"));
    close(fd);
    world_free(w);
}

T(a_published_port_that_is_taken_is_said_and_asked_for_again)
{
    struct world *w = world_new("");
    int port, taken = world_listen_tcp(&port);
    struct tunnel_publish publish = {.port = port, .unix_path = w->socket, .ticket = WORLD_TICKET};

    world_start(
        w, (struct tunnel_options){.publish = &publish, .publish_count = 1, .no_gateway = true});
    world_until(w, strstr(w->status.last_error, "is taken there"));
    t_eq(w->status.endpoint_count, 0);
    (void)close(taken);
    world_until(w, w->status.endpoint_count == 1);
    world_free(w);
}

T(publishing_that_is_forbidden_names_the_setting)
{
    struct world *w = world_new("AllowTcpForwarding no");
    struct tunnel_publish publish = {.unix_path = w->socket, .ticket = WORLD_TICKET};

    world_start(
        w, (struct tunnel_options){.publish = &publish, .publish_count = 1, .no_gateway = true});
    world_until(w, strstr(w->status.last_error, "AllowTcpForwarding"));
    t_eq(w->status.state, TUNNEL_UP);
    world_free(w);
}
