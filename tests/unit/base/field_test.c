/* Field tables: every kind with good and bad values, the words of each refusal, and the schema. The cases
 * are rows, so that tests/peer can put the same rows to ajv: `unit.base.field` with FIELD_CASES=FILE in
 * the environment writes one line {schema, value, ok} per case. */
#include "tests/t.h"

#include "base/field.h"
#include "base/mem.h"

#include <stdlib.h>

static const char *const colours[] = {"red", "green", "blue", NULL};

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
    const char *str, *text, *alias, *nullable;
    struct field_set str_set, int_set;
    int64_t integer, big;
    double number;
    bool flag;
    int colour, maybe;
    const struct json *list, *words, *items, *map, *any, *array;
    struct inner in;
};

/* One kind per table, so that a case speaks of one thing. */
static const struct field str_rows[] = {F_STR(outer, str, OPTIONAL, 4), F_END};
static const struct field text_rows[] = {F_STR(outer, text, REQUIRED | FIELD_NONEMPTY, 1e15),
                                         F_END};
static const struct field alias_rows[] = {F_STR(outer, alias, REQUIRED | FIELD_NONEMPTY, 8),
                                          F_STR_K(outer, "other", alias, FIELD_ALIAS, 8), F_END};
static const struct field set_rows[] = {
    F_STR_SET(outer, str, str_set, OPTIONAL | FIELD_NONEMPTY, 4),
    F_INT_SET(outer, integer, int_set, OPTIONAL, 1, 9, 3), F_END};
static const struct field int_rows[] = {F_INT(outer, integer, OPTIONAL, 1, 500, 50), F_END};
static const struct field big_rows[] = {R_INT("big", REQUIRED), F_END};
static const struct field num_rows[] = {F_NUM(outer, number, OPTIONAL, -1.5, 1.5, 0.25), F_END};
static const struct field any_num_rows[] = {R_NUM("number", 0), F_END};
static const struct field bool_rows[] = {F_BOOL(outer, flag, OPTIONAL, 1), F_END};
static const struct field enum_rows[] = {F_ENUM(outer, colour, OPTIONAL, colours, 2),
                                         F_ENUM(outer, maybe, FIELD_NULLABLE, colours, -1), F_END};
static const struct field strs_rows[] = {F_STRS(outer, list, OPTIONAL, 2),
                                         F_STRS(outer, words, FIELD_NONEMPTY, 1e15), F_END};
static const struct field object_rows[] = {F_OBJECT(outer, in, OPTIONAL, inner_rows), F_END};
static const struct field nullable_rows[] = {F_OBJECT(outer, in, FIELD_NULLABLE, inner_rows),
                                             F_END};
static const struct field objects_rows[] = {F_OBJECTS(outer, items, OPTIONAL, inner_rows, 2),
                                            F_END};
static const struct field map_rows[] = {F_MAP(outer, map, OPTIONAL, str_rows), F_END};
static const struct field free_map_rows[] = {F_MAP(outer, map, OPTIONAL, NULL), F_END};
static const struct field any_rows[] = {F_ANY(outer, any, REQUIRED), F_END};
static const struct field array_rows[] = {F_ARRAY(outer, array, OPTIONAL, 2), F_END};

struct field_case {
    const struct field *rows;
    const char *value;
    const char *why; /* NULL: accepted */
};

static const struct field_case cases[] = {
    {str_rows, "{}", NULL},
    {str_rows, "{\"str\":\"\"}", NULL},
    {str_rows, "{\"str\":\"abcd\",\"unknown\":1}", NULL},
    {str_rows, "{\"str\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z\"}", NULL}, /* 4 code points */
    {str_rows, "{\"str\":\"abcde\"}", "at /str: must NOT have more than 4 characters"},
    {str_rows, "{\"str\":null}", "at /str: must be string"},
    {str_rows, "{\"str\":1}", "at /str: must be string"},
    {str_rows, "{\"str\":[\"a\"]}", "at /str: must be string"},
    {str_rows, "[]", "must be object"},
    {str_rows, "\"x\"", "must be object"},
    {text_rows, "{\"text\":\"a\"}", NULL},
    {text_rows, "{\"text\":\" \xc2\xa0\"}", NULL}, /* blank is ASCII's */
    {text_rows, "{}", "must have required property 'text'"},
    {text_rows, "{\"Text\":\"a\"}", "must have required property 'text'"},
    {text_rows, "{\"text\":\"\"}", "at /text: must NOT have fewer than 1 characters"},
    {text_rows, "{\"text\":\" \\t\\n\\u000b\\f\\r\"}",
     "at /text: must match pattern \"[^ \\t\\n\\v\\f\\r]\""},
    {alias_rows, "{\"alias\":\"a\"}", NULL},
    {alias_rows, "{\"other\":\"a\"}", NULL},
    {alias_rows, "{\"other\":\"\",\"alias\":\"a\"}", NULL},
    {alias_rows, "{}", "must have required property 'alias'"},
    {alias_rows, "{\"alias\":\"a\",\"other\":1}", "at /other: must be string"},
    {alias_rows, "{\"other\":\"123456789\"}", "at /other: must NOT have more than 8 characters"},
    {set_rows, "{\"str\":null,\"integer\":null}", NULL},
    {set_rows, "{\"str\":\"a\",\"integer\":9}", NULL},
    {set_rows, "{\"str\":\"\"}", "at /str: must NOT have fewer than 1 characters"},
    {set_rows, "{\"integer\":10}", "at /integer: must be <= 9"},
    {int_rows, "{\"integer\":1}", NULL},
    {int_rows, "{\"integer\":500.0}", NULL},
    {int_rows, "{\"integer\":5e1}", NULL},
    {int_rows, "{\"integer\":0}", "at /integer: must be >= 1"},
    {int_rows, "{\"integer\":501}", "at /integer: must be <= 500"},
    {int_rows, "{\"integer\":1.5}", "at /integer: must be integer"},
    {int_rows, "{\"integer\":\"1\"}", "at /integer: must be integer"},
    {int_rows, "{\"integer\":true}", "at /integer: must be integer"},
    {int_rows, "{\"integer\":1e300}", "at /integer: must be <= 500"},
    {big_rows, "{\"big\":9007199254740992}", NULL},
    {big_rows, "{\"big\":-9007199254740992}", NULL},
    {big_rows, "{\"big\":9007199254740994.0}", "at /big: must be <= 9007199254740992"},
    {num_rows, "{\"number\":-1.5}", NULL},
    {num_rows, "{\"number\":1}", NULL},
    {num_rows, "{\"number\":-1.51}", "at /number: must be >= -1.5"},
    {num_rows, "{\"number\":2}", "at /number: must be <= 1.5"},
    {num_rows, "{\"number\":\"1\"}", "at /number: must be number"},
    {any_num_rows, "{\"number\":1.7e308}", NULL},
    {any_num_rows, "{\"number\":-1.7e308}", NULL},
    {bool_rows, "{\"flag\":false}", NULL},
    {bool_rows, "{\"flag\":0}", "at /flag: must be boolean"},
    {bool_rows, "{\"flag\":null}", "at /flag: must be boolean"},
    {enum_rows, "{\"colour\":\"green\",\"maybe\":null}", NULL},
    {enum_rows, "{\"maybe\":\"blue\"}", NULL},
    {enum_rows, "{\"colour\":\"Green\"}", "at /colour: must be equal to one of the allowed values"},
    {enum_rows, "{\"colour\":null}", "at /colour: must be equal to one of the allowed values"},
    {enum_rows, "{\"colour\":1}", "at /colour: must be equal to one of the allowed values"},
    {strs_rows, "{\"list\":[],\"words\":[\"a\",\"b\",\"c\"]}", NULL},
    {strs_rows, "{\"list\":[\"\",\"b\"]}", NULL},
    {strs_rows, "{\"list\":[\"a\",\"b\",\"c\"]}", "at /list: must NOT have more than 2 items"},
    {strs_rows, "{\"list\":[\"a\",1]}", "at /list/1: must be string"},
    {strs_rows, "{\"list\":[null]}", "at /list/0: must be string"},
    {strs_rows, "{\"list\":\"a\"}", "at /list: must be array"},
    {strs_rows, "{\"words\":[\"a\",\"\"]}", "at /words/1: must NOT have fewer than 1 characters"},
    {object_rows, "{}", NULL},
    {object_rows, "{\"in\":{\"name\":\"n\",\"count\":-5}}", NULL},
    {object_rows, "{\"in\":{}}", "at /in: must have required property 'name'"},
    {object_rows, "{\"in\":{\"name\":\"n\",\"count\":6}}", "at /in/count: must be <= 5"},
    {object_rows, "{\"in\":null}", "at /in: must be object"},
    {object_rows, "{\"in\":[]}", "at /in: must be object"},
    {nullable_rows, "{\"in\":null}", NULL},
    {nullable_rows, "{\"in\":{}}", "at /in: must have required property 'name'"},
    {objects_rows, "{\"items\":[]}", NULL},
    {objects_rows, "{\"items\":[{\"name\":\"a\"},{\"name\":\"b\",\"x\":0}]}", NULL},
    {objects_rows, "{\"items\":[{\"name\":\"a\"},{\"name\":\"\"}]}",
     "at /items/1/name: must NOT have fewer than 1 characters"},
    {objects_rows, "{\"items\":[1]}", "at /items/0: must be object"},
    {objects_rows, "{\"items\":[{}]}", "at /items/0: must have required property 'name'"},
    {objects_rows, "{\"items\":{}}", "at /items: must be array"},
    {objects_rows, "{\"items\":[{\"name\":\"a\"},{\"name\":\"b\"},{\"name\":\"c\"}]}",
     "at /items: must NOT have more than 2 items"},
    {map_rows, "{\"map\":{\"k\":\"v\",\"\":\"\"}}", NULL},
    {map_rows, "{\"map\":{\"a/b~c\":\"12345\"}}",
     "at /map/a~1b~0c: must NOT have more than 4 characters"},
    {map_rows, "{\"map\":{\"k\":1}}", "at /map/k: must be string"},
    {map_rows, "{\"map\":[]}", "at /map: must be object"},
    {free_map_rows, "{\"map\":{\"k\":1,\"l\":null}}", NULL},
    {free_map_rows, "{\"map\":1}", "at /map: must be object"},
    {any_rows, "{\"any\":null}", NULL},
    {any_rows, "{\"any\":[{}]}", NULL},
    {any_rows, "{}", "must have required property 'any'"},
    {array_rows, "{\"array\":[1,null]}", NULL},
    {array_rows, "{\"array\":[1,2,3]}", "at /array: must NOT have more than 2 items"},
    {array_rows, "{\"array\":{}}", "at /array: must be array"},
};

T(every_kind)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct field_case *c = &cases[i];
        struct shape shape = {.kind = FIELD_OBJECT, .fields = c->rows};
        struct fault fault = {.text = ""};
        struct outer outer;
        CLEAN(json_free) struct json *j = json_parse(c->value, strlen(c->value), &fault);

        if (!j)
            t_fail(__FILE__, __LINE__, "%s: %s", c->value, fault.text);
        int r = field_check(&shape, j, &fault);
        t_eq_(__FILE__, __LINE__, c->value, "verdict", r, c->why ? -ERR_INVALID : 0);
        t_str_(__FILE__, __LINE__, c->value, fault.text, c->why ? c->why : "");
        t_eq(field_check(&shape, j, NULL), r);
        if (c->rows != big_rows && c->rows != any_num_rows)
            t_eq(field_decode(c->rows, j, &outer, sizeof(outer), NULL), r);
    }
}

static int decode(const struct field *rows, const char *text, struct outer *outer,
                  struct json **ret_tree)
{
    *ret_tree = json_parse(text, strlen(text), NULL);
    return field_decode(rows, *ret_tree, outer, sizeof(*outer), NULL);
}

T(values_and_defaults)
{
    static const struct field rows[] = {F_STR(outer, str, OPTIONAL, 4),
                                        F_INT(outer, integer, OPTIONAL, 1, 500, 50),
                                        F_NUM(outer, number, OPTIONAL, 0, 2, 0.25),
                                        F_BOOL(outer, flag, OPTIONAL, 1),
                                        F_ENUM(outer, colour, OPTIONAL, colours, 2),
                                        F_ENUM(outer, maybe, OPTIONAL, colours, -1),
                                        F_STRS(outer, list, OPTIONAL, 2),
                                        F_OBJECT(outer, in, OPTIONAL, inner_rows),
                                        F_END};
    struct outer o;
    CLEAN(json_free) struct json *j = NULL;

    memset(&o, 0xff, sizeof(o));
    t_eq(field_decode(rows, NULL, &o, sizeof(o), NULL), 0);
    t_ok(o.str == NULL && o.list == NULL && o.in.name == NULL && o.any == NULL);
    t_eq(o.integer, 50);
    t_ok(o.number == 0.25);
    t_ok(o.flag);
    t_eq(o.colour, 2);
    t_eq(o.maybe, -1);
    t_eq(o.in.count, 1);
    t_eq(decode(rows,
                "{\"str\":\"s\",\"integer\":7,\"number\":1.5,\"flag\":false,\"colour\":\"red\","
                "\"maybe\":\"blue\",\"list\":[\"a\"],\"in\":{\"name\":\"n\",\"count\":-2}}",
                &o, &j),
         0);
    t_str(o.str, "s");
    t_eq(o.integer, 7);
    t_ok(o.number == 1.5);
    t_ok(!o.flag);
    t_eq(o.colour, 0);
    t_eq(o.maybe, 2);
    t_str(json_string(json_first(o.list), NULL), "a");
    t_str(o.in.name, "n");
    t_eq(o.in.count, -2);
}

T(null_params_are_empty)
{
    struct fault fault = {.text = ""};
    struct outer o;
    CLEAN(json_free) struct json *null = json_new_null();

    t_eq(field_decode(int_rows, null, &o, sizeof(o), NULL), 0);
    t_eq(o.integer, 50);
    t_eq(field_decode(text_rows, null, &o, sizeof(o), &fault), -ERR_INVALID);
    t_str(fault.text, "must have required property 'text'");
}

T(absent_null_and_given)
{
    struct outer o;
    CLEAN(json_free) struct json *absent = NULL;
    CLEAN(json_free) struct json *null = NULL;
    CLEAN(json_free) struct json *given = NULL;

    t_eq(decode(set_rows, "{}", &o, &absent), 0);
    t_ok(!o.str_set.given && !o.str_set.null && o.str == NULL);
    t_eq(o.integer, 3);
    t_eq(decode(set_rows, "{\"str\":null,\"integer\":null}", &o, &null), 0);
    t_ok(o.str_set.given && o.str_set.null && o.str == NULL);
    t_ok(o.int_set.given && o.int_set.null);
    t_eq(o.integer, 3);
    t_eq(decode(set_rows, "{\"str\":\"x\",\"integer\":4}", &o, &given), 0);
    t_ok(o.str_set.given && !o.str_set.null);
    t_str(o.str, "x");
    t_eq(o.integer, 4);
}

T(aliases)
{
    struct outer o;
    CLEAN(json_free) struct json *alias = NULL;
    CLEAN(json_free) struct json *both = NULL;

    t_eq(decode(alias_rows, "{\"other\":\"o\"}", &o, &alias), 0);
    t_str(o.alias, "o");
    t_eq(decode(alias_rows, "{\"other\":\"o\",\"alias\":\"a\"}", &o, &both), 0);
    t_str(o.alias, "a");
}

T(shapes)
{
    static const struct shape list = {.kind = FIELD_OBJECTS, .fields = inner_rows};
    static const struct shape maybe = {
        .kind = FIELD_OBJECT, .fields = inner_rows, .nullable = true};
    static const struct shape any = {.kind = FIELD_ANY};
    struct fault fault;
    CLEAN(json_free) struct json *j = json_parse("[{\"name\":\"\"}]", 13, NULL);
    CLEAN(json_free) struct json *null = json_new_null();

    t_eq(field_check(&list, j, &fault), -ERR_INVALID);
    t_str(fault.text, "at /0/name: must NOT have fewer than 1 characters");
    t_eq(field_check(&any, j, NULL), 0);
    t_eq(field_check(&maybe, null, NULL), 0);
    t_eq(field_check(&list, null, NULL), -ERR_INVALID);
}

T(a_long_key_does_not_hide_the_reason)
{
    struct fault fault;
    struct shape shape = {.kind = FIELD_OBJECT, .fields = map_rows};

    for (size_t length = 150; length < 70000; length += length < 900 ? 1 : 23000) {
        CLEAN(buf_done) struct buf b;
        buf_init(&b, 1 << 20);
        buf_add_str(&b, "{\"map\":{\"");
        for (size_t i = 0; i < length; i++)
            buf_add_str(&b, i % 2 ? "\xe2\x82\xac" : "/");
        buf_add_str(&b, "\":0}}");
        CLEAN(json_free) struct json *j = json_parse(b.data, b.length, NULL);
        t_eq(field_check(&shape, j, &fault), -ERR_INVALID);
        t_has(fault.text, ": must be string");
        t_ok(json_is_utf8(fault.text, strlen(fault.text)));
    }
}

static char *schema(const struct field *rows)
{
    struct shape shape = {.kind = FIELD_OBJECT, .fields = rows};
    struct json_writer w;
    struct buf out;

    buf_init(&out, 1 << 16);
    jw_init(&w, &out);
    field_schema(&shape, &w);
    return buf_take(&out);
}

static void prints(int line, const struct field *rows, const char *properties)
{
    CLEAN(mem_free) char *text = schema(rows);
    t_str_(__FILE__, line, "schema", text, properties);
}

T(schemas)
{
    prints(__LINE__, str_rows,
           "{\"type\":\"object\",\"properties\":{\"str\":{\"type\":\"string\",\"maxLength\":4}}}");
    prints(__LINE__, text_rows,
           "{\"type\":\"object\",\"properties\":{\"text\":{\"type\":\"string\",\"minLength\":1,"
           "\"pattern\":\"[^ \\\\t\\\\n\\\\v\\\\f\\\\r]\"}},\"required\":[\"text\"]}");
    prints(__LINE__, int_rows,
           "{\"type\":\"object\",\"properties\":{\"integer\":{\"type\":\"integer\",\"minimum\":1,"
           "\"maximum\":500,\"default\":50}}}");
    prints(__LINE__, any_num_rows,
           "{\"type\":\"object\",\"properties\":{\"number\":{\"type\":\"number\"}}}");
    prints(
        __LINE__, enum_rows,
        "{\"type\":\"object\",\"properties\":{\"colour\":{\"enum\":[\"red\",\"green\",\"blue\"]},"
        "\"maybe\":{\"enum\":[\"red\",\"green\",\"blue\",null]}}}");
    prints(__LINE__, map_rows,
           "{\"type\":\"object\",\"properties\":{\"map\":{\"type\":\"object\","
           "\"additionalProperties\":"
           "{\"type\":\"string\",\"maxLength\":4}}}}");
    prints(__LINE__, nullable_rows,
           "{\"type\":\"object\",\"properties\":{\"in\":{\"type\":[\"object\",\"null\"],"
           "\"properties\":"
           "{\"name\":{\"type\":\"string\",\"minLength\":1,\"pattern\":\"[^ "
           "\\\\t\\\\n\\\\v\\\\f\\\\r]\","
           "\"maxLength\":8},\"count\":{\"type\":\"integer\",\"minimum\":-5,\"maximum\":5,"
           "\"default\":1}},\"required\":[\"name\"]}}}");
    CLEAN(mem_free) char *alias = schema(alias_rows);
    t_json(alias, "{'allOf':[{'anyOf':[{'required':['alias']},{'required':['other']}]}]}");
}

/* For a peer that validates the same rows with ajv. */
T(write_cases)
{
    const char *path = getenv("FIELD_CASES");
    FILE *file = path ? fopen(path, "w") : NULL;

    if (!file)
        t_skip("FIELD_CASES names no file");
    for (size_t i = 0; i < COUNT(cases); i++) {
        CLEAN(mem_free) char *text = schema(cases[i].rows);
        fprintf(file, "{\"schema\":%s,\"value\":%s,\"ok\":%s}\n", text, cases[i].value,
                cases[i].why ? "false" : "true");
    }
    fclose(file);
}

struct choice {
    const struct json *archived;
};
static const char *const choice_names[] = {"all", NULL};
static const struct field choice_fields[] = {
    {.key = "archived",
     .kind = FIELD_ANY,
     .at = offsetof(struct choice, archived),
     .set_at = FIELD_NO_SET,
     .names = choice_names},
    F_END,
};

T(a_choice_is_true_false_or_a_name)
{
    static const struct {
        const char *text;
        int result;
    } rows[] = {
        {"{\"archived\":true}", 0},
        {"{\"archived\":false}", 0},
        {"{\"archived\":\"all\"}", 0},
        {"{}", 0},
        {"{\"archived\":\"some\"}", -ERR_INVALID},
        {"{\"archived\":1}", -ERR_INVALID},
        {"{\"archived\":null}", -ERR_INVALID},
    };

    for (size_t i = 0; i < COUNT(rows); i++) {
        CLEAN(json_free) struct json *tree = json_parse(rows[i].text, strlen(rows[i].text), NULL);
        struct choice choice;
        t_eq_(__FILE__, __LINE__, rows[i].text, "result",
              field_decode(choice_fields, tree, &choice, sizeof(choice), NULL), rows[i].result);
    }
}
