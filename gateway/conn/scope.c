/* Roles and scopes as sets: one table of names (scope.def), what each version implies, and the one rule
 * for giving. Pure; owns nothing. protocol.md section 3, design.md section 5. */
#include "gateway/conn/scope.h"

#include "base/mem.h"

#include <string.h>

static const struct {
    const char *name;
    scope_set implied_by; /* v4: any of these carries it */
} scope_rows[SCOPE_COUNT] = {
#define SCOPE(id, wire, implied) [SCOPE_BIT_##id] = {wire, implied},
#include "gateway/conn/scope.def"
#undef SCOPE
};

scope_set scope_from_name(const char *name)
{
    for (unsigned bit = 0; bit < SCOPE_COUNT; bit++)
        if (strcmp(scope_rows[bit].name, name) == 0)
            return (scope_set)1 << bit;
    return SCOPE_NONE;
}

scope_set scope_parse(const struct json *array)
{
    scope_set set = SCOPE_NONE;

    json_each (item, array)
        set |= scope_from_name(json_string(item, ""));
    return set;
}

const char *scope_name(scope_set one)
{
    for (unsigned bit = 0; bit < SCOPE_COUNT; bit++)
        if (one == (scope_set)1 << bit)
            return scope_rows[bit].name;
    return "";
}

void scope_write(scope_set set, struct json_writer *w)
{
    jw_array(w);
    for (unsigned bit = 0; bit < SCOPE_COUNT; bit++)
        if (set & (scope_set)1 << bit)
            jw_str(w, scope_rows[bit].name);
    jw_array_end(w);
}

char *scope_text(scope_set set)
{
    struct buf b;
    struct json_writer w;

    buf_init(&b, 1024);
    jw_init(&w, &b);
    scope_write(set, &w);
    return buf_take(&b);
}

scope_set scope_effective(scope_set held, int version)
{
    if (held & SCOPE_ADMIN)
        return SCOPE_ALL;
    if (version < 4)
        return held & SCOPE_WRITE ? held | SCOPE_READ : held;

    scope_set all = held;
    for (unsigned bit = 0; bit < SCOPE_COUNT; bit++)
        if (scope_rows[bit].implied_by & held)
            all |= (scope_set)1 << bit;
    return all;
}

bool scope_allows(scope_set held, scope_set needed, int version)
{
    return (needed & ~scope_effective(held, version)) == 0;
}

bool scope_may_give(scope_set giver, scope_set given)
{
    return scope_allows(giver, given, 4);
}
