/* Connections to peers: through the daemon with nothing lost at the upgrade, straight where the kernel leads there, and
 * which peers answer as gateways. */
#include "base/json.h"
#include "tests/rig/localapi_rig.h"
#include "tests/rig/script_server.h"
#include "tunnel/tailnet.h"

#include <fcntl.h>

static struct loop *loop;
static struct localapi *api;
static struct tailnet *tailnet;
static struct script_server *server;

struct wait {
    struct op op;
    int result;
    bool over;
};

static void on_done(struct op *op, int result)
{
    struct wait *w = CONTAINER(op, struct wait, op);
    w->result = result;
    w->over = true;
}

static void begin(const char *const *scripts)
{
    loop = loop_new(LOOP_REAL);
    api = localapi_new(loop);
    tailnet = tailnet_new(loop, api->socket);
    server = script_server_new(loop, scripts);
}

static void end(void)
{
    script_server_free(server);
    tailnet = tailnet_free(tailnet);
    api = localapi_free(api);
    loop = loop_free(loop);
}

static struct op *ready(struct wait *w)
{
    *w = (struct wait){0};
    op_init(&w->op, loop, on_done, 0);
    return &w->op;
}

static int dial(struct wait *w, const char *host, int port, int *ret_fd)
{
    tailnet_dial(tailnet, ready(w), host, port, ret_fd);
    localapi_wait(loop, &w->over);
    return w->result;
}

static void lead(const char *peer, int port)
{
    CLEAN(mem_free) char *patch = mem_format("{'dial':{'%s':'127.0.0.1:%d'}}", peer, port);
    localapi_set(api, patch);
}

static void turn(int times)
{
    struct timer awake = {0};

    timer_start(loop, &awake, 5, 5, localapi_awake, NULL);
    for (int i = 0; i < times; i++)
        loop_turn(loop, true);
    timer_stop(loop, &awake);
}

/* What comes from fd until it closes, at most ten seconds. */
static void read_all(int fd, struct buf *out)
{
    int64_t limit = loop_now(loop) + LOCALAPI_WAIT_MS;
    struct timer awake = {0};
    bool open = true;

    timer_start(loop, &awake, 5, 5, localapi_awake, NULL);
    while (open && loop_now(loop) < limit) {
        char bytes[4096];
        ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        open = n > 0 || (n < 0 && errno == EAGAIN);
        if (n > 0)
            buf_add(out, bytes, (size_t)n);
        else if (open)
            loop_turn(loop, true);
    }
    timer_stop(loop, &awake);
    t_ok(!open);
}

T(dial_by_name_goes_through_the_daemon)
{
    struct wait w;
    struct buf got;
    int fd;

    begin((const char *const[]){"hello from the far side", NULL});
    buf_init(&got, 4096);
    lead("100.64.0.2:4242", server->port);
    t_eq(dial(&w, "box", 4242, &fd), 0);
    t_ok(fd >= 0 && (fcntl(fd, F_GETFL) & O_NONBLOCK));
    t_eq(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    read_all(fd, &got);
    t_str(got.data, "hello from the far side");
    (void)close(fd);
    buf_done(&got);
    t_json(localapi_log(api), "{'log':['GET /localapi/v0/status','POST /localapi/v0/dial']}");
    end();
}

T(dial_loses_nothing_that_follows_the_upgrade)
{
    /* The far side speaks first, in the same packet as the head of the upgrade. */
    static const char script[] = "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\n"
                                 "Upgrade: ts-dial\r\n\r\nSSH-2.0-first words";
    struct wait w;
    struct buf got;
    int sides[2];

    begin((const char *const[]){"unused", NULL});
    buf_init(&got, 4096);
    t_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, sides), 0);
    t_eq(send(sides[1], script, sizeof(script) - 1, 0), sizeof(script) - 1);
    request_start(
        ready(&w),
        &(struct request_spec){
            .fd = dup(sides[0]), .method = "POST", .path = "/", .host = "x", .upgrade = true});
    localapi_wait(loop, &w.over);
    t_eq(w.result, 0);
    (void)shutdown(sides[1], SHUT_WR);
    read_all(sides[0], &got);
    t_str(got.data, "SSH-2.0-first words");
    (void)close(sides[0]);
    (void)close(sides[1]);
    buf_done(&got);
    end();
}

T(dial_goes_straight_where_the_kernel_leads)
{
    struct wait w;
    int fd;

    begin((const char *const[]){"hello", NULL});
    /* Our node's address is one that the kernel would send from: here the loopback stands for the tailnet. */
    localapi_set(api,
                 "{'tun':true,'nodes':{'laptop':{'ip':['127.0.0.1']},'box':{'ip':['127.0.0.1']},"
                 "'far':{'ip':['100.64.0.9']}}}");
    t_eq(dial(&w, "box.tail1234.ts.net", server->port, &fd), 0);
    (void)close(fd);
    t_json(localapi_log(api), "{'log':['GET /localapi/v0/status']}");

    lead("100.64.0.9:7", server->port); /* a daemon in another network namespace */
    t_eq(dial(&w, "far", 7, &fd), 0);
    (void)close(fd);
    t_eq(dial(&w, "box", 1, &fd), -ERR_CONNECT);
    t_eq(fd, -1);
    t_has(w.op.fault.text, "refused");
    end();
}

T(dial_says_what_is_wrong)
{
    struct wait w;
    int fd;

    begin((const char *const[]){"hello", NULL});
    t_eq(dial(&w, "boxx", 4242, &fd), -ERR_NOT_FOUND);
    t_has(w.op.fault.text, "did you mean box?");
    t_eq(dial(&w, "box", 4242, &fd), -ERR_CONNECT);
    t_has(w.op.fault.text, "connection was refused");
    t_eq(dial(&w, "192.0.2.1", 4242, &fd), -ERR_NOT_FOUND);
    t_has(w.op.fault.text, "not on the tailnet");
    localapi_set(api, "{'nodes':{'box':{'online':false},'twin':{'ip':['100.64.0.5'],'host':'same'},"
                      "'other':{'ip':['100.64.0.6'],'host':'same'}}}");
    t_eq(dial(&w, "box", 4242, &fd), -ERR_CONNECT);
    t_has(w.op.fault.text, "offline");
    t_eq(dial(&w, "same", 4242, &fd), -ERR_INVALID);
    t_has(w.op.fault.text, "more than one");
    localapi_set(api, "{'modes':{'dial':'old'}}");
    t_eq(dial(&w, "twin", 4242, &fd), -ERR_UNSUPPORTED);
    localapi_set(api, "{'modes':{'dial':'bare'}}");
    t_eq(dial(&w, "twin", 4242, &fd), -ERR_CORRUPT);
    localapi_set(api, "{'state':'NeedsLogin'}");
    t_eq(dial(&w, "twin", 4242, &fd), -ERR_CONNECT);
    t_has(w.op.fault.text, "tailscale up");
    t_eq(fd, -1);
    end();
}

T(dial_in_a_tailnet_too_large_to_read_leaves_the_name_to_the_daemon)
{
    struct wait w;
    struct tailnet_status status;
    struct buf patch;
    int fd;

    begin((const char *const[]){"hello", NULL});
    buf_init(&patch, 4u << 20);
    buf_add_str(&patch, "{'nodes':{");
    for (int i = 0; i < 4000; i++)
        buf_addf(&patch, "%s'n%d':{'ip':['100.65.%d.%d']}", i ? "," : "", i, i / 256, i % 256);
    buf_addf(&patch, "},'dial':{'100.64.0.2:4242':'127.0.0.1:%d'}}", server->port);
    localapi_set(api, patch.data);
    buf_done(&patch);
    tailnet_status_get(tailnet, ready(&w), /* peers= */ true, &status);
    localapi_wait(loop, &w.over);
    t_eq(w.result, -ERR_UNSUPPORTED);
    t_has(w.op.fault.text, "values");
    t_eq(dial(&w, "box", 4242, &fd), 0);
    (void)close(fd);
    end();
}

T(dial_may_be_left_at_any_time)
{
    struct wait w;
    int fd;

    begin((const char *const[]){"hello", NULL});
    localapi_set(api, "{'dial':{'100.64.0.2:9':'never'}}");
    for (int turns = 0; turns < 6; turns++) {
        tailnet_dial(tailnet, ready(&w), "box", 9, &fd);
        turn(turns);
        op_drop(&w.op);
        t_eq(fd, -1);
    }
    tailnet_dial(tailnet, ready(&w), "box", 9, &fd);
    turn(1);
    op_cancel(&w.op);
    localapi_wait(loop, &w.over);
    t_eq(w.result, -ERR_CANCELLED);
    tailnet_dial(tailnet, ready(&w), "box", 9, &fd); /* ends with the tailnet */
    end();
}

/* ---- discover ---- */

#define CHALLENGE                                                                                  \
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: "                       \
    "Upgrade\r\n\r\n\x81\x28"                                                                      \
    "{\"type\":\"e\",\"event\":\"connect.challenge\"}"

T(discover_lists_who_answers_as_a_gateway)
{
    struct wait w;
    struct tailnet_gateways found;
    struct script_server *web, *mute, *slow;

    begin((const char *const[]){CHALLENGE "|@wait", NULL});
    web = script_server_new(loop, (const char *const[]){"HTTP/1.1 200 OK\r\n\r\n<html>", NULL});
    mute = script_server_new(loop, (const char *const[]){"@wait", NULL});
    slow = script_server_new(loop, (const char *const[]){CHALLENGE "|@wait", NULL});
    slow->drip = true;
    localapi_set(api, "{'nodes':{'web':{'ip':['100.64.0.3']},'mute':{'ip':['100.64.0.4']},"
                      "'gone':{'ip':['100.64.0.5'],'online':false},'none':{'ip':['100.64.0.6']},"
                      "'attic':{'ip':['100.64.0.7']},'exit':{'ip':['100.64.0.8'],'tags':"
                      "['tag:mullvad-exit-node']}}}");
    lead("100.64.0.2:18789", server->port);
    lead("100.64.0.3:18789", web->port);
    lead("100.64.0.4:18789", mute->port);
    lead("100.64.0.7:18789", slow->port);

    int64_t before = loop_now(loop);
    tailnet_discover(tailnet, ready(&w), 18789, &found);
    localapi_wait(loop, &w.over);
    t_eq(w.result, 0);
    t_ok(loop_now(loop) - before < TAILNET_DISCOVER_PEER_MS + 2000);
    t_eq(found.count, 2);
    t_str(found.list[0].url, "ts://attic.tail1234.ts.net");
    t_str(found.list[1].name, "box.tail1234.ts.net");
    t_str(found.list[1].address, "100.64.0.2");
    t_eq(found.asked, 5);
    t_eq(found.silent, 2); /* mute and none */
    t_eq(found.offline, 1);
    tailnet_gateways_done(&found);

    tailnet_discover(tailnet, ready(&w), 18790, &found); /* nobody; and dropped on the way */
    turn(4);
    op_drop(&w.op);
    tailnet_discover(tailnet, ready(&w), 18789, &found); /* ends with the tailnet */
    turn(4);
    script_server_free(web);
    script_server_free(mute);
    script_server_free(slow);
    end();
}
