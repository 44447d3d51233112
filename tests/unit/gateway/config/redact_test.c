/* Secrets out, secrets back in. */
#include "gateway/config/redact.h"

#include "base/mem.h"
#include "tests/t.h"

static struct json *parse(const char *text)
{
    struct fault fault = {0};
    struct json *tree = json5_parse(text, strlen(text), &fault);

    if (!tree)
        t_fail(__FILE__, __LINE__, "%s", fault.text);
    return tree;
}

static void t_redacts(const char *in, const char *out, bool redacted)
{
    bool did = false;
    CLEAN(json_free) struct json *tree = parse(in);
    CLEAN(json_free) struct json *shown = redact(tree, &did);
    CLEAN(json_free) struct json *wanted = parse(out);
    CLEAN(mem_free) char *text = json_print(shown, false);

    if (!json_equal(shown, wanted))
        t_fail(__FILE__, __LINE__, "%s became %s", in, text);
    t_eq(did, redacted);
}

#define R "'__OPENCLAW_REDACTED__'"

T(what_is_hidden)
{
    t_redacts("{gateway:{auth:{token:'abc',password:'p'}}}",
              "{gateway:{auth:{token:" R ",password:" R "}}}", true);
    t_redacts("{gateway:{auth:{token:''}}}", "{gateway:{auth:{token:''}}}", false);
    t_redacts("{gateway:{auth:{token:'${A_B}'}}}", "{gateway:{auth:{token:'${A_B}'}}}", false);
    t_redacts("{gateway:{auth:{token:'x${A_B}'}}}", "{gateway:{auth:{token:" R "}}}", true);
    t_redacts("{gateway:{auth:{token:{source:'env',id:'A'}}}}",
              "{gateway:{auth:{token:{source:'env',id:'A'}}}}", false);
    t_redacts(
        "{models:{providers:{'a.b':{apiKey:'k',baseUrl:'u',headers:{x:'h'},models:[{id:'m'}]}}}}",
        "{models:{providers:{'a.b':{apiKey:" R ",baseUrl:'u',headers:{x:" R
        "},models:[{id:'m'}]}}}}",
        true);
    t_redacts("{channels:{telegram:{accounts:{w:{botToken:'t'}}}}}",
              "{channels:{telegram:{accounts:{w:{botToken:" R "}}}}}", true);
    /* keys without a row of ours: by name */
    t_redacts("{talk:{apiKey:'k',voiceId:'v'},x:{accessTokens:['a']}}",
              "{talk:{apiKey:" R ",voiceId:'v'},x:{accessTokens:['a']}}", true);
    t_redacts("{models:{providers:{a:{maxTokens:5,baseUrl:'http://u:p@h/'}}}}",
              "{models:{providers:{a:{maxTokens:5,baseUrl:" R "}}}}", true);
}

T(round_trip_restores_everything)
{
    CLEAN(json_free)
    struct json *before = parse("{gateway:{auth:{token:'t'}},agents:{list:[{id:'a',apiKey:'1'},"
                                "{id:'b',apiKey:'2'}]}}");
    CLEAN(json_free) struct json *shown = redact(before, NULL);
    bool restored = false;
    CLEAN(json_free) struct json *back = redact_restore(shown, before, &restored, NULL);

    t_ok(restored);
    t_ok(json_equal(back, before));
    /* items of a list are found by id, wherever they moved */
    CLEAN(json_free)
    struct json *moved = parse("{agents:{list:[{id:'b',apiKey:" R "}]}}");
    CLEAN(json_free) struct json *whole = redact_restore(moved, before, &restored, NULL);
    CLEAN(mem_free) char *text = json_print(whole, false);
    t_json(text, "{'agents':{'list':[{'id':'b','apiKey':'2'}]}}");
}

T(a_placeholder_without_a_secret_is_refused)
{
    struct fault fault = {0};
    CLEAN(json_free) struct json *before = parse("{gateway:{auth:{mode:'token'}}}");
    CLEAN(json_free) struct json *sent = parse("{gateway:{auth:{token:" R "}}}");
    CLEAN(json_free) struct json *back = redact_restore(sent, before, NULL, &fault);

    t_ok(back == NULL);
    t_has(fault.text, "gateway.auth.token is \"__OPENCLAW_REDACTED__\"");
}
