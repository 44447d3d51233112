/* The writer: commas, escapes, numbers, ceilings. */
#include "tests/t.h"

#include "base/json.h"
#include "base/mem.h"

#include <math.h>
#include <stdlib.h>

T(commas_and_absent_members)
{
    CLEAN(buf_done) struct buf out;
    struct json_writer w;

    buf_init(&out, 4096);
    buf_add_str(&out, "head:");
    jw_init(&w, &out);
    jw_object(&w);
    jw_kstr(&w, "absent", NULL);
    jw_kraw(&w, "absent", NULL);
    jw_ktree(&w, "absent", NULL);
    jw_kstr(&w, "s", "x");
    jw_kobject(&w, "o");
    jw_object_end(&w);
    jw_karray(&w, "l");
    jw_int(&w, 1);
    jw_array(&w);
    jw_array_end(&w);
    jw_object(&w);
    jw_kbool(&w, "t", true);
    jw_kbool(&w, "f", false);
    jw_object_end(&w);
    jw_raw(&w, "{\"r\":0}", 7);
    jw_array_end(&w);
    jw_knull(&w, "n");
    jw_kint(&w, "i", -5);
    jw_knum(&w, "d", 0.5);
    jw_kraw(&w, "raw", "[1]");
    jw_object_end(&w);
    t_str(out.data, "head:{\"s\":\"x\",\"o\":{},\"l\":[1,[],{\"t\":true,\"f\":false},{\"r\":0}],"
                    "\"n\":null,\"i\":-5,\"d\":0.5,\"raw\":[1]}");
    t_eq(w.depth, 0);
}

static void writes(int line, const char *text, size_t length, const char *expected)
{
    CLEAN(buf_done) struct buf out;
    struct json_writer w;

    buf_init(&out, 4096);
    jw_init(&w, &out);
    jw_strn(&w, text, length);
    t_str_(__FILE__, line, "string", out.data, expected);
    t_eq(json_scan(out.data, out.length, NULL), 0);
}
#define t_writes(text, expected) writes(__LINE__, text, sizeof(text) - 1, expected)

T(strings)
{
    t_writes("", "\"\"");
    t_writes("plain text of some length /", "\"plain text of some length /\"");
    t_writes("\"\\\b\f\n\r\t\x01\x1f", "\"\\\"\\\\\\b\\f\\n\\r\\t\\u0001\\u001f\"");
    t_writes("12345678\"12345678", "\"12345678\\\"12345678\"");
    t_writes("\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\"");
    t_writes("a\x80z", "\"a\xef\xbf\xbdz\"");
    t_writes("a\xe2\x82", "\"a\xef\xbf\xbd\xef\xbf\xbd\"");
    t_writes("\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    t_writes("a\0b", "\"a\xef\xbf\xbd"
                     "b\"");
}

/* Every byte alone comes back from our own parser, or as U+FFFD where it is no text. */
T(every_byte)
{
    for (int c = 1; c < 256; c++) {
        char text[2] = {(char)c, 0};
        CLEAN(json_free) struct json *j = json_new_string(text);
        CLEAN(mem_free) char *printed = json_print(j, false);
        CLEAN(json_free) struct json *back = json_parse(printed, strlen(printed), NULL);
        t_str(json_string(back, NULL), c < 0x80 ? text : "\xef\xbf\xbd");
    }
}

static void writes_int(int64_t value, const char *expected)
{
    CLEAN(buf_done) struct buf out;
    struct json_writer w;

    buf_init(&out, 64);
    jw_init(&w, &out);
    jw_int(&w, value);
    t_str(out.data, expected);
}

T(integers)
{
    writes_int(0, "0");
    writes_int(7, "7");
    writes_int(-10, "-10");
    writes_int(INT64_MAX, "9223372036854775807");
    writes_int(INT64_MIN, "-9223372036854775808");
    writes_int(1795342612282, "1795342612282");
}

T(doubles_read_back)
{
    uint64_t seed = 88172645463325252ull;

    for (int i = 0; i < 20000; i++) {
        CLEAN(buf_done) struct buf out;
        struct json_writer w;
        double d;
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        memcpy(&d, &seed, sizeof(d));
        buf_init(&out, 64);
        jw_init(&w, &out);
        jw_num(&w, d);
        if (isfinite(d))
            t_ok(strtod(out.data, NULL) == d);
        else
            t_str(out.data, "null");
        t_eq(json_scan(out.data, out.length, NULL), 0);
    }
}

T(a_full_buffer_is_bad_once_and_for_all)
{
    CLEAN(buf_done) struct buf out;
    struct json_writer w;

    buf_init(&out, 20);
    jw_init(&w, &out);
    jw_array(&w);
    for (int i = 0; i < 10; i++)
        jw_str(&w, i % 2 ? "plain" : "esc\n");
    jw_array_end(&w);
    t_ok(out.bad);
    t_eq(out.length, 0);
}

T(deep_trees)
{
    CLEAN(json_free) struct json *root = json_new_array();
    struct json *at = root;

    for (int i = 0; i < 200; i++) {
        json_append(at, json_new_array());
        at = json_edit_at(at, 0);
    }
    CLEAN(mem_free) char *text = json_print(root, false);
    t_eq(strlen(text), 402);
    t_ok(strchr(text, ',') == NULL);
}
