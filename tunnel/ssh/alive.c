/* Is the server still there? Any byte from it says so. When none came for a while a ping goes out: the open of a
 * channel of a type no server has, which every server must refuse (RFC 4254 5.1) and libssh2 takes in. While another
 * open waits for its answer that is the ping (but see alive_ask). When nothing at all was heard for SSH_ALIVE_DEAD_MS after a ping the
 * session is dead.
 *
 * A line that is full of our own bytes delays the ping behind them: as long as the peer's kernel goes on
 * acknowledging data (TCP_INFO), it is slow and not dead. A stopped server acknowledges too, but only what its socket
 * buffer holds; then its window closes and nothing more is acknowledged.
 * A line can also be dead one way only, with the server talking on: what its kernel does not acknowledge for as
 * long as a silence may last has not arrived. */
#include "tunnel/ssh/session_internal.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#ifdef __linux__
#include <linux/tcp.h> /* netinet/tcp.h's tcp_info is older */
#endif

#define ALIVE_TICK_MS 500

static int64_t alive_idle(const struct ssh *ssh)
{
    return ssh->host.alive_interval_ms > 0 ? ssh->host.alive_interval_ms : SSH_ALIVE_IDLE_MS;
}

/* Configured: as ssh does it, interval times count after the first silence; else ours. */
static int64_t alive_patience(const struct ssh *ssh)
{
    int count = ssh->host.alive_count > 0 ? ssh->host.alive_count : 3;

    if (ssh->host.alive_interval_ms <= 0)
        return SSH_ALIVE_DEAD_MS - SSH_ALIVE_IDLE_MS;
    return ssh->host.alive_interval_ms * count;
}

/* Bytes the peer's kernel has acknowledged; 0: not TCP, or not told. ret_open: whether it still owes us some. */
static uint64_t alive_acked(const struct ssh *ssh, bool *ret_open)
{
    *ret_open = false;
#ifdef TCP_INFO
    struct tcp_info info;
    socklen_t length = sizeof info;

    memset(&info, 0, sizeof info);
    if (getsockopt(ssh->fd, IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
        length >= offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof info.tcpi_bytes_acked) {
        *ret_open = info.tcpi_unacked > 0;
        return info.tcpi_bytes_acked;
    }
#else
    (void)ssh;
#endif
    return 0;
}

/* While the server connects to a host that does not answer, no other open can be sent, and its own answer takes as
 * long as that host does. Then a global request nobody knows asks for life. libssh2 never takes its answer out of its
 * list: a later tcpip-forward would take it for its own (tunnel.md 2.6), so listening is over on this session. */
static void alive_ask(struct ssh *ssh)
{
    int next = 0;

    libssh2_keepalive_config(ssh->lib, /* want_reply= */ 1, /* seconds= */ 2);
    (void)libssh2_keepalive_send(ssh->lib, &next);
    ssh->asked = true;
}

void ssh_alive_ping(struct ssh *ssh)
{
    if (ssh->phase != SSH_READY || ssh->doomed)
        return;
    if (ssh->ping_at == 0)
        ssh->ping_at = loop_now(ssh->loop);
    if (ssh->opening != NULL && !ssh->opening->ping && ssh->opening->kind == SSH_TCP)
        alive_ask(ssh);
    if (ssh->ping != NULL || ssh->opening != NULL)
        return; /* its answer will do */
    ssh->ping = ssh_channel_new(ssh, NULL, NULL);
    ssh->ping->ping = true;
    ssh->ping->dropped = true;
    ssh_channel_library_open(ssh->ping);
}

/* The loop's clock counts milliseconds, a near server answers in less. */
static int64_t alive_clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

void ssh_alive_ping_sent(struct ssh *ssh)
{
    ssh->ping_sent_us = alive_clock_us();
}

void ssh_alive_ping_answered(struct ssh *ssh)
{
    ssh->rtt_ms = (double)(alive_clock_us() - ssh->ping_sent_us) / 1000;
    ssh->ping = NULL;
}

void ssh_alive_heard(struct ssh *ssh)
{
    ssh->heard_at = loop_now(ssh->loop);
    ssh->ping_at = 0;
    if (ssh->probe != NULL)
        op_end(TAKE(ssh->probe), 0);
}

static void alive_on_tick(void *arg)
{
    struct ssh *ssh = arg;
    int64_t now = loop_now(ssh->loop);
    bool owed;
    uint64_t acked = alive_acked(ssh, &owed);

    CHECK(ssh, SSH_MAGIC);
    if (!owed || acked != ssh->acked)
        ssh->owed_at = now;
    if (acked != ssh->acked) {
        ssh->acked = acked;
        ssh->acked_at = now;
    }
    if (ssh->opening != NULL && now - ssh->opening->asked_at > SSH_OPEN_MS) {
        ssh_fail(ssh, -ERR_TIMEOUT, "%s did not say for %d s whether it opens a stream%s%s",
                 ssh->host.hostname, SSH_OPEN_MS / 1000, ssh->opening->host != NULL ? " to " : "",
                 ssh->opening->host != NULL ? ssh->opening->host : "");
        return;
    }
    if (owed && now - ssh->owed_at >= alive_idle(ssh) + alive_patience(ssh)) {
        ssh_fail(ssh, -ERR_TIMEOUT, "nothing sent to %s has arrived for %.1f s", ssh->host.hostname,
                 (double)(now - ssh->owed_at) / 1000);
        return;
    }
    if (ssh->ping_at == 0) {
        if (now - ssh->heard_at >= alive_idle(ssh))
            ssh_alive_ping(ssh);
        return;
    }
    if (now - ssh->ping_at < alive_patience(ssh))
        return;
    if (output_waiting(ssh) > 0 && now - ssh->acked_at < alive_patience(ssh))
        return; /* slow, and moving */
    ssh_fail(ssh, -ERR_TIMEOUT, "nothing was heard from %s for %.1f s", ssh->host.hostname,
             (double)(now - ssh->heard_at) / 1000);
}

void ssh_alive_start(struct ssh *ssh)
{
    bool open;

    ssh->heard_at = ssh->acked_at = ssh->owed_at = loop_now(ssh->loop);
    ssh->acked = alive_acked(ssh, &open);
    timer_start(ssh->loop, &ssh->alive, ALIVE_TICK_MS, ALIVE_TICK_MS, alive_on_tick, ssh);
}

void ssh_alive_stop(struct ssh *ssh)
{
    timer_stop(ssh->loop, &ssh->alive);
    timer_stop(ssh->loop, &ssh->unread);
}
