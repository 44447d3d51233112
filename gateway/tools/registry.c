/* The table of tools: tools.def names the files, each holds its rows. Names are looked up as OpenClaw's
 * policies and agents spell them. Constant. */
#include "gateway/tools/ops.h"

#include <string.h>
#include <strings.h>

static const struct tool *const tables[] = {
#define TOOLS(file) tools_##file,
#include "gateway/tools/tools.def"
#undef TOOLS
};

static const struct {
    const char *id, *label;
} groups[TOOL_GROUP_COUNT] = {
#define GROUP(id, label) [TOOL_GROUP_##id] = {#id, label},
#include "gateway/tools/groups.def"
#undef GROUP
};

/* Other spellings that agents and policies use. */
static const struct {
    const char *alias, *name;
} aliases[] = {
    {"bash", "exec"},
    {"shell", "exec"},
};

const struct tool *tool_at(size_t index)
{
    for (size_t i = 0; i < COUNT(tables); i++) {
        for (const struct tool *tool = tables[i]; tool->name; tool++) {
            if (index-- == 0)
                return tool;
        }
    }
    return NULL;
}

const struct tool *tool_find(const char *name)
{
    for (size_t i = 0; i < COUNT(aliases); i++) {
        if (strcasecmp(aliases[i].alias, name) == 0)
            name = aliases[i].name;
    }
    for (size_t i = 0; tool_at(i); i++) {
        if (strcasecmp(tool_at(i)->name, name) == 0)
            return tool_at(i);
    }
    return NULL;
}

bool tool_is_parallel(struct gateway *gw, const char *name)
{
    const struct tool *tool = tool_find(name);

    (void)gw;
    return tool && tool->flags & TOOL_PARALLEL;
}

const char *tool_group_id(enum tool_group group)
{
    return groups[group].id;
}

const char *tool_group_label(enum tool_group group)
{
    return groups[group].label;
}
