/* What the configuration's tests share: a file in the test's folder with a given text. */
#pragma once

#include "base/mem.h"
#include "tests/t.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

/* Writes text to <tmpdir>/name; the path stays valid for the program's life. */
static inline const char *kit_file(const char *name, const char *text)
{
    static char paths[32][512];
    static unsigned next;
    char *path = paths[next++ % 32];

    snprintf(path, sizeof(paths[0]), "%s/%s", t_tmpdir(), name);
    FILE *f = fopen(path, "w");
    t_ok(f != NULL);
    if (f) {
        fputs(text, f);
        fclose(f);
        chmod(path, 0600);
    }
    return path;
}
