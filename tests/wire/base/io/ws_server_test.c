/* The server side over raw sockets: heads, refusals, plain HTTP, illegal frames, limits, listening. */
#include "tests/wire/base/io/ws_certificate.h"
#include "tests/wire/base/io/ws_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* A peer that is only a socket. */
struct raw {
    int fd;
    struct buf in;
    bool eof;
};

static struct raw raw_connect(struct rig *g)
{
    struct raw r = {.fd = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)ws_server_port(g->server))};

    inet_pton(AF_INET, "127.0.0.1", &a.sin_addr);
    t_eq(connect(r.fd, (struct sockaddr *)&a, sizeof(a)), 0);
    fcntl(r.fd, F_SETFL, O_NONBLOCK);
    buf_init(&r.in, 32u << 20);
    return r;
}

static void raw_done(struct raw *r)
{
    close(r->fd);
    buf_done(&r->in);
}

static void raw_send(struct raw *r, const void *data, size_t length)
{
    t_eq(send(r->fd, data, length, MSG_NOSIGNAL), (long)length);
}

static void raw_text(struct raw *r, const char *text)
{
    raw_send(r, text, strlen(text));
}

static bool raw_read(struct raw *r)
{
    char part[65536];
    ssize_t n = recv(r->fd, part, sizeof(part), 0);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        r->eof = true;
    if (n > 0)
        buf_add(&r->in, part, (size_t)n);
    return true;
}

static bool raw_has(struct raw *r, const char *part)
{
    raw_read(r);
    return r->in.data && memmem(r->in.data, r->in.length, part, strlen(part));
}

static bool raw_ended(struct raw *r)
{
    raw_read(r);
    return r->eof;
}

#define UPGRADE                                                                                    \
    "GET /any/path?a=1&b=x%20y HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n"           \
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"                                         \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

static struct raw raw_upgraded(struct rig *g)
{
    struct raw r = raw_connect(g);
    size_t before = g->accepted_count;
    raw_text(&r, UPGRADE "\r\n");
    rig_until(g, raw_has(&r, "\r\n\r\n") && g->accepted_count == before + 1);
    t_has(r.in.data, "HTTP/1.1 101");
    buf_clear(&r.in);
    return r;
}

/* ---- heads ---- */

static void header_case(const char *name, const char *line, const char *expected)
{
    struct rig *g = rig_new();
    snprintf(g->header_name, sizeof(g->header_name), "%s", name);
    rig_listen(g);
    struct raw r = raw_connect(g);
    raw_text(&r, UPGRADE);
    raw_text(&r, line);
    raw_text(&r, "\r\n");
    rig_until(g, raw_has(&r, "\r\n\r\n"));
    t_str(g->header_value, expected);
    t_str(g->path, "/any/path");
    t_str(g->query, "a=1&b=x%20y");
    raw_done(&r);
    rig_until(g, g->accepted_count == 1 && g->accepted[0]->closes == 1);
    rig_free(g);
}

T(every_header_that_trust_needs_is_seen)
{
    header_case("host", "", "gateway.test");
    header_case("origin", "Origin: https://a.test\r\n", "https://a.test");
    header_case("user-agent", "User-Agent: x/1 (y)\r\n", "x/1 (y)");
    header_case("authorization", "Authorization: Bearer t\r\n", "Bearer t");
    header_case("x-forwarded-for", "X-Forwarded-For: 1.2.3.4\r\n", "1.2.3.4");
    header_case("x-forwarded-proto", "X-Forwarded-Proto: https\r\n", "https");
    header_case("x-forwarded-host", "X-Forwarded-Host: h\r\n", "h");
    header_case("x-real-ip", "X-Real-IP: 1.2.3.4\r\n", "1.2.3.4");
    header_case("forwarded", "Forwarded: for=1.2.3.4\r\n", "for=1.2.3.4");
    header_case("via", "Via: 1.1 proxy\r\n", "1.1 proxy");
    header_case("tailscale-user-login", "Tailscale-User-Login: a@b\r\n", "a@b");
    header_case("x-remote-user", "x-remote-user: carol\r\n", "carol");
    header_case("x-remote-user", "", "(absent)");
    header_case("x-remote-user", "X-Remote-User: a\r\nX-Remote-User: b\r\n", "a"); /* SECURITY.md */
    header_case("x-forwarded-for", "X-Forwarded-For: a\r\nX-Forwarded-For: b\r\n", "a, b");
    header_case("x-forwarded-for", "X-Forwarded-For:\r\n", "");
}

static void refused_case(const char *request, const char *expected)
{
    struct rig *g = rig_new();
    g->refuse = 403;
    rig_listen(g);
    struct raw r = raw_connect(g);
    raw_text(&r, request);
    rig_until(g, raw_ended(&r));
    t_has(r.in.data ? r.in.data : "", expected);
    t_eq(g->accepted_count, 0);
    raw_done(&r);
    rig_free(g);
}

#define HEAD(version, more)                                                                        \
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" version more "\r" \
    "\n"

T(refusals_say_why)
{
    refused_case(UPGRADE "\r\n", "HTTP/1.1 403 Forbidden\r\n");
    refused_case(HEAD("Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Key: eA==\r\n"),
                 "sec-websocket-version: 13\r\n");
    refused_case(HEAD("Sec-WebSocket-Version: 13\r\n", ""), "HTTP/1.1 400 ");
    refused_case(UPGRADE "Sec-WebSocket-Protocol: x\r\n\r\n", "no subprotocol");
    refused_case(
        "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"
        "HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        "HTTP/1.1 400 ");
}

T(a_head_that_never_ends_is_cut_off)
{
    struct rig *g = rig_new();
    g->config.head_timeout_ms = 150;
    rig_listen(g);
    struct raw silent = raw_connect(g), slow = raw_connect(g);
    raw_text(&slow, "GET / HTTP/1.1\r\nHost: ");
    int64_t began = real_ms();
    rig_until(g, raw_ended(&silent) && raw_ended(&slow));
    t_ok(real_ms() - began >= 140);
    t_ok(real_ms() - began < 3000);
    raw_done(&silent);
    raw_done(&slow);
    rig_free(g);
}

T(past_the_ceiling_the_oldest_half_open_makes_room)
{
    struct rig *g = rig_new();
    g->config.half_open_max = 3;
    rig_listen(g);
    struct raw idle[3];
    for (int i = 0; i < 3; i++) {
        idle[i] = raw_connect(g);
        loop_turn(g->loop, false);
    }
    struct raw late = raw_connect(g);
    raw_text(&late, UPGRADE "\r\n");
    rig_until(g, raw_has(&late, "HTTP/1.1 101") && raw_ended(&idle[0]));
    t_ok(!raw_ended(&idle[1]) && !raw_ended(&idle[2]));
    for (int i = 0; i < 3; i++)
        raw_done(&idle[i]);
    raw_done(&late);
    rig_until(g, g->accepted_count == 1 && g->accepted[0]->closes == 1);
    rig_free(g);
}

T(an_idle_keep_alive_counts_as_half_open)
{
    struct rig *g = rig_new();
    g->config.half_open_max = 1;
    rig_listen(g);
    struct raw kept = raw_connect(g);
    raw_text(&kept, "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
    rig_until(g, raw_has(&kept, "HTTP/1.1 "));
    for (int i = 0; i < 5; i++)
        loop_turn(g->loop, false);
    struct raw late = raw_connect(g);
    raw_text(&late, UPGRADE "\r\n");
    rig_until(g, raw_has(&late, "HTTP/1.1 101") && raw_ended(&kept));
    raw_done(&kept);
    raw_done(&late);
    rig_until(g, g->accepted_count == 1 && g->accepted[0]->closes == 1);
    rig_free(g);
}

/* ---- frames ---- */

static void expect_close(struct rig *g, struct raw *r, uint16_t code)
{
    char frame[4] = {(char)0x88, 0, (char)(code >> 8), (char)code};
    struct heard *h = g->accepted[g->accepted_count - 1];

    rig_until(g, raw_read(r) && r->in.length >= 4);
    t_eq((uint8_t)r->in.data[0], 0x88);
    t_eq((uint8_t)r->in.data[2], (uint8_t)frame[2]);
    t_eq((uint8_t)r->in.data[3], (uint8_t)frame[3]);
    raw_send(r, "\x88\x80\0\0\0\0", 6);
    rig_until(g, h->closes == 1);
    t_eq(h->code, code);
}

T(binary_is_refused_with_1003)
{
    struct rig *g = rig_new();
    rig_listen(g);
    struct raw r = raw_upgraded(g);
    raw_send(&r, "\x82\x81\0\0\0\0x", 7);
    expect_close(g, &r, 1003);
    raw_done(&r);
    rig_free(g);
}

T(too_long_a_message_is_refused_with_1009_from_its_head)
{
    struct rig *g = rig_new();
    g->config.message_max = 1000;
    rig_listen(g);
    struct raw r = raw_upgraded(g);
    raw_send(&r, "\x81\xfe\x03\xe9\0\0\0\0x", 9); /* 1001 bytes are announced, one comes */
    rig_until(g, raw_read(&r) && (r.in.length >= 4 || r.eof || real_ms() < 0));
    raw_done(&r);
    rig_until(g, g->accepted[0]->closes == 1);
    t_eq(g->accepted[0]->code, 1009);
    t_eq(g->accepted[0]->messages, 0);
    rig_free(g);
}

T(fragments_make_one_message_and_their_sum_has_the_ceiling)
{
    struct rig *g = rig_new();
    g->config.message_max = 8;
    rig_listen(g);
    struct raw r = raw_upgraded(g);
    raw_send(&r, "\x01\x83\0\0\0\0abc\x00\x83\0\0\0\0def\x80\x82\0\0\0\0gh", 26);
    rig_until(g, g->accepted[0]->messages == 1);
    t_str(g->accepted[0]->text.data, "abcdefgh\n");
    raw_send(&r, "\x01\x85\0\0\0\0abcde\x00\x84\0\0\0\0fghi", 21);
    expect_close(g, &r, 1009);
    t_eq(g->accepted[0]->messages, 1);
    raw_done(&r);
    rig_free(g);
}

/* A message that began under the small ceiling of a handshake may end under the large one. */
T(a_ceiling_raised_in_the_middle_of_a_message_holds_for_it)
{
    struct rig *g = rig_new();
    g->config.message_max = 8;
    rig_listen(g);
    struct raw r = raw_upgraded(g);
    raw_send(&r, "\x01\x83\0\0\0\0abc", 9);
    rig_until(g, ws_received(g->accepted[0]->ws) == 3);
    ws_set_message_max(g->accepted[0]->ws, 1000);
    raw_send(&r, "\x00\x8c\0\0\0\0defghijklmno\x80\x81\0\0\0\0p", 25);
    rig_until(g, g->accepted[0]->messages == 1);
    t_str(g->accepted[0]->text.data, "abcdefghijklmnop\n");
    t_eq(ws_input_total(), 0);
    raw_done(&r);
    rig_until(g, g->accepted[0]->closes == 1);
    rig_free(g);
}

T(pause_stops_reading_and_loses_nothing)
{
    struct rig *g = rig_new();
    rig_listen(g);
    struct raw r = raw_upgraded(g);
    struct ws *ws = g->accepted[0]->ws;
    ws_pause(ws, true);
    for (int i = 0; i < 3; i++)
        raw_send(&r, "\x81\x81\0\0\0\0x\x81\x81\0\0\0\0y", 14);
    for (int i = 0; i < 20; i++)
        loop_turn(g->loop, false);
    t_eq(g->accepted[0]->messages, 0);
    ws_pause(ws, false);
    rig_until(g, g->accepted[0]->messages == 6);
    t_str(g->accepted[0]->text.data, "x\ny\nx\ny\nx\ny\n");
    raw_done(&r);
    rig_until(g, g->accepted[0]->closes == 1);
    t_eq(g->accepted[0]->code, 1006);
    rig_free(g);
}

static void pause_at_once(struct ws *ws, void *arg, const char *text, size_t length)
{
    heard_message(ws, arg, text, length);
    ws_pause(ws, true);
}

T(a_pause_in_the_middle_of_a_read_holds_the_rest)
{
    static const struct ws_events pausing = {.message = pause_at_once, .closed = heard_closed};
    struct rig *g = rig_new();
    rig_listen(g);
    struct raw r = raw_upgraded(g);
    struct heard *h = g->accepted[0];
    ws_set_events(h->ws, &pausing, h);
    raw_send(&r, "\x81\x81\0\0\0\0x\x81\x81\0\0\0\0y\x81\x81\0\0\0\0z", 21);
    for (size_t n = 1; n <= 3; n++) {
        rig_until(g, h->messages == n);
        for (int i = 0; i < 10; i++)
            loop_turn(g->loop, false);
        t_eq(h->messages, n);
        ws_pause(h->ws, false);
    }
    raw_done(&r);
    rig_until(g, h->closes == 1);
    rig_free(g);
}

T(a_ping_is_answered_and_theirs_is_heard)
{
    struct rig *g = rig_new();
    rig_listen(g);
    struct raw r = raw_upgraded(g);
    raw_send(&r, "\x89\x82\0\0\0\0hi", 8);
    rig_until(g, raw_has(&r, "\x8a\x02hi"));
    ws_ping(g->accepted[0]->ws);
    rig_until(g, raw_has(&r, "\x89\x01?"));
    raw_send(&r, "\x8a\x81\0\0\0\0?", 7);
    rig_until(g, g->accepted[0]->pongs == 1);
    raw_done(&r);
    rig_until(g, g->accepted[0]->closes == 1);
    rig_free(g);
}

T(a_peers_close_is_answered_and_told)
{
    struct rig *g = rig_new();
    rig_listen(g);
    struct raw r = raw_upgraded(g);
    raw_send(&r,
             "\x88\x85\0\0\0\0\x03\xe9"
             "bye",
             11);
    rig_until(g, raw_ended(&r));
    t_eq((uint8_t)r.in.data[0], 0x88);
    t_eq(g->accepted[0]->code, 1001);
    t_str(g->accepted[0]->reason, "bye");
    raw_done(&r);
    rig_free(g);
}

/* ---- the address ---- */

T(a_port_in_use_names_its_holder)
{
    struct rig *g = rig_new();
    struct ws_server *second = NULL;
    struct fault fault = {0};
    char pid[32];
    rig_listen(g);
    struct ws_server_config config = g->config;
    config.port = ws_server_port(g->server);
    t_eq(ws_listen(g->loop, &config, &second, &fault), -ERR_EXISTS);
    snprintf(pid, sizeof(pid), "(pid %d)", (int)getpid());
    t_has(fault.text, "is in use by");
    t_has(fault.text, pid);
    t_has(fault.text, "--port");
    rig_free(g);
}

T(an_address_that_is_not_ours_is_said)
{
    struct rig *g = rig_new();
    struct fault fault = {0};
    g->config.host = "192.0.2.1";
    t_eq(ws_listen(g->loop, &g->config, &g->server, &fault), -ERR_INVALID);
    t_has(fault.text, "192.0.2.1");
    rig_free(g);
}

T(ipv6_loopback)
{
    struct rig *g = rig_new();
    g->config.host = "::1";
    struct fault fault = {0};
    if (ws_listen(g->loop, &g->config, &g->server, &fault) < 0) {
        rig_free(g);
        t_skip("no IPv6 here");
        return;
    }
    struct heard *h = heard_new();
    struct ws_target target = {.host = "::1", .port = ws_server_port(g->server)};
    t_eq(rig_connect_to(g, h, &target, NULL), 0);
    t_ok(strncmp(g->header_value, "[::1]:", 6) == 0);
    ws_abort(h->ws);
    rig_until(g, h->closes == 1);
    heard_free(h);
    rig_free(g);
}

T(a_socket_file_has_its_mode_and_knows_its_peer)
{
    struct rig *g = rig_new();
    char path[300];
    struct stat st;
    snprintf(path, sizeof(path), "%s/gateway.sock", t_tmpdir());
    g->config.host = NULL;
    g->config.unix_path = path;
    g->config.unix_mode = 0666;
    rig_listen(g);
    t_eq(stat(path, &st), 0);
    t_eq(st.st_mode & 0777, 0666);
    struct heard *h = rig_client(g);
    t_eq(g->peer.transport, WS_UNIX);
    t_eq(g->peer.uid, getuid());
    t_eq(g->peer.pid, getpid());

    struct ws_server *second = NULL;
    struct fault fault = {0};
    t_eq(ws_listen(g->loop, &g->config, &second, &fault), -ERR_EXISTS);
    t_has(fault.text, "another process listens");
    ws_abort(h->ws);
    rig_until(g, h->closes == 1);
    heard_free(h);
    rig_free(g);
    t_eq(stat(path, &st), -1);
}

T(a_dead_leftover_is_replaced_and_a_file_is_not)
{
    struct rig *g = rig_new();
    struct fault fault = {0};
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof(a.sun_path), "%s/dead.sock", t_tmpdir());
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    t_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    close(fd);
    g->config.host = NULL;
    g->config.unix_path = a.sun_path;
    rig_listen(g);
    g->server = ws_server_free(g->server);

    fclose(fopen(a.sun_path, "w"));
    t_eq(ws_listen(g->loop, &g->config, &g->server, &fault), -ERR_EXISTS);
    t_has(fault.text, "not a socket");

    char longer[200];
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    g->config.unix_path = longer;
    t_eq(ws_listen(g->loop, &g->config, &g->server, &fault), -ERR_INVALID);
    t_has(fault.text, "107");
    rig_free(g);
}

T(a_bad_certificate_is_said)
{
    struct rig *g = rig_new();
    struct fault fault = {0};
    g->config.tls_certificate = "/nonexistent.crt";
    g->config.tls_key = "/nonexistent.key";
    t_ok(ws_listen(g->loop, &g->config, &g->server, &fault) < 0);
    t_has(fault.text, "/nonexistent.crt");
    rig_free(g);
}
