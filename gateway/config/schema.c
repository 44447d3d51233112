/* From rows to JSON Schema (draft 2020-12): first the tree of dotted paths, then the field rows below
 * each structured part. */
#include "gateway/config/schema.h"

#include "base/mem.h"
#include "gateway/config/rows.h"

#include <ctype.h>
#include <string.h>

/* ---- field rows ---- */

static void write_field(const struct field *row, const char *help, struct json_writer *w);

static void write_type(struct json_writer *w, const char *type)
{
    jw_kstr(w, "type", type);
}

static void write_rows(const struct field *rows, struct json_writer *w)
{
    write_type(w, "object");
    jw_kobject(w, "properties");
    for (const struct field *row = rows; row->kind != FIELD_END; row++) {
        jw_key(w, row->key);
        write_field(row, row->help, w);
    }
    jw_object_end(w);
    jw_karray(w, "required");
    for (const struct field *row = rows; row->kind != FIELD_END; row++) {
        if (row->flags & FIELD_REQUIRED)
            jw_str(w, row->key);
    }
    jw_array_end(w);
}

static void write_enum(const char *const *names, struct json_writer *w)
{
    jw_karray(w, "enum");
    for (; *names; names++)
        jw_str(w, *names);
    jw_array_end(w);
}

static void write_items(const struct field *row, struct json_writer *w)
{
    write_type(w, "array");
    jw_kint(w, "maxItems", (int64_t)row->max);
    if (row->kind == FIELD_ARRAY)
        return;
    jw_kobject(w, "items");
    if (row->kind == FIELD_OBJECTS) {
        write_rows(row->sub, w);
    } else if (row->flags & FIELD_NUMBERS) {
        jw_karray(w, "type");
        jw_str(w, "string");
        jw_str(w, "number");
        jw_array_end(w);
    } else {
        write_type(w, "string");
        if (row->names)
            write_enum(row->names, w);
    }
    jw_object_end(w);
}

/* The members of the schema of a row without its alternatives. */
static void write_kind(const struct field *row, struct json_writer *w)
{
    switch (row->kind) {
    case FIELD_STR:
        write_type(w, "string");
        jw_kint(w, "maxLength", (int64_t)row->max);
        break;
    case FIELD_INT:
    case FIELD_NUM:
        write_type(w, row->kind == FIELD_INT ? "integer" : "number");
        jw_knum(w, "minimum", row->min);
        jw_knum(w, "maximum", row->max);
        break;
    case FIELD_BOOL: write_type(w, "boolean"); break;
    case FIELD_ENUM:
        write_type(w, "string");
        write_enum(row->names, w);
        break;
    case FIELD_STRS:
    case FIELD_OBJECTS:
    case FIELD_ARRAY: write_items(row, w); break;
    case FIELD_OBJECT: write_rows(row->sub, w); break;
    case FIELD_MAP:
        write_type(w, "object");
        if (row->sub) {
            jw_key(w, "additionalProperties");
            write_field(row->sub, NULL, w);
        }
        break;
    case FIELD_ANY:
    case FIELD_END: break;
    }
}

static void write_alternative(const char *type, struct json_writer *w)
{
    jw_object(w);
    write_type(w, type);
    jw_object_end(w);
}

static void write_field(const struct field *row, const char *help, struct json_writer *w)
{
    unsigned others = row->flags & (FIELD_OR_STRING | FIELD_OR_BOOL | FIELD_SECRET);

    jw_object(w);
    jw_kstr(w, "description", help);
    if (others) {
        jw_karray(w, "anyOf");
        jw_object(w);
        write_kind(row, w);
        jw_object_end(w);
        if (row->flags & FIELD_OR_STRING)
            write_alternative("string", w);
        if (row->flags & FIELD_OR_BOOL)
            write_alternative("boolean", w);
        if (row->flags & FIELD_SECRET)
            write_alternative("object", w); /* a secret reference */
        jw_array_end(w);
    } else {
        write_kind(row, w);
    }
    jw_object_end(w);
}

/* ---- scalars ---- */

static void write_names(const char *names, struct json_writer *w)
{
    if (strstr(names, "ADDR"))
        return; /* open: an address as well */
    jw_karray(w, "enum");
    for (const char *name = names; *name;) {
        size_t n = strcspn(name, "|");
        jw_strn(w, name, n);
        name += n + (name[n] == '|');
    }
    jw_array_end(w);
}

static void write_default(const struct knob_row *row, struct json_writer *w)
{
    int64_t number;

    if (!row->otherwise || !knob_parse(row, row->otherwise, &number))
        return;
    if (row->kind == KIND_INT)
        jw_kint(w, "default", number);
    else if (row->kind == KIND_BOOL)
        jw_kbool(w, "default", number != 0);
    else
        jw_kstr(w, "default", row->otherwise);
}

static void write_knob(const struct knob_row *row, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "description", row->help);
    switch (row->kind) {
    case KIND_INT:
        write_type(w, "integer");
        jw_knum(w, "minimum", row->min);
        jw_knum(w, "maximum", row->max);
        break;
    case KIND_BOOL: write_type(w, "boolean"); break;
    case KIND_ENUM:
        write_type(w, "string");
        write_names(row->names, w);
        break;
    case KIND_STR:
        write_type(w, "string");
        jw_kint(w, "minLength", (int64_t)row->min);
        jw_kint(w, "maxLength", (int64_t)row->max);
        break;
    case KIND_SECRET:
        jw_karray(w, "type"); /* or a secret reference */
        jw_str(w, "string");
        jw_str(w, "object");
        jw_array_end(w);
        break;
    }
    write_default(row, w);
    jw_object_end(w);
}

/* ---- the tree of paths ---- */

#define CHILDREN_MAX 128

struct children {
    struct json_slice keys[CHILDREN_MAX];
    size_t count;
};

static void on_child(void *arg, const char *key, size_t length)
{
    struct children *children = arg;

    for (size_t i = 0; i < children->count; i++) {
        const struct json_slice *have = &children->keys[i];
        if (have->length == length && !memcmp(have->at, key, length))
            return;
    }
    require(children->count <
            CHILDREN_MAX); /* the tables are constant: a test reaches this first */
    children->keys[children->count++] = (struct json_slice){key, length};
}

static void write_path(const char *path, struct json_writer *w);

static void write_node(const char *path, struct json_writer *w)
{
    const struct knob_row *knob = rows_knob(path);
    const struct part_row *part = rows_part(path);

    if (knob) {
        write_knob(knob, w);
    } else if (part) {
        write_field(&part->field, part->help, w);
    } else if (strcmp(path, ROWS_SHORT_FORM) == 0) {
        jw_object(w);
        jw_karray(w, "anyOf");
        write_alternative("string", w);
        write_path(path, w);
        jw_array_end(w);
        jw_object_end(w);
    } else if (rows_parent(path)) {
        write_path(path, w);
    } else { /* known, not used: anything */
        jw_object(w);
        jw_object_end(w);
    }
}

static void write_path(const char *path, struct json_writer *w)
{
    struct children *children = NEW(struct children);

    rows_children(path, on_child, children);
    jw_object(w);
    write_type(w, "object");
    jw_kobject(w, "properties");
    for (size_t i = 0; i < children->count; i++) {
        int length = (int)children->keys[i].length;
        CLEAN(mem_free) char *key = mem_format("%.*s", length, children->keys[i].at);
        CLEAN(mem_free) char *below = mem_format("%s%s%s", path, path[0] ? "." : "", key);
        jw_key(w, key);
        write_node(below, w);
    }
    jw_object_end(w);
    jw_kbool(w, "additionalProperties", false);
    jw_object_end(w);
    mem_free(children);
}

void schema_write(struct json_writer *w)
{
    write_path("", w);
}

/* ---- hints ---- */

/* "customBindHost" → "Custom bind host". */
static void write_label(const char *path, struct json_writer *w)
{
    const char *dot = strrchr(path, '.');
    CLEAN(buf_done) struct buf label;

    buf_init(&label, 256);
    for (const char *c = dot ? dot + 1 : path; *c; c++) {
        bool upper = isupper((unsigned char)*c);
        bool word = upper && label.length > 0;
        if (word)
            buf_add_char(&label, ' ');
        buf_add_char(&label, (char)(label.length == 0 ? toupper((unsigned char)*c)
                                                      : tolower((unsigned char)*c)));
    }
    jw_kstr(w, "label", label.bad ? NULL : label.data);
}

static void write_hint(const char *path, const char *help, bool sensitive, struct json_writer *w)
{
    jw_kobject(w, path);
    write_label(path, w);
    jw_kstr(w, "help", help);
    if (sensitive)
        jw_kbool(w, "sensitive", true);
    jw_object_end(w);
}

/* Secrets inside a part: "models.providers.*.apiKey". */
static void write_field_hints(const char *path, const struct field *row, struct json_writer *w)
{
    if (row->flags & FIELD_SECRET)
        write_hint(path, row->help, true, w);
    if (row->kind == FIELD_MAP && row->sub) {
        CLEAN(mem_free) char *below = mem_format("%s.*", path);
        write_field_hints(below, row->sub, w);
    }
    if (row->kind != FIELD_OBJECT && row->kind != FIELD_OBJECTS)
        return;
    for (const struct field *sub = row->sub; sub->kind != FIELD_END; sub++) {
        const char *item = row->kind == FIELD_OBJECTS ? "[]." : "";
        CLEAN(mem_free) char *below = mem_format("%s.%s%s", path, item, sub->key);
        write_field_hints(below, sub, w);
    }
}

void schema_write_hints(struct json_writer *w)
{
    jw_object(w);
    for (size_t i = 0; i < KNOB_COUNT; i++)
        write_hint(knob_rows[i].path, knob_rows[i].help, knob_rows[i].kind == KIND_SECRET, w);
    for (const struct part_row *part = part_rows; part->path; part++) {
        write_hint(part->path, part->help, false, w);
        write_field_hints(part->path, &part->field, w);
    }
    jw_object_end(w);
}
