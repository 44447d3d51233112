/* Two kinds of road. ssh://: a tunnel that ends at its first loss, with a listener of this process alone in a folder of its
 * own. ts://: one connection through tailscaled, passed on behind the same kind of socket. road_wait turns the loop until
 * either is there; after the seal only what is connected lives on. */
#include "gateway/cli/road.h"

#include "base/mem.h"
#include "gateway/cli/ask.h"
#include "gateway/cli/print.h"
#include "gateway/cli/shuttle.h"
#include "tunnel/tailnet.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define PLACE   "/culvert-XXXXXX"
#define DIAL_MS 20000
#define NEWS_MS 500 /* for the tunnel to say why, once its connection has gone */

struct road {
    struct target *target; /* borrowed */
    struct loop *loop;
    char *folder, *path; /* of the socket; NULL: sealed */
    bool there, over, *interrupted;
    struct fault why; /* code 0: it has not ended */
    bool shows;       /* progress, on a terminal */
    struct tunnel *tunnel;
    struct ask ask;
    struct tailnet *tailnet;
    struct op dialling;
    int fd, listener; /* -1: none */
    struct watch *arrival;
    struct shuttle *shuttle;
};

/* ---- the private socket ---- */

/* Where a socket's path is not too long for the kernel; /tmp is the last resort, a fresh folder 0700 is as good there. */
static const char *road_base(const struct target *target)
{
    const size_t room = sizeof(((struct sockaddr_un *)NULL)->sun_path) - sizeof(PLACE "/s");
    const char *runtime = getenv("XDG_RUNTIME_DIR");

    if (runtime && runtime[0] == '/' && strlen(runtime) < room && access(runtime, W_OK) == 0)
        return runtime;
    bool there = mkdir(target->state_dir, 0700) == 0 || errno == EEXIST;
    return there && strlen(target->state_dir) < room ? target->state_dir : "/tmp";
}

static int road_make_place(struct road *road, struct fault *reterr_fault)
{
    road->folder = mem_format("%s" PLACE, road_base(road->target));
    if (!mkdtemp(road->folder)) {
        fault_set(reterr_fault, -ERR_IO, "cannot make a folder for a socket (%s): %s", road->folder,
                  strerrordesc_np(errno));
        road->folder = mem_free(road->folder);
        return reterr_fault->code;
    }
    road->path = mem_format("%s/s", road->folder);
    return 0;
}

void road_seal(struct road *road)
{
    road->arrival = watch_free(road->arrival);
    if (road->listener >= 0)
        close(road->listener);
    road->listener = -1;
    if (!road->folder)
        return;
    unlink(road->path);
    rmdir(road->folder);
    road->folder = mem_free(road->folder);
    road->path = mem_free(road->path);
}

/* ---- waiting ---- */

static void road_end(struct road *road, int code, const char *text)
{
    if (road->over)
        return;
    road->over = true;
    fault_set(&road->why, code, "%s", text);
}

static void on_interrupt(void *interrupted, int signum)
{
    (void)signum;
    *(bool *)interrupted = true;
}

static void road_show(struct road *road, const char *text)
{
    if (road->shows && !road->ask.asking)
        tty_line(stderr, text);
}

static int road_wait(struct road *road, struct fault *reterr_fault)
{
    while (!road->there && !road->over && !*road->interrupted)
        loop_turn(road->loop, true);
    road_show(road, "");
    if (*road->interrupted)
        return fault_set(reterr_fault, -ERR_INTERRUPTED, "interrupted");
    if (road->over && reterr_fault)
        *reterr_fault = road->why;
    return road->over ? road->why.code : 0;
}

/* ---- ssh:// ---- */

static void on_changed(void *arg)
{
    struct road *road = arg;
    struct tunnel_status status;
    char text[256];

    tunnel_status(road->tunnel, &status);
    switch (status.state) {
    case TUNNEL_UP: road->there = true; break;
    case TUNNEL_FAILED: road_end(road, -ERR_AUTH, status.last_error); break;
    case TUNNEL_CLOSED: road_end(road, -ERR_CONNECT, status.last_error); break;
    case TUNNEL_CONNECTING:
        snprintf(text, sizeof(text), "connecting to %s...", road->target->place);
        road_show(road, text);
        break;
    case TUNNEL_WAITING:
    case TUNNEL_RECONNECTING:
    default: break;
    }
}

static void on_notice(void *arg, const char *text)
{
    struct road *road = arg;

    road_show(road, "");
    fputs("culvert: ", stderr);
    print_text(stderr, text);
    fputc('\n', stderr);
}

static void on_ask(void *arg, struct tunnel_question *question)
{
    ask_put(&((struct road *)arg)->ask, question);
}

static void on_answer(void *arg, struct tunnel_question *question, const char *text)
{
    tunnel_answer(((struct road *)arg)->tunnel, question, text);
}

static int road_by_ssh(struct road *road, struct fault *reterr_fault)
{
    const struct tunnel_listen listen = {
        .unix_path = road->path, .own_process = true, .service = BRIDGE_GATEWAY};
    struct tunnel_options options = {.allow_child = true,
                                     .accept_new = road->target->accept_new,
                                     .bridge_command = road->target->culvert,
                                     .gateway_port = road->target->gateway_port};

    if (road->target->tunnel)
        options = *road->target->tunnel;
    options.target = road->target->place;
    options.once = true;
    options.listen = &listen;
    options.listen_count = 1;
    options.arg = road;
    options.changed = on_changed;
    options.notice = on_notice;
    options.ask = tty_can_ask() ? on_ask : NULL;
    int r = tunnel_start(road->loop, &options, &road->tunnel, reterr_fault);

    if (r < 0)
        return r;
    on_changed(road);
    return road_wait(road, reterr_fault);
}

/* ---- ts:// ---- */

static void on_shuttle_ended(void *arg)
{
    road_end(arg, -ERR_CONNECT, "the connection through the tailnet ended");
}

/* The one connection this is for: our own, by the kernel's word. */
static void on_arrival(void *arg, int events)
{
    struct road *road = arg;
    struct ucred who;
    socklen_t length = sizeof(who);
    int fd = accept4(road->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    (void)events;
    if (fd < 0)
        return;
    if (road->shuttle || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length) < 0 ||
        who.pid != getpid()) {
        close(fd);
        return;
    }
    road->shuttle = shuttle_new(road->loop, fd, road->fd, on_shuttle_ended, road);
    road->fd = -1;
}

static int road_listen(struct road *road, struct fault *reterr_fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (strlen(road->path) >= sizeof(address.sun_path))
        return fault_set(reterr_fault, -ERR_TOO_LARGE,
                         "the socket path %s is longer than %zu bytes", road->path,
                         sizeof(address.sun_path) - 1);
    memcpy(address.sun_path, road->path, strlen(road->path));
    road->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (road->listener < 0 ||
        bind(road->listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(road->listener, 1) < 0)
        return fault_set(reterr_fault, -ERR_IO, "cannot listen on %s: %s", road->path,
                         strerrordesc_np(errno));
    road->arrival = watch_new(road->loop, road->listener, POLLIN, on_arrival, road);
    return 0;
}

static void on_dialled(struct op *op, int result)
{
    struct road *road = CONTAINER(op, struct road, dialling);

    if (result < 0)
        road_end(road, -ERR_CONNECT, op->fault.text[0] ? op->fault.text : err_text(result));
    road->there = result == 0;
}

static int road_by_tailnet(struct road *road, struct fault *reterr_fault)
{
    char text[256];

    snprintf(text, sizeof(text), "connecting to %s...", road->target->place);
    road_show(road, text);
    road->tailnet = tailnet_new(road->loop, NULL);
    op_init(&road->dialling, road->loop, on_dialled, DIAL_MS);
    tailnet_dial(road->tailnet, &road->dialling, road->target->host, road->target->ws.port,
                 &road->fd);
    int r = road_wait(road, reterr_fault);
    return r < 0 ? r : road_listen(road, reterr_fault);
}

/* ---- both ---- */

int road_open(struct target *target, struct loop *loop, bool *interrupted, struct road **ret,
              struct fault *reterr_fault)
{
    static int (*const kinds[])(struct road *, struct fault *) = {
        [TARGET_SSH] = road_by_ssh,
        [TARGET_TAILNET] = road_by_tailnet,
    };
    struct road *road = NEW(struct road);

    road->target = target;
    road->loop = loop;
    road->interrupted = interrupted;
    loop_on_signal(loop, SIGINT, on_interrupt, interrupted);
    loop_on_signal(loop, SIGTERM, on_interrupt, interrupted);
    road->fd = road->listener = -1;
    road->shows = isatty(STDERR_FILENO);
    ask_init(&road->ask, loop, on_answer, road);
    int r = road_make_place(road, reterr_fault);
    if (r == 0)
        r = kinds[target->road](road, reterr_fault);
    if (r < 0) {
        road_close(road);
        return r;
    }
    mem_free(target->unix_path);
    target->unix_path = mem_string(road->path);
    target->ws.unix_path = target->unix_path;
    *ret = road;
    return 0;
}

static void on_time(void *late)
{
    *(bool *)late = true;
}

void road_why(struct road *road, struct fault *reterr_fault)
{
    struct timer timer = {0};
    bool late = false;

    timer_start(road->loop, &timer, NEWS_MS, 0, on_time, &late);
    while (!road->over && !late)
        loop_turn(road->loop, true);
    timer_stop(road->loop, &timer);
    if (road->over)
        fault_set(reterr_fault, road->why.code, "the way to %s was lost: %s", road->target->place,
                  road->why.text);
}

struct road *road_close(struct road *road)
{
    if (!road)
        return NULL;
    ask_done(&road->ask);
    road_seal(road);
    tunnel_stop(road->tunnel);
    op_drop(&road->dialling);
    tailnet_free(road->tailnet);
    shuttle_free(road->shuttle);
    if (road->fd >= 0)
        close(road->fd);
    return mem_free(road);
}
