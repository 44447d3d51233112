/* The check: down the tree with the dotted path in hand. At each member the tables say what it is: a
 * scalar (knob), a structured part (field rows, checked below), known and not used, the way to one of
 * those, or unknown; then the nearest known key beside it is offered. Messages name kinds and limits,
 * never the value that was there. */
#include "gateway/config/check.h"

#include "base/mem.h"
#include "base/nearest.h"
#include "gateway/config/rows.h"

#include <string.h>

struct checker {
    const struct sources *sources;
    struct issues *issues, *warnings;
};

static void check_say(const struct checker *c, struct issues *to, const struct step *at,
                      char *message)
{
    char path[CONFIG_PATH_MAX];
    int line = 0;
    const char *file = issues_full(to) ? NULL : sources_locate(c->sources, at, &line);

    issues_add(to, step_text(at, path, sizeof(path)), file, line, message);
}

static void check_expected(const struct checker *c, const struct step *at, const char *expected,
                           const struct json *got)
{
    check_say(c, c->issues, at,
              mem_format("expected %s, got %s", expected, json_kind_name(json_kind(got))));
}

static void check_unused(const struct checker *c, const struct step *at)
{
    check_say(c, c->warnings, at, mem_string("known, but this gateway does not use it; ignored"));
}

static void on_candidate(void *arg, const char *key, size_t length)
{
    nearest_try(arg, key, length);
}

/* Past the ceiling unknown keys are only counted: looking for the nearest one is the costly part. */
static bool check_has_room(const struct checker *c)
{
    if (!issues_full(c->issues))
        return true;
    c->issues->total++;
    return false;
}

static void check_unknown(const struct checker *c, const struct step *at, struct nearest *nearest)
{
    if (nearest->best[0])
        check_say(c, c->issues, at,
                  mem_format("unknown key; the nearest known one is \"%s\"", nearest->best));
    else
        check_say(c, c->issues, at, mem_string("unknown key; remove it"));
}

/* ---- scalars ---- */

static void check_knob(const struct checker *c, const struct knob_row *row, const struct step *at,
                       const struct json *value)
{
    CLEAN(mem_free) char *expected = knob_expected(row);
    CLEAN(mem_free) char *text = NULL;
    bool right = false;
    int64_t number;

    switch (row->kind) {
    case KIND_INT: right = json_is_integer(value); break;
    case KIND_BOOL: right = json_kind(value) == JSON_BOOL; break;
    case KIND_STR:
    case KIND_SECRET:
    case KIND_ENUM: right = json_kind(value) == JSON_STRING; break;
    }
    if (!right) {
        check_expected(c, at, expected, value);
        return;
    }
    if (row->kind == KIND_INT)
        text = mem_format("%lld", (long long)json_integer(value, 0));
    else
        text = mem_string(json_string(value, json_boolean(value, false) ? "true" : "false"));
    if (knob_parse(row, text, &number))
        return;
    struct nearest nearest;
    nearest_init(&nearest, text);
    for (const char *name = row->names ? row->names : ""; *name;) {
        size_t n = strcspn(name, "|");
        nearest_try(&nearest, name, n);
        name += n + (name[n] == '|');
    }
    check_say(c, c->issues, at,
              nearest.best[0]
                  ? mem_format("expected %s; the nearest is \"%s\"", expected, nearest.best)
                  : mem_format("expected %s", expected));
}

/* ---- structured parts ---- */

static void check_field(const struct checker *c, const struct field *row, const struct step *at,
                        const struct json *value);

static const struct field *find_row(const struct field *rows, const char *key)
{
    for (; rows->kind != FIELD_END; rows++) {
        if (strcmp(rows->key, key) == 0)
            return rows;
    }
    return NULL;
}

static void check_row_unknown(const struct checker *c, const struct field *rows,
                              const struct step *at)
{
    struct nearest nearest;

    if (rows_unused(at)) {
        check_unused(c, at);
        return;
    }
    if (!check_has_room(c))
        return;
    nearest_init(&nearest, at->key);
    for (const struct field *row = rows; row->kind != FIELD_END; row++)
        nearest_try(&nearest, row->key, strlen(row->key));
    check_unknown(c, at, &nearest);
}

static void check_object(const struct checker *c, const struct field *rows, const struct step *at,
                         const struct json *value)
{
    json_each (item, value) {
        struct step below = step_to(at, item, 0);
        const struct field *row = find_row(rows, json_key(item));
        if (row)
            check_field(c, row, &below, item);
        else
            check_row_unknown(c, rows, &below);
    }
    for (const struct field *row = rows; row->kind != FIELD_END; row++) {
        if ((row->flags & FIELD_REQUIRED) && !json_get(value, row->key))
            check_say(c, c->issues, at, mem_format("\"%s\" is missing", row->key));
    }
}

static void check_names(const struct checker *c, const struct field *row, const struct step *at,
                        const struct json *value)
{
    const char *text = json_string(value, "");
    CLEAN(buf_done) struct buf list;
    struct nearest nearest;

    buf_init(&list, 4096);
    nearest_init(&nearest, text);
    if ((row->flags & FIELD_NO_ADMIN) && strcmp(text, "operator.admin") == 0) {
        check_say(c, c->issues, at,
                  mem_string("an identity never gets operator.admin by itself; leave it out and "
                             "approve the device (culvert devices approve)"));
        return;
    }
    for (const char *const *name = row->names; *name; name++) {
        if (strcmp(*name, text) == 0)
            return;
        buf_addf(&list, "%s\"%s\"", name == row->names ? "" : ", ", *name);
        nearest_try(&nearest, *name, strlen(*name));
    }
    check_say(c, c->issues, at,
              nearest.best[0]
                  ? mem_format("expected one of %s; the nearest is \"%s\"", list.data, nearest.best)
                  : mem_format("expected one of %s", list.data));
}

static void check_items(const struct checker *c, const struct field *row, const struct step *at,
                        const struct json *value)
{
    size_t index = 0;

    if ((double)json_count(value) > row->max)
        check_say(c, c->issues, at, mem_format("more than %.0f items", row->max));
    json_each (item, value) {
        struct step below = step_to(at, item, index++);
        bool number = (row->flags & FIELD_NUMBERS) && json_kind(item) == JSON_NUMBER;
        if (row->kind == FIELD_OBJECTS && json_kind(item) == JSON_OBJECT)
            check_object(c, row->sub, &below, item);
        else if (row->kind == FIELD_OBJECTS)
            check_expected(c, &below, "an object", item);
        else if (row->kind == FIELD_STRS && json_kind(item) != JSON_STRING && !number)
            check_expected(c, &below, "a string", item);
        else if (row->kind == FIELD_STRS && row->names)
            check_names(c, row, &below, item);
    }
}

static void check_id(const struct checker *c, const struct step *at, const char *id)
{
    if (!rows_is_id(id))
        check_say(c, c->issues, at,
                  mem_string("expected an id of at most 64 small letters, digits, _ and -"));
}

static void check_map(const struct checker *c, const struct field *row, const struct step *at,
                      const struct json *value)
{
    json_each (item, value) {
        struct step below = step_to(at, item, 0);
        if (row->flags & FIELD_ID)
            check_id(c, &below, json_key(item));
        if (row->sub)
            check_field(c, row->sub, &below, item);
    }
}

static void check_number(const struct checker *c, const struct field *row, const struct step *at,
                         const struct json *value)
{
    double number = json_number(value, 0);

    if ((row->kind == FIELD_INT && !json_is_integer(value)) || number < row->min ||
        number > row->max)
        check_say(c, c->issues, at,
                  mem_format("expected %s from %.15g to %.15g",
                             row->kind == FIELD_INT ? "an integer" : "a number", row->min,
                             row->max));
}

/* What each kind of row looks like in JSON. */
static const struct {
    enum json_kind kind;
    const char *expected;
} field_looks[] = {
    [FIELD_STR] = {JSON_STRING, "a string"},
    [FIELD_INT] = {JSON_NUMBER, "an integer"},
    [FIELD_NUM] = {JSON_NUMBER, "a number"},
    [FIELD_BOOL] = {JSON_BOOL, "true or false"},
    [FIELD_ENUM] = {JSON_STRING, "a string"},
    [FIELD_STRS] = {JSON_ARRAY, "a list of strings"},
    [FIELD_OBJECT] = {JSON_OBJECT, "an object"},
    [FIELD_OBJECTS] = {JSON_ARRAY, "a list of objects"},
    [FIELD_MAP] = {JSON_OBJECT, "an object"},
    [FIELD_ANY] = {JSON_NULL, "anything"},
    [FIELD_ARRAY] = {JSON_ARRAY, "a list"},
};

static void check_inside(const struct checker *c, const struct field *row, const struct step *at,
                         const struct json *value)
{
    switch (row->kind) {
    case FIELD_STR:
        if ((double)strlen(json_string(value, "")) > row->max)
            check_say(c, c->issues, at, mem_format("longer than %.0f bytes", row->max));
        else if ((row->flags & FIELD_NONEMPTY) && !json_string(value, "")[0])
            check_say(c, c->issues, at, mem_string("expected a string that is not empty"));
        else if (row->flags & FIELD_ID)
            check_id(c, at, json_string(value, ""));
        break;
    case FIELD_INT:
    case FIELD_NUM: check_number(c, row, at, value); break;
    case FIELD_ENUM: check_names(c, row, at, value); break;
    case FIELD_STRS:
    case FIELD_ARRAY:
    case FIELD_OBJECTS: check_items(c, row, at, value); break;
    case FIELD_OBJECT: check_object(c, row->sub, at, value); break;
    case FIELD_MAP: check_map(c, row, at, value); break;
    case FIELD_BOOL:
    case FIELD_ANY:
    case FIELD_END: break;
    }
}

static void check_field(const struct checker *c, const struct field *row, const struct step *at,
                        const struct json *value)
{
    enum json_kind kind = json_kind(value);

    if (row->flags & FIELD_UNUSED)
        check_unused(c, at);
    if (row->kind == FIELD_ANY || ((row->flags & FIELD_OR_STRING) && kind == JSON_STRING) ||
        ((row->flags & FIELD_OR_BOOL) && kind == JSON_BOOL))
        return;
    if (kind != field_looks[row->kind].kind) {
        CLEAN(mem_free)
        char *expected = mem_format("%s%s%s", row->flags & FIELD_OR_STRING ? "a string or " : "",
                                    row->flags & FIELD_OR_BOOL ? "true, false or " : "",
                                    field_looks[row->kind].expected);
        check_expected(c, at, expected, value);
        return;
    }
    check_inside(c, row, at, value);
}

/* ---- the way down to them ---- */

static void check_members(const struct checker *c, const struct step *at,
                          const struct json *object);

static void check_member(const struct checker *c, const struct step *at, const struct json *value)
{
    char path[CONFIG_PATH_MAX];
    const struct knob_row *knob;
    const struct part_row *part;

    step_text(at, path, sizeof(path));
    bool dotted = strchr(at->key, '.') != NULL; /* a key with a dot is not a path */
    if (!dotted && (knob = rows_knob(path))) {
        check_knob(c, knob, at, value);
    } else if (!dotted && (part = rows_part(path))) {
        check_field(c, &part->field, at, value);
        if (part->reload == RELOAD_NONE)
            check_unused(c, at);
    } else if (!dotted && rows_parent(path)) { /* before what is unused: something below is used */
        if (json_kind(value) == JSON_OBJECT)
            check_members(c, at, value);
        else
            check_expected(c, at, "an object", value);
    } else if (rows_unused(at)) {
        check_unused(c, at);
    } else if (check_has_room(c)) {
        struct nearest nearest;
        nearest_init(&nearest, at->key);
        rows_children(step_text(at->up, path, sizeof(path)), on_candidate, &nearest);
        check_unknown(c, at, &nearest);
    }
}

static void check_members(const struct checker *c, const struct step *at, const struct json *object)
{
    json_each (item, object) {
        struct step below = step_to(at, item, 0);
        if (at || strcmp(json_key(item), "$schema") != 0)
            check_member(c, &below, item);
    }
}

void check_tree(const struct json *tree, const struct sources *sources, struct issues *issues,
                struct issues *warnings)
{
    struct checker c = {sources, issues, warnings};

    check_members(&c, NULL, tree);
}
