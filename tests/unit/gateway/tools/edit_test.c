/* Passages of a text, replaced. */
#include "gateway/tools/edit.h"

#include "base/mem.h"
#include "tests/t.h"

static int apply(const char *text, const char *edits, struct buf *out, struct fault *fault)
{
    CLEAN(json_free) struct json *list = json_parse(edits, strlen(edits), NULL);

    t_ok(list != NULL);
    buf_init(out, 1 << 16);
    return edit_apply(text, strlen(text), list, out, fault);
}

static void good(const char *text, const char *edits, const char *after)
{
    struct fault fault = {0};
    struct buf out;

    t_eq(apply(text, edits, &out, &fault), 0);
    t_str(out.data ? out.data : "", after);
    buf_done(&out);
}

static void bad(const char *text, const char *edits, int code)
{
    struct fault fault = {0};
    struct buf out;

    t_eq(apply(text, edits, &out, &fault), code);
    t_ok(fault.text[0] != '\0');
    buf_done(&out);
}

#define E(old, new) "{\"oldText\":\"" old "\",\"newText\":\"" new "\"}"

T(replaces)
{
    good("one two three", "[" E("two", "2") "]", "one 2 three");
    good("one two three", "[" E("three", "3") "," E("one", "") "]", " two 3");
    good("abc", "[" E("abc", "") "]", "");
    good("a\nb\n", "[" E("a\\nb", "b\\na") "]", "b\na\n");
    /* In the text as it was: what one edit brings is not what another one finds. */
    good("a b", "[" E("a", "b") "," E("b", "a") "]", "b a");
}

T(keeps_line_ends)
{
    good("a\r\nb\r\nc", "[" E("a\\nb", "x\\ny") "]", "x\r\ny\r\nc");
    good("a\r\nb", "[" E("a\\r\\nb", "x\\ny") "]", "x\ny");
}

T(refuses)
{
    bad("one", "[]", -ERR_INVALID);
    bad("one", "[" E("", "x") "]", -ERR_INVALID);
    bad("one", "[" E("two", "x") "]", -ERR_NOT_FOUND);
    bad("one one", "[" E("one", "x") "]", -ERR_CONFLICT);
    bad("aaa", "[" E("aa", "x") "]", -ERR_CONFLICT); /* overlapping places count */
    bad("abc", "[" E("ab", "x") "," E("bc", "y") "]", -ERR_CONFLICT);
    bad("abc", "[" E("ab", "x") "," E("ab", "y") "]", -ERR_CONFLICT);
}
