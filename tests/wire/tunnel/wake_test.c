/* A machine that slept and a network that changed, told by the kernel itself. */
#include "tests/t.h"
#include "tunnel/wake.h"

#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static size_t woke, ticks;
static void on_woke(void *arg)
{
    (void)arg;
    woke++;
}
static void on_tick(void *arg)
{
    (void)arg;
    ticks++;
}
static void on_beat(void *arg)
{
    (void)arg;
}

static int64_t now_ms(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

/* Turns the loop so long, or until somebody is woken. */
static void turn(struct loop *loop, int64_t ms)
{
    struct timer beat = {0};
    int64_t end = now_ms() + ms;

    timer_start(loop, &beat, 10, 10, on_beat, NULL);
    while (now_ms() < end && woke == 0)
        (void)loop_turn(loop, true);
    timer_stop(loop, &beat);
}

T(time_that_passed_without_us_is_noticed_at_the_next_tick)
{
    struct loop *loop = loop_new(LOOP_REAL);
    struct wake *wake = wake_new(loop, on_woke, on_tick, NULL);

    woke = ticks = 0;
    turn(loop, WAKE_TICK_MS + 500);
    t_ok(ticks >= 1);
    (void)poll(NULL, 0, WAKE_TICK_MS + WAKE_JUMP_MS + 200); /* as SIGSTOP or a paused machine */
    turn(loop, 500);
    t_eq(woke, 1);
    wake_free(wake);
    loop_free(loop);
}

/* Lets the loopback interface of a new network namespace up or down: its address comes and goes. */
static int set_loopback(bool up)
{
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = (short)(up ? IFF_UP : 0)};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    int r = ioctl(fd, SIOCSIFFLAGS, &request);

    (void)close(fd);
    return r;
}

T(an_address_that_comes_is_noticed_once)
{
    if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0) {
        t_skip("no network namespace may be made here");
        return;
    }
    struct loop *loop = loop_new(LOOP_REAL);
    struct wake *wake = wake_new(loop, on_woke, on_tick, NULL);

    woke = 0;
    t_eq(set_loopback(true), 0);
    turn(loop, WAKE_TICK_MS - 200); /* before any look at the clocks */
    t_eq(woke, 1);
    woke = 0;
    turn(loop, 3 * WAKE_SETTLE_MS);
    t_eq(woke, 0);
    t_eq(set_loopback(false), 0);
    turn(loop, WAKE_TICK_MS - 200);
    t_eq(woke, 1);
    wake_free(wake);
    loop_free(loop);
}
