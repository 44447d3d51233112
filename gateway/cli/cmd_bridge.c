/* culvert bridge: the far end of a tunnel, started by sshd on the gateway's host. It tells the gateway here what sshd told it,
 * prints the one line its reader waits for (tunnel/bridge.h), answers pings, and lives until its input ends; the ticket in
 * that line is good as long. With --stdio it is one connection itself: bytes between its own input, output and the gateway.
 * No loop, no store, no WebSocket: it must start at once. Owns its two sockets. */
#include "base/crypto.h"
#include "base/mem.h"
#include "gateway/cli/cli.h"
#include "gateway/cli/target.h"
#include "gateway/gateway.h"
#include "tunnel/bridge.h"

#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ANSWER_MS     15000
#define PING_MAX      256
#define USER_AUTH_MAX 65536
#define PUMP_BYTES    65536
#define FINGERPRINT   51 /* "SHA256:", 43, NUL */
#define KEY_BLOB_MAX  16384
#define ASKED_FOR     "culvert bridge --stdio"

enum { OPTION_AS = 1000, OPTION_STDIO };

struct input {
    const char *as;
    bool stdio;
    enum bridge_service service;
    const char *word; /* after --stdio */
};

static const struct argp_option options[] = {
    {"as", OPTION_AS, "NAME", 0,
     "who this is, in a forced command: command=\"culvert bridge --as alice\",restrict ssh-ed25519 "
     "…",
     0},
    {"stdio", OPTION_STDIO, NULL, 0,
     "be one connection: bytes between this program's input and output and the gateway", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
    struct input *input = state->input;

    switch (key) {
    case OPTION_AS:
        if (!bridge_is_name(arg))
            argp_error(state, "--as takes letters, digits and . _ @ + -, at most %d",
                       BRIDGE_NAME_MAX - 1);
        input->as = arg;
        return 0;
    case OPTION_STDIO: input->stdio = true; return 0;
    case ARGP_KEY_ARG:
        if (input->word || !bridge_service_parse(arg, &input->service))
            argp_error(state, "the one word there may be is gateway or canvas, after --stdio");
        input->word = arg;
        return 0;
    case ARGP_KEY_END:
        if (input->word && !input->stdio)
            argp_error(state, "%s goes with --stdio", input->word);
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

/* Behind a forced command the client may still ask for one connection by stdio, in exactly these words. */
static void heed_original_command(struct input *input)
{
    const char *asked = getenv("SSH_ORIGINAL_COMMAND");
    size_t length = strlen(ASKED_FOR);
    enum bridge_service service = BRIDGE_GATEWAY;

    if (!asked || input->stdio || strncmp(asked, ASKED_FOR, length) != 0)
        return;
    if (asked[length] &&
        (asked[length] != ' ' || !bridge_service_parse(asked + length + 1, &service)))
        return;
    input->stdio = true;
    input->service = service;
}

/* ---- what sshd tells ---- */

struct told {
    char address[BRIDGE_ADDRESS_MAX], key[FINGERPRINT], method[33];
};

/* As ssh prints it. */
static void fingerprint(const char *blob64, size_t length, char out[FINGERPRINT])
{
    uint8_t digest[SHA256_BYTES];
    char text[64];
    uint8_t *blob = mem_array(KEY_BLOB_MAX, 1);
    int n = crypto_base64_decode(blob64, length, blob, KEY_BLOB_MAX);

    if (n > 0) {
        crypto_sha256(blob, (size_t)n, digest);
        crypto_base64(digest, sizeof(digest), text);
        snprintf(out, FINGERPRINT, "SHA256:%.43s", text);
    }
    mem_free(blob);
}

/* SSH_USER_AUTH (sshd: ExposeAuthInfo yes) names a file with a line for each method that succeeded: "publickey
 * ssh-ed25519 AAAA…", "password". Of a certificate sshd tells the whole, whose digest is nobody's key. */
static void read_method(const char *line, struct told *told)
{
    size_t method = strcspn(line, " \n");
    const char *type = line + method + strspn(line + method, " ");
    size_t type_length = strcspn(type, " \n");
    const char *blob = type + type_length + strspn(type + type_length, " ");

    if (!told->method[0] && method < sizeof(told->method))
        snprintf(told->method, sizeof(told->method), "%.*s", (int)method, line);
    bool certificate = memmem(type, type_length, "-cert-", 6) != NULL;
    if (!told->key[0] && strncmp(line, "publickey ", 10) == 0 && !certificate)
        fingerprint(blob, strcspn(blob, " \n"), told->key);
}

static void read_user_auth(struct told *told)
{
    const char *path = getenv("SSH_USER_AUTH");
    FILE *file = path ? fopen(path, "re") : NULL;

    if (!file)
        return;
    CLEAN(mem_free) char *text = mem_array(USER_AUTH_MAX + 1, 1);
    text[fread(text, 1, USER_AUTH_MAX, file)] = '\0';
    fclose(file);
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line != '\0')
        read_method(line, told);
}

static void read_told(struct told *told)
{
    const char *connection = getenv("SSH_CONNECTION");
    size_t length = connection ? strcspn(connection, " ") : 0;

    *told = (struct told){0};
    if (length < sizeof(told->address))
        snprintf(told->address, sizeof(told->address), "%.*s", (int)length,
                 connection ? connection : "");
    read_user_auth(told);
}

/* ---- the gateway here ---- */

static int connect_to(const char *path, struct fault *fault)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd;

    if (strlen(path) >= sizeof(address.sun_path))
        return fault_set(fault, -ERR_INVALID, "the socket path %s is too long", path);
    memcpy(address.sun_path, path, strlen(path));
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    int reason = errno;
    if (fd >= 0)
        close(fd);
    return fault_set(fault, -ERR_CONNECT,
                     reason == ENOENT || reason == ECONNREFUSED
                         ? "no gateway is running here (%s: %s); start one with: culvert gateway"
                         : "cannot connect to %s: %s",
                     path, strerror(reason));
}

static int send_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = write(fd, data, length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return -ERR_CLOSED;
        data += n;
        length -= (size_t)n;
    }
    return 0;
}

/* Up to the LF, and not a byte of what follows. */
static int read_line(int fd, struct buf *line, struct fault *fault)
{
    struct pollfd wait = {.fd = fd, .events = POLLIN};
    char c;

    while (line->length < BRIDGE_LINE_MAX) {
        int ready = poll(&wait, 1, ANSWER_MS);
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready == 0)
            return fault_set(fault, -ERR_TIMEOUT, "the gateway here does not answer");
        if (read(fd, &c, 1) != 1)
            return fault_set(fault, -ERR_CLOSED, "the gateway here hung up");
        if (c == '\n')
            return 0;
        buf_add_char(line, c);
    }
    return fault_set(fault, -ERR_CORRUPT, "the gateway here says something else");
}

/* The connection that the ticket lives by, or negative. ret: bridge_offer_done. */
static int register_here(const struct input *input, struct bridge_offer *ret, struct fault *fault)
{
    CLEAN(mem_free) char *folder = target_local_folder(fault);
    CLEAN(mem_free) char *path = folder ? mem_format("%s/tunnel.sock", folder) : NULL;
    CLEAN(buf_done) struct buf line;
    char why[BRIDGE_ERROR_MAX];
    struct told told;
    int fd = path ? connect_to(path, fault) : -ERR_CONNECT, r;

    buf_init(&line, BRIDGE_LINE_MAX + 1);
    if (fd < 0)
        return fd;
    read_told(&told);
    bridge_write_register(&line, &(struct bridge_claims){
                                     .as = input->as,
                                     .address = told.address[0] ? told.address : NULL,
                                     .key = told.key[0] ? told.key : NULL,
                                     .method = told.method[0] ? told.method : NULL,
                                 });
    r = send_all(fd, line.data, line.length);
    buf_clear(&line);
    if (r == 0)
        r = read_line(fd, &line, fault);
    if (r == 0 && bridge_read_error(line.data, line.length, why))
        r = fault_set(fault, -ERR_DENIED, "%s", why);
    else if (r == 0)
        r = bridge_read_offer(line.data, line.length, ret, fault);
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

/* ---- a bridge: stay, and answer ---- */

/* "ping 7": the same with pong. False: nothing more comes. */
static bool answer_pings(struct buf *line)
{
    char part[PING_MAX];
    ssize_t n = read(STDIN_FILENO, part, sizeof(part));

    if (n < 0 && errno == EINTR)
        return true;
    for (ssize_t i = 0; i < n; i++) {
        if (part[i] != '\n') {
            if (line->length < PING_MAX)
                buf_add_char(line, part[i]);
            continue;
        }
        if (line->length > 5 && memcmp(line->data, "ping ", 5) == 0) {
            memcpy(line->data, "pong ", 5);
            buf_add_char(line, '\n');
            if (send_all(STDOUT_FILENO, line->data, line->length) < 0)
                return false;
        }
        buf_clear(line);
    }
    return n > 0;
}

static int stay(int fd)
{
    struct pollfd ends[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    CLEAN(buf_done) struct buf line;

    buf_init(&line, PING_MAX * 2);
    for (;;) {
        if (poll(ends, COUNT(ends), -1) < 0)
            continue; /* a signal */
        if (ends[1].revents)
            return cli_fail(CLI_CANNOT_CONNECT, "the gateway here has ended");
        if (ends[0].revents && !answer_pings(&line))
            return CLI_OK;
    }
}

static int bridge(const struct input *input)
{
    CLEAN(buf_done) struct buf line;
    struct bridge_offer offer = {0};
    struct fault fault = {0};
    int fd = register_here(input, &offer, &fault);

    buf_init(&line, BRIDGE_LINE_MAX);
    if (fd < 0)
        offer.error = mem_string(fault.text);
    bridge_write_offer(&line, &offer);
    int r = send_all(STDOUT_FILENO, line.data, line.length);
    bridge_offer_done(&offer);
    if (line.data)
        crypto_wipe(line.data, line.length);
    if (fd < 0)
        return CLI_CANNOT_CONNECT;
    if (r == 0 && isatty(STDIN_FILENO))
        fputs("culvert bridge is what culvert tunnel starts at this end; press Ctrl-D to end it.\n",
              stderr);
    r = r < 0 ? CLI_FAILED : stay(fd);
    close(fd);
    return r;
}

/* ---- one connection by stdio ---- */

/* One direction. */
struct pump {
    int from, to;
    char *data;
    size_t at, length;
    bool ended; /* nothing more is read */
};

/* False: the other side cannot take it any more. */
static bool pump_write(struct pump *pump)
{
    ssize_t n = write(pump->to, pump->data + pump->at, pump->length - pump->at);

    if (n > 0)
        pump->at += (size_t)n;
    return n > 0 || errno == EAGAIN || errno == EINTR;
}

/* What was read is written at once: mostly there is room, and a call is a poll shorter. */
static bool pump_step(struct pump *pump)
{
    if (pump->at < pump->length)
        return pump_write(pump);
    ssize_t n = read(pump->from, pump->data, PUMP_BYTES);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    pump->at = 0;
    pump->length = (size_t)n;
    pump->ended = n == 0;
    return n == 0 || pump_write(pump);
}

static struct pollfd pump_wait(const struct pump *pump)
{
    bool writes = pump->at < pump->length;

    if (pump->ended)
        return (struct pollfd){.fd = -1};
    return (struct pollfd){.fd = writes ? pump->to : pump->from,
                           .events = (short)(writes ? POLLOUT : POLLIN)};
}

/* Until the gateway has closed; the end of our input is told to it. */
static int pump_both(int fd)
{
    CLEAN(mem_free) char *in = mem_array(PUMP_BYTES, 1), *out = mem_array(PUMP_BYTES, 1);
    struct pump up = {.from = STDIN_FILENO, .to = fd, .data = in};
    struct pump down = {.from = fd, .to = STDOUT_FILENO, .data = out};

    /* A slow reader of one direction must not hold up the other. */
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    fcntl(STDOUT_FILENO, F_SETFL, fcntl(STDOUT_FILENO, F_GETFL) | O_NONBLOCK);
    while (!down.ended) {
        struct pollfd ends[] = {pump_wait(&up), pump_wait(&down)};
        bool was = up.ended;

        if (poll(ends, COUNT(ends), -1) < 0)
            continue;
        if (ends[1].revents && !pump_step(&down))
            return CLI_FAILED;
        if (ends[0].revents && !pump_step(&up))
            up.ended = true;
        if (up.ended && !was)
            shutdown(fd, SHUT_WR);
    }
    return CLI_OK;
}

static int stdio_failed(int fd, const struct fault *fault)
{
    CLEAN(buf_done) struct buf line;

    buf_init(&line, BRIDGE_LINE_MAX);
    bridge_write_error(&line, fault->text);
    send_all(STDOUT_FILENO, line.data, line.length);
    if (fd >= 0)
        close(fd);
    return CLI_CANNOT_CONNECT;
}

static int one_connection(const struct input *input)
{
    CLEAN(buf_done) struct buf line;
    struct bridge_offer offer = {0};
    struct fault fault = {0};
    int ticket = register_here(input, &offer, &fault), fd = -1, r;

    buf_init(&line, BRIDGE_LINE_MAX);
    if (ticket < 0)
        return stdio_failed(-1, &fault);
    fd = connect_to(offer.socket, &fault);
    bridge_write_stream(&line, offer.ticket, input->service, NULL);
    bridge_offer_done(&offer);
    r = fd < 0 ? fd : send_all(fd, line.data, line.length);
    crypto_wipe(line.data, line.length);
    if (r < 0)
        return stdio_failed(ticket, &fault);
    r = pump_both(fd);
    close(fd);
    close(ticket);
    return r;
}

int cmd_bridge(int argc, char **argv)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse_option,
        .args_doc = "[--stdio [gateway|canvas]]",
        .doc = "The far end of a tunnel, on the gateway's host: started by ssh, not by hand. It "
               "registers with the gateway here and lives until its input ends.",
    };
    struct input input = {0};

    /* What was left open around us would look like another road (SECURITY.md). */
    close_range(STDERR_FILENO + 1, ~0u, 0);
    argp_parse(&argp, argc, argv, 0, NULL, &input);
    heed_original_command(&input);
    return input.stdio ? one_connection(&input) : bridge(&input);
}
