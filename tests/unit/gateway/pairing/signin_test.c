/* Sign-in codes on the wire: a link's code pairs one browser, with what its maker holds and no more, once,
 * for ten minutes, and guessing it is counted like any other guess. */
#include "gateway/pairing/signin.h"

#include "gateway/conn/conn.h"
#include "gateway/pairing/pairing.h"
#include "tests/unit/gateway/conn/visitor.h"

#define PAGE                                                                                       \
    "'minProtocol':4,'maxProtocol':4,'client':{'id':'webchat-ui','version':'1',"                   \
    "'platform':'web','mode':'webchat'},"
#define ALL     "'scopes':['operator.admin','operator.read','operator.pairing'],"
#define REMOTE  "203.0.113.5"
#define INVALID "{'ok':false,'error':{'details':{'code':'AUTH_BOOTSTRAP_TOKEN_INVALID'}}}"

static char *with_code(const char *code)
{
    return mem_format("{" PAGE ALL "'auth':{'bootstrapToken':'%s'}}", code);
}

/* What was said to a browser that shows the code; *ret_token (may be NULL) is the caller's. */
static char *show(struct rig *rig, const char *from, const char *code,
                  const struct kit_device *device, char **ret_token)
{
    CLEAN(mem_free) char *params = with_code(code);
    struct visitor *v = visitor_new(rig, from);
    char *answer;

    visitor_connect(v, params, device);
    answer = mem_string(visitor_next(v));
    if (ret_token)
        *ret_token = visitor_pick(answer, "payload.auth.deviceToken");
    visitor_free(v);
    return answer;
}

static void expect(struct rig *rig, const char *from, const char *code,
                   const struct kit_device *device, const char *answer)
{
    CLEAN(mem_free) char *said = show(rig, from, code, device, NULL);
    t_json(said, answer);
}

static char *ask_link(struct peer *maker)
{
    return visitor_pick(peer_call(maker, "webchat.link", "{}"), "payload.code");
}

T(a_code_pairs_a_browser_wherever_it_is)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    struct peer *maker = peer_connect(rig, 4, "operator.admin");
    CLEAN(mem_free) char *link = mem_string(peer_call(maker, "webchat.link", "{}"));
    CLEAN(mem_free) char *code = visitor_pick(link, "payload.code");
    CLEAN(mem_free) char *url = visitor_pick(link, "payload.url");
    CLEAN(mem_free) char *token = NULL;

    t_eq(strlen(code), 43); /* 256 bits */
    CLEAN(mem_free) char *tail = mem_format("/#code=%s", code);
    t_ok(strncmp(url, "http://127.0.0.1:", 17) == 0 && strstr(url, tail));

    CLEAN(mem_free) char *hello = show(rig, REMOTE, code, &d, &token);
    t_json(hello, "{'ok':true,'payload':{'auth':{'role':'operator','deviceToken':'*'}}}");
    CLEAN(mem_free) char *scopes = visitor_pick(hello, "payload.auth.scopes");
    t_ok(strstr(scopes, "operator.admin"));
    t_str(device_find(rig->gw, d.id)->approved_via, "code");

    struct visitor *v = visitor_new(rig, REMOTE);
    CLEAN(mem_free) char *back = mem_format("{" PAGE ALL "'auth':{'deviceToken':'%s'}}", token);
    t_json(visitor_hello(v, back, &d), "{'ok':true}");
    visitor_free(v);
    rig_free(rig);
}

T(a_code_is_for_one_device_which_may_ask_again)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device first = kit_device(1), second = kit_device(2);
    struct peer *maker = peer_connect(rig, 4, "operator.admin");
    CLEAN(mem_free) char *code = ask_link(maker);

    expect(rig, REMOTE, code, &first, "{'ok':true}");
    expect(rig, REMOTE, code, &second, INVALID);
    t_ok(!device_find(rig->gw, second.id));
    /* The answer was lost: the same key may fetch it again. */
    expect(rig, REMOTE, code, &first, "{'ok':true,'payload':{'auth':{'deviceToken':'*'}}}");
    CLEAN(mem_free) char *removal = mem_format("{'deviceId':'%s'}", first.id);
    t_json(peer_call(maker, "device.pair.remove", removal), "{'ok':true}");
    expect(rig, REMOTE, code, &first, INVALID);
    rig_free(rig);
}

T(a_code_ends_after_ten_minutes)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    char code[TOKEN_TEXT];

    signin_make(rig->gw, NULL, SCOPE_ALL, code);
    rig_advance(rig, SIGNIN_TTL_MS - 1);
    expect(rig, REMOTE, code, &d, "{'ok':true}");
    rig_advance(rig, 1);
    expect(rig, REMOTE, code, &d, INVALID);
    rig_free(rig);
}

/* GHSA-4jpw-hj22-2xmc, GHSA-hf68-49fm-59cq: nobody gives more than they hold. */
T(a_code_carries_what_its_maker_holds)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    struct peer *reader = peer_connect(rig, 4, "operator.read"),
                *maker = peer_connect(rig, 4, "operator.pairing operator.read");
    CLEAN(mem_free) char *code = ask_link(maker);

    t_json(
        peer_call(reader, "webchat.link", "{}"),
        "{'ok':false,'error':{'code':'FORBIDDEN','details':{'missingScope':'operator.pairing'}}}");
    CLEAN(mem_free) char *hello = show(rig, REMOTE, code, &d, NULL);
    CLEAN(mem_free) char *scopes = visitor_pick(hello, "payload.auth.scopes");
    t_str(scopes, "[\"operator.read\",\"operator.pairing\"]");
    rig_free(rig);
}

/* … also when the maker holds less, or nothing, by the time the code is shown. */
T(a_code_ends_with_its_makers_device)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device maker_device = kit_device(1), d = kit_device(2);
    struct peer *admin = peer_connect(rig, 4, "operator.admin");
    struct visitor *maker = visitor_new(rig, "pair");
    CLEAN(mem_free)
    char *params = mem_format("{" PAGE ALL "'auth':{'token':'%s'}}", RIG_TOKEN);

    t_json(visitor_hello(maker, params, &maker_device), "{'ok':true}");
    visitor_say(maker, "{'type':'req','id':'2','method':'webchat.link'}");
    CLEAN(mem_free) char *code = NULL;
    while (!code)
        code = visitor_pick(visitor_next(maker), "payload.code");
    CLEAN(mem_free)
    char *removal = mem_format("{'deviceId':'%s','role':'operator'}", maker_device.id);
    t_json(peer_call(admin, "device.token.revoke", removal), "{'ok':true}");
    expect(rig, REMOTE, code, &d, INVALID);
    visitor_free(maker);
    rig_free(rig);
}

/* … nor to a device that is known and held more once. */
T(a_code_gives_a_known_device_no_more_either)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1), other = kit_device(2);
    struct peer *admin = peer_connect(rig, 4, "operator.admin"),
                *lesser = peer_connect(rig, 4, "operator.pairing operator.read");
    CLEAN(mem_free) char *first = ask_link(admin), *less = ask_link(lesser);
    char own[TOKEN_TEXT];

    expect(rig, REMOTE, first, &d, "{'ok':true}");
    CLEAN(mem_free)
    char *revoke = mem_format("{'deviceId':'%s','role':'operator'}", d.id);
    t_json(peer_call(admin, "device.token.revoke", revoke), "{'ok':true}");
    expect(rig, REMOTE, less, &d, INVALID);

    /* A token that was narrowed makes codes that are as narrow, also those made before. */
    CLEAN(mem_free)
    char *narrow = mem_format("{'deviceId':'%s','role':'operator','scopes':['operator.read',"
                              "'operator.pairing']}",
                              d.id);
    signin_make(rig->gw, d.id, SCOPE_ALL, own);
    t_json(peer_call(admin, "device.token.rotate", narrow), "{'ok':true}");
    expect(rig, REMOTE, own, &d, INVALID);
    signin_make(rig->gw, d.id, SCOPE_ALL, own);
    CLEAN(mem_free) char *hello = show(rig, REMOTE, own, &other, NULL);
    CLEAN(mem_free) char *scopes = visitor_pick(hello, "payload.auth.scopes");
    t_str(scopes, "[\"operator.read\",\"operator.pairing\"]");
    rig_free(rig);
}

T(only_an_operator_with_a_key_signs_in)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    char code[TOKEN_TEXT];

    signin_make(rig->gw, NULL, SCOPE_ALL, code);
    CLEAN(mem_free) char *keyless = with_code(code);
    struct visitor *v = visitor_new(rig, REMOTE);
    t_json(visitor_hello(v, keyless, NULL), "{'ok':false}");
    visitor_free(v);

    v = visitor_new(rig, REMOTE);
    CLEAN(mem_free)
    char *node = mem_format("{'minProtocol':4,'maxProtocol':4,'role':'node','client':{'id':"
                            "'node-host','version':'1','platform':'linux','mode':'node'},"
                            "'auth':{'bootstrapToken':'%s'}}",
                            code);
    t_json(visitor_hello(v, node, &d), INVALID);
    visitor_free(v);
    expect(rig, REMOTE, code, &d, "{'ok':true}"); /* still open */
    rig_free(rig);
}

T(guessing_codes_locks_out)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device d = kit_device(1);
    char code[TOKEN_TEXT];

    signin_make(rig->gw, NULL, SCOPE_ALL, code);
    for (int i = 0; i < 10; i++) {
        CLEAN(mem_free) char *params = with_code("guess");
        struct visitor *v = visitor_new(rig, REMOTE);
        t_json(visitor_hello(v, params, &d), INVALID);
        visitor_free(v);
    }
    expect(rig, REMOTE, code, &d, "{'error':{'details':{'code':'AUTH_RATE_LIMITED'}}}");
    expect(rig, "203.0.113.6", code, &d, "{'ok':true}");
    rig_free(rig);
}

T(open_codes_have_a_ceiling)
{
    struct rig *rig = rig_new(NULL);
    struct kit_device first = kit_device(1), last = kit_device(2);
    char oldest[TOKEN_TEXT], code[TOKEN_TEXT];

    signin_make(rig->gw, NULL, SCOPE_ALL, oldest);
    rig_advance(rig, 1);
    for (int i = 0; i < SIGNIN_OPEN_MAX; i++)
        signin_make(rig->gw, NULL, SCOPE_ALL, code);
    expect(rig, REMOTE, oldest, &first, INVALID);
    expect(rig, REMOTE, code, &last, "{'ok':true}");
    rig_free(rig);
}

/* Plain HTTP keeps a browser's keys on loopback only; with TLS the link leads to where others reach us. */
T(where_the_link_leads)
{
    static const struct {
        const char *config, *site;
    } rows[] = {
        {"{gateway:{bind:'192.0.2.7'}}", "http://127.0.0.1:0/#code="},
        {"{gateway:{bind:'192.0.2.7',tls:{enabled:true}}}", "https://192.0.2.7:0/#code="},
        {"{gateway:{bind:'2001:db8::7',tls:{enabled:true}}}", "https://[2001:db8::7]:0/#code="},
        {"{gateway:{tls:{enabled:true}}}", "https://127.0.0.1:0/#code="},
        {"{gateway:{controlUi:{basePath:'desk'}}}", "http://127.0.0.1:0/desk/#code="},
        {"{gateway:{controlUi:{root:'/srv/ui',basePath:'/desk/'}}}",
         "http://127.0.0.1:0/desk/webchat/#code="},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rig *rig = rig_new(rows[i].config);
        CLEAN(mem_free) char *link = signin_link(rig->gw, "x");
        CLEAN(mem_free) char *expected = mem_format("%sx", rows[i].site);
        t_str(link, expected);
        rig_free(rig);
    }
}

T(no_link_where_no_page_is)
{
    struct rig *rig = rig_new("{gateway:{controlUi:{enabled:false}}}");

    t_has(peer_call(peer_connect(rig, 4, "operator.admin"), "webchat.link", "{}"),
          "gateway.controlUi.enabled");
    rig_free(rig);
}

T(links_are_counted_like_other_control_writes)
{
    struct rig *rig = rig_new(NULL);
    struct peer *maker = peer_connect(rig, 4, "operator.admin");

    for (int i = 0; i < 30; i++)
        t_json(peer_call(maker, "webchat.link", "{}"), "{'ok':true}");
    t_json(peer_call(maker, "webchat.link", "{}"), "{'error':{'code':'UNAVAILABLE'}}");
    rig_free(rig);
}
