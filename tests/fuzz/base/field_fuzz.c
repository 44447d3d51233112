/* Field tables: check and decode agree, and what is decoded is within its row. */
#include "base/field.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static const char *const colours[] = {"red", "green", NULL};

struct inner {
    const char *name;
    int64_t count;
};
static const struct field inner_rows[] = {
    F_STR(inner, name, REQUIRED | FIELD_NONEMPTY, 8),
    F_INT(inner, count, OPTIONAL, -5, 5, 1),
    F_END,
};

struct outer {
    const char *s, *alias;
    struct field_set s_set;
    int64_t i;
    double n;
    bool b;
    int e;
    const struct json *list, *items, *map, *any, *array;
    struct inner in;
};
static const struct field outer_rows[] = {
    F_STR_SET(outer, s, s_set, OPTIONAL, 4),
    F_STR(outer, alias, OPTIONAL | FIELD_NONEMPTY, 16),
    F_STR_K(outer, "other", alias, FIELD_ALIAS, 16),
    F_INT(outer, i, OPTIONAL, 1, 500, 50),
    F_NUM(outer, n, OPTIONAL, -1.5, 1.5, 0.5),
    F_BOOL(outer, b, OPTIONAL, 1),
    F_ENUM(outer, e, FIELD_NULLABLE, colours, 1),
    F_STRS(outer, list, OPTIONAL, 3),
    F_OBJECTS(outer, items, OPTIONAL, inner_rows, 3),
    F_MAP(outer, map, OPTIONAL, inner_rows),
    F_ANY(outer, any, OPTIONAL),
    F_ARRAY(outer, array, OPTIONAL, 2),
    F_OBJECT(outer, in, OPTIONAL, inner_rows),
    F_END,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct shape shape = {
        .kind = FIELD_OBJECT, .fields = outer_rows, .nullable = true};
    struct fault fault = {.text = ""};
    struct outer o;
    CLEAN(json_free) struct json *j = json_parse((const char *)data, size, NULL);

    if (!j)
        return 0;
    int r = field_decode(outer_rows, j, &o, sizeof(o), &fault);
    require(r == field_check(&shape, j, NULL));
    if (r < 0) {
        require(strstr(fault.text, "must ") != NULL &&
                json_is_utf8(fault.text, strlen(fault.text)));
        return 0;
    }
    require(o.i >= 1 && o.i <= 500 && o.n >= -1.5 && o.n <= 1.5 && o.e >= 0 && o.e <= 1);
    require(json_count(o.list) <= 3 && json_count(o.items) <= 3 && json_count(o.array) <= 2);
    require(o.in.count >= -5 && o.in.count <= 5);
    require(!o.s || (o.s_set.given && !o.s_set.null && strlen(o.s) <= 16));
    return 0;
}
