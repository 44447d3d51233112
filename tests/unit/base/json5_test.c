/* JSON5: what it reads, and where a fault says the trouble is. */
#include "tests/t.h"

#include "base/json.h"
#include "base/mem.h"

static void reads(int line, const char *text, const char *expected)
{
    struct fault fault = {.text = ""};
    CLEAN(json_free) struct json *j = json5_parse(text, strlen(text), &fault);

    if (!j) {
        t_fail(__FILE__, line, "%s: %s", text, fault.text);
        return;
    }
    CLEAN(mem_free) char *printed = json_print(j, false);
    t_str_(__FILE__, line, text, printed, expected);
}
#define t_reads(text, expected) reads(__LINE__, text, expected)

static void refuses(int line, const char *text, const char *why)
{
    struct fault fault = {.text = ""};
    CLEAN(json_free) struct json *j = json5_parse(text, strlen(text), &fault);

    if (j)
        t_fail(__FILE__, line, "read: %s", text);
    else
        t_str_(__FILE__, line, text, fault.text, why);
}
#define t_refuses(text, why) refuses(__LINE__, text, why)

T(plain_json)
{
    t_reads("{\"a\":[1,-2.5e3,true,false,null,\"\\u00e9\\n\"]}",
            "{\"a\":[1,-2500,true,false,null,\"\xc3\xa9\\n\"]}");
    t_reads("\"x\"", "\"x\"");
    t_reads("[]", "[]");
}

T(comments_and_space)
{
    t_reads("// head\n{ /* in * / side */ a: 1, // tail\r\n b /**/ : 2 }\n// end",
            "{\"a\":1,\"b\":2}");
    t_reads("\xef\xbb\xbf\xc2\xa0[\v1,\f2]\xe2\x80\xa8", "[1,2]");
    t_reads("//\xe2\x80\xa8[1]", "[1]");
    t_reads("['// not a comment']", "[\"// not a comment\"]");
}

T(trailing_commas)
{
    t_reads("[1,2,]", "[1,2]");
    t_reads("{a:1,}", "{\"a\":1}");
    t_reads("{a:{b:1,},c:[[],],}", "{\"a\":{\"b\":1},\"c\":[[]]}");
}

T(keys)
{
    t_reads("{a_$1:1,$:2,_:3,'q\"':4,\"d'\":5,\xc3\xa9:6,\\u0061:7}",
            "{\"a_$1\":1,\"$\":2,\"_\":3,\"q\\\"\":4,\"d'\":5,\"\xc3\xa9\":6,\"a\":7}");
    t_reads("{null:1,true:2,Infinity:3}", "{\"null\":1,\"true\":2,\"Infinity\":3}");
}

T(strings)
{
    t_reads("'it\\'s \"q\"'", "\"it's \\\"q\\\"\"");
    t_reads("\"a\\\nb\\\r\nc\\\xe2\x80\xa8"
            "d\"",
            "\"abcd\"");
    t_reads("'\\x41\\v\\a\\$\\/'", "\"A\\u000ba$/\"");
    t_reads("'\\ud83d\\ude00'", "\"\xf0\x9f\x98\x80\"");
    t_reads("'tab\\there'", "\"tab\\there\"");
}

T(numbers)
{
    t_reads("[+1,.5,5.,-.5,0x1F,-0xff,+0X0,1e2,5.e1]", "[1,0.5,5,-0.5,31,-255,0,100,50]");
    t_reads("0x20000000000000", "9007199254740992");
}

T(faults_name_line_and_column)
{
    t_refuses("{\n  a: 1,\n  b: 1 2\n}", "line 3, column 8: expected ,");
    t_refuses("{\n  a: 1,\n  'a': 2\n}", "line 3, column 3: the same key twice in one object");
    t_refuses("{ a: Infinity }", "line 1, column 6: Infinity and NaN are not allowed");
    t_refuses("[-Infinity]", "line 1, column 3: Infinity and NaN are not allowed");
    t_refuses("[NaN]", "line 1, column 2: Infinity and NaN are not allowed");
    t_refuses("\n[1,,2]", "line 2, column 4: unexpected ,");
    t_refuses("[,]", "line 1, column 2: unexpected ,");
    t_refuses("{,}", "line 1, column 2: unexpected ,");
    t_refuses("{a}", "line 1, column 3: expected : after a key");
    t_refuses("{a b}", "line 1, column 4: expected : after a key");
    t_refuses("{a:}", "line 1, column 4: expected a value");
    t_refuses("{a:,}", "line 1, column 4: unexpected ,");
    t_refuses("[:]", "line 1, column 2: unexpected :");
    t_refuses("]", "line 1, column 1: nothing to close here");
    t_refuses("[}", "line 1, column 2: nothing to close here");
    t_refuses("[1", "line 1, column 3: the text ends too early");
    t_refuses("{a:1", "line 1, column 5: the text ends too early");
    t_refuses("", "line 1, column 1: the text ends too early");
    t_refuses("// only\n", "line 2, column 1: the text ends too early");
    t_refuses("{} {}", "line 1, column 4: text after the value");
    t_refuses("/* a\n b", "line 1, column 1: this comment is not closed");
    t_refuses("[\n 'abc\n]", "line 2, column 2: this string is not closed");
    t_refuses("'abc", "line 1, column 1: this string is not closed");
    t_refuses("'\\u12'", "line 1, column 4: \\u needs four hexadecimal digits");
    t_refuses("['\\u0000']", "line 1, column 2: \\u0000 is not allowed in strings");
    t_refuses("['\\0']", "line 1, column 3: a digit after \\ is not allowed in strings");
    t_refuses("['\\ud800']", "line 1, column 2: lone surrogate in a string");
    t_refuses("['\xc3\xa9', '\xff']", "line 1, column 7: the text is not valid UTF-8");
    t_refuses("[0x]", "line 1, column 4: 0x needs hexadecimal digits");
    t_refuses("[010]", "line 1, column 2: a number must not start with 0");
    t_refuses("[9007199254740993]", "line 1, column 2: integer beyond 2^53 (send it as a string)");
    t_refuses("[0xffffffffffffffff]", "line 1, column 18: integer beyond 2^53");
    t_refuses("[1.e]", "line 1, column 2: a digit must follow the exponent");
    t_refuses("[yes]", "line 1, column 2: expected a value");
    t_refuses("{1a:2}", "line 1, column 2: expected a key");
    t_refuses("[truex]", "line 1, column 6: expected ,");
}

T(limits)
{
    CLEAN(buf_done) struct buf b;
    struct fault fault;

    buf_init(&b, 1 << 24);
    for (int i = 0; i < 65; i++)
        buf_add_str(&b, "[\n");
    t_ok(json5_parse(b.data, b.length, &fault) == NULL);
    t_str(fault.text, "line 65, column 1: nested deeper than 64 levels");
    buf_clear(&b);
    buf_add_str(&b, "[");
    for (int i = 0; i < JSON_VALUES_MAX; i++)
        buf_add_str(&b, "0,");
    buf_add_str(&b, "]");
    t_ok(json5_parse(b.data, b.length, &fault) == NULL);
    t_has(fault.text, "more than 100000 values");
    t_ok(json5_parse("a\0b", 3, &fault) == NULL);
    t_ok(json5_parse("'a\0b'", 5, &fault) == NULL);
}
