/* The tree: parsing, reading, building, comparing, printing. */
#include "tests/t.h"

#include "base/json.h"
#include "base/mem.h"

#include <math.h>

static struct json *parse(const char *text)
{
    struct fault fault = {.text = ""};
    struct json *j = json_parse(text, strlen(text), &fault);

    if (!j)
        t_fail(__FILE__, __LINE__, "%s: %s", text, fault.text);
    return j;
}

static void prints(int line, const char *text, const char *expected)
{
    CLEAN(json_free) struct json *j = parse(text);
    CLEAN(mem_free) char *printed = json_print(j, false);

    t_str_(__FILE__, line, text, printed, expected);
}
#define t_prints(text, expected) prints(__LINE__, text, expected)

T(round_trip)
{
    t_prints(" { \"b\" : [ 1 , true, false, null ] , \"a\" : \"x\" } ",
             "{\"b\":[1,true,false,null],\"a\":\"x\"}");
    t_prints("[]", "[]");
    t_prints("{}", "{}");
    t_prints("\"\\u0041\\/\\u00e9\\ud83d\\ude00\"", "\"A/\xc3\xa9\xf0\x9f\x98\x80\"");
    t_prints("\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"",
             "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
}

T(numbers_keep_their_value)
{
    t_prints("9007199254740992", "9007199254740992");
    t_prints("-9007199254740991", "-9007199254740991");
    t_prints("1795342612282", "1795342612282");
    t_prints("2147483648", "2147483648");
    t_prints("1.0", "1");
    t_prints("1e3", "1000");
    t_prints("-0", "0");
    t_prints("0.1", "0.1");
    t_prints("0.30000000000000004", "0.30000000000000004");
    t_prints("1e300", "1e+300");
    t_prints("5e-324", "5e-324");
    t_prints("9007199254740994.0", "9007199254740994.0");
    t_prints("1e16", "1e+16");
    t_prints("12345678901234568.0", "12345678901234568.0");
    t_prints("3.141592653589793", "3.141592653589793");
    t_prints("-1.7976931348623157e308", "-1.7976931348623157e+308");
}

T(parse_refuses_what_the_scanner_refuses)
{
    struct fault fault;

    t_ok(json_parse("{\"a\":1,\"a\":2}", 13, &fault) == NULL);
    t_has(fault.text, "same key twice");
    t_eq(fault.code, -ERR_UNSUPPORTED);
    t_ok(json_parse("1 2", 3, NULL) == NULL);
    CLEAN(json_free) struct json *j = json_parse("12345", 3, &fault); /* length counts, not NUL */
    t_eq(json_integer(j, 0), 123);
}

T(reading)
{
    CLEAN(json_free)
    struct json *j = parse("{\"Key\":1,\"key\":2.5,\"s\":\"t\",\"b\":true,\"n\":null,"
                           "\"l\":[10,20],\"o\":{\"p\":{\"q\":7}}}");

    t_eq(json_kind(j), JSON_OBJECT);
    t_eq(json_kind(NULL), JSON_NULL);
    t_str(json_kind_name(JSON_BOOL), "boolean");
    t_eq(json_integer(json_get(j, "Key"), 0), 1);
    t_ok(json_number(json_get(j, "key"), 0) == 2.5);
    t_ok(json_get(j, "KEY") == NULL);
    t_ok(json_get(json_get(j, "l"), "Key") == NULL);
    t_ok(json_get(NULL, "x") == NULL);
    t_eq(json_integer(json_get(j, "key"), -1), -1); /* not integral */
    t_str(json_string(json_get(j, "s"), "-"), "t");
    t_str(json_string(json_get(j, "b"), "-"), "-");
    t_ok(json_boolean(json_get(j, "b"), false));
    t_ok(json_boolean(json_get(j, "s"), true));
    t_ok(json_get(j, "n") != NULL);
    t_eq(json_kind(json_get(j, "n")), JSON_NULL);
    t_eq(json_count(j), 7);
    t_eq(json_count(json_get(j, "s")), 0);
    t_eq(json_integer(json_at(json_get(j, "l"), 1), 0), 20);
    t_ok(json_at(json_get(j, "l"), 2) == NULL);
    t_ok(json_at(j, 0) == NULL);
    t_eq(json_integer(json_path(j, "o.p.q"), 0), 7);
    t_ok(json_path(j, "o.p.x") == NULL);
    t_ok(json_path(j, "s.t") == NULL);
    t_ok(json_path(j, "o.p.q.r") == NULL);

    CLEAN(buf_done) struct buf keys;
    buf_init(&keys, 64);
    json_each (member, j)
        buf_add_str(&keys, json_key(member));
    t_str(keys.data, "Keykeysbnlo");
    t_ok(json_key(json_at(json_get(j, "l"), 0)) == NULL);
}

T(building)
{
    CLEAN(json_free) struct json *j = json_new_object();
    struct json *list = json_new_array();

    json_append(list, json_new_number(1));
    json_append(list, json_new_string("two \"\n"));
    json_append(list, json_new_boolean(true));
    json_append(list, json_new_null());
    json_append(list, json_new_number(NAN));
    json_put(j, "list", list);
    json_put(j, "A", json_new_number(1));
    json_put(j, "a", json_new_number(2)); /* another key */
    json_put(j, "A", json_new_string("replaced"));
    json_put(j, "gone", json_new_null());
    json_remove(j, "gone");
    json_remove(j, "gone");
    json_put(j, "copy", json_copy(json_get(j, "list")));
    json_append(json_edit(j, "copy"), json_new_object());
    json_put(json_edit_at(json_edit(j, "copy"), 5), "k", json_new_number(3));
    t_ok(json_edit(j, "none") == NULL);
    t_ok(json_edit_at(j, 0) == NULL);
    CLEAN(mem_free) char *text = json_print(j, false);
    t_str(text, "{\"list\":[1,\"two \\\"\\n\",true,null,null],\"A\":\"replaced\",\"a\":2,"
                "\"copy\":[1,\"two \\\"\\n\",true,null,null,{\"k\":3}]}");
}

/* The links of the library's list must hold after every kind of replacement. */
T(replace_then_append)
{
    for (int which = 0; which < 3; which++) {
        CLEAN(json_free) struct json *j = parse("{\"k0\":0,\"k1\":0,\"k2\":0}");
        char key[3] = {'k', (char)('0' + which), 0};
        json_put(j, key, json_new_array());
        json_put(j, "new", json_new_number(1));
        json_remove(j, key);
        json_put(j, "last", json_new_number(2));
        t_eq(json_count(j), 4);
        t_ok(json_get(j, key) == NULL);
        t_eq(json_integer(json_get(j, "last"), 0), 2);
    }
    CLEAN(json_free) struct json *one = parse("{\"a\":1}");
    json_put(one, "a", json_new_number(2));
    json_put(one, "b", json_new_number(3));
    CLEAN(mem_free) char *text = json_print(one, false);
    t_str(text, "{\"a\":2,\"b\":3}");
}

T(pretty)
{
    CLEAN(json_free) struct json *j = parse("{\"a\":[1,{}],\"b\":[],\"c\":\"x:{,\\\"\"}");
    CLEAN(mem_free) char *text = json_print(j, true);

    t_str(text, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": [],\n  \"c\": \"x:{,\\\"\"\n}");
}

static void merges(int line, const char *target, const char *patch, const char *expected)
{
    CLEAN(json_free) struct json *t = parse(target);
    CLEAN(json_free) struct json *p = parse(patch);

    json_merge_patch(t, p);
    CLEAN(mem_free) char *text = json_print(t, false);
    t_str_(__FILE__, line, patch, text, expected);
}

T(merge_patch) /* cases of RFC 7386, appendix A */
{
    merges(__LINE__, "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
    merges(__LINE__, "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}");
    merges(__LINE__, "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}");
    merges(__LINE__, "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}");
    merges(__LINE__, "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}");
    merges(__LINE__, "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
           "{\"a\":{\"b\":\"d\"}}");
    merges(__LINE__, "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}");
    merges(__LINE__, "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}");
}

static bool equal(const char *a, const char *b)
{
    CLEAN(json_free) struct json *ja = parse(a);
    CLEAN(json_free) struct json *jb = parse(b);

    return json_equal(ja, jb);
}

T(equality)
{
    t_ok(equal("{\"a\":1,\"b\":[1,{}]}", "{\"b\":[1.0,{}],\"a\":1}"));
    t_ok(!equal("{\"a\":1}", "{\"a\":1,\"b\":2}"));
    t_ok(!equal("{\"a\":1,\"b\":2}", "{\"a\":1,\"c\":2}"));
    t_ok(!equal("[1,2]", "[2,1]"));
    t_ok(!equal("[1]", "[1,1]"));
    t_ok(!equal("\"1\"", "1"));
    t_ok(!equal("true", "false"));
    t_ok(equal("null", "null"));
    t_ok(json_equal(NULL, NULL));
}

/* json_next must not search: 100,000 members by json_each are quick, and so is comparing. */
T(big_objects_are_linear)
{
    struct buf b;
    size_t count = 0;

    buf_init(&b, 1 << 24);
    for (int i = 0; i < 50000; i++)
        buf_addf(&b, "%c\"key %d\":%d", i ? ',' : '{', i, i);
    buf_add_str(&b, "}");
    CLEAN(json_free) struct json *j = parse(b.data);
    CLEAN(json_free) struct json *copy = json_copy(j);
    for (int i = 0; i < 20; i++) {
        json_each (member, j)
            count++;
    }
    t_eq(count, 1000000);
    t_ok(json_equal(j, copy));
    buf_done(&b);
}
