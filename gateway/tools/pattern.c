/* The usual walk with one place to come back to: the last star. */
#include "gateway/tools/pattern.h"

#include <ctype.h>

static bool fits(const char *pattern, const char *name, bool is_path)
{
    const char *star = NULL, *retry = NULL;

    while (*name) {
        if (*pattern == '*') {
            star = pattern++;
            retry = name;
        } else if (*pattern == *name || (!is_path && tolower((unsigned char)*pattern) ==
                                                         tolower((unsigned char)*name))) {
            pattern++;
            name++;
        } else if (star && !(is_path && *retry == '/')) {
            pattern = star + 1;
            name = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool pattern_fits(const char *pattern, const char *name)
{
    return fits(pattern, name, false);
}

bool pattern_fits_path(const char *pattern, const char *path)
{
    return fits(pattern, path, true);
}
