/* libssh2's socket on the loop. libssh2 reads and writes through two callbacks here:
 *
 *   send never takes less than it is given: the bytes wait in our output and go out at the end of the turn, in one
 *   write. So libssh2 never has half a packet in its hands, which it cannot cope with (tunnel.md 2.1, 2b). Whoever
 *   makes bytes (ssh_channel_write) stops at SSH_OUTPUT_HIGH; past SSH_OUTPUT_MAX the session ends.
 *
 *   receive reads only inside a turn, at most SSH_TURN_READ of it, then says "would block": channel_read
 *   would otherwise drain the whole socket, into lists that it searches from their beginning.
 *
 * A turn: move the phase on (handshake, authentication, channels), flush, look again what to wait for. */
#include "tunnel/ssh/session_internal.h"

#include "base/mem.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- memory: counted, so that a server cannot make libssh2 hold what it likes, and listed, because libssh2 1.10
 * forgets some of it (at each key exchange, and in handshakes that fail): what is left goes with the session ---- */

struct lib_block {
    struct lib_block *next, *before;
    size_t size;
    _Alignas(16) char data[];
};

static struct lib_block *block_of(void *p)
{
    return CONTAINER(p, struct lib_block, data);
}

static void block_unlink(struct ssh *ssh, struct lib_block *block)
{
    if (block->before != NULL)
        block->before->next = block->next;
    else
        ssh->blocks = block->next;
    if (block->next != NULL)
        block->next->before = block->before;
    ssh->memory -= block->size;
}

static void block_link(struct ssh *ssh, struct lib_block *block, size_t size)
{
    block->size = size;
    block->before = NULL;
    block->next = ssh->blocks;
    if (ssh->blocks != NULL)
        ssh->blocks->before = block;
    ssh->blocks = block;
    ssh->memory += size;
}

static void *lib_realloc(void *p, size_t size, void **abstract)
{
    struct ssh *ssh = *abstract;
    struct lib_block *block = p != NULL ? block_of(p) : NULL;

    if (size > SSH_MEMORY_MAX)
        return NULL;
    if (block != NULL)
        block_unlink(ssh, block);
    block = mem_grow(block, sizeof(struct lib_block) + size, 1);
    block_link(ssh, block, size);
    return block->data;
}

void *ssh_lib_alloc(size_t size, void **abstract)
{
    return lib_realloc(NULL, size, abstract);
}

/* Keys and passphrases pass through here before the session is ready: then it is wiped. */
void ssh_lib_free(void *p, void **abstract)
{
    struct ssh *ssh = *abstract;
    struct lib_block *block;

    if (p == NULL)
        return;
    block = block_of(p);
    block_unlink(ssh, block);
    if (ssh->phase == SSH_READY)
        mem_free(block);
    else
        mem_wipe_free(block, sizeof(struct lib_block) + block->size);
}

/* ---- the socket ---- */

static ssize_t turn_receive(libssh2_socket_t fd, void *buffer, size_t length, int flags,
                            void **abstract)
{
    struct ssh *ssh = *abstract;
    ssize_t n;

    if (ssh->muted)
        return -ECONNRESET;
    if (!ssh->may_read || ssh->socket_empty || ssh->turn_read >= SSH_TURN_READ)
        return -EAGAIN;
    n = recv(fd, buffer, length, flags);
    if (n < 0) {
        int e = errno;

        if (e == EAGAIN || e == EINTR) {
            ssh->socket_empty = true;
            return -EAGAIN;
        }
        ssh->socket_ended = true;
        return -e;
    }
    if (n == 0) {
        ssh->socket_ended = true;
        return 0;
    }
    if ((size_t)n < length)
        ssh->socket_empty = true; /* as good as known */
    ssh->turn_read += (size_t)n;
    ssh->bytes_in += (uint64_t)n;
    return n;
}

static void output_add(struct ssh_output *out, const void *data, size_t length)
{
    if (out->length + length > out->room && out->at > 0) {
        memmove(out->data, out->data + out->at, out->length - out->at);
        out->length -= out->at;
        out->at = 0;
    }
    if (out->length + length > out->room) {
        size_t room = out->room > 0 ? out->room : 64u << 10;

        while (room < out->length + length)
            room *= 2;
        out->data = mem_grow(out->data, room, 1);
        out->room = room;
    }
    memcpy(out->data + out->length, data, length);
    out->length += length;
}

static ssize_t turn_send(libssh2_socket_t fd, const void *buffer, size_t length, int flags,
                         void **abstract)
{
    struct ssh *ssh = *abstract;

    (void)fd;
    (void)flags;
    if (!ssh->muted) {
        output_add(&ssh->out, buffer, length);
        if (!ssh->may_read)
            ssh_turn_soon(ssh);
    }
    return (ssize_t)length;
}

static void turn_flush(struct ssh *ssh)
{
    struct ssh_output *out = &ssh->out;

    while (out->at < out->length) {
        ssize_t n = send(ssh->fd, out->data + out->at, out->length - out->at, MSG_NOSIGNAL);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno != EAGAIN && !ssh->doomed)
            ssh_fail(ssh, -ERR_CLOSED, "the connection broke: %s", strerror(errno));
        if (n < 0)
            break;
        out->at += (size_t)n;
        ssh->bytes_out += (uint64_t)n;
    }
    if (out->at == out->length)
        out->at = out->length = 0;
    if (output_waiting(ssh) > SSH_OUTPUT_MAX)
        ssh_fail(ssh, -ERR_FULL, "the server reads too slowly: %u MiB wait for it",
                 SSH_OUTPUT_MAX >> 20);
}

/* ---- turns ---- */

static void turn_run(struct ssh *ssh);

static void turn_on_defer(void *arg)
{
    struct ssh *ssh = arg;

    CHECK(ssh, SSH_MAGIC);
    turn_run(ssh);
}

void ssh_turn_soon(struct ssh *ssh)
{
    defer_start(ssh->loop, &ssh->turn, turn_on_defer, ssh);
}

static void turn_on_socket(void *arg, int events)
{
    struct ssh *ssh = arg;

    (void)events;
    CHECK(ssh, SSH_MAGIC);
    turn_run(ssh);
}

static void turn_on_unread(void *arg)
{
    struct ssh *ssh = arg;

    ssh_alive_ping(ssh);
    ssh_turn_soon(ssh);
}

static bool turn_has_reader(struct ssh *ssh)
{
    for (size_t i = 0; i < ssh->channel_count; i++) {
        if (ssh->channels[i]->lib != NULL && ssh->channels[i]->state != CHANNEL_GONE)
            return true;
    }
    return ssh->opening != NULL || ssh->listening > 0 || ssh_listens_read_socket(ssh);
}

static bool turn_has_unread(const struct ssh *ssh)
{
    char c;
    ssize_t n = recv(ssh->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT);

    return n >= 0 || (errno != EAGAIN && errno != EINTR); /* its end is something too */
}

/* libssh2 reads the socket only on behalf of a channel, an open or a listener. Without any, what the server says (its
 * other host keys, a keepalive) must wait for one: soon there is, or a ping makes one. */
static void turn_ready(struct ssh *ssh)
{
    (void)ssh_channels_read_socket(ssh);
    if (ssh->doomed)
        return;
    ssh_listens_advance(ssh);
    ssh_opens_advance(ssh);
    ssh_channels_advance(ssh);
    if (turn_has_reader(ssh)) {
        timer_stop(ssh->loop, &ssh->unread);
    } else if (!timer_running(&ssh->unread) && turn_has_unread(ssh)) {
        timer_start(ssh->loop, &ssh->unread, 50, 0, turn_on_unread, ssh);
    }
}

static void turn_wait(struct ssh *ssh)
{
    int events = POLLIN;

    if (ssh->watch == NULL)
        return;
    if (ssh->lent) { /* not even looked at */
        watch_change(ssh->watch, 0);
        ssh->watched = 0;
        return;
    }
    if (timer_running(&ssh->unread) || ssh->doomed)
        events = 0;
    if (output_waiting(ssh) > 0 && !ssh->doomed)
        events |= POLLOUT;
    if (events != ssh->watched)
        watch_change(ssh->watch, events);
    ssh->watched = events;
    if (ssh->turn_read >= SSH_TURN_READ)
        ssh_turn_soon(ssh);
}

static void turn_move(struct ssh *ssh)
{
    uint64_t before = ssh->bytes_in;

    ssh->may_read = true;
    ssh->socket_empty = false;
    ssh->turn_read = 0;
    if (ssh->phase == SSH_READY)
        turn_ready(ssh);
    else
        ssh_connect_advance(ssh);
    ssh->may_read = false;
    if (ssh->bytes_in != before)
        ssh_alive_heard(ssh);
    if (ssh->memory > SSH_MEMORY_MAX)
        ssh_fail(ssh, -ERR_FULL, "the server sends what nobody asked for: %u MiB of it",
                 SSH_MEMORY_MAX >> 20);
}

static void turn_run(struct ssh *ssh)
{
    ssh_hold(ssh);
    if (ssh->lib != NULL && !ssh->doomed && !ssh->lent)
        turn_move(ssh);
    if (ssh->lib != NULL && !ssh->lent && !ssh->closed)
        turn_flush(ssh);
    ssh_after_turn(ssh);
    if (!ssh->closed) {
        ssh_channels_sweep(ssh);
        turn_wait(ssh);
    }
    ssh_release(ssh);
}

/* ---- results ---- */

static void turn_name_error(const struct ssh *ssh, ssize_t r, struct fault *ret)
{
    char *text = NULL;

    if (ssh->goodbye[0] != '\0') {
        fault_set(ret, -ERR_CLOSED, "the server hung up: %s", ssh->goodbye);
    } else if (ssh->socket_ended || r == LIBSSH2_ERROR_SOCKET_DISCONNECT ||
               r == LIBSSH2_ERROR_SOCKET_RECV || r == LIBSSH2_ERROR_SOCKET_SEND) {
        fault_set(ret, -ERR_CLOSED, "the server closed the connection");
    } else {
        (void)libssh2_session_last_error(ssh->lib, &text, NULL, 0);
        fault_set(ret, -ERR_CLOSED, "%s (libssh2 error %zd)",
                  text != NULL && text[0] != '\0' ? text : "the connection is damaged", r);
    }
}

bool ssh_turn_fine(struct ssh *ssh, ssize_t r, const char *doing)
{
    struct fault why;

    if (r >= 0 || r == LIBSSH2_ERROR_EAGAIN)
        return true;
    fault_clear(&why);
    turn_name_error(ssh, r, &why);
    if (doing != NULL)
        fault_prefix(&why, "%s", doing);
    ssh_fail_with(ssh, &why);
    return false;
}

/* Text of the other side, for people: printable only. */
static void turn_on_goodbye(LIBSSH2_SESSION *lib, int reason, const char *message, int message_len,
                            const char *language, int language_len, void **abstract)
{
    struct ssh *ssh = *abstract;
    size_t n = 0;

    (void)lib;
    (void)language;
    (void)language_len;
    for (int i = 0; message != NULL && i < message_len && n + 1 < sizeof ssh->goodbye; i++)
        ssh->goodbye[n++] = message[i] >= ' ' && message[i] < 127 ? message[i] : ' ';
    ssh->goodbye[n] = '\0';
    if (n == 0)
        (void)snprintf(ssh->goodbye, sizeof ssh->goodbye, "reason %d", reason);
}

/* ---- start and stop ---- */

static void library_init(void)
{
    (void)libssh2_init(0);
}

void ssh_library_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    (void)pthread_once(&once, library_init);
}

static void *turn_pointer(void (*fn)(void))
{
    void *p;

    memcpy(&p, &fn, sizeof p);
    return p;
}

int ssh_turn_start(struct ssh *ssh, int fd)
{
    ssh->fd = fd;
    ssh->lib = libssh2_session_init_ex(ssh_lib_alloc, ssh_lib_free, lib_realloc, ssh);
    if (ssh->lib == NULL)
        return ssh_fail(ssh, -ERR_NO_MEMORY, "libssh2 does not start");
    ssh->muted = ssh->socket_ended = false;
    ssh->read_buffer = mem_grow(ssh->read_buffer, SSH_READ_SIZE, 1);
    libssh2_session_set_blocking(ssh->lib, 0);
    (void)libssh2_session_callback_set(ssh->lib, LIBSSH2_CALLBACK_SEND,
                                       turn_pointer((void (*)(void))turn_send));
    (void)libssh2_session_callback_set(ssh->lib, LIBSSH2_CALLBACK_RECV,
                                       turn_pointer((void (*)(void))turn_receive));
    (void)libssh2_session_callback_set(ssh->lib, LIBSSH2_CALLBACK_DISCONNECT,
                                       turn_pointer((void (*)(void))turn_on_goodbye));
    ssh->watch = watch_new(ssh->loop, fd, POLLIN, turn_on_socket, ssh);
    ssh->watched = POLLIN;
    ssh_turn_soon(ssh);
    return 0;
}

/* Frees libssh2's session and the socket. Muted, every call of libssh2 ends at once: what it sends goes nowhere, what
 * it waits for is an error. */
void ssh_turn_stop(struct ssh *ssh, bool goodbye)
{
    if (ssh->lib != NULL) {
        if (goodbye && !ssh->socket_ended && output_waiting(ssh) == 0) {
            (void)libssh2_session_disconnect(ssh->lib, "bye");
            if (ssh->out.length > 0)
                (void)!send(ssh->fd, ssh->out.data, ssh->out.length, MSG_NOSIGNAL | MSG_DONTWAIT);
        }
        ssh->muted = true;
        for (int i = 0; i < 1000 && libssh2_session_free(ssh->lib) == LIBSSH2_ERROR_EAGAIN; i++)
            ;
        while (ssh->blocks != NULL) {
            void *abstract = ssh;

            ssh_lib_free(ssh->blocks->data, &abstract);
        }
        ssh->lib = NULL;
        ssh->opening = NULL;
        for (size_t i = 0; i < ssh->channel_count; i++)
            ssh->channels[i]->lib = NULL; /* went with it */
    }
    timer_stop(ssh->loop, &ssh->unread);
    ssh->watch = watch_free(ssh->watch);
    ssh->watched = -1;
    if (ssh->fd >= 0)
        (void)close(ssh->fd);
    ssh->fd = -1;
    ssh->out.at = ssh->out.length = 0;
}
