/* Lists of tools: for models (definitions with their JSON Schema), and for clients (tools.catalog,
 * tools.effective; protocol.md 4.3). */
#include "gateway/tools/ops.h"

#include "gateway/gateway.h"

#include <string.h>

/* ---- JSON Schema, the part that every model's API takes ---- */

static void schema_object(const struct field *fields, struct json_writer *w);

static void schema_items(const struct field *f, struct json_writer *w)
{
    jw_kobject(w, f->kind == FIELD_MAP ? "additionalProperties" : "items");
    jw_kstr(w, "type", f->kind == FIELD_OBJECTS ? "object" : "string");
    if (f->kind == FIELD_OBJECTS)
        schema_object(f->sub, w);
    jw_object_end(w);
}

static void schema_limits(const struct field *f, struct json_writer *w)
{
    if (f->kind == FIELD_INT || f->kind == FIELD_NUM) {
        if (f->min > -FIELD_UNBOUNDED)
            jw_knum(w, "minimum", f->min);
        if (f->max < FIELD_UNBOUNDED)
            jw_knum(w, "maximum", f->max);
    }
    if (f->kind == FIELD_ENUM) {
        jw_karray(w, "enum");
        for (size_t i = 0; f->names[i]; i++)
            jw_str(w, f->names[i]);
        jw_array_end(w);
    }
}

static void schema_property(const struct field *f, struct json_writer *w)
{
    static const char *const types[] = {
        [FIELD_STR] = "string",    [FIELD_INT] = "integer",   [FIELD_NUM] = "number",
        [FIELD_BOOL] = "boolean",  [FIELD_ENUM] = "string",   [FIELD_STRS] = "array",
        [FIELD_OBJECT] = "object", [FIELD_OBJECTS] = "array", [FIELD_MAP] = "object",
    };

    jw_kobject(w, f->key);
    jw_kstr(w, "type", types[f->kind]);
    jw_kstr(w, "description", f->help);
    schema_limits(f, w);
    if (f->kind == FIELD_STRS || f->kind == FIELD_OBJECTS || f->kind == FIELD_MAP)
        schema_items(f, w);
    if (f->kind == FIELD_OBJECT)
        schema_object(f->sub, w);
    jw_object_end(w);
}

/* The members of an open object: properties and required. */
static void schema_object(const struct field *fields, struct json_writer *w)
{
    jw_kobject(w, "properties");
    for (const struct field *f = fields; f->kind != FIELD_END; f++) {
        if (!(f->flags & FIELD_ALIAS))
            schema_property(f, w);
    }
    jw_object_end(w);
    jw_karray(w, "required");
    for (const struct field *f = fields; f->kind != FIELD_END; f++) {
        if (f->flags & FIELD_REQUIRED)
            jw_str(w, f->key);
    }
    jw_array_end(w);
}

void tools_write_definitions(struct gateway *gw, const char *agent_id, const char *session_key,
                             struct json_writer *w)
{
    jw_array(w);
    for (size_t i = 0; tool_at(i); i++) {
        const struct tool *tool = tool_at(i);

        if (tool_policy(gw, agent_id, session_key, tool->name, /* http= */ false, NULL) < 0)
            continue;
        jw_object(w);
        jw_kstr(w, "name", tool->name);
        jw_kstr(w, "description", tool->description);
        jw_kobject(w, "parameters");
        jw_kstr(w, "type", "object");
        schema_object(tool->params, w);
        jw_object_end(w);
        jw_object_end(w);
    }
    jw_array_end(w);
}

/* ---- for clients ---- */

static const struct {
    const char *id, *label;
    unsigned bit; /* 0: holds all */
} profiles[] = {
    {"minimal", "Minimal", TOOL_MINIMAL},
    {"coding", "Coding", TOOL_CODING},
    {"messaging", "Messaging", TOOL_MESSAGING},
    {"full", "Full", 0},
};

static void write_entry(const struct tool *tool, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "id", tool->name);
    jw_kstr(w, "label", tool->label);
    jw_kstr(w, "description", tool->summary);
    jw_kstr(w, "source", "core");
    jw_karray(w, "defaultProfiles");
    for (size_t i = 0; i < COUNT(profiles); i++) {
        if (tool->profiles & profiles[i].bit)
            jw_str(w, profiles[i].id);
    }
    jw_array_end(w);
    jw_object_end(w);
}

static void write_group(enum tool_group group, struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "id", tool_group_id(group));
    jw_kstr(w, "label", tool_group_label(group));
    jw_kstr(w, "source", "core");
    jw_karray(w, "tools");
    for (size_t i = 0; tool_at(i); i++) {
        if (tool_at(i)->group == group)
            write_entry(tool_at(i), w);
    }
    jw_array_end(w);
    jw_object_end(w);
}

static bool group_used(enum tool_group group)
{
    for (size_t i = 0; tool_at(i); i++) {
        if (tool_at(i)->group == group)
            return true;
    }
    return false;
}

void tools_write_catalog(struct gateway *gw, const char *agent_id, struct json_writer *w)
{
    (void)gw;
    jw_object(w);
    jw_kstr(w, "agentId", agent_id);
    jw_karray(w, "profiles");
    for (size_t i = 0; i < COUNT(profiles); i++) {
        jw_object(w);
        jw_kstr(w, "id", profiles[i].id);
        jw_kstr(w, "label", profiles[i].label);
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_karray(w, "groups");
    for (unsigned group = 0; group < TOOL_GROUP_COUNT; group++) {
        if (group_used((enum tool_group)group))
            write_group((enum tool_group)group, w);
    }
    jw_array_end(w);
    jw_object_end(w);
}

void tools_write_effective(struct gateway *gw, const char *agent_id, const char *session_key,
                           struct json_writer *w)
{
    jw_object(w);
    jw_kstr(w, "agentId", agent_id);
    jw_kstr(w, "profile", tool_profile(gw, agent_id));
    jw_karray(w, "groups");
    jw_object(w);
    jw_kstr(w, "id", "core");
    jw_kstr(w, "label", "Built-in tools");
    jw_kstr(w, "source", "core");
    jw_karray(w, "tools");
    for (size_t i = 0; tool_at(i); i++) {
        const struct tool *tool = tool_at(i);

        if (tool_policy(gw, agent_id, session_key, tool->name, /* http= */ false, NULL) < 0)
            continue;
        jw_object(w);
        jw_kstr(w, "id", tool->name);
        jw_kstr(w, "label", tool->label);
        jw_kstr(w, "description", tool->summary);
        jw_kstr(w, "rawDescription", tool->description);
        jw_kstr(w, "source", "core");
        jw_object_end(w);
    }
    jw_array_end(w);
    jw_object_end(w);
    jw_array_end(w);
    jw_object_end(w);
}
