/* Servers that do not behave: a small TCP listener that plays what an SSH server never should, until the key exchange;
 * after it a real sshd stands in, with its bytes damaged on the way. */
#include "tests/wire/tunnel/ssh_kit.h"

/* libssh2 1.10 forgets what OpenSSL made for a key exchange that is not finished (150 to 400 bytes each time; its own
 * memory we free for it). */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
    return "leak:libcrypto.so\n";
}

struct hostile {
    struct kit *k;
    struct loop *loop;
    int fd, client, server;
    struct watch *listener, *from_client, *from_server;
    const char *say; /* sent at once */
    size_t say_length;
    bool flood, hang_up;
    int damage_at; /* with a real server behind: this byte from it is changed; -1: none, -2: no server */
    int seen;
};

static void hostile_end(struct hostile *h)
{
    h->from_client = watch_free(h->from_client);
    h->from_server = watch_free(h->from_server);
    if (h->client >= 0)
        (void)close(h->client);
    if (h->server >= 0)
        (void)close(h->server);
    h->client = h->server = -1;
}

static void hostile_on_client(void *arg, int events)
{
    struct hostile *h = arg;
    char chunk[65536];
    ssize_t n;

    if ((events & POLLOUT) != 0) {
        memset(chunk, 'x', sizeof chunk);
        for (size_t i = 200; i < sizeof chunk; i += 200)
            chunk[i] = '\n';
        (void)!send(h->client, chunk, sizeof chunk, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    if ((events & POLLIN) == 0)
        return;
    n = recv(h->client, chunk, sizeof chunk, MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        hostile_end(h);
    else if (n > 0 && h->server >= 0)
        (void)!send(h->server, chunk, (size_t)n, MSG_NOSIGNAL);
}

static void hostile_on_server(void *arg, int events)
{
    struct hostile *h = arg;
    char chunk[65536];
    ssize_t n = recv(h->server, chunk, sizeof chunk, MSG_DONTWAIT);

    (void)events;
    if (n <= 0) {
        hostile_end(h);
        return;
    }
    if (h->damage_at >= h->seen && h->damage_at < h->seen + n)
        chunk[h->damage_at - h->seen] ^= 0x55;
    h->seen += (int)n;
    (void)!send(h->client, chunk, (size_t)n, MSG_NOSIGNAL);
}

static void hostile_on_connection(void *arg, int events)
{
    struct hostile *h = arg;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)h->k->rig->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    (void)events;
    hostile_end(h);
    h->seen = 0;
    h->client = accept4(h->fd, NULL, NULL, SOCK_CLOEXEC);
    if (h->say != NULL)
        (void)!send(h->client, h->say, h->say_length, MSG_NOSIGNAL);
    if (h->hang_up) {
        (void)close(h->client);
        h->client = -1;
        return;
    }
    h->from_client =
        watch_new(h->loop, h->client, POLLIN | (h->flood ? POLLOUT : 0), hostile_on_client, h);
    if (h->damage_at == -2)
        return;
    h->server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    require(connect(h->server, (struct sockaddr *)&address, sizeof address) == 0);
    h->from_server = watch_new(h->loop, h->server, POLLIN, hostile_on_server, h);
}

static struct hostile *hostile_new(struct kit *k)
{
    struct hostile *h = NEW(struct hostile);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    char *pub = sshd_rig_read(k->rig, "host_ed25519.pub"), *text;

    h->k = k;
    h->loop = k->loop;
    h->client = h->server = -1;
    h->damage_at = -2;
    h->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    require(bind(h->fd, (struct sockaddr *)&address, sizeof address) == 0 &&
            listen(h->fd, 16) == 0);
    require(getsockname(h->fd, (struct sockaddr *)&address, &length) == 0);
    h->listener = watch_new(k->loop, h->fd, POLLIN, hostile_on_connection, h);
    k->rig->target.port = ntohs(address.sin_port);
    text = mem_format("[127.0.0.1]:%d %s", k->rig->target.port, pub);
    sshd_rig_write(k->rig, "known_hosts", text);
    mem_free(pub);
    mem_free(text);
    return h;
}

static void hostile_free(struct hostile *h)
{
    hostile_end(h);
    h->listener = watch_free(h->listener);
    (void)close(h->fd);
    mem_free(h);
}

T(what_is_no_ssh_server)
{
    static const char kexinit[] = "SSH-2.0-x\r\n\0\0\0\x14\x06\x14garbage garbage garbage";
    static const char huge[] = "SSH-2.0-x\r\n\xff\xff\xff\xff\x06\x14";
    static const char zero[] =
        "SSH-2.0-x\r\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    static const char nul[] = "SSH-2.0\0-x\r\n";
    static const char goodbye[] = "SSH-2.0-x\r\n\0\0\0\x2c\x05\x01\0\0\0\x02\0\0\0\x14go away "
                                  "\x1b[31m or else\0\0\0\0aaaaaaaa";
    static const struct {
        const char *say;
        size_t length;
        bool flood, hang_up;
        const char *part;
    } cases[] = {
        {"HTTP/1.1 400 Bad Request\r\n\r\n", 28, false, true, "does not speak SSH"},
        {NULL, 0, false, true, "closed the connection at once"},
        {kexinit, sizeof kexinit - 1, false, true, "127.0.0.1"},
        {huge, sizeof huge - 1, false, true, "127.0.0.1"},
        {zero, sizeof zero - 1, false, true, "127.0.0.1"},
        {nul, sizeof nul - 1, false, true, "does not speak SSH"},
        {goodbye, sizeof goodbye - 1, false, true, "127.0.0.1"},
        {NULL, 0, true, false, "floods"},
        {"SSH-2.0-OpenSSH_9.9\r\n", 21, false, true, "127.0.0.1"},
    };
    struct kit *k = kit_new("");
    struct hostile *h = hostile_new(k);

    for (size_t i = 0; i < COUNT(cases); i++) {
        h->say = cases[i].say;
        h->say_length = cases[i].length;
        h->flood = cases[i].flood;
        h->hang_up = cases[i].hang_up;
        t_ok(kit_open(k) < 0);
        t_has(k->why.text, cases[i].part);
        t_ok(strchr(k->why.text, '\x1b') == NULL);
        kit_close(k);
    }
    hostile_free(h);
    kit_free(k);
}

T(a_server_that_says_nothing)
{
    struct kit *k = kit_new("");
    struct hostile *h = hostile_new(k);
    int64_t since = loop_now(k->loop);

    kit_start(k);
    while (!k->ended && loop_now(k->loop) - since < 30000)
        (void)loop_turn(k->loop, /* wait= */ true);
    t_eq(k->result, -ERR_TIMEOUT);
    t_has(k->why.text, "said nothing");
    hostile_free(h);
    kit_free(k);
}

/* Each byte of the handshake, then of what follows, is changed once in a while: an error, never a crash, never in. */
T(bytes_damaged_on_the_way)
{
    struct kit *k = kit_new("");
    struct hostile *h = hostile_new(k);
    unsigned failed = 0;

    for (int at = 3; at < 4000; at += at < 60 ? 13 : at < 2200 ? 211 : 601) {
        h->damage_at = at;
        kit_start(k);
        for (int64_t since = loop_now(k->loop); !k->ended && loop_now(k->loop) - since < 1000;)
            (void)loop_turn(k->loop, /* wait= */ true);
        failed += k->ended && k->result < 0;
        kit_close(k);
        hostile_end(h);
        sshd_rig_kill(k->rig);
        KIT_UNTIL(k, k->ended);
    }
    t_ok(failed > 5);
    hostile_free(h);
    kit_free(k);
}

/* A connection that breaks at any byte. */
T(cut_anywhere)
{
    struct kit *k = kit_new("");
    struct hostile *h = hostile_new(k);
    struct stream *s;

    h->damage_at = -1;
    t_eq(kit_open(k), 0); /* as it is */
    s = stream_exec(k, "yes");
    KIT_UNTIL(k, s->data.length > 200000);
    hostile_end(h);
    KIT_UNTIL(k, k->lost && s->closed);
    stream_free(s);
    kit_close(k);
    for (int turns = 1; turns < 25; turns++) {
        kit_start(k);
        for (int i = 0; i < turns * 2 && !k->ended; i++)
            (void)loop_turn(k->loop, /* wait= */ true);
        hostile_end(h);
        if (!k->ended && h->listener != NULL)
            KIT_UNTIL(k, k->ended || h->client >= 0);
        hostile_end(h);
        KIT_UNTIL(k, k->ended && (k->result < 0 || k->lost));
        kit_close(k);
        sshd_rig_kill(k->rig);
    }
    hostile_free(h);
    kit_free(k);
}
