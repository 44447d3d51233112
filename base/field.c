/* Field tables at work: first the whole object is checked, then the struct is filled, which cannot fail
 * any more. The words of a fault are the reference validator's (protocol.md 2.5). field_schema.c prints
 * the same rows as JSON Schema; tests/unit/base/field_test.c holds both to the same set. */
#include "base/field.h"

#include <math.h>
#include <string.h>

#define PLACE_TEXT_MAX  65536
#define PLACE_SHOWN_MAX 200 /* bytes; a fault holds FAULT_TEXT_MAX */

/* Where in the document we are: a chain on the stack, printed only when something is wrong. */
struct place {
    const struct place *up;
    const char *key; /* NULL: index counts */
    size_t index;
};

typedef int check_fn(const struct field *f, const struct json *v, const struct place *at,
                     struct fault *fault);
typedef void fill_fn(const struct field *f, const struct json *v, void *to);

/* What the kinds do; v of a fill is NULL when the member is absent or null. */
struct kind_row {
    check_fn *check;
    fill_fn *fill;
};

static const struct kind_row kind_rows[];

static int check_object(const struct field *fields, const struct json *object,
                        const struct place *at, struct fault *fault);
static void fill_object(const struct field *fields, const struct json *object, void *dest);

/* ---- saying where and what ---- */

static void place_print(const struct place *at, struct buf *out)
{
    if (!at)
        return;
    place_print(at->up, out);
    if (!at->key) {
        buf_addf(out, "/%zu", at->index);
        return;
    }
    buf_add_char(out, '/');
    for (const char *c = at->key; *c; c++) { /* JSON Pointer, RFC 6901 */
        if (*c == '~' || *c == '/')
            buf_add_str(out, *c == '~' ? "~0" : "~1");
        else
            buf_add_char(out, *c);
    }
}

/* A hostile key must not push the reason out of the fault: the rest of a long place is left out. */
static void place_shorten(struct buf *where)
{
    if (where->length <= PLACE_SHOWN_MAX)
        return;
    where->length = PLACE_SHOWN_MAX;
    while (((unsigned char)where->data[where->length] & 0xc0) == 0x80)
        where->length--;
    buf_add_str(where, "\xe2\x80\xa6"); /* … */
}

/* As the reference: "at /a/b: what", at the root just "what". */
static int refuse(const struct place *at, struct fault *fault, const char *what)
{
    if (!at)
        return fault_set(fault, -ERR_INVALID, "%s", what);
    CLEAN(buf_done) struct buf where;
    buf_init(&where, PLACE_TEXT_MAX);
    place_print(at, &where);
    if (where.bad)
        return fault_set(fault, -ERR_INVALID, "at a member with a very long name: %s", what);
    place_shorten(&where);
    return fault_set(fault, -ERR_INVALID, "at %s: %s", where.data, what);
}

static int refuse_limit(const struct place *at, struct fault *fault, const char *before,
                        double limit, const char *after)
{
    CLEAN(buf_done) struct buf what;
    struct json_writer w;

    buf_init(&what, 256);
    buf_add_str(&what, before);
    jw_init(&w, &what);
    jw_num(&w, limit);
    buf_add_str(&what, after);
    return refuse(at, fault, what.data);
}

static int refuse_missing(const struct place *at, struct fault *fault, const char *key)
{
    CLEAN(buf_done) struct buf what;

    buf_init(&what, 1024);
    buf_addf(&what, "must have required property '%s'", key);
    return refuse(at, fault, what.data);
}

/* ---- checks ---- */

static bool is_bounded(double max)
{
    return max > 0 && max < FIELD_UNBOUNDED;
}

static size_t code_points(const char *text)
{
    size_t count = 0;

    for (; *text; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\n\v\f\r")] == '\0';
}

static int check_text(const struct field *f, const struct json *v, const struct place *at,
                      struct fault *fault)
{
    const char *text = json_string(v, NULL);

    if (!text)
        return refuse(at, fault, "must be string");
    if ((f->flags & FIELD_NONEMPTY) && *text == '\0')
        return refuse(at, fault, "must NOT have fewer than 1 characters");
    if ((f->flags & FIELD_NONEMPTY) && is_blank(text))
        return refuse(at, fault, "must match pattern \"" FIELD_NONEMPTY_PATTERN "\"");
    return 0;
}

static int check_str(const struct field *f, const struct json *v, const struct place *at,
                     struct fault *fault)
{
    int r = check_text(f, v, at, fault);

    if (r == 0 && is_bounded(f->max) && (double)code_points(json_string(v, "")) > f->max)
        return refuse_limit(at, fault, "must NOT have more than ", f->max, " characters");
    return r;
}

static int check_range(const struct field *f, double d, const struct place *at, struct fault *fault)
{
    if (d < f->min && f->min > -FIELD_NUM_UNBOUNDED)
        return refuse_limit(at, fault, "must be >= ", f->min, "");
    if (d > f->max && f->max < FIELD_NUM_UNBOUNDED)
        return refuse_limit(at, fault, "must be <= ", f->max, "");
    return 0;
}

static int check_int(const struct field *f, const struct json *v, const struct place *at,
                     struct fault *fault)
{
    double d = json_number(v, NAN);

    if (!(d == floor(d)))
        return refuse(at, fault, "must be integer");
    return check_range(f, d, at, fault);
}

static int check_num(const struct field *f, const struct json *v, const struct place *at,
                     struct fault *fault)
{
    if (json_kind(v) != JSON_NUMBER)
        return refuse(at, fault, "must be number");
    return check_range(f, json_number(v, 0), at, fault);
}

static int check_bool(const struct field *f, const struct json *v, const struct place *at,
                      struct fault *fault)
{
    (void)f;
    return json_kind(v) == JSON_BOOL ? 0 : refuse(at, fault, "must be boolean");
}

static int enum_index(const struct field *f, const struct json *v)
{
    const char *text = json_string(v, NULL);

    for (int i = 0; text && f->names[i]; i++)
        if (strcmp(f->names[i], text) == 0)
            return i;
    return -1;
}

static int check_enum(const struct field *f, const struct json *v, const struct place *at,
                      struct fault *fault)
{
    return enum_index(f, v) >= 0 ? 0
                                 : refuse(at, fault, "must be equal to one of the allowed values");
}

static int check_array(const struct field *f, const struct json *v, const struct place *at,
                       struct fault *fault)
{
    if (json_kind(v) != JSON_ARRAY)
        return refuse(at, fault, "must be array");
    if (is_bounded(f->max) && (double)json_count(v) > f->max)
        return refuse_limit(at, fault, "must NOT have more than ", f->max, " items");
    return 0;
}

static int check_strs(const struct field *f, const struct json *v, const struct place *at,
                      struct fault *fault)
{
    struct place item_at = {.up = at};
    int r = check_array(f, v, at, fault);

    for (const struct json *item = r == 0 ? json_first(v) : NULL; item; item = json_next(item)) {
        r = check_text(f, item, &item_at, fault);
        if (r < 0)
            break;
        item_at.index++;
    }
    return r;
}

static int check_sub(const struct field *f, const struct json *v, const struct place *at,
                     struct fault *fault)
{
    return check_object(f->sub, v, at, fault);
}

static int check_objects(const struct field *f, const struct json *v, const struct place *at,
                         struct fault *fault)
{
    struct place item_at = {.up = at};
    int r = check_array(f, v, at, fault);

    for (const struct json *item = r == 0 ? json_first(v) : NULL; item; item = json_next(item)) {
        r = check_object(f->sub, item, &item_at, fault);
        if (r < 0)
            break;
        item_at.index++;
    }
    return r;
}

static int check_value(const struct field *f, const struct json *v, const struct place *at,
                       struct fault *fault)
{
    if ((f->flags & FIELD_NULLABLE) && json_kind(v) == JSON_NULL)
        return 0;
    return kind_rows[f->kind].check(f, v, at, fault);
}

static int check_map(const struct field *f, const struct json *v, const struct place *at,
                     struct fault *fault)
{
    struct place member_at = {.up = at};

    if (json_kind(v) != JSON_OBJECT)
        return refuse(at, fault, "must be object");
    for (const struct json *m = f->sub ? json_first(v) : NULL; m; m = json_next(m)) {
        member_at.key = json_key(m);
        int r = check_value(f->sub, m, &member_at, fault);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_any(const struct field *f, const struct json *v, const struct place *at,
                     struct fault *fault)
{
    if (!f->names || json_kind(v) == JSON_BOOL)
        return 0;
    return check_enum(f, v, at, fault);
}

/* The row's value under its key or one of the aliases that follow it; NULL: absent. */
static const struct json *find_value(const struct field *f, const struct json *object)
{
    const struct json *v = json_get(object, f->key);

    while (!v && (++f)->kind != FIELD_END && (f->flags & FIELD_ALIAS))
        v = json_get(object, f->key);
    return v;
}

static int check_required(const struct field *fields, const struct json *object,
                          const struct place *at, struct fault *fault)
{
    for (const struct field *f = fields; f->kind != FIELD_END; f++)
        if ((f->flags & FIELD_REQUIRED) && !(f->flags & FIELD_ALIAS) && !find_value(f, object))
            return refuse_missing(at, fault, f->key);
    return 0;
}

static int check_object(const struct field *fields, const struct json *object,
                        const struct place *at, struct fault *fault)
{
    if (json_kind(object) != JSON_OBJECT)
        return refuse(at, fault, "must be object");
    int r = fields ? check_required(fields, object, at, fault) : 0;
    for (const struct field *f = fields; r == 0 && f && f->kind != FIELD_END; f++) {
        struct place member_at = {.up = at, .key = f->key};
        const struct json *v = json_get(object, f->key);
        if (v)
            r = check_value(f, v, &member_at, fault);
    }
    return r;
}

/* ---- filling ---- */

static void fill_str(const struct field *f, const struct json *v, void *to)
{
    (void)f;
    *(const char **)to = json_string(v, NULL);
}

static void fill_int(const struct field *f, const struct json *v, void *to)
{
    *(int64_t *)to = json_integer(v, (int64_t)f->otherwise);
}

static void fill_num(const struct field *f, const struct json *v, void *to)
{
    *(double *)to = json_number(v, f->otherwise);
}

static void fill_bool(const struct field *f, const struct json *v, void *to)
{
    *(bool *)to = json_boolean(v, f->otherwise != 0);
}

static void fill_enum(const struct field *f, const struct json *v, void *to)
{
    *(int *)to = v ? enum_index(f, v) : (int)f->otherwise;
}

static void fill_tree(const struct field *f, const struct json *v, void *to)
{
    (void)f;
    *(const struct json **)to = v;
}

static void fill_sub(const struct field *f, const struct json *v, void *to)
{
    if (f->sub)
        fill_object(f->sub, v, to);
}

static void fill_object(const struct field *fields, const struct json *object, void *dest)
{
    for (const struct field *f = fields; f->kind != FIELD_END; f++) {
        if (f->flags & FIELD_ALIAS)
            continue;
        const struct json *v = find_value(f, object);
        bool null = v && json_kind(v) == JSON_NULL;
        if (f->set_at != FIELD_NO_SET)
            *(struct field_set *)(void *)((char *)dest + f->set_at) =
                (struct field_set){.given = v != NULL, .null = null};
        kind_rows[f->kind].fill(f, null && f->kind != FIELD_ANY ? NULL : v, (char *)dest + f->at);
    }
}

static const struct kind_row kind_rows[] = {
    [FIELD_STR] = {check_str, fill_str},      [FIELD_INT] = {check_int, fill_int},
    [FIELD_NUM] = {check_num, fill_num},      [FIELD_BOOL] = {check_bool, fill_bool},
    [FIELD_ENUM] = {check_enum, fill_enum},   [FIELD_STRS] = {check_strs, fill_tree},
    [FIELD_OBJECT] = {check_sub, fill_sub},   [FIELD_OBJECTS] = {check_objects, fill_tree},
    [FIELD_MAP] = {check_map, fill_tree},     [FIELD_ANY] = {check_any, fill_tree},
    [FIELD_ARRAY] = {check_array, fill_tree},
};

/* ---- the two ways in ---- */

int field_decode(const struct field *fields, const struct json *object, void *dest, size_t size,
                 struct fault *reterr_fault)
{
    memset(dest, 0, size);
    if (json_kind(object) == JSON_NULL) {
        int r = check_required(fields, NULL, NULL, reterr_fault);
        if (r == 0)
            fill_object(fields, NULL, dest);
        return r;
    }
    int r = check_object(fields, object, NULL, reterr_fault);
    if (r == 0)
        fill_object(fields, object, dest);
    return r;
}

int field_check(const struct shape *shape, const struct json *value, struct fault *reterr_fault)
{
    struct field row = {
        .kind = shape->kind, .flags = shape->nullable ? FIELD_NULLABLE : 0, .sub = shape->fields};

    return check_value(&row, value, NULL, reterr_fault);
}
