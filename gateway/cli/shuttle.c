/* Two lanes, one per direction; each reads where there is room and writes where there is something. The end of one side is
 * passed on as a half-close. */
#include "gateway/cli/shuttle.h"

#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct side {
    struct shuttle *shuttle;
    int fd;
    struct watch *watch;
    /* What goes to this side. */
    size_t head, length;
    bool read_ended, write_ended; /* it sends no more; it was told that there is no more */
    char data[SHUTTLE_ROOM];
};

struct shuttle {
    struct loop *loop;
    struct side sides[2];
    void (*ended)(void *arg);
    void *arg;
    bool over;
};

static struct side *other(struct side *side)
{
    return side == &side->shuttle->sides[0] ? &side->shuttle->sides[1] : &side->shuttle->sides[0];
}

/* False: the socket is broken. */
static bool side_read(struct side *side)
{
    struct side *to = other(side);

    if (side->read_ended || to->length == sizeof(to->data))
        return true;
    if (to->head > 0) {
        memmove(to->data, to->data + to->head, to->length);
        to->head = 0;
    }
    ssize_t n = recv(side->fd, to->data + to->length, sizeof(to->data) - to->length, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    side->read_ended = n == 0;
    to->length += (size_t)n;
    return true;
}

static bool side_write(struct side *side)
{
    while (side->length > 0) {
        ssize_t n = send(side->fd, side->data + side->head, side->length, MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN || errno == EINTR;
        side->head += (size_t)n;
        side->length -= (size_t)n;
    }
    side->head = 0;
    if (other(side)->read_ended && !side->write_ended) {
        side->write_ended = true;
        shutdown(side->fd, SHUT_WR);
    }
    return true;
}

static void side_watch(struct side *side)
{
    bool room = !side->read_ended && other(side)->length < sizeof(side->data);

    watch_change(side->watch, (room ? POLLIN : 0) | (side->length > 0 ? POLLOUT : 0));
}

static void shuttle_end(struct shuttle *shuttle)
{
    shuttle->over = true;
    for (size_t i = 0; i < COUNT(shuttle->sides); i++)
        shuttle->sides[i].watch = watch_free(shuttle->sides[i].watch);
    shuttle->ended(shuttle->arg);
}

static void on_ready(void *arg, int events)
{
    struct side *side = arg;
    struct shuttle *shuttle = side->shuttle;
    bool fine = true;

    if (events & ~POLLOUT)
        fine = side_read(side) && side_write(other(side));
    if (fine && (events & POLLOUT))
        fine = side_write(side);
    if (!fine || (shuttle->sides[0].write_ended && shuttle->sides[1].write_ended)) {
        shuttle_end(shuttle);
        return;
    }
    side_watch(&shuttle->sides[0]);
    side_watch(&shuttle->sides[1]);
}

struct shuttle *shuttle_new(struct loop *loop, int a, int b, void (*ended)(void *arg), void *arg)
{
    struct shuttle *shuttle = NEW(struct shuttle);
    const int fds[] = {a, b};

    shuttle->loop = loop;
    shuttle->ended = ended;
    shuttle->arg = arg;
    for (size_t i = 0; i < COUNT(fds); i++) {
        shuttle->sides[i].shuttle = shuttle;
        shuttle->sides[i].fd = fds[i];
        shuttle->sides[i].watch = watch_new(loop, fds[i], POLLIN, on_ready, &shuttle->sides[i]);
    }
    return shuttle;
}

struct shuttle *shuttle_free(struct shuttle *shuttle)
{
    if (!shuttle)
        return NULL;
    for (size_t i = 0; i < COUNT(shuttle->sides); i++) {
        watch_free(shuttle->sides[i].watch);
        close(shuttle->sides[i].fd);
    }
    return mem_free(shuttle);
}
