/* On which line of a JSON5 text a path stands. Pure; for text that json5_parse accepted. */
#pragma once

#include "gateway/config/path.h"

/* The 1-based line of the member (of its key) that steps[0..count) lead to; 0: not in this text.
 * count 0 is the line where the value begins. */
int lines_find(const char *text, size_t length, const struct step *const *steps, size_t count);
