/* A Control UI from a folder: its page, files and pictures over real sockets; nothing outside the folder. */
#include "gateway/http/control_ui.h"

#include "gateway/http/static.h"
#include "tests/wire/gateway/http/kit.h"

#define PAGE                                                                                       \
    "<!doctype html><html data-openclaw-control-ui-build-id=\"b1\" lang=\"en\"><head>"             \
    "<script>first()</script><script src=\"./assets/a-1.js\"></script></head></html>"
#define BIG (3u << 20)

static char *folder; /* of the case */

static void put(const char *name, const char *text, size_t length)
{
    CLEAN(mem_free) char *path = mem_format("%s/%s", folder, name);
    FILE *file = fopen(path, "w");

    require(file && fwrite(text, 1, length, file) == length && fclose(file) == 0);
}

static void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

static void make_folder(const char *name)
{
    CLEAN(mem_free) char *path = mem_format("%s/%s", folder, name);

    require(mkdir(path, 0700) == 0);
}

static void make_link(const char *name, const char *to)
{
    CLEAN(mem_free) char *path = mem_format("%s/%s", folder, name);

    require(symlink(to, path) == 0);
}

/* A folder with a page, and a gateway that serves it. more: members of gateway.controlUi, "" for none. */
static struct gateway *start(const char *more)
{
    static int count;
    CLEAN(mem_free) char *secret = mem_format("%s/secret.txt", t_tmpdir());
    FILE *file = fopen(secret, "w");

    require(file && fputs("a secret", file) >= 0 && fclose(file) == 0);
    folder = mem_format("%s/ui%d", t_tmpdir(), count++);
    require(mkdir(folder, 0700) == 0);
    make_folder("assets");
    put_text("index.html", PAGE);
    put_text("assets/a-1.js", "plain()");
    put_text("assets/a-1.js.br", "as brotli");
    put_text("assets/a-1.js.gz", "as gzip");
    CLEAN(mem_free)
    char *config = mem_format("{gateway:{controlUi:{root:'%s'%s}}}", folder, more);
    return kit_gateway(config);
}

static void stop(struct gateway *gw)
{
    gateway_free(gw);
    folder = mem_free(folder);
}

T(the_page_stands_at_each_of_its_addresses)
{
    struct gateway *gw = start("");
    static const char *const pages[] = {"GET /", "GET /index.html", "GET /chat/agent:main:main",
                                        "GET /sessions", "GET /a/b/c"};

    t_ok(!control_ui_build(gw));
    for (size_t i = 0; i < COUNT(pages); i++)
        kit_expect(gw, pages[i], NULL, NULL, 200, "cache-control: no-cache",
                   "<html data-openclaw-control-ui-base-path=\"\" "
                   "data-openclaw-terminal-enabled=\"false\" "
                   "data-openclaw-control-ui-build-id=\"b1\" lang=\"en\">");
    kit_expect(gw, "GET /", NULL, NULL, 200, "frame-ancestors 'none'", "src=\"/assets/a-1.js\"");
    kit_expect(gw, "GET /", NULL, NULL, 200, "x-frame-options: DENY", NULL);
    kit_expect(gw, "GET /", NULL, NULL, 200, "connect-src 'self' data:", NULL);
    kit_expect(gw, "HEAD /", NULL, NULL, 200, "text/html", "");
    t_str(control_ui_build(gw), "b1");
    kit_expect(gw, "GET /nothing.json", NULL, NULL, 404, NULL, "Not Found");
    kit_expect(gw, "GET /assets/gone-2.js", NULL, NULL, 404, NULL, "Not Found");
    kit_expect(gw, "GET /assets/", NULL, NULL, 404, NULL, NULL);
    kit_expect(gw, "POST /", NULL, "", 405, "allow: GET, HEAD", NULL);
    kit_expect(gw, "GET /webchat/", NULL, NULL, 200, "text/html", NULL);
    stop(gw);
}

T(files_are_told_what_they_are)
{
    struct gateway *gw = start("");
    static const char *const rows[][2] = {{"x.css", "text/css"},
                                          {"x.svg", "image/svg+xml"},
                                          {"x.webmanifest", "application/manifest+json"},
                                          {"x.woff2", "font/woff2"},
                                          {"X.PNG", "image/png"},
                                          {"x.unknown", "application/octet-stream"}};

    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(mem_free) char *line = mem_format("GET /%s", rows[i][0]);
        CLEAN(mem_free) char *type = mem_format("content-type: %s", rows[i][1]);
        put_text(rows[i][0], "content");
        kit_expect(gw, line, NULL, NULL, 200, type, "content");
    }
    kit_expect(gw, "GET /x.css", NULL, NULL, 200, "cache-control: no-cache", NULL);
    kit_expect(gw, "GET /x.css", NULL, NULL, 200, "x-content-type-options: nosniff", NULL);
    kit_expect(gw, "GET /assets/a-1.js", NULL, NULL, 200, "max-age=31536000, immutable", "plain()");
    stop(gw);
}

T(compressed_copies_go_to_who_takes_them)
{
    static const char *const rows[][2] = {
        {"Accept-Encoding: gzip, deflate, br\r\n", "as brotli"},
        {"Accept-Encoding: gzip\r\n", "as gzip"},
        {"Accept-Encoding: br;q=0, gzip;q=0.5\r\n", "as gzip"},
        {"Accept-Encoding: br;q=0.001\r\n", "as brotli"},
        {"Accept-Encoding: broken, gzipped\r\n", "plain()"},
        {"Accept-Encoding: ,;q=,,\r\n", "plain()"},
        {NULL, "plain()"},
    };
    struct gateway *gw = start("");

    for (size_t i = 0; i < COUNT(rows); i++)
        kit_expect(gw, "GET /assets/a-1.js", rows[i][0], NULL, 200, "vary: accept-encoding",
                   rows[i][1]);
    kit_expect(gw, "GET /assets/a-1.js", rows[0][0], NULL, 200, "content-encoding: br\r\n", NULL);
    stop(gw);
}

T(what_has_not_changed_is_not_sent_again)
{
    struct gateway *gw = start("");
    struct kit_answer a = kit_call(gw, "GET /assets/a-1.js", NULL, NULL);
    char *etag = strcasestr(a.head, "etag: ") + 6;

    *strchr(etag, '\r') = '\0';
    CLEAN(mem_free) char *header = mem_format("If-None-Match: \"other\", %s\r\n", etag);
    kit_expect(gw, "HEAD /assets/a-1.js", header, NULL, 304, "etag: ", NULL);
    CLEAN(mem_free) char *packed = mem_format("%sAccept-Encoding: br\r\n", header);
    kit_expect(gw, "HEAD /assets/a-1.js", packed, NULL, 200, NULL, NULL);
    put_text("assets/a-1.js", "other()"); /* as long as it was */
    kit_expect(gw, "GET /assets/a-1.js", header, NULL, 200, NULL, "other()");
    kit_done(&a);
    stop(gw);
}

T(a_large_file_comes_whole)
{
    struct gateway *gw = start("");
    CLEAN(mem_free) char *text = mem_new(BIG + 1);

    for (size_t i = 0; i < BIG; i++)
        text[i] = (char)('a' + i % 23);
    put("big.txt", text, BIG);
    struct kit_answer a = kit_call(gw, "GET /big.txt", NULL, NULL);
    t_eq(a.status, 200);
    t_eq(a.length, BIG);
    t_ok(memcmp(a.body, text, BIG) == 0);
    kit_done(&a);
    kit_expect(gw, "HEAD /big.txt", NULL, NULL, 200, "text/plain", "");
    stop(gw);
}

/* CVE-2026-44996 and its kin. */
T(nothing_outside_the_folder_is_served)
{
    static const char *const lines[] = {
        "GET /../secret.txt",      "GET /%2e%2e/secret.txt",     "GET /assets/../../secret.txt",
        "GET //secret.txt",        "GET /..%2fsecret.txt",       "GET /out.txt",
        "GET /outside/secret.txt", "GET /assets/..\\secret.txt", "GET /%00secret.txt",
        "GET /.hidden/secret.txt", "GET /.secret.txt",           "GET /proc/self/environ.txt"};
    struct gateway *gw = start("");
    CLEAN(mem_free) char *inside = mem_format("assets/a-1.js");

    make_link("out.txt", "../secret.txt");
    make_link("outside", "..");
    make_link("proc", "/proc");
    make_link("inside.js", inside);
    make_folder(".hidden");
    put_text(".hidden/secret.txt", "a secret");
    put_text(".secret.txt", "a secret");
    for (size_t i = 0; i < COUNT(lines); i++) {
        struct kit_answer a = kit_call(gw, lines[i], NULL, NULL);
        if (strstr(a.body, "a secret") || strstr(a.head, "text/plain; charset=utf-8\r\netag"))
            t_fail(__FILE__, __LINE__, "%s: %d %s", lines[i], a.status, a.body);
        kit_done(&a);
    }
    kit_expect(gw, "GET /inside.js", NULL, NULL, 200, NULL, "plain()");
    stop(gw);
}

T(below_a_base_path)
{
    struct gateway *gw = start(",basePath:'/desk/'");

    kit_expect(gw, "GET /desk", NULL, NULL, 302, "location: /desk/\r\n", NULL);
    kit_expect(gw, "GET /desk/", NULL, NULL, 200, NULL, "base-path=\"/desk\"");
    kit_expect(gw, "GET /desk/chat/x", NULL, NULL, 200, NULL, "src=\"/desk/assets/a-1.js\"");
    kit_expect(gw, "GET /desk/assets/a-1.js", NULL, NULL, 200, NULL, "plain()");
    kit_expect(gw, "GET /desk/control-ui-config.json", BEARER, NULL, 200, NULL,
               "\"basePath\":\"/desk\"");
    kit_expect(gw, "GET /desk/webchat/", NULL, NULL, 200, "text/html", NULL);
    kit_expect(gw, "GET /", NULL, NULL, 404, NULL, NULL);
    kit_expect(gw, "GET /desktop/", NULL, NULL, 404, NULL, NULL);
    kit_expect(gw, "GET /healthz", NULL, NULL, 200, NULL, "live");
    stop(gw);
}

T(what_the_page_asks_first)
{
    struct gateway *gw = start("");

    kit_expect(gw, "GET /control-ui-config.json", NULL, NULL, 401, "application/json",
               "{\"error\":{\"message\":\"Unauthorized\",\"type\":\"unauthorized\"}}");
    kit_expect(gw, "GET /control-ui-config.json", BEARER, NULL, 200, "no-store",
               "\"assistantAgentId\":\"main\",\"serverVersion\":\"" CULVERT_VERSION "\"");
    kit_expect(gw, "GET /avatar/main?meta=1", BEARER, NULL, 200, NULL,
               "{\"avatarUrl\":null,\"avatarSource\":null,\"avatarStatus\":null,"
               "\"avatarReason\":null}");
    kit_expect(gw, "GET /avatar/main", NULL, NULL, 401, NULL, NULL);
    kit_expect(gw, "GET /avatar/main", BEARER, NULL, 404, NULL, NULL);
    kit_expect(gw, "GET /avatar/nobody", BEARER, NULL, 404, NULL, NULL);
    kit_expect(gw, "GET /avatar", BEARER, NULL, 404, NULL, NULL);
    stop(gw);
}

T(pictures_of_agents)
{
    static const char config[] =
        "{agents:{list:[{id:'main',workspace:'%s',identity:{avatar:'pictures/me.png'}},"
        "{id:'far',identity:{avatar:'https://pictures.example/x.png'}},"
        "{id:'sly',workspace:'%s',identity:{avatar:'pictures/../../secret.png'}},"
        "{id:'text',workspace:'%s',identity:{avatar:'notes.txt'}}]}}";

    folder = mem_format("%s/work", t_tmpdir());
    CLEAN(mem_free) char *text = mem_format(config, folder, folder, folder);
    CLEAN(mem_free) char *secret = mem_format("../secret.png");
    require(mkdir(folder, 0700) == 0);
    make_folder("pictures");
    put_text("pictures/me.png", "a picture");
    put_text("notes.txt", "a secret");
    put_text(secret, "a secret");
    struct gateway *gw = kit_gateway(text);
    kit_expect(gw, "GET /avatar/main", BEARER, NULL, 200, "image/png", "a picture");
    kit_expect(gw, "GET /avatar/main", BEARER, NULL, 200, "sandbox", NULL);
    kit_expect(gw, "GET /avatar/main?meta=1", BEARER, NULL, 200, NULL,
               "{\"avatarUrl\":\"/avatar/main\",\"avatarSource\":\"pictures/me.png\","
               "\"avatarStatus\":\"local\",\"avatarReason\":null}");
    kit_expect(gw, "GET /avatar/far?meta=1", BEARER, NULL, 200, NULL,
               "\"avatarStatus\":\"remote\"");
    kit_expect(gw, "GET /avatar/sly", BEARER, NULL, 404, NULL, NULL);
    kit_expect(gw, "GET /avatar/text", BEARER, NULL, 404, NULL, NULL);
    stop(gw);
}

T(no_pages_when_they_are_switched_off)
{
    struct gateway *gw = start(",enabled:false");

    kit_expect(gw, "GET /", NULL, NULL, 404, NULL, NULL);
    kit_expect(gw, "GET /webchat/", NULL, NULL, 404, NULL, NULL);
    kit_expect(gw, "GET /control-ui-config.json", BEARER, NULL, 404, NULL, NULL);
    kit_expect(gw, "GET /healthz", NULL, NULL, 200, NULL, NULL);
    stop(gw);
}

T(a_folder_without_a_page_is_said)
{
    struct gateway *gw = kit_gateway("{gateway:{controlUi:{root:'/nowhere/at/all'}}}");

    kit_expect(gw, "GET /", NULL, NULL, 503, NULL, "/nowhere/at/all");
    kit_expect(gw, "GET /", NULL, NULL, 503, NULL, "gateway.controlUi.root");
    kit_expect(gw, "GET /x.js", NULL, NULL, 404, NULL, NULL);
    gateway_free(gw);
}

/* More than the kernel's buffers hold, and nothing on disk. */
static void put_huge(const char *name)
{
    CLEAN(mem_free) char *path = mem_format("%s/%s", folder, name);

    put_text(name, "");
    require(truncate(path, 256 << 20) == 0);
}

/* Asks and reads until the head is there: its status, the rest is not taken. */
static int begin(struct gateway *gw, const char *line, int *ret_fd)
{
    struct buf head;
    int fd = kit_ask(gw, line, NULL, NULL);

    buf_init(&head, 1 << 20);
    kit_until(gw, head.length > 0 || kit_read(fd, &head) != 0);
    int status = head.length > 12 ? atoi(head.data + 9) : 0;
    buf_done(&head);
    *ret_fd = fd;
    return status;
}

/* Readers that take nothing: their number is bounded, the next is told so, and when they leave their places
 * are free again. */
T(slow_readers_are_bounded)
{
    struct gateway *gw = start("");
    int fds[STATIC_STREAMS_MAX], fd, status = 0;

    put_huge("big.txt");
    for (size_t i = 0; i < COUNT(fds); i++)
        t_eq(begin(gw, "GET /big.txt", &fds[i]), 200);
    kit_expect(gw, "GET /big.txt", NULL, NULL, 503, NULL, "busy");
    kit_expect(gw, "GET /assets/a-1.js", NULL, NULL, 200, NULL, "plain()");
    for (size_t i = 0; i < COUNT(fds); i++)
        close(fds[i]);
    for (int64_t end = kit_ms() + KIT_MS; status != 200 && kit_ms() < end;) {
        status = begin(gw, "GET /big.txt", &fd);
        close(fd);
    }
    t_eq(status, 200);
    stop(gw);
}

T(the_gateway_may_stop_in_between)
{
    struct gateway *gw = start("");
    int fd, other;

    put_huge("big.txt");
    t_eq(begin(gw, "GET /big.txt", &fd), 200);
    other = kit_ask(gw, "GET /assets/a-1.js", NULL, NULL);
    for (int i = 0; i < 3; i++)
        loop_turn(gw->loop, false); /* its file is perhaps being read */
    stop(gw);
    close(fd);
    close(other);
}
