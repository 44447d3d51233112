/* Is a resolved configuration what the tables allow? Everything wrong is collected, not only the
 * first. Pure; any thread. */
#pragma once

#include "gateway/config/source.h"

/* tree: as from resolve(). Unknown keys and bad values go to issues, known keys that we do not use to
 * warnings (each path once). */
void check_tree(const struct json *tree, const struct sources *sources, struct issues *issues,
                struct issues *warnings);
