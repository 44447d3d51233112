/* The scanner: what passes, what is refused and why. */
#include "tests/t.h"

#include "base/json.h"
#include "base/mem.h"

#include <stdlib.h>
#include <time.h>

static bool scans(const char *text)
{
    struct fault fault;

    return json_scan(text, strlen(text), &fault) == 0;
}

static void refuses(int line, const char *text, const char *why)
{
    struct fault fault = {.text = ""};

    if (json_scan(text, strlen(text), &fault) >= 0)
        t_fail(__FILE__, line, "scanned: %s", text);
    else if (!strstr(fault.text, why))
        t_fail(__FILE__, line, "%s\n      refused with %s\n      expected     %s", text, fault.text,
               why);
}
#define t_refuses(text, why) refuses(__LINE__, text, why)

T(grammar_accepts)
{
    static const char *const good[] = {"{}",
                                       "[]",
                                       "null",
                                       "true",
                                       "false",
                                       "0",
                                       "-0",
                                       "1.5e-3",
                                       "1E+2",
                                       "\"\"",
                                       " \t\r\n[ 1 , 2 ] ",
                                       "{\"a\":{\"b\":[null,{}]}}",
                                       "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\"",
                                       "\"\\ud83d\\ude00\"",
                                       "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\x7f\"",
                                       "{\"\":0}",
                                       "9007199254740992",
                                       "-9007199254740992",
                                       "9007199254740993.0",
                                       "1e300",
                                       "5e-324",
                                       "123456789012345"};

    for (size_t i = 0; i < COUNT(good); i++)
        if (!scans(good[i]))
            t_fail(__FILE__, __LINE__, "refused: %s", good[i]);
}

T(grammar_refuses)
{
    t_refuses("", "ends too early");
    t_eq(json_scan(NULL, 0, NULL), -ERR_INVALID);
    t_refuses("[1", "ends too early");
    t_refuses("{\"a\"", "ends too early");
    t_refuses("{\"a\":", "ends too early");
    t_refuses("[1,]", "expected a value");
    t_refuses("{\"a\":1,}", "expected a key");
    t_refuses("{a:1}", "expected a key");
    t_refuses("{'a':1}", "expected a key");
    t_refuses("{\"a\" 1}", "expected :");
    t_refuses("[1 2]", "expected , or ]");
    t_refuses("{\"a\":1 \"b\":2}", "expected , or }");
    t_refuses("[1}", "expected , or ]");
    t_refuses("tru", "expected a value");
    t_refuses("nulls", "text after the value");
    t_refuses("{} {}", "text after the value (byte 3)");
    t_refuses("01", "must not start with 0");
    t_refuses("-", "ends too early");
    t_refuses("+1", "expected a value");
    t_refuses(".5", "expected a value");
    t_refuses("1.", "decimal point");
    t_refuses("1e", "exponent");
    t_refuses("1e+", "exponent");
    t_refuses("NaN", "expected a value");
    t_refuses("\xef\xbb\xbf{}", "expected a value");
    t_refuses("//x\n1", "expected a value");
    t_refuses("\v1", "expected a value");
}

T(strings_refused)
{
    t_refuses("\"abc", "ends inside a string");
    t_refuses("\"abc\\", "ends inside a string");
    t_refuses("\"a\nb\"", "control character");
    t_refuses("\"12345678\x01\"", "control character");
    t_refuses("\"\\x\"", "unknown escape");
    t_refuses("\"\\u12\"", "four hexadecimal digits");
    t_refuses("\"\\u12g4\"", "four hexadecimal digits");
    t_refuses("\"\\u0000\"", "\\u0000");
    t_refuses("\"\\ud800\"", "lone surrogate");
    t_refuses("\"\\udc00\"", "lone surrogate");
    t_refuses("\"\\ud800\\u0041\"", "lone surrogate");
    t_refuses("\"\\ud800\\ud800\"", "lone surrogate");
    t_refuses("\"\\ud800x\"", "lone surrogate");
    struct fault fault;
    t_eq(json_scan("\"a\0b\"", 5, &fault), -ERR_INVALID);
    t_has(fault.text, "control character in a string (byte 2)");
    t_eq(json_scan("1\0", 2, &fault), -ERR_INVALID);
}

T(utf8)
{
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xe0\x80\x80",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xe2\x82",
                                      "\xf0\x80\x80\x80",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xe2\x28\xa1"};
    char text[64];

    for (size_t i = 0; i < COUNT(bad); i++) {
        snprintf(text, sizeof(text), "\"12345%s\"", bad[i]);
        t_refuses(text, "not valid UTF-8 (byte 6)");
        t_ok(!json_is_utf8(bad[i], strlen(bad[i])));
    }
    t_ok(json_is_utf8("\xc2\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf", 12));
    t_ok(json_is_utf8("", 0));
    t_ok(!json_is_utf8("a\0b", 3));
}

T(numbers_refused)
{
    char text[128];

    t_refuses("9007199254740993", "beyond 2^53");
    t_refuses("-9007199254740993", "beyond 2^53");
    t_refuses("[12345678901234567890]", "beyond 2^53 (send it as a string) (byte 1)");
    t_refuses("1e400", "out of range");
    snprintf(text, sizeof(text), "0.%061d", 1);
    t_ok(scans(text)); /* 63 characters */
    snprintf(text, sizeof(text), "0.%062d", 1);
    t_refuses(text, "longer than 63");
}

static char *repeat(const char *unit, size_t count, const char *before, const char *after)
{
    struct buf b;

    buf_init(&b, SIZE_MAX / 4);
    buf_add_str(&b, before);
    for (size_t i = 0; i < count; i++)
        buf_add_str(&b, unit);
    buf_add_str(&b, after);
    return buf_take(&b);
}

T(depth)
{
    CLEAN(mem_free) char *open = repeat("[", 64, "", "");
    CLEAN(mem_free) char *good = repeat("]", 64, open, "");
    CLEAN(mem_free) char *deep = repeat("]", 65, "[", "");
    CLEAN(mem_free) char *objects = repeat("{\"a\":", 65, "", "");

    t_ok(scans(good));
    CLEAN(mem_free) char *bad = mem_format("%s%s", open, deep);
    t_refuses(bad, "deeper than 64 levels (byte 64)");
    t_refuses(objects, "deeper than 64 levels");
}

T(value_ceiling)
{
    CLEAN(mem_free) char *good = repeat(",0", JSON_VALUES_MAX - 2, "[0", "]");
    CLEAN(mem_free) char *bad = repeat(",0", JSON_VALUES_MAX - 1, "[0", "]");

    t_ok(scans(good));
    t_refuses(bad, "more than 100000 values");
}

static double cpu_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* The limits are what makes hostile text cheap, so this is about orders of magnitude. */
T(hostile_is_cheap)
{
    CLEAN(mem_free) char *zeros = repeat(",0", 13000000, "[0", "]");
    struct buf keys;

    double start = cpu_ms();
    t_refuses(zeros, "more than 100000 values");
    t_ok(cpu_ms() - start < 200);
    buf_init(&keys, 1 << 24);
    buf_add_str(&keys, "{\"k\":0");
    for (int i = 0; i < JSON_VALUES_MAX - 2; i++)
        buf_addf(&keys, ",\"key number %d\":0", i);
    buf_add_str(&keys, "}");
    start = cpu_ms();
    t_ok(scans(keys.data));
    t_ok(cpu_ms() - start < 2000); /* quadratic would be a minute */
    buf_done(&keys);
}

T(duplicate_keys)
{
    t_refuses("{\"a\":1,\"a\":2}", "same key twice in one object (byte 7)");
    t_refuses("{\"a\":1,\"\\u0061\":2}", "same key twice");
    t_refuses("{\"\\u00e9\":1,\"\xc3\xa9\":2}", "same key twice");
    t_refuses("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}", "same key twice");
    t_refuses("{\"\\/\":1,\"/\":2}", "same key twice");
    t_refuses("{\"\\n\":1,\"\\u000a\":2}", "same key twice");
    t_refuses("{\"\":1,\"\":2}", "same key twice");
    t_refuses("[{\"x\":{\"a\":1,\"b\":2,\"a\":3}}]", "same key twice");
    t_ok(scans("{\"a\":{\"a\":{\"a\":1}},\"b\":[{\"a\":1},{\"a\":1}]}"));
    t_ok(scans("{\"a\":1,\"A\":2,\"\\u0041b\":3,\"ab\":4}"));
}

/* Above eight keys the table takes over; every position must still be found. */
T(duplicate_keys_in_big_objects)
{
    for (int twice = 0; twice < 40; twice++) {
        struct buf b;
        buf_init(&b, 1 << 16);
        buf_add_str(&b, "[{\"k0\":1,\"k39\":1},{");
        for (int i = 0; i < 40; i++)
            buf_addf(&b, "\"k%d\":{\"k0\":%d},", i, i);
        CLEAN(mem_free) char *good = mem_format("%s\"last\":0}]", b.data);
        CLEAN(mem_free) char *bad = mem_format("%s\"\\u006b%d\":0}]", b.data, twice);
        t_ok(scans(good));
        t_refuses(bad, "same key twice");
        buf_done(&b);
    }
}

T(members)
{
    static const char *const wanted[] = {"a", "b", "c", NULL};
    const char *text = " {\"x\":{\"a\":9},\"b\" : \"\\u0041\" , \"\\u0061\":[1, 2],\"z\":0} ";
    struct json_slice got[3];
    struct fault fault;

    t_eq(json_scan_members(text, strlen(text), wanted, got, &fault), 0);
    t_eq(got[0].length, strlen("[1, 2]"));
    t_ok(memcmp(got[0].at, "[1, 2]", 6) == 0);
    t_eq(got[1].length, strlen("\"\\u0041\""));
    t_ok(memcmp(got[1].at, "\"\\u0041\"", 8) == 0);
    t_ok(got[2].at == NULL);

    t_eq(json_scan_members("[1]", 3, wanted, got, &fault), -ERR_INVALID);
    t_has(fault.text, "expected an object");
    t_eq(json_scan_members("", 0, wanted, got, &fault), -ERR_INVALID);
    t_eq(json_scan_members("{\"b\":1,", 7, wanted, got, &fault), -ERR_INVALID);
    t_ok(got[1].at && *got[1].at == '1'); /* read before the trouble */
}

T(what_is_no_json_and_what_is_more_than_we_take_are_told_apart)
{
    static const struct {
        const char *text;
        int code;
    } rows[] = {
        {"{\"a\":1", -ERR_INVALID},
        {"nope", -ERR_INVALID},
        {"[01]", -ERR_INVALID},
        {"1 2", -ERR_INVALID},
        {"\"\xc3\x28\"", -ERR_INVALID},
        {"{\"a\":1,\"a\":2}", -ERR_UNSUPPORTED},
        {"9007199254740993", -ERR_UNSUPPORTED},
        {"1e999", -ERR_UNSUPPORTED},
        {"\"\\u0000\"", -ERR_UNSUPPORTED},
        {"\"\\ud800\"", -ERR_UNSUPPORTED},
        {"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", -ERR_UNSUPPORTED},
    };

    for (size_t i = 0; i < COUNT(rows); i++)
        t_eq_(__FILE__, __LINE__, rows[i].text, "code",
              json_scan(rows[i].text, strlen(rows[i].text), NULL), rows[i].code);
}
