/* Roles and scopes as sets. protocol.md section 3, design.md section 5. Pure. */
#pragma once

#include "base/json.h"

enum role {
    ROLE_NONE = 0,
    ROLE_OPERATOR = 1,
    ROLE_NODE = 2
}; /* bits: a method row may allow both */

enum scope_bit {
#define SCOPE(name, wire, implied) SCOPE_BIT_##name,
#include "gateway/conn/scope.def"
#undef SCOPE
    SCOPE_COUNT
};
enum {
    SCOPE_NONE = 0,
#define SCOPE(name, wire, implied) SCOPE_##name = 1 << SCOPE_BIT_##name,
#include "gateway/conn/scope.def"
#undef SCOPE
    SCOPE_ALL = (1 << SCOPE_COUNT) - 1
};
typedef uint32_t scope_set;

scope_set scope_parse(const struct json *array);        /* unknown names are left out */
scope_set scope_from_name(const char *name);            /* 0: unknown */
const char *scope_name(scope_set one);                  /* exactly one bit */
void scope_write(scope_set set, struct json_writer *w); /* as a JSON array, in the table's order */
char *scope_text(scope_set set) MUSTCHECK;              /* the same as owned text */
/* All that the held set carries under the version's rules (v4: admin implies all, write implies read…;
 * v3: admin all, read is satisfied by write, nothing else). */
scope_set scope_effective(scope_set held, int version);
bool scope_allows(scope_set held, scope_set needed, int version); /* every needed bit */
/* The one rule for giving: may someone who holds `giver` hand out `given`? Everything given must be
 * effective in giver under v4 rules. Used by approve, rotate, mint, patch: nowhere else decided. */
bool scope_may_give(scope_set giver, scope_set given);
