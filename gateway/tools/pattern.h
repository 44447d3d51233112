/* "*" in names and paths of policies. Pure. */
#pragma once

#include "base/own.h"

/* "*" is any run of characters; case does not matter. */
bool pattern_fits(const char *pattern, const char *name);
/* "*" is any run of characters but "/"; case matters. */
bool pattern_fits_path(const char *pattern, const char *path);
