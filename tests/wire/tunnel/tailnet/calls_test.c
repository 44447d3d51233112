/* The LocalAPI client against the double that tailscaled's own command line accepts: what comes back, what is asked,
 * and every way in which it can go wrong. */
#include "base/json.h"
#include "tests/rig/localapi_rig.h"
#include "tunnel/tailnet.h"

#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static struct loop *loop;
static struct localapi *api;
static struct tailnet *tailnet;

struct wait {
    struct op op;
    int result;
    bool over;
};

static void on_done(struct op *op, int result)
{
    struct wait *w = CONTAINER(op, struct wait, op);
    w->result = result;
    w->over = true;
}

static void begin(void)
{
    loop = loop_new(LOOP_REAL);
    api = localapi_new(loop);
    tailnet = tailnet_new(loop, api->socket);
}

static void end(void)
{
    tailnet = tailnet_free(tailnet);
    api = localapi_free(api);
    loop = loop_free(loop);
}

static struct op *ready(struct wait *w)
{
    *w = (struct wait){0};
    op_init(&w->op, loop, on_done, 0);
    return &w->op;
}

static int result_of(struct wait *w)
{
    localapi_wait(loop, &w->over);
    return w->result;
}

static int get_status(struct wait *w, bool peers, struct tailnet_status *ret)
{
    tailnet_status_get(tailnet, ready(w), peers, ret);
    return result_of(w);
}

static int get_who(struct wait *w, const char *address, struct tailnet_who *ret)
{
    tailnet_whois(tailnet, ready(w), address, ret);
    return result_of(w);
}

T(status_tells_the_tailnet)
{
    struct wait w;
    struct tailnet_status status;

    begin();
    localapi_set(
        api,
        "{'tun':true,'status':{'Health':['one is bad','so is two'],'CertDomains':['a.ts.net']},"
        "'nodes':{'box':{'tags':['tag:server','tag:db'],'online':false}}}");
    t_eq(get_status(&w, true, &status), 0);
    t_str(status.state, "Running");
    t_str(status.suffix, "tail1234.ts.net");
    t_has(status.version, "1.102.5");
    t_ok(status.tun);
    t_str(status.self.name, "laptop.tail1234.ts.net");
    t_str(status.self.addresses[1], "fd7a:115c:a1e0::1");
    t_ok(status.self.self);
    t_eq(status.peer_count, 1);
    t_str(status.peers[0].name, "box.tail1234.ts.net");
    t_str(status.peers[0].tags[1], "tag:db");
    t_ok(!status.peers[0].tags[2] && !status.peers[0].online);
    t_str(status.cert_domains[0], "a.ts.net");
    t_str(status.health, "one is bad; so is two");
    tailnet_status_done(&status);

    t_eq(get_status(&w, false, &status), 0);
    t_eq(status.peer_count, 0);
    tailnet_status_done(&status);
    t_json(localapi_log(api),
           "{'log':['GET /localapi/v0/status','GET /localapi/v0/status?peers=false']}");
    end();
}

T(status_of_an_old_daemon_lacks_much)
{
    struct wait w;
    struct tailnet_status status;

    begin();
    localapi_set(
        api, "{'state':'NeedsLogin','self':'nobody','status':{'TUN':null,'Health':null,'User':null,"
             "'CurrentTailnet':null,'Peer':null,'CertDomains':null,'TailscaleIPs':null,'"
             "MagicDNSSuffix':7}}");
    t_eq(get_status(&w, true, &status), 0);
    t_str(status.state, "NeedsLogin");
    t_str(status.suffix, "");
    t_str(status.self.name, "");
    t_eq(status.self.address_count, 0);
    t_ok(status.tun && !status.self.online && !status.cert_domains && status.peer_count == 0);
    tailnet_status_done(&status);
    end();
}

T(whois_tells_login_tags_and_grants)
{
    struct wait w;
    struct tailnet_who who;

    begin();
    t_eq(get_who(&w, "100.64.0.2:40123", &who), 0);
    t_str(who.login, "bob@example.com");
    t_str(who.node, "box.tail1234.ts.net");
    t_ok(!who.tags && !who.capabilities);
    tailnet_who_done(&who);

    localapi_set(api, "{'nodes':{'box':{'tags':['tag:server'],'caps':{'example.com/cap/gateway':"
                      "[{'role':'operator','scopes':['operator.read']}]}}}}");
    t_eq(get_who(&w, "[fd7a:115c:a1e0::2]:40123", &who), 0);
    t_str(who.login, "tagged-devices");
    t_str(who.tags[0], "tag:server");
    t_str(json_string(
              json_get(json_at(json_get(who.capabilities, "example.com/cap/gateway"), 0), "role"),
              ""),
          "operator");
    tailnet_who_done(&who);

    t_eq(get_who(&w, "203.0.113.9:5", &who), -ERR_NOT_FOUND);
    t_has(w.op.fault.text, "no match for IP:port");
    end();
}

T(serve_config_keeps_its_etag)
{
    struct wait w;
    struct json *config;
    char etag[128], before[128];

    begin();
    tailnet_serve_get(tailnet, ready(&w), &config, etag);
    t_eq(result_of(&w), 0);
    t_eq(json_kind(config), JSON_OBJECT); /* nothing configured is null */
    t_eq(json_count(config), 0);
    memcpy(before, etag, sizeof(before));
    json_put(config, "TCP", json_new_object());
    tailnet_serve_set(tailnet, ready(&w), config, etag);
    t_eq(result_of(&w), 0);
    tailnet_serve_set(tailnet, ready(&w), config, before); /* no longer what is there */
    t_eq(result_of(&w), -ERR_CONFLICT);
    t_has(w.op.fault.text, "somebody else");
    tailnet_serve_set(tailnet, ready(&w), config, NULL); /* whatever is there */
    t_eq(result_of(&w), 0);
    json_free(config);
    tailnet_serve_get(tailnet, ready(&w), &config, etag);
    t_eq(result_of(&w), 0);
    t_ok(strcmp(etag, before) != 0);
    t_json(localapi_log(api), "{'serve':{'TCP':{}}}");

    localapi_set(api, "{'conflicts':1}");
    tailnet_serve_set(tailnet, ready(&w), config, etag);
    t_eq(result_of(&w), -ERR_CONFLICT);
    localapi_set(api, "{'locked':true}");
    tailnet_serve_set(tailnet, ready(&w), config, etag);
    t_eq(result_of(&w), -ERR_IO);
    t_has(w.op.fault.text, "config file is locked");
    json_free(config);
    end();
}

/* ---- the bus ---- */

static int lines;
static char last_line[256];
static struct op *drop_inside, *cancel_inside;

static void on_notify(void *arg, const struct json *notify)
{
    CLEAN(mem_free) char *text = json_print(notify, false);
    (void)arg;

    lines++;
    (void)snprintf(last_line, sizeof(last_line), "%s", text);
    if (drop_inside && lines == 2)
        op_drop(drop_inside);
    if (cancel_inside && lines == 2)
        op_cancel(cancel_inside);
}

static void until_lines(int count)
{
    int64_t limit = loop_now(loop) + LOCALAPI_WAIT_MS;
    struct timer awake = {0};

    timer_start(loop, &awake, 10, 10, localapi_awake, NULL);
    while (lines < count && loop_now(loop) < limit)
        loop_turn(loop, true);
    timer_stop(loop, &awake);
    t_eq(lines, count);
}

static void watch(struct wait *w)
{
    lines = 0;
    tailnet_watch(tailnet, ready(w), TAILNET_BUS_INITIAL_STATE, on_notify, NULL);
    until_lines(1);
}

T(bus_tells_line_by_line_until_it_ends)
{
    struct wait w;

    begin();
    watch(&w);
    t_json(last_line, "{'SessionID':'*','State':6}");
    (void)localapi_post(api, "raw", "{'State':");
    (void)localapi_post(api, "raw", "4}\n\n{'State':5}\n{'a':1");
    until_lines(3);
    t_json(last_line, "{'State':5}");
    (void)localapi_post(api, "drop", "");
    t_eq(result_of(&w), -ERR_CLOSED);
    t_has(w.op.fault.text, "bus");
    end();
}

T(bus_that_talks_nonsense_ends)
{
    struct wait w;

    begin();
    watch(&w);
    (void)localapi_post(api, "raw", "7\n");
    t_eq(result_of(&w), -ERR_CORRUPT);
    watch(&w);
    (void)localapi_post(api, "raw", "{'a':]\n");
    t_eq(result_of(&w), -ERR_CORRUPT);
    t_has(w.op.fault.text, "no JSON object");
    end();
}

T(bus_may_be_left_from_inside)
{
    struct wait w;

    begin();
    watch(&w);
    drop_inside = &w.op;
    (void)localapi_post(api, "raw", "{'a':1}\n{'a':2}\n");
    until_lines(2);
    t_ok(!op_running(&w.op));
    drop_inside = NULL;
    watch(&w);
    cancel_inside = &w.op;
    (void)localapi_post(api, "raw", "{'a':1}\n{'a':2}\n");
    t_eq(result_of(&w), -ERR_CANCELLED);
    t_eq(lines, 2);
    cancel_inside = NULL;
    watch(&w); /* and what still runs goes with the tailnet */
    end();
}

/* ---- what goes wrong ---- */

static void expect(const char *mode, int result, const char *words)
{
    CLEAN(mem_free) char *patch = mem_format("{'modes':{'status':'%s'}}", mode);
    struct wait w;
    struct tailnet_status status;

    localapi_set(api, patch);
    t_eq(get_status(&w, true, &status), result);
    t_has(w.op.fault.text, words);
    t_ok(!status.state && !status.peers);
    tailnet_status_done(&status);
}

T(strange_answers_are_faults)
{
    begin();
    expect("garbage", -ERR_CORRUPT, "does not answer in HTTP");
    expect("truncated", -ERR_CORRUPT, "middle of its answer");
    expect("html", -ERR_CORRUPT, "text/html");
    expect("notype", -ERR_CORRUPT, "no content type");
    expect("bare", -ERR_CORRUPT, "BackendState");
    expect("nul", -ERR_UNSUPPORTED, "1.102.5");
    expect("huge", -ERR_TOO_LARGE, "longer than");
    expect("endless", -ERR_CORRUPT, "head without an end");
    expect("reset", -ERR_CORRUPT, "without an answer");
    expect("old", -ERR_UNSUPPORTED, "update Tailscale");
    expect("error", -ERR_IO, "it is?broken ?[31m");
    end();
}

T(one_byte_at_a_time_is_fine)
{
    struct wait w;
    struct tailnet_status status;

    begin();
    localapi_set(api, "{'modes':{'status':'chunked1'}}");
    t_eq(get_status(&w, true, &status), 0);
    t_str(status.peers[0].host_name, "box");
    tailnet_status_done(&status);
    end();
}

T(silence_has_an_end)
{
    struct wait w;
    struct tailnet_status status;

    begin();
    localapi_set(api, "{'modes':{'status':'silent'}}");
    int64_t before = loop_now(loop);
    t_eq(get_status(&w, true, &status), -ERR_TIMEOUT);
    t_ok(loop_now(loop) - before >= TAILNET_CALL_MS &&
         loop_now(loop) - before < TAILNET_CALL_MS + 2000);
    t_has(w.op.fault.text, "its status");
    end();
}

T(permissions_say_what_to_do)
{
    struct wait w;
    struct tailnet_who who;
    CLEAN(json_free) struct json *config = json_new_object();

    begin();
    localapi_set(api, "{'deny':'write'}");
    t_eq(get_who(&w, "100.64.0.2:1", &who), 0);
    tailnet_who_done(&who);
    tailnet_serve_set(tailnet, ready(&w), config, NULL);
    t_eq(result_of(&w), -ERR_DENIED);
    t_has(w.op.fault.text, "tailscale set --operator=$USER");
    localapi_set(api, "{'deny':'read'}");
    t_eq(get_who(&w, "100.64.0.2:1", &who), -ERR_DENIED);
    t_has(w.op.fault.text, "whois access denied");
    end();
}

T(no_daemon_is_told_as_such)
{
    struct wait w;
    struct tailnet_status status;

    begin();
    struct tailnet *mine = tailnet;
    tailnet = tailnet_new(loop, "/nowhere/tailscaled.sock");
    t_eq(get_status(&w, true, &status), -ERR_NOT_FOUND);
    t_has(w.op.fault.text, "no tailscaled here");
    tailnet_free(tailnet);

    CLEAN(mem_free) char *dead = mem_format("%s/dead.sock", t_tmpdir());
    FILE *file = fopen(dead, "w");
    (void)fclose(file);
    tailnet = tailnet_new(loop, dead); /* a file where nobody listens */
    t_eq(get_status(&w, true, &status), -ERR_NOT_FOUND);
    t_has(w.op.fault.text, "does not run");
    tailnet_free(tailnet);
    tailnet = mine;
    end();
}
