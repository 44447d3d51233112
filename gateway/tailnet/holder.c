/* The holder test. A unix connection names its process itself; for TCP the kernel is asked for the peer's socket, and
 * tailscaled's descriptors for that. Owns the copy of the question while the pool works. */
#include "gateway/tailnet/holder.h"

#include "base/io/work.h"
#include "base/mem.h"
#include "gateway/conn/one_road.h"
#include "gateway/conn/sock_diag.h"

#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

struct question {
    struct ws_peer peer;
    char *socket;
};

int holder_daemon(const char *localapi_socket, int32_t *ret_pid, uint32_t *ret_uid,
                  struct fault *reterr_fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct ucred who;
    socklen_t length = sizeof(who);

    if (strlen(localapi_socket) >= sizeof(address.sun_path))
        return fault_set(reterr_fault, -ERR_CONNECT, "the path of tailscaled's socket is too long");
    memcpy(address.sun_path, localapi_socket, strlen(localapi_socket));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return fault_set(reterr_fault, -ERR_IO, "cannot make a socket: %s", strerror(errno));
    int r = connect(fd, (const struct sockaddr *)&address, sizeof(address));
    if (r == 0)
        r = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &length);
    int error = errno;
    close(fd);
    if (r < 0)
        return fault_set(reterr_fault, -ERR_CONNECT, "tailscaled does not answer: %s",
                         strerror(error));
    if (who.pid <= 0)
        return fault_set(reterr_fault, -ERR_DENIED,
                         "tailscaled lives in another pid namespace: its process cannot be told");
    *ret_pid = who.pid;
    *ret_uid = who.uid;
    return 0;
}

static int check_tcp(const struct ws_peer *peer, int32_t pid, uint32_t uid, struct fault *fault)
{
    struct sock_diag_entry entry;
    int r = sock_diag_tcp(&peer->remote, &peer->local, &entry);

    if (r < 0)
        return fault_set(fault, -ERR_DENIED, "the kernel does not tell the other end's socket: %s",
                         err_text(r));
    if (entry.uid != uid)
        return fault_set(fault, -ERR_DENIED, "the other end belongs to user %u, tailscaled to %u",
                         entry.uid, uid);
    r = one_road_holds(pid, entry.inode);
    if (r < 0)
        return fault_set(fault, -ERR_DENIED,
                         "tailscaled's sockets cannot be seen: this gateway and tailscaled run as "
                         "different users");
    return r == 1 ? 0 : fault_set(fault, -ERR_DENIED, "the other end is not tailscaled's");
}

static int question_run(void *arg, struct fault *fault)
{
    const struct question *question = arg;
    const struct ws_peer *peer = &question->peer;
    int32_t pid;
    uint32_t uid;
    int r = holder_daemon(question->socket, &pid, &uid, fault);

    if (r < 0)
        return -ERR_DENIED;
    if (peer->transport == WS_TCP)
        return check_tcp(peer, pid, uid, fault);
    if (peer->transport == WS_UNIX && peer->pid == pid && peer->uid == uid)
        return 0;
    return fault_set(fault, -ERR_DENIED, "process %d is not tailscaled (%d)", peer->pid, pid);
}

static void question_free(void *arg)
{
    struct question *question = arg;

    mem_free(question->socket);
    mem_free(question);
}

void holder_ask(struct op *op, const struct ws_peer *peer, const char *localapi_socket)
{
    struct question *question = NEW(struct question);

    question->peer = *peer;
    question->socket = mem_string(localapi_socket);
    work_run(op, question_run, question, question_free);
}
