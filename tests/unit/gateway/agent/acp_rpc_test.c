/* The line peer: two id spaces, each request ends once, what is no message is told as such. */
#include "gateway/agent/acp_rpc.h"

#include "base/mem.h"
#include "tests/t.h"

struct end {
    int count, result;
    char answer[128];
};

struct desk {
    struct loop *loop;
    struct rpc rpc;
    struct buf written;
    char asked[256], told[256];
    int garbage;
    bool closed; /* write refuses */
};

static int on_write(void *arg, const char *line, size_t length)
{
    struct desk *desk = arg;

    if (desk->closed)
        return -ERR_CLOSED;
    buf_clear(&desk->written);
    buf_add(&desk->written, line, length);
    return 0;
}

static void on_request(void *arg, const char *id, const char *method, const struct json *params)
{
    struct desk *desk = arg;

    (void)snprintf(desk->asked, sizeof(desk->asked), "%s %s %lld", id, method,
                   (long long)json_integer(json_get(params, "n"), -1));
}

static void on_notification(void *arg, const char *method, const struct json *params)
{
    struct desk *desk = arg;

    (void)params;
    (void)snprintf(desk->told, sizeof(desk->told), "%s", method);
}

static void on_garbage(void *arg, const char *why)
{
    struct desk *desk = arg;

    t_ok(why[0] != '\0');
    desk->garbage++;
}

static void on_end(void *arg, int result, const struct json *answer)
{
    struct end *end = arg;
    CLEAN(mem_free) char *text = answer ? json_print(answer, false) : NULL;

    end->count++;
    end->result = result;
    (void)snprintf(end->answer, sizeof(end->answer), "%s", text ? text : "none");
}

static struct desk *desk_new(void)
{
    struct desk *desk = NEW(struct desk);
    const struct rpc_owner owner = {on_write, on_request, on_notification, on_garbage, desk};

    desk->loop = loop_new(LOOP_VIRTUAL);
    buf_init(&desk->written, RPC_LINE_MAX);
    rpc_init(&desk->rpc, desk->loop, &owner);
    return desk;
}

static void desk_free(struct desk *desk)
{
    rpc_close(&desk->rpc, -ERR_CANCELLED);
    loop_free(desk->loop);
    buf_done(&desk->written);
    mem_free(desk);
}

/* Single quotes stand for double ones. */
static void hears(struct desk *desk, const char *line)
{
    CLEAN(mem_free) char *text = mem_string(line);

    for (char *c = text; *c; c++)
        *c = *c == '\'' ? '"' : *c;
    rpc_line(&desk->rpc, text, strlen(text));
}

T(requests_and_their_answers)
{
    struct desk *desk = desk_new();
    struct end a = {0}, b = {0};

    t_eq(rpc_request(&desk->rpc, "one", "{\"x\":1}", 0, on_end, &a), 0);
    t_str(desk->written.data,
          "{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"one\",\"params\":{\"x\":1}}\n");
    t_eq(rpc_request(&desk->rpc, "two", "{}", 0, on_end, &b), 0);
    hears(desk, "{'jsonrpc':'2.0','id':2,'error':{'code':-32000,'message':'no'}}");
    t_eq(b.result, -ERR_IO);
    t_has(b.answer, "-32000");
    hears(desk, "{'jsonrpc':'2.0','id':1,'result':{'y':2}}");
    t_eq(a.result, 0);
    t_str(a.answer, "{\"y\":2}");
    hears(desk, "{'jsonrpc':'2.0','id':1,'result':{}}"); /* again: nobody asked */
    hears(desk, "{'jsonrpc':'2.0','id':'1','result':{}}");
    hears(desk, "{'jsonrpc':'2.0','id':null,'result':{}}");
    hears(desk, "{'jsonrpc':'2.0','id':1.5,'result':{}}");
    t_eq(a.count + b.count, 2);
    desk_free(desk);
}

T(their_ids_are_their_own)
{
    struct desk *desk = desk_new();
    struct end a = {0};

    rpc_request(&desk->rpc, "one", "{}", 0, on_end, &a);
    hears(desk, "{'jsonrpc':'2.0','id':1,'method':'ask','params':{'n':5}}");
    t_str(desk->asked, "1 ask 5");
    t_eq(a.count, 0);
    rpc_reply(&desk->rpc, "\"a\\\"b\"", "{\"z\":3}");
    t_str(desk->written.data, "{\"jsonrpc\":\"2.0\",\"id\":\"a\\\"b\",\"result\":{\"z\":3}}\n");
    rpc_reply_error(&desk->rpc, "7", RPC_METHOD_NOT_FOUND, "no \"such\"");
    t_has(desk->written.data, "\"error\":{\"code\":-32601,\"message\":\"no \\\"such\\\"\"}");
    hears(desk, " \t{'jsonrpc':'2.0','method':'tell'}");
    t_str(desk->told, "tell");
    desk_free(desk);
    t_eq(a.count, 1); /* closed */
    t_eq(a.result, -ERR_CANCELLED);
}

T(garbage_is_told)
{
    static const char *const lines[] = {"nonsense", "[1]", "{", "12", "{'id':1}x", "\xff\xfe"};
    struct desk *desk = desk_new();
    CLEAN(mem_free) char *long_id = mem_format("{'id':'%0300d','method':'m'}", 1);

    for (size_t i = 0; i < COUNT(lines); i++)
        hears(desk, lines[i]);
    t_eq(desk->garbage, (int)COUNT(lines));
    hears(desk, long_id);
    t_eq(desk->garbage, (int)COUNT(lines) + 1);
    hears(desk, "");
    hears(desk, "   ");
    hears(desk, "{}"); /* an answer to nothing */
    t_eq(desk->garbage, (int)COUNT(lines) + 1);
    desk_free(desk);
}

T(deadlines_and_ceilings)
{
    struct desk *desk = desk_new();
    struct end end = {0}, late = {0};

    t_eq(rpc_request(&desk->rpc, "late", "{}", 1000, on_end, &late), 0);
    for (int i = 1; i < RPC_PENDING_MAX; i++)
        t_eq(rpc_request(&desk->rpc, "m", "{}", 0, on_end, &end), 0);
    t_eq(rpc_request(&desk->rpc, "m", "{}", 0, on_end, &end), -ERR_FULL);
    loop_advance(desk->loop, 1001);
    t_eq(late.result, -ERR_TIMEOUT);
    hears(desk, "{'id':1,'result':{}}");
    t_eq(late.count, 1);
    desk->closed = true;
    t_eq(rpc_request(&desk->rpc, "m", "{}", 0, on_end, &late), -ERR_CLOSED);
    t_eq(late.count, 1);
    desk_free(desk);
    t_eq(end.count, RPC_PENDING_MAX - 1);
}
