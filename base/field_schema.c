/* Field tables as JSON Schema, draft 2020-12: exactly the set that field.c accepts. */
#include "base/field.h"

#include <string.h>

static void schema_object(const struct field *fields, struct json_writer *w);
static void schema_value(const struct field *f, struct json_writer *w);

/* "type":"string" or "type":["string","null"]. */
static void schema_type(const struct field *f, const char *type, struct json_writer *w)
{
    if (!(f->flags & FIELD_NULLABLE)) {
        jw_kstr(w, "type", type);
        return;
    }
    jw_karray(w, "type");
    jw_str(w, type);
    jw_str(w, "null");
    jw_array_end(w);
}

static void schema_max(const char *key, double max, struct json_writer *w)
{
    if (max > 0 && max < FIELD_UNBOUNDED)
        jw_knum(w, key, max);
}

static void schema_nonempty(const struct field *f, struct json_writer *w)
{
    if (!(f->flags & FIELD_NONEMPTY))
        return;
    jw_kint(w, "minLength", 1);
    jw_kstr(w, "pattern", FIELD_NONEMPTY_PATTERN);
}

static void schema_default(const struct field *f, struct json_writer *w)
{
    double d = f->otherwise;

    /* 0 also stands for "no default told", and a value out of range for "not given". */
    if ((f->flags & FIELD_REQUIRED) || d == 0)
        return;
    if (f->kind == FIELD_BOOL)
        jw_kbool(w, "default", true);
    else if (f->kind != FIELD_ENUM && d >= f->min && d <= f->max)
        jw_knum(w, "default", d);
}

static void schema_str(const struct field *f, struct json_writer *w)
{
    schema_type(f, "string", w);
    schema_nonempty(f, w);
    schema_max("maxLength", f->max, w);
}

static void schema_number(const struct field *f, struct json_writer *w)
{
    schema_type(f, f->kind == FIELD_INT ? "integer" : "number", w);
    if (f->min > -FIELD_NUM_UNBOUNDED)
        jw_knum(w, "minimum", f->min);
    if (f->max < FIELD_NUM_UNBOUNDED)
        jw_knum(w, "maximum", f->max);
    schema_default(f, w);
}

static void schema_bool(const struct field *f, struct json_writer *w)
{
    schema_type(f, "boolean", w);
    schema_default(f, w);
}

static void schema_enum(const struct field *f, struct json_writer *w)
{
    jw_karray(w, "enum");
    for (size_t i = 0; f->names[i]; i++)
        jw_str(w, f->names[i]);
    if (f->flags & FIELD_NULLABLE)
        jw_null(w);
    jw_array_end(w);
}

static void schema_strs(const struct field *f, struct json_writer *w)
{
    schema_type(f, "array", w);
    jw_kobject(w, "items");
    jw_kstr(w, "type", "string");
    schema_nonempty(f, w);
    jw_object_end(w);
    schema_max("maxItems", f->max, w);
}

static void schema_sub(const struct field *f, struct json_writer *w)
{
    schema_type(f, "object", w);
    if (f->sub)
        schema_object(f->sub, w);
}

static void schema_objects(const struct field *f, struct json_writer *w)
{
    schema_type(f, "array", w);
    jw_kobject(w, "items");
    jw_kstr(w, "type", "object");
    if (f->sub)
        schema_object(f->sub, w);
    jw_object_end(w);
    schema_max("maxItems", f->max, w);
}

static void schema_map(const struct field *f, struct json_writer *w)
{
    schema_type(f, "object", w);
    if (!f->sub)
        return;
    jw_key(w, "additionalProperties");
    schema_value(f->sub, w);
}

static void schema_any(const struct field *f, struct json_writer *w)
{
    if (!f->names)
        return;
    jw_karray(w, "enum");
    jw_bool(w, true);
    jw_bool(w, false);
    for (size_t i = 0; f->names[i]; i++)
        jw_str(w, f->names[i]);
    jw_array_end(w);
}

static void schema_array(const struct field *f, struct json_writer *w)
{
    schema_type(f, "array", w);
    schema_max("maxItems", f->max, w);
}

static void schema_value(const struct field *f, struct json_writer *w)
{
    typedef void print_fn(const struct field *f, struct json_writer *w);
    static print_fn *const prints[] = {
        [FIELD_STR] = schema_str,    [FIELD_INT] = schema_number,      [FIELD_NUM] = schema_number,
        [FIELD_BOOL] = schema_bool,  [FIELD_ENUM] = schema_enum,       [FIELD_STRS] = schema_strs,
        [FIELD_OBJECT] = schema_sub, [FIELD_OBJECTS] = schema_objects, [FIELD_MAP] = schema_map,
        [FIELD_ANY] = schema_any,    [FIELD_ARRAY] = schema_array,
    };

    jw_object(w);
    jw_kstr(w, "description", f->help);
    prints[f->kind](f, w);
    jw_object_end(w);
}

static bool has_alias(const struct field *f)
{
    return f[1].kind != FIELD_END && (f[1].flags & FIELD_ALIAS);
}

static bool is_required(const struct field *f, bool with_alias)
{
    return (f->flags & FIELD_REQUIRED) && !(f->flags & FIELD_ALIAS) && has_alias(f) == with_alias;
}

static bool any_required(const struct field *fields, bool with_alias)
{
    for (const struct field *f = fields; f->kind != FIELD_END; f++)
        if (is_required(f, with_alias))
            return true;
    return false;
}

/* A required member under one of several spellings. */
static void schema_spellings(const struct field *f, struct json_writer *w)
{
    jw_object(w);
    jw_karray(w, "anyOf");
    do {
        jw_object(w);
        jw_karray(w, "required");
        jw_str(w, f->key);
        jw_array_end(w);
        jw_object_end(w);
        f++;
    } while (f->kind != FIELD_END && (f->flags & FIELD_ALIAS));
    jw_array_end(w);
    jw_object_end(w);
}

static void schema_object(const struct field *fields, struct json_writer *w)
{
    jw_kobject(w, "properties");
    for (const struct field *f = fields; f->kind != FIELD_END; f++) {
        jw_key(w, f->key);
        schema_value(f, w);
    }
    jw_object_end(w);
    if (any_required(fields, /* with_alias= */ false)) {
        jw_karray(w, "required");
        for (const struct field *f = fields; f->kind != FIELD_END; f++)
            if (is_required(f, false))
                jw_str(w, f->key);
        jw_array_end(w);
    }
    if (any_required(fields, /* with_alias= */ true)) {
        jw_karray(w, "allOf");
        for (const struct field *f = fields; f->kind != FIELD_END; f++)
            if (is_required(f, true))
                schema_spellings(f, w);
        jw_array_end(w);
    }
}

void field_schema(const struct shape *shape, struct json_writer *w)
{
    struct field row = {
        .kind = shape->kind, .flags = shape->nullable ? FIELD_NULLABLE : 0, .sub = shape->fields};

    schema_value(&row, w);
}
