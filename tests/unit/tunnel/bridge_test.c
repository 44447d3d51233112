/* The lines of a bridge: what is written reads back, and nothing else passes. */
#include "tunnel/bridge.h"

#include "base/mem.h"
#include "tests/t.h"

#define TICKET "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO-_"
#define KEY    "SHA256:abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM+/14"

static int read_stream(const char *line, struct bridge_stream *ret)
{
    struct fault fault = {0};
    int r = bridge_read_stream(line, strlen(line), ret, &fault);

    t_ok(r == 0 || fault.text[0]);
    return r;
}

T(stream_reads_back)
{
    CLEAN(buf_done) struct buf out;
    struct bridge_stream stream;

    buf_init(&out, BRIDGE_LINE_MAX);
    bridge_write_stream(&out, TICKET, BRIDGE_CANVAS, "2001:db8::7%eth0");
    t_str(out.data, "CULVERT/1 " TICKET " canvas from=2001:db8::7%eth0\n");
    t_eq(read_stream(out.data, &stream), 0);
    t_str(stream.ticket, TICKET);
    t_eq(stream.service, BRIDGE_CANVAS);
    t_str(stream.from, "2001:db8::7%eth0");

    buf_clear(&out);
    bridge_write_stream(&out, TICKET, BRIDGE_GATEWAY, NULL);
    t_str(out.data, "CULVERT/1 " TICKET " gateway\n");
    t_eq(read_stream(out.data, &stream), 0);
    t_str(stream.from, "");
}

T(stream_address_that_is_no_word_is_left_out)
{
    CLEAN(buf_done) struct buf out;

    buf_init(&out, BRIDGE_LINE_MAX);
    bridge_write_stream(&out, TICKET, BRIDGE_GATEWAY, "a b\nCULVERT/1");
    t_str(out.data, "CULVERT/1 " TICKET " gateway\n");
}

T(stream_anything_else_is_refused)
{
    static const char *const bad[] = {
        "",
        "\n",
        "CULVERT/1",
        "CULVERT/1 ",
        "CULVERT/1 \n",
        "CULVERT/2 " TICKET " gateway\n",
        "culvert/1 " TICKET " gateway\n",
        " CULVERT/1 " TICKET " gateway\n",
        "CULVERT/1  " TICKET " gateway\n",
        "CULVERT/1 " TICKET "\n",
        "CULVERT/1 " TICKET " \n",
        "CULVERT/1 " TICKET "  gateway\n",
        "CULVERT/1 " TICKET " gateway \n",
        "CULVERT/1 " TICKET " gateway\r\n",
        "CULVERT/1 " TICKET " gateway\n\n",
        "CULVERT/1 " TICKET " Gateway\n",
        "CULVERT/1 " TICKET " gatewaygatewaygateway\n",
        "CULVERT/1 " TICKET " shell\n",
        "CULVERT/1 " TICKET "x gateway\n",
        "CULVERT/1 short gateway\n",
        "CULVERT/1 abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNO-+ gateway\n",
        "CULVERT/1 " TICKET " gateway from=\n",
        "CULVERT/1 " TICKET " gateway from=192.0.2.7 \n",
        "CULVERT/1 " TICKET " gateway from=192.0.2.7 more\n",
        "CULVERT/1 " TICKET " gateway from=<script>\n",
        "CULVERT/1 " TICKET " gateway to=192.0.2.7\n",
        "CULVERT/1 " TICKET " gateway "
        "from=0123456789012345678901234567890123456789012345678901234567890123\n",
        "GET / HTTP/1.1\r\n",
    };
    struct bridge_stream stream = {.service = BRIDGE_CANVAS};

    for (size_t i = 0; i < COUNT(bad); i++)
        if (read_stream(bad[i], &stream) == 0)
            t_fail(__FILE__, __LINE__, "passed: %s", bad[i]);
    t_eq(stream.service, BRIDGE_CANVAS); /* untouched */
    t_ok(bridge_read_stream("CULVERT/1 " TICKET " gateway\0", sizeof(TICKET) + 18, &stream, NULL) <
         0);
}

T(registering_reads_back)
{
    CLEAN(buf_done) struct buf out;
    CLEAN(json_free) struct json *tree = NULL;
    struct bridge_claims claims = {
        .as = "alice@laptop", .address = "192.0.2.7", .key = KEY, .method = "publickey"};
    struct bridge_claims read;

    buf_init(&out, BRIDGE_LINE_MAX);
    bridge_write_register(&out, &claims);
    t_ok(bridge_is_register(out.data, out.length));
    t_eq(bridge_read_register(out.data, out.length, &tree, &read, NULL), 0);
    t_str(read.as, claims.as);
    t_str(read.address, claims.address);
    t_str(read.key, claims.key);
    t_str(read.method, claims.method);
}

T(registering_leaves_out_what_is_not_told_or_no_word)
{
    CLEAN(buf_done) struct buf out;
    CLEAN(json_free) struct json *tree = NULL;
    struct bridge_claims claims = {.as = "a b", .address = "", .key = "SHA256:short"};
    struct bridge_claims read = {.as = "x"};

    buf_init(&out, BRIDGE_LINE_MAX);
    bridge_write_register(&out, &claims);
    t_str(out.data, "CULVERT/1 bridge {}\n");
    t_eq(bridge_read_register(out.data, out.length, &tree, &read, NULL), 0);
    t_ok(!read.as && !read.address && !read.key && !read.method);
}

T(registering_anything_else_is_refused)
{
    static const char *const bad[] = {
        "CULVERT/1 bridge\n",
        "CULVERT/1 bridge \n",
        "CULVERT/1 bridge []\n",
        "CULVERT/1 bridge \"x\"\n",
        "CULVERT/1 bridge {}{}\n",
        "CULVERT/1 bridge {\"as\":7}\n",
        "CULVERT/1 bridge {\"as\":null}\n",
        "CULVERT/1 bridge {\"as\":\"\"}\n",
        "CULVERT/1 bridge {\"as\":\"a\\nb\"}\n",
        "CULVERT/1 bridge {\"as\":\"a\",\"as\":\"b\"}\n",
        "CULVERT/1 bridge {\"key\":\"MD5:00:11\"}\n",
        "CULVERT/1 bridge {\"address\":\"<b>\"}\n",
        "CULVERT/1 bridge {\"method\":\"public key\"}\n",
        "CULVERT/1 bridges {}\n",
    };
    struct bridge_claims claims;
    struct json *tree = NULL;

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct fault fault = {0};
        if (bridge_read_register(bad[i], strlen(bad[i]), &tree, &claims, &fault) == 0)
            t_fail(__FILE__, __LINE__, "passed: %s", bad[i]);
        t_ok(fault.text[0]);
    }
    t_ok(!tree);
}

T(offer_reads_back)
{
    CLEAN(buf_done) struct buf out;
    struct bridge_offer read = {0};
    char socket[] = "/srv/culvert/tunnel.sock", gateway[] = "ff00", version[] = "0.1.0";
    struct bridge_offer offer = {.socket = socket,
                                 .gateway = gateway,
                                 .version = version,
                                 .ticket = TICKET,
                                 .services = {[BRIDGE_GATEWAY] = true}};

    buf_init(&out, BRIDGE_LINE_MAX);
    bridge_write_offer(&out, &offer);
    t_json(out.data, "{'culvert':1,'services':['gateway'],'ticket':'" TICKET "'}");
    t_eq(bridge_read_offer(out.data, out.length, &read, NULL), 0);
    t_str(read.socket, socket);
    t_str(read.gateway, gateway);
    t_str(read.version, version);
    t_str(read.ticket, TICKET);
    t_ok(read.services[BRIDGE_GATEWAY] && !read.services[BRIDGE_CANVAS] && !read.error);
    bridge_offer_done(&read);
}

T(offer_of_an_error_reads_back)
{
    CLEAN(buf_done) struct buf out;
    struct bridge_offer read = {0};
    char why[] = "no gateway is running here";
    struct bridge_offer offer = {.error = why};

    buf_init(&out, BRIDGE_LINE_MAX);
    bridge_write_offer(&out, &offer);
    t_str(out.data, "{\"culvert\":1,\"error\":\"no gateway is running here\"}\n");
    t_eq(bridge_read_offer(out.data, out.length, &read, NULL), 0);
    t_str(read.error, why);
    t_ok(!read.socket && !read.ticket[0]);
    bridge_offer_done(&read);
}

T(offer_of_an_error_is_one_line)
{
    static const char line[] = "{\"culvert\":1,\"error\":\"no\\nMAINPID=1\\u001b[2J\"}";
    struct bridge_offer read = {0};

    t_eq(bridge_read_offer(line, strlen(line), &read, NULL), 0);
    t_str(read.error, "no MAINPID=1 [2J");
    bridge_offer_done(&read);
}

T(offer_verdicts)
{
#define GOOD "\"socket\":\"/x\",\"ticket\":\"" TICKET "\",\"services\":[\"gateway\",\"later\"]"
    static const struct {
        const char *line;
        int verdict;
    } rows[] = {
        {"{\"culvert\":1," GOOD "}\r\n", 0},
        {"{\"culvert\":1," GOOD ",\"more\":[{}]}", 0},
        {"Welcome to host\n", -ERR_NOT_FOUND},
        {"", -ERR_NOT_FOUND},
        {"\r\n", -ERR_NOT_FOUND},
        {"{}", -ERR_NOT_FOUND},
        {"{\"hello\":1}", -ERR_NOT_FOUND},
        {"{\"culvert\":1,", -ERR_NOT_FOUND},
        {"{\"culvert\":2," GOOD "}", -ERR_UNSUPPORTED},
        {"{\"culvert\":\"1\"," GOOD "}", -ERR_UNSUPPORTED},
        {"{\"culvert\":1}", -ERR_CORRUPT},
        {"{\"culvert\":1,\"socket\":\"x\",\"ticket\":\"" TICKET "\"}", -ERR_CORRUPT},
        {"{\"culvert\":1,\"socket\":\"/x\",\"ticket\":\"short\"}", -ERR_CORRUPT},
        {"{\"culvert\":1,\"socket\":\"/x\",\"ticket\":7}", -ERR_CORRUPT},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct bridge_offer offer = {0};
        struct fault fault = {0};
        int r = bridge_read_offer(rows[i].line, strlen(rows[i].line), &offer, &fault);
        if (r != rows[i].verdict)
            t_fail(__FILE__, __LINE__, "%s: %d", rows[i].line, r);
        t_ok(r == 0 || fault.text[0]);
        bridge_offer_done(&offer);
    }
}

T(offer_with_a_socket_no_kernel_takes)
{
    CLEAN(buf_done) struct buf out;
    struct bridge_offer offer = {.ticket = TICKET}, read = {0};
    char path[110] = "";

    memset(path, '/', sizeof(path) - 1);
    offer.socket = path;
    buf_init(&out, BRIDGE_LINE_MAX);
    bridge_write_offer(&out, &offer);
    t_eq(bridge_read_offer(out.data, out.length, &read, NULL), -ERR_CORRUPT);
}

T(error_is_one_line)
{
    CLEAN(buf_done) struct buf out;
    char why[BRIDGE_ERROR_MAX];

    buf_init(&out, BRIDGE_LINE_MAX);
    bridge_write_error(&out, "no such\nticket");
    t_str(out.data, "CULVERT/1 error no such ticket\n");
    t_ok(bridge_read_error(out.data, out.length, why));
    t_str(why, "no such ticket");
    t_ok(!bridge_read_error("HTTP/1.1 200 OK", 15, why));
    t_ok(bridge_read_error("CULVERT/1 error \033[2Jx", 21, why));
    t_str(why, " [2Jx");
}

T(services)
{
    enum bridge_service service = BRIDGE_GATEWAY;

    t_ok(bridge_service_parse("canvas", &service));
    t_eq(service, BRIDGE_CANVAS);
    t_ok(!bridge_service_parse("", &service) && !bridge_service_parse("gateway ", &service));
}
