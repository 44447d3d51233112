/* Opening channels over libssh2: its state for an open is the session's, so they go one after the other, in the order
 * they were asked for; a command is started once its channel is open, beside the next open. */
#include "tunnel/ssh/session_internal.h"

#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *type;
    enum ssh_channel_kind kind;
} types[] = {
    {"direct-tcpip", SSH_TCP},
    {"direct-streamlocal@openssh.com", SSH_STREAMLOCAL},
    {"session", SSH_EXEC},
};

/* ---- messages (RFC 4254 7.2, OpenSSH PROTOCOL 2.4) ---- */

static void message_number(struct buf *b, uint32_t n)
{
    uint8_t bytes[4] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n};

    buf_add(b, bytes, sizeof bytes);
}

static void message_string(struct buf *b, const char *text)
{
    message_number(b, (uint32_t)strlen(text));
    buf_add_str(b, text);
}

static void channel_write_message(struct ssh_channel *channel)
{
    struct buf *b = &channel->message;

    if (channel->ping || channel->kind == SSH_EXEC)
        return;
    if (channel->kind == SSH_TCP) {
        message_string(b, channel->host);
        message_number(b, (uint32_t)channel->port);
        message_string(b, "127.0.0.1"); /* where it comes from: nobody's business over there */
        message_number(b, 0);
    } else {
        message_string(b, channel->text);
        message_string(b, ""); /* reserved */
        message_number(b, 0);
    }
}

/* ---- windows: together never more than a ceiling, however many channels are paused ---- */

static uint32_t window_take(struct ssh *ssh, uint32_t wanted)
{
    uint64_t left = ssh->windows < SSH_WINDOWS_MAX ? SSH_WINDOWS_MAX - ssh->windows : 0;
    uint32_t window = wanted;

    if (window > left / 4)
        window = (uint32_t)(left / 4);
    if (window < SSH_WINDOW_MIN)
        window = SSH_WINDOW_MIN;
    ssh->windows += window;
    return window;
}

/* ---- the reasons ---- */

static const struct {
    const char *part; /* of libssh2's sentence */
    int code;
} refusals[] = {
    {"administratively prohibited", -ERR_DENIED},
    {"connect failed", -ERR_CONNECT},
    {"unknown channel type", -ERR_UNSUPPORTED},
    {"resource shortage", -ERR_FULL},
};

static int open_refused(const struct ssh_channel *channel, const char *text, struct fault *why)
{
    const struct ssh_host *host = &channel->ssh->host;
    int code = -ERR_CONNECT;

    for (size_t i = 0; i < COUNT(refusals); i++) {
        if (strstr(text, refusals[i].part) != NULL)
            code = refusals[i].code;
    }
    if (channel->kind == SSH_EXEC)
        return fault_set(
            why, -ERR_FULL,
            "%s opens no more sessions on this connection: MaxSessions in its sshd_config is too "
            "small or forbids them",
            host->hostname);
    if (channel->kind == SSH_STREAMLOCAL && code == -ERR_CONNECT)
        return fault_set(why, code,
                         "%s cannot connect to %s: nobody listens there, %s may not, or "
                         "AllowStreamLocalForwarding in "
                         "its sshd_config forbids it",
                         host->hostname, channel->text, host->user);
    if (channel->kind == SSH_STREAMLOCAL)
        return fault_set(
            why, code,
            "%s does not forward to %s: AllowStreamLocalForwarding in its sshd_config forbids it",
            host->hostname, channel->text);
    if (code == -ERR_DENIED)
        return fault_set(why, code,
                         "%s does not forward to %s port %d: AllowTcpForwarding or PermitOpen in "
                         "its sshd_config, or "
                         "the key's options there, forbid it",
                         host->hostname, channel->host, channel->port);
    return fault_set(why, code, "%s cannot connect to %s port %d: %s", host->hostname,
                     channel->host, channel->port,
                     code == -ERR_CONNECT ? "nobody listens there" : text);
}

/* ---- one open ---- */

static void open_failed(struct ssh_channel *channel)
{
    char *text = NULL;
    struct fault why;
    int r = libssh2_session_last_error(channel->ssh->lib, &text, NULL, 0);

    fault_clear(&why);
    if (channel->ping) {
        channel->state = CHANNEL_GONE;
        if (r == LIBSSH2_ERROR_CHANNEL_FAILURE)
            ssh_alive_ping_answered(channel->ssh);
        else
            (void)ssh_turn_fine(channel->ssh, r, NULL);
        return;
    }
    if (r != LIBSSH2_ERROR_CHANNEL_FAILURE && r != LIBSSH2_ERROR_TIMEOUT &&
        !ssh_turn_fine(channel->ssh, r, NULL)) {
        return; /* the session's end tells the channel */
    }
    if (r == LIBSSH2_ERROR_CHANNEL_FAILURE)
        open_refused(channel, text, &why);
    else
        fault_set(&why, -ERR_TIMEOUT, "%s did not answer in time", channel->ssh->host.hostname);
    ssh_channel_tell_opened(channel, why.code, &why);
}

/* true: libssh2 is free for the next one. */
static bool open_advance(struct ssh_channel *channel)
{
    struct ssh *ssh = channel->ssh;
    const char *type = channel->ping ? "ping@culvert" : types[channel->kind].type;

    if (channel->state == CHANNEL_WAITING) {
        channel_write_message(channel);
        channel->state = CHANNEL_OPENING;
        channel->asked_at = loop_now(ssh->loop);
        if (channel->ping)
            ssh_alive_ping_sent(ssh);
    }
    channel->lib = libssh2_channel_open_ex(ssh->lib, type, (unsigned)strlen(type), channel->window,
                                           SSH_PACKET_SIZE, channel->message.data,
                                           (unsigned)channel->message.length);
    if (channel->lib == NULL && libssh2_session_last_errno(ssh->lib) == LIBSSH2_ERROR_EAGAIN)
        return false;
    ssh->opening = NULL;
    buf_done(&channel->message);
    if (channel->lib == NULL)
        open_failed(channel);
    else if (channel->dropped || channel->ping)
        ssh_channel_close(channel);
    else if (channel->kind == SSH_EXEC)
        channel->state = CHANNEL_STARTING;
    else
        ssh_channel_tell_opened(channel, 0, NULL);
    return true;
}

static struct ssh_channel *opens_next(struct ssh *ssh)
{
    struct ssh_channel *next = NULL;

    for (size_t i = 0; i < ssh->channel_count; i++) {
        struct ssh_channel *channel = ssh->channels[i];

        if (channel->state == CHANNEL_WAITING && (next == NULL || channel->number < next->number))
            next = channel;
    }
    return next;
}

static void channel_start_command(struct ssh_channel *channel)
{
    struct fault why;
    int r = libssh2_channel_process_startup(channel->lib, "exec", 4, channel->text,
                                            (unsigned)strlen(channel->text));

    fault_clear(&why);
    if (r == LIBSSH2_ERROR_EAGAIN)
        return;
    if (r == 0) {
        ssh_channel_tell_opened(channel, 0, NULL);
        return;
    }
    if (r != LIBSSH2_ERROR_CHANNEL_REQUEST_DENIED && !ssh_turn_fine(channel->ssh, r, NULL))
        return;
    fault_set(&why, -ERR_DENIED, "%s runs no commands for %s", channel->ssh->host.hostname,
              channel->ssh->host.user);
    ssh_channel_tell_opened(channel, why.code, &why);
}

void ssh_opens_advance(struct ssh *ssh)
{
    for (;;) {
        if (ssh->opening == NULL)
            ssh->opening = opens_next(ssh);
        if (ssh->opening == NULL || ssh->doomed || ssh->closed || !open_advance(ssh->opening))
            break;
    }
    for (size_t i = 0; i < ssh->channel_count && !ssh->doomed && !ssh->closed; i++) {
        if (ssh->channels[i]->state == CHANNEL_STARTING && !ssh->channels[i]->dropped)
            channel_start_command(ssh->channels[i]);
    }
}

void ssh_channel_library_open(struct ssh_channel *channel)
{
    buf_init(&channel->message, 8192);
    if (channel->ping)
        channel->window = SSH_WINDOW_MIN;
    else
        channel->window = channel->window_taken = window_take(channel->ssh, channel->window);
    ssh_turn_soon(channel->ssh);
}
