/* The schema and hints come out of the tables as valid JSON and agree with the check. */
#include "gateway/config/schema.h"

#include "base/mem.h"
#include "gateway/config/rows.h"
#include "tests/t.h"

static struct json *made(void (*write)(struct json_writer *w))
{
    CLEAN(buf_done) struct buf out;
    struct json_writer w;
    struct fault fault = {0};

    buf_init(&out, 4 << 20);
    jw_init(&w, &out);
    write(&w);
    struct json *tree = json_parse(out.data, out.length, &fault);
    if (!tree)
        t_fail(__FILE__, __LINE__, "%s", fault.text);
    return tree;
}

T(schema_of_scalars_parts_and_unused_keys)
{
    CLEAN(json_free) struct json *schema = made(schema_write);
    const struct json *port = json_path(schema, "properties.gateway.properties.port");

    t_str(json_string(json_get(port, "type"), ""), "integer");
    t_eq(json_integer(json_get(port, "maximum"), 0), 65535);
    t_eq(json_integer(json_get(port, "default"), 0), 18789);
    t_ok(json_boolean(json_get(schema, "additionalProperties"), true) == false);
    t_eq(json_count(json_path(schema, "properties.gateway.properties.auth.properties.mode.enum")),
         4);
    t_str(json_string(json_path(schema, "properties.agents.properties.list.type"), ""), "array");
    t_str(
        json_string(
            json_at(json_path(schema, "properties.agents.properties.list.items.required"), 0), ""),
        "id");
    t_ok(json_path(schema, "properties.talk") != NULL);
    t_ok(json_path(schema, "properties.channels.properties.*") == NULL);
}

T(hints_mark_secrets)
{
    CLEAN(json_free) struct json *hints = made(schema_write_hints);
    const struct json *token = json_get(hints, "gateway.auth.token");

    t_str(json_string(json_get(json_get(hints, "gateway.customBindHost"), "label"), ""),
          "Custom bind host");
    t_ok(json_boolean(json_get(token, "sensitive"), false));
    t_ok(json_string(json_get(token, "help"), NULL) != NULL);
    t_ok(json_boolean(json_get(json_get(hints, "models.providers.*.apiKey"), "sensitive"), false));
    t_ok(json_boolean(
        json_get(json_get(hints, "channels.telegram.accounts.*.botToken"), "sensitive"), false));
}
