/* The one way out: who is reached, who is not, whatever the spelling, the name server or a redirect say. */
#include "gateway/egress/egress.h"

#include "base/json.h"
#include "base/mem.h"
#include "gateway/gateway.h"
#include "tests/rig/rig.h"
#include "tests/rig/script_server.h"

#include <netdb.h>
#include <time.h>

struct trip {
    struct rig *rig;
    struct script_server *server;
    struct egress_call call;
    int ends, result;
};

/* What names mean in these tests: the n'th question gets the n'th address, the last one for ever. */
static const char *answers[8];
static int asked;

static int resolve_by_test(const char *host, int port, struct sockaddr_storage *out, size_t room,
                           struct fault *fault)
{
    struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM}, *list;
    const char *text = NULL;
    size_t count = 0;

    (void)fault, (void)port;
    for (int i = 0; i <= asked && i < (int)COUNT(answers) && answers[i]; i++)
        text = answers[i];
    if (strspn(host, "0123456789.:abcdef") == strlen(host))
        text = host; /* an address means itself */
    asked++;
    for (const char *at = text; at && *at && count < room;) { /* blanks between several */
        char one[64];
        size_t n = strcspn(at, " ");

        t_ok(n < sizeof(one));
        memcpy(one, at, n);
        one[n] = '\0';
        t_eq(getaddrinfo(one, NULL, &hints, &list), 0);
        memcpy(&out[count++], list->ai_addr, list->ai_addrlen);
        freeaddrinfo(list);
        at += n + (at[n] == ' ');
    }
    return (int)count;
}

static void on_done(struct op *op, int result)
{
    struct trip *trip = CONTAINER(op, struct trip, call.op);

    trip->ends++;
    trip->result = result;
}

static struct trip *trip_new(const char *script)
{
    static const char *scripts[2];
    struct trip *trip = NEW(struct trip);

    scripts[0] = script;
    trip->rig = rig_new(NULL);
    trip->server = script_server_new(trip->rig->gw->loop, scripts);
    memset(answers, 0, sizeof(answers));
    asked = 0;
    egress_set_resolver(trip->rig->gw->egress, resolve_by_test);
    return trip;
}

static void trip_free(struct trip *trip)
{
    script_server_free(trip->server);
    egress_call_done(&trip->call);
    rig_free(trip->rig);
    mem_free(trip);
}

static void trip_start(struct trip *trip, struct egress_spec spec, int64_t deadline_ms)
{
    op_init(&trip->call.op, trip->rig->gw->loop, on_done, deadline_ms);
    trip->ends = 0;
    egress_start(trip->rig->gw, &trip->call, &spec);
    t_eq(trip->ends, 0); /* never from inside */
}

/* Turns; the test's clock goes on about as fast as the real one. */
static void trip_wait(struct trip *trip)
{
    for (int i = 0; i < 10000 && trip->ends == 0; i++) {
        while (loop_turn(trip->rig->gw->loop, false))
            ;
        loop_advance(trip->rig->gw->loop, 1);
        (void)poll(NULL, 0, 1);
    }
    t_eq(trip->ends, 1);
}

/* "good.test" and 127.0.0.1 may be reached although they are loopback; %d is the server's port. */
static int trip_get(struct trip *trip, const char *url)
{
    static const char *const allowed_text = "[\"good.test\",\"127.0.0.1\"]";
    CLEAN(json_free) struct json *allowed = json_parse(allowed_text, strlen(allowed_text), NULL);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    CLEAN(mem_free) char *full = mem_format(url, trip->server->port);
#pragma GCC diagnostic pop

    trip_start(
        trip,
        (struct egress_spec){.url = full, .allowed = allowed, .body_max = 4096, .redirects = 3},
        30000);
    trip_wait(trip);
    return trip->result;
}

#define OK "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

T(fetches_what_is_allowed)
{
    struct trip *trip = trip_new(OK "Content-Length: 5\r\n\r\nhello");

    answers[0] = "127.0.0.1";
    t_eq(trip_get(trip, "http://good.test:%d/a?b=c"), 0);
    t_eq(trip->call.status, 200);
    t_str(trip->call.body.data, "hello");
    t_str(trip->call.content_type, "text/plain");
    t_ok(!trip->call.truncated);
    t_has(trip->server->request.data, "Host: good.test:"); /* pinned, and still its own name */
    t_eq(asked, 1);
    trip_free(trip);
}

T(refuses_every_spelling_of_here)
{
    static const char *const urls[] = {
        "http://127.0.0.2:%d/",
        "http://2130706434:%d/",
        "http://0x7f000002:%d/",
        "http://0x7f.2:%d/",
        "http://0177.0.0.2:%d/",
        "http://127.2:%d/",
        "http://[::1]:%d/",
        "http://[::ffff:127.0.0.1]:%d/",
        "http://[::ffff:7f00:1]:%d/",
        "http://[::127.0.0.1]:%d/",
        "http://0.0.0.0:%d/",
        "http://0:%d/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fd00:ec2::254]/",
        "http://[fe80::1]/",
        "http://10.0.0.1/",
        "http://100.64.0.1/",
        "http://192.168.0.1/",
        "http://[64:ff9b::7f00:1]/",
        "http://224.0.0.1/",
    };
    struct trip *trip = trip_new(OK "\r\nsecret");

    for (size_t i = 0; i < COUNT(urls); i++) {
        if (trip_get(trip, urls[i]) != -ERR_DENIED)
            t_fail(__FILE__, __LINE__, "%s is refused", urls[i]);
        t_has(trip->call.op.fault.text, "only public");
    }
    t_eq(trip->server->requests, 0);
    trip_free(trip);
}

T(refuses_names_of_here)
{
    struct trip *trip = trip_new(OK "\r\nsecret");

    egress_set_resolver(trip->rig->gw->egress, resolve_by_test);
    answers[0] = "127.0.0.1";
    t_eq(trip_get(trip, "http://evil.test:%d/"), -ERR_DENIED);
    answers[0] = "8.8.8.8 127.0.0.1"; /* one bad address spoils the name */
    t_eq(trip_get(trip, "http://evil.test:%d/"), -ERR_DENIED);
    answers[0] = "169.254.169.254"; /* not even for a name that the operator allowed */
    t_eq(trip_get(trip, "http://good.test:%d/"), -ERR_DENIED);
    t_eq(trip->server->requests, 0);
    trip_free(trip);
}

T(refuses_what_is_no_address)
{
    static const struct {
        const char *url;
        int result;
    } cases[] = {
        {"ftp://good.test/", -ERR_INVALID},
        {"file:///etc/passwd", -ERR_INVALID},
        {"gopher://good.test/", -ERR_INVALID},
        {"http://", -ERR_INVALID},
        {"", -ERR_INVALID},
        {"good.test", -ERR_INVALID},
        {"http://good.test:99999/", -ERR_INVALID},
        {"http://[fe80::1%%25eth0]/", -ERR_INVALID},
        {"http://u:p@good.test/", -ERR_DENIED},
        {"http://good.test:22/", -ERR_DENIED},
        {"http://good.test:6379/", -ERR_DENIED},
        {"http://good.test\r\nX: y/", -ERR_INVALID},
        {"javascript:alert(1)", -ERR_INVALID},
    };
    struct trip *trip = trip_new(OK "\r\n");

    for (size_t i = 0; i < COUNT(cases); i++) {
        int r = trip_get(trip, cases[i].url);

        if (r != cases[i].result)
            t_fail(__FILE__, __LINE__, "%s: %d", cases[i].url, r);
    }
    t_eq(asked, 0);
    trip_free(trip);
}

T(a_name_that_changes_between_check_and_use)
{
    struct trip *trip = trip_new(OK "Content-Length: 2\r\n\r\nhi");

    /* The first answer is checked and used; nobody asks for a second one. */
    answers[0] = "127.0.0.1";
    answers[1] = "169.254.169.254";
    t_eq(trip_get(trip, "http://good.test:%d/"), 0);
    t_eq(asked, 1);
    /* The next request asks again, and believes the new answer no more than any other. */
    t_eq(trip_get(trip, "http://good.test:%d/"), -ERR_DENIED);
    t_eq(asked, 2);
    t_eq(trip->server->requests, 1);
    trip_free(trip);
}

T(redirects_are_checked_like_the_first)
{
    static const char *const to[] = {
        "http://127.0.0.2/",   "http://169.254.169.254/latest/",
        "http://[::1]/",       "http://evil.test/",
        "http://0x7f000002/",  "//10.0.0.1/",
        "ftp://good.test/",    "file:///etc/passwd",
        "http://u@good.test/", "http://good.test:22/",
    };

    for (size_t i = 0; i < COUNT(to); i++) {
        CLEAN(mem_free)
        char *script =
            mem_format("HTTP/1.1 302 Found\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", to[i]);
        struct trip *trip = trip_new(script);
        int r;

        answers[0] = "127.0.0.1";
        answers[1] = "192.168.1.1";
        r = trip_get(trip, "http://good.test:%d/");
        if (r != -ERR_DENIED)
            t_fail(__FILE__, __LINE__, "a redirect to %s is refused: %d", to[i], r);
        t_eq(trip->server->requests, 1);
        trip_free(trip);
    }
}

T(a_good_redirect_is_followed)
{
    static const char *scripts[] = {
        "HTTP/1.1 301 Moved\r\nLocation: /there\r\nContent-Length: 3\r\n\r\nold",
        OK "Content-Length: 3\r\n\r\nnew", NULL};
    struct trip *trip = trip_new(NULL);

    trip->server->scripts = scripts;
    answers[0] = "127.0.0.1";
    t_eq(trip_get(trip, "http://good.test:%d/"), 0);
    t_str(trip->call.body.data, "new"); /* nothing of the redirect's own text */
    t_has(trip->call.url, "/there");
    t_eq(asked, 2); /* each hop is resolved and checked */
    t_eq(trip->server->requests, 2);
    trip_free(trip);
}

T(redirects_end)
{
    struct trip *trip =
        trip_new("HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n");

    answers[0] = "127.0.0.1";
    t_eq(trip_get(trip, "http://good.test:%d/"), -ERR_INVALID);
    t_has(trip->call.op.fault.text, "too often");
    t_eq(trip->server->requests, 4);
    trip_free(trip);
}

T(headers_stay_with_their_origin)
{
    static const char *scripts[] = {
        "HTTP/1.1 302 Found\r\nLocation: /same\r\nContent-Length: 0\r\n\r\n", "", NULL};
    static const char *const headers[] = {"X-Key: secret", NULL};
    struct trip *trip = trip_new(NULL);
    CLEAN(mem_free) char *second = NULL, *url = NULL;
    CLEAN(json_free) struct json *allowed = json_new_array();

    json_append(allowed, json_new_string("good.test"));
    json_append(allowed, json_new_string("127.0.0.1"));
    second = mem_format("HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:%d/other\r\n"
                        "Content-Length: 0\r\n\r\n",
                        trip->server->port);
    url = mem_format("http://good.test:%d/", trip->server->port);
    scripts[1] = second;
    trip->server->scripts = scripts;
    answers[0] = "127.0.0.1";
    trip_start(
        trip,
        (struct egress_spec){.url = url, .headers = headers, .allowed = allowed, .redirects = 2},
        30000);
    trip_wait(trip);
    t_eq(trip->result, -ERR_INVALID); /* the second script repeats: too often */
    t_eq(trip->server->requests, 3);
    t_ok(strstr(trip->server->request.data, "secret") == NULL);
    trip_free(trip);
}

T(bodies_are_cut)
{
    struct trip *trip = trip_new(OK "\r\n|@fill x100000|@fill y100000");

    answers[0] = "127.0.0.1";
    t_eq(trip_get(trip, "http://good.test:%d/"), 0);
    t_ok(trip->call.truncated);
    t_eq(trip->call.body.length, 4096);
    trip_free(trip);
}

T(an_answer_that_never_ends)
{
    struct trip *trip = trip_new(OK "\r\nx|@wait");
    CLEAN(json_free) struct json *allowed = json_new_array();
    CLEAN(mem_free) char *url = mem_format("http://127.0.0.1:%d/", trip->server->port);

    json_append(allowed, json_new_string("127.0.0.1"));
    trip_start(trip, (struct egress_spec){.url = url, .allowed = allowed}, /* deadline_ms= */ 2000);
    trip_wait(trip);
    t_eq(trip->result, -ERR_TIMEOUT);
    trip_free(trip);
}

T(an_error_is_an_answer)
{
    struct trip *trip =
        trip_new("HTTP/1.1 404 Not Found\r\nContent-Length: 7\r\n\r\nnothing|@close");

    answers[0] = "127.0.0.1";
    t_eq(trip_get(trip, "http://good.test:%d/"), 0);
    t_eq(trip->call.status, 404);
    t_str(trip->call.body.data, "nothing");
    trip_free(trip);
}

T(the_next_address_is_tried)
{
    struct trip *trip = trip_new(OK "Content-Length: 2\r\n\r\nhi");

    answers[0] = "127.0.0.9 127.0.0.1"; /* nobody listens at the first */
    t_eq(trip_get(trip, "http://good.test:%d/"), 0);
    t_str(trip->call.body.data, "hi");
    trip_free(trip);
}

T(cancelled_and_dropped)
{
    struct trip *trip = trip_new(OK "\r\n|@wait");
    CLEAN(json_free) struct json *allowed = json_new_array();
    CLEAN(mem_free) char *url = mem_format("http://127.0.0.1:%d/", trip->server->port);

    json_append(allowed, json_new_string("127.0.0.1"));
    for (int turns = 0; turns < 30; turns += 10) { /* while it resolves, connects, waits */
        trip_start(trip, (struct egress_spec){.url = url, .allowed = allowed}, 0);
        for (int i = 0; i < turns; i++) {
            loop_turn(trip->rig->gw->loop, false);
            loop_advance(trip->rig->gw->loop, 1);
            (void)poll(NULL, 0, 1);
        }
        op_cancel(&trip->call.op);
        t_eq(trip->ends, 0);
        trip_wait(trip);
        t_eq(trip->result, -ERR_CANCELLED);
    }
    trip_start(trip, (struct egress_spec){.url = url, .allowed = allowed}, 0);
    op_drop(&trip->call.op);
    rig_advance(trip->rig, 1000);
    t_eq(trip->ends, 0);
    trip_free(trip);
}

T(blocked_hosts)
{
    static const char *const text = "[\"good.test\",\"*.bad.test\"]";
    CLEAN(json_free) struct json *list = json_parse(text, strlen(text), NULL);
    static const char *const urls[] = {"http://good.test/", "http://GOOD.test./",
                                       "http://x.bad.test/", "http://y.x.bad.test/"};
    struct trip *trip = trip_new(OK "\r\n");

    for (size_t i = 0; i < COUNT(urls); i++) {
        trip_start(trip, (struct egress_spec){.url = urls[i], .allowed = list, .blocked = list}, 0);
        trip_wait(trip);
        t_eq(trip->result, -ERR_DENIED);
        t_has(trip->call.op.fault.text, "blocked");
    }
    t_eq(asked, 0);
    trip_free(trip);
}

T(there_is_a_ceiling)
{
    struct trip *trip = trip_new(OK "\r\n|@wait");
    struct egress_call calls[EGRESS_CALLS_MAX];
    CLEAN(json_free) struct json *allowed = json_new_array();
    CLEAN(mem_free) char *url = mem_format("http://127.0.0.1:%d/", trip->server->port);
    struct egress_spec spec = {.url = url, .allowed = allowed};

    memset(calls, 0, sizeof(calls));
    json_append(allowed, json_new_string("127.0.0.1"));
    for (size_t i = 0; i < COUNT(calls); i++) {
        op_init(&calls[i].op, trip->rig->gw->loop, on_done, 0);
        egress_start(trip->rig->gw, &calls[i], &spec);
    }
    trip_start(trip, spec, 0);
    trip_wait(trip);
    t_eq(trip->result, -ERR_BUSY);
    for (size_t i = 0; i < COUNT(calls); i++) {
        op_drop(&calls[i].op);
        egress_call_done(&calls[i]);
    }
    trip_free(trip);
}
