/* IDENTITY.md: who an agent says it is, in lines "- Name: …". Pure but for the reading, which blocks. */
#pragma once

#include <stddef.h>

#define IDENTITY_VALUE_MAX 200 /* bytes; a longer value is not taken */

/* "": not told. */
struct identity_file {
    char name[IDENTITY_VALUE_MAX + 1], emoji[IDENTITY_VALUE_MAX + 1],
        avatar[IDENTITY_VALUE_MAX + 1], theme[IDENTITY_VALUE_MAX + 1];
};

/* A value in round brackets is what a template says before somebody fills it in: not told. */
void identity_parse(const char *text, struct identity_file *ret);
/* Reads <root>/IDENTITY.md, at most 64 KiB; nothing told where it cannot be read. Pool threads only. */
void identity_read(const char *root, struct identity_file *ret);
